"""Folds of a cross-validation: training data and held-out halves, prepared by the weights of the training data."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from mtopic._counts import raw_counts, require_unique_names
from mtopic._mudata import quiet_mudata
from mtopic._slots import Data, coordinates
from mtopic.inference.corpus import Corpus
from mtopic.inference.execution import Threads
from mtopic.inference.posterior import Posterior
from mtopic.pp._clr import log_ratios
from mtopic.pp._tfidf import idf

from ._completion import completed, halves, require_whole
from ._model import Model

COUNTS_PER_CELL = 10_000
PLACE = "spatial"


def whole_counts(mdata: Data, place: str | None) -> MuData:
    """Raw counts alone, every observation in every modality, with the coordinates; they must be whole numbers."""
    parts = {}
    for mod, adata in require_unique_names(mdata).items():
        x = raw_counts(adata, mod)
        require_whole(x, mod)
        if not (x.data > 0).any():
            raise ValueError(f"modality {mod!r} holds no counts: leave it out")
        order = adata.obs_names.get_indexer(mdata.obs_names)
        rows = csr_array(x, dtype=np.float32)[np.maximum(order, 0)]
        rows.data *= np.repeat(order >= 0, np.diff(rows.indptr))
        rows.eliminate_zeros()
        parts[mod] = AnnData(rows, obs=pd.DataFrame(index=mdata.obs_names), var=pd.DataFrame(index=adata.var_names))
    with quiet_mudata():
        counts = MuData(parts)
    if place is not None:
        counts.obsm[PLACE] = coordinates(mdata, place)
    return counts


@dataclass(frozen=True)
class Fold:
    """A fold that is held out.

    Parameters
    ----------
    held_out
        Which observations.
    weights, scales
        Of features (None: clr) and of modalities, from the training data.
    inferred, scored
        Halves of the held-out counts, prepared.
    """

    held_out: NDArray[np.bool_]
    weights: dict[str, NDArray[np.float32] | None]
    scales: dict[str, np.float32]
    inferred: Corpus
    scored: Corpus

    @classmethod
    def of(cls, counts: MuData, held_out: NDArray[np.bool_], number: int, seed: int, *, prepare: bool) -> "Fold":
        """Fold ``number``; without ``prepare`` counts stay as they are."""
        rng = np.random.default_rng([seed, number])
        weights, scales, given, scored = {}, {}, {}, {}
        for mod, adata in counts.mod.items():
            training, whole = adata.X[~held_out], adata.X[held_out]
            weights[mod] = _weights(training, mod, prepare)
            total = _prepared(training, weights[mod], np.float32(1)).sum(dtype=np.float64)
            if not total > 0:
                raise ValueError(
                    f"modality {mod!r} has no counts outside fold {number}: use fewer folds, or leave the modality out"
                )
            scales[mod] = np.float32(training.shape[0] * COUNTS_PER_CELL / total if prepare else 1)
            given[mod], scored[mod] = (_prepared(part, weights[mod], scales[mod]) for part in halves(whole, rng))
        offsets = np.cumsum([0, *(adata.n_vars for adata in counts.mod.values())])
        inferred, hidden = (Corpus(csr_array(hstack(list(half.values()))), offsets) for half in (given, scored))
        return cls(held_out, weights, scales, inferred, hidden)

    def training(self, counts: MuData) -> MuData:
        """The other observations, prepared."""
        names, rows = counts.obs_names[~self.held_out], ~self.held_out
        parts = {}
        for mod, adata in counts.mod.items():
            x = _prepared(adata.X[rows], self.weights[mod], self.scales[mod])
            parts[mod] = AnnData(x, obs=pd.DataFrame(index=names), var=adata.var)
        with quiet_mudata():
            training = MuData(parts)
        if PLACE in counts.obsm:
            training.obsm[PLACE] = counts.obsm[PLACE][rows]
        return training

    def score(self, model: Model) -> dict[str, float]:
        """Mean log-likelihood of the scored half's counts, of all and of each modality, under topics inferred from the other half."""
        lam = np.concatenate([one.T for one in model.lambda_.values()]).astype(self.inferred.dtype)
        start = np.ones((self.inferred.n_obs, model.n_topics), lam.dtype)
        fitted = Posterior(self.inferred, start, lam, model.alpha, model.eta, model.inference, Threads(model.n_jobs))
        means = completed(fitted, self.scored, model.modalities)["log_likelihood"].to_dict()
        return {"total": means.pop("total"), **means}


def _weights(training: csr_array, mod: str, prepare: bool) -> NDArray[np.float32] | None:
    """Of features; None: clr."""
    if not prepare:
        return np.ones(training.shape[1], np.float32)
    return None if mod == "prot" else idf(training).astype(np.float32)


def _prepared(x: csr_array, weights: NDArray[np.float32] | None, scale: np.float32) -> csr_array:
    """Tfidf with given weights, else clr, and scaled; entries of zero go."""
    x = x.copy()
    x.eliminate_zeros()
    if weights is None:
        x = log_ratios(x)
    else:
        x.data *= weights[x.indices]
    x.data *= scale
    return x
