"""What a training has left for new observations: signatures, priors, and how counts were prepared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mtopic._data.counts import unique
from mtopic._data.preparation import Preparation
from mtopic._data.slots import Data, find_signatures, modalities, topic_name

from .exported import fit_params
from .model import Model


@dataclass(frozen=True)
class Reference:
    """A fit without its observations.

    Parameters
    ----------
    signatures
        λ of each modality, features × topics.
    preparation
        What the counts of each modality had seen that the fit was made of.
    params
        Parameters of the fit, as `export_params` writes them.
    """

    signatures: dict[str, pd.DataFrame]
    preparation: dict[str, Preparation]
    params: Mapping[str, Any]

    @classmethod
    def of(cls, source: Model | Data, prefix: str | None) -> "Reference":
        """From a model, or from data with an exported fit."""
        if isinstance(source, Model):
            return cls._of_model(source, prefix)
        head = "" if prefix is None else f"{prefix}_"
        parts, key = modalities(source), f"{head}signatures"
        fitted = [mod for mod, adata in parts.items() if key in adata.varm] or list(parts)[:1]
        signatures = {mod: _checked(find_signatures(source, mod, key)[2], mod, key) for mod in fitted}
        params = fit_params(source, head)
        return cls(signatures, {mod: Preparation.of(parts[mod]) for mod in fitted}, params)

    @classmethod
    def _of_model(cls, model: Model, prefix: str | None) -> "Reference":
        if prefix is not None:
            raise ValueError(f"prefix={prefix!r}: it names the slots of a reference, and a model has none")
        if not model.fitted:
            raise ValueError(f"this {type(model).__name__} is not fitted yet: call model.VI() first")
        topics = [topic_name(k) for k in range(model.n_topics)]
        signatures = {mod: pd.DataFrame(lam.T, model.features[mod], topics) for mod, lam in model.lambda_.items()}
        return cls(signatures, model.preparation, model.params())

    @property
    def topics(self) -> pd.Index:
        """Names of the topics."""
        return next(iter(self.signatures.values())).columns

    @property
    def raw(self) -> bool:
        """Whether the fit took ``layers["counts"]`` where there was such a layer."""
        return bool(self.params.get("raw", False))

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(str(self.params.get("dtype", "float32")))

    @property
    def strength(self) -> float | None:
        """The strength of the prior from neighbours; None if they were none."""
        return float(self.params["strength"]) if self.params.get("smoothing") == "prior" else None

    def steps(self, mod: str) -> Preparation:
        """What raw counts of a modality have to go through."""
        return Preparation() if self.raw else self.preparation[mod]

    def weights(self, mods: list[str]) -> np.ndarray:
        """What a count of each modality is worth as evidence."""
        known = self.params.get("modality_weights", {})
        weights = np.array([float(known.get(mod, 1.0)) for mod in mods])
        if not weights.any():
            raise ValueError(
                f"{' and '.join(map(repr, mods))} had weight 0 in the training, no say in the topics: give another modality as well"
            )
        return weights


def _checked(table: pd.DataFrame, mod: str, key: str) -> pd.DataFrame:
    unique(table.index, f"feature names of modality {mod!r} of the reference", "var_names_make_unique()")
    good = (np.isfinite(table) & (table > 0)).all(axis=None)
    if not good or not table.size:
        raise ValueError(
            f"varm[{key!r}] of modality {mod!r} of the reference holds values that are not positive, or none: "
            "export the fit again with mtopic.tl.export_params"
        )
    return table
