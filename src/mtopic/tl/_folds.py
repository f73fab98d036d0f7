"""Folds of a cross-validation: training data and held-out halves, prepared by the weights of the training data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from mtopic._data import Data, graph
from mtopic._data.count_matrix import raw_counts
from mtopic._data.counts import named_once
from mtopic._data.measured import MEASURED, batches, batches_with_columns, in_measured_sets, n_features, n_observations
from mtopic._data.preparation import idf, log_ratios
from mtopic._data.quiet import quiet_mudata
from mtopic._data.slots import coordinates
from mtopic._data.spatial_graph import points_if_any
from mtopic.inference import Backend
from mtopic.inference.corpus import Corpus
from mtopic.inference.new_batches import with_learned_effects
from mtopic.model.completion import completed, halves, require_whole, scores
from mtopic.model.fitted import Fitted
from mtopic.model.model import Model

COUNTS_PER_CELL = 10_000
PLACE, PRESENT, BATCH, SECTION = "spatial", "present", "batch", "section"


def whole_counts(mdata: Data, where: Mapping[str, Any], batch_key: str | None = None) -> MuData:
    """Raw counts alone, every observation in every modality; they must be whole numbers.

    ``obs["present"]`` of a modality says which observations have it. With what says who is a neighbour and who is of
    which batch come coordinates, graph, sections and batches.
    """
    parts = {}
    for mod, adata in named_once(mdata).items():
        x = raw_counts(adata, mod)
        require_whole(x, mod)
        if not (x.data > 0).any():
            raise ValueError(f"modality {mod!r} holds no counts: leave it out")
        order = adata.obs_names.get_indexer(mdata.obs_names)
        rows = csr_array(x, dtype=np.float32)[np.maximum(order, 0)]
        rows.data *= np.repeat(order >= 0, np.diff(rows.indptr))
        rows.eliminate_zeros()
        obs = pd.DataFrame({PRESENT: order >= 0}, index=mdata.obs_names)
        parts[mod] = AnnData(rows, obs=obs, var=pd.DataFrame(index=adata.var_names))
        if batch_key is not None and MEASURED in adata.varm:
            parts[mod].varm[MEASURED] = adata.varm[MEASURED]
    with quiet_mudata():
        counts = MuData(parts)
    if batch_key is not None:
        counts.obs[BATCH] = batches(mdata, batch_key)
    if "library_key" in where:
        counts.obs[SECTION] = graph.sections(mdata, where["library_key"])
    if "neighbors_key" in where:
        stored = graph.find(mdata, where["neighbors_key"])
        counts.obsp[f"{PLACE}_connectivities"] = stored.connectivities
        if stored.distances is not None:
            counts.obsp[f"{PLACE}_distances"] = stored.distances
    if where:
        points = (points_if_any if "neighbors_key" in where else coordinates)(mdata, where["spatial_key"])
        if points is not None:
            counts.obsm[PLACE] = points
    return counts


def in_folds(counts: MuData, where: Mapping[str, Any]) -> dict[str, Any]:
    """What says who is a neighbour, by the names of `whole_counts`."""
    names = {"spatial_key": PLACE, "neighbors_key": PLACE, "library_key": SECTION}
    named = {name: names.get(name, value) for name, value in where.items()}
    return {name: value for name, value in named.items() if name != "spatial_key" or PLACE in counts.obsm}


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
    batches
        Those of each modality, if there are any.
    """

    held_out: NDArray[np.bool_]
    weights: dict[str, NDArray[np.float32] | None]
    scales: dict[str, np.float32]
    inferred: Corpus
    scored: Corpus
    batches: dict[str, list[str]]

    @classmethod
    def of(cls, counts: MuData, held_out: NDArray[np.bool_], number: int, seed: int, *, prepare: bool) -> "Fold":
        """Fold ``number``; without ``prepare`` counts stay as they are."""
        rng, batch = np.random.default_rng([seed, number]), _batch(counts)
        weights, scales, given, scored = {}, {}, {}, {}
        for mod, adata in counts.mod.items():
            known, whole = adata[~held_out & adata.obs[PRESENT].to_numpy()], adata[held_out]
            training, n_seen = known.X, n_features(known, mod, batch, adata.var_names)
            weights[mod] = _weights(training, n_observations(known, mod, batch), mod, prepare)
            total = _prepared(training, weights[mod], np.float32(1), n_seen).sum(dtype=np.float64)
            if not total > 0:
                raise ValueError(
                    f"modality {mod!r} has no counts outside fold {number}: use fewer folds, or leave the modality out"
                )
            scales[mod] = np.float32(training.shape[0] * COUNTS_PER_CELL / total if prepare else 1)
            n_seen = _n_seen(whole, mod, batch)
            given[mod], scored[mod] = (_prepared(x, weights[mod], scales[mod], n_seen) for x in halves(whole.X, rng))
        parts = {mod: adata[held_out & adata.obs[PRESENT].to_numpy()] for mod, adata in counts.mod.items()}
        features = {mod: adata.var_names for mod, adata in parts.items()}
        offsets = np.cumsum([0, *map(len, features.values())])
        corpora = (Corpus(csr_array(hstack(list(half.values()))), offsets) for half in (given, scored))
        names = counts.obs_names[held_out]
        own = {} if batch is None else batches_with_columns(features, parts, batch)
        args = names, features, parts, batch
        inferred, hidden = (in_measured_sets(corpus, *args, each=bool(own)) for corpus in corpora)
        return cls(held_out, weights, scales, inferred, hidden, own)

    def training(self, counts: MuData) -> MuData:
        """The other observations, prepared."""
        parts, batch = {}, _batch(counts)
        for mod, adata in counts.mod.items():
            known = adata[~self.held_out & adata.obs[PRESENT].to_numpy()]
            n_seen = n_features(known, mod, batch, adata.var_names)
            x = _prepared(known.X, self.weights[mod], self.scales[mod], n_seen)
            parts[mod] = AnnData(x, pd.DataFrame(index=known.obs_names), adata.var, varm=dict(adata.varm))
        with quiet_mudata():
            training = MuData(parts)
        at = counts.obs_names.get_indexer(training.obs_names)
        if batch is not None:
            training.obs[BATCH] = batch.iloc[at]
        if SECTION in counts.obs:
            training.obs[SECTION] = counts.obs[SECTION].iloc[at]
        if PLACE in counts.obsm:
            training.obsm[PLACE] = counts.obsm[PLACE][at]
        for name, edges in counts.obsp.items():
            training.obsp[name] = edges[at][:, at]
        return training

    def score(self, model: Model) -> dict[str, float]:
        """Mean log-likelihood of the scored half's counts, of all and by modality, under topics from the other half."""
        with Backend(model.n_jobs) as backend:
            fitted = Fitted.of_model(model, None).posterior(self.inferred, model.features, self.batches, backend)
            sums = completed(with_learned_effects(fitted), self.scored)
        means = scores(sums, model.modalities)["log_likelihood"].to_dict()
        return {"total": means.pop("total"), **means}


