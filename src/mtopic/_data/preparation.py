"""What was done to the counts of a modality, to be done to new ones in the same way."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .count_matrix import CSR

RECORD, IDF = "mtopic", "mtopic_idf"


@dataclass(frozen=True)
class Preparation:
    """The steps that counts have seen, with what these took from the data.

    Parameters
    ----------
    steps
        Their names, in order.
    scale
        The factor of `scale_counts`.
    idf
        The weight of each feature in `tfidf`, by name; None if there was no such step or the weights are gone.
    """

    steps: tuple[str, ...] = ()
    scale: float = 1.0
    idf: pd.Series | None = None

    @classmethod
    def of(cls, adata: AnnData) -> "Preparation":
        """What ``X`` has seen."""
        done = tuple(steps(adata))
        if not done:
            return cls()
        weights = adata.var[IDF].astype(np.float64) if "tfidf" in done and IDF in adata.var else None
        return cls(done, float(adata.uns[RECORD].get("scale", 1.0)), weights)

    def apply(self, x: CSR, features: pd.Index, mod: str, n_features: NDArray[np.int64]) -> CSR:
        """Prepare raw counts of ``features``, ``n_features`` of which each row has measured; ``x`` is not changed."""
        if not self.steps:
            return x
        x = as_real(x)
        if "tfidf" in self.steps:
            x.data *= self._weights(features, mod).astype(x.dtype)[x.indices]
        if "clr" in self.steps:
            x = log_ratios(x, n_features)
        x.data *= x.dtype.type(self.scale)
        return x

    def _weights(self, features: pd.Index, mod: str) -> np.ndarray:
        weights = pd.Series(np.nan, features) if self.idf is None else self.idf.reindex(features)
        if weights.isna().any():
            raise ValueError(
                f"var[{IDF!r}] of modality {mod!r} of the training data lacks the weights of {weights.isna().sum()} "
                "features, by which tfidf would prepare the new counts: put them back, or train on raw counts with "
                "mtopic.tl.topic_model"
            )
        return weights.to_numpy()


def steps(adata: AnnData) -> list[str]:
    """The preparation steps that ``X`` has seen."""
    return [str(step) for step in adata.uns.get(RECORD, {}).get("steps", [])]


def as_real(x: CSR) -> CSR:
    """A copy in floating point: double if it was, else single precision."""
    return x.astype(x.dtype if x.dtype.kind == "f" and x.dtype.itemsize >= 4 else np.float32)


def log_ratios(x: CSR, n_features: NDArray[np.int64]) -> CSR:
    """Logarithms of 1 + the ratios to each row's geometric mean over its ``n_features``, in place."""
    mean = np.asarray(x.log1p().sum(axis=1, dtype=np.float64)).ravel() / np.maximum(n_features, 1)
    centre = np.expm1(mean) + 1e-6
    x.data = np.log1p(x.data / np.repeat(centre, np.diff(x.indptr))).astype(x.dtype)
    return x


def idf(x: CSR, n_obs: NDArray[np.int64]) -> NDArray[np.float64]:
    """ln(D / df) + 1 of each column, of which D = ``n_obs`` observations could have counts; 1 if that is none."""
    df = np.bincount(x.indices[x.data > 0], minlength=x.shape[1])
    return np.log(np.maximum(n_obs, 1) / np.maximum(df, 1)) + 1


def replace_counts(adata: AnnData, x: CSR, step: str, **record: Any) -> None:
    """Put ``x`` in place of ``X``, keep the counts it came from, and note the step."""
    before = steps(adata)
    if not before and "counts" not in adata.layers:
        adata.layers["counts"] = adata.X
    adata.X = x
    adata.uns[RECORD] = {**adata.uns.get(RECORD, {}), "steps": [*before, step], **record}