def _batch(counts: MuData) -> pd.Series | None:
    return counts.obs[BATCH] if BATCH in counts.obs else None


def _n_seen(adata: AnnData, mod: str, batch: pd.Series | None) -> NDArray[np.int64]:
    """How many features were measured in each observation; none in those without the modality."""
    present = adata.obs[PRESENT].to_numpy()
    sizes = np.zeros(adata.n_obs, np.int64)
    sizes[present] = n_features(adata[present], mod, batch, adata.var_names)
    return sizes


def _weights(training: csr_array, n_obs: NDArray[np.int64], mod: str, prepare: bool) -> NDArray[np.float32] | None:
    """Of features, measured in ``n_obs`` observations; None: clr."""
    if not prepare:
        return np.ones(training.shape[1], np.float32)
    return None if mod == "prot" else idf(training, n_obs).astype(np.float32)


def _prepared(
    x: csr_array, weights: NDArray[np.float32] | None, scale: np.float32, n_seen: NDArray[np.int64]
) -> csr_array:
    """Tfidf with given weights, else clr, and scaled; entries of zero go."""
    x = x.copy()
    x.eliminate_zeros()
    if weights is None:
        x = log_ratios(x, n_seen)
    else:
        x.data *= weights[x.indices]
    x.data *= scale
    return x
