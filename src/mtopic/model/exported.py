"""A fit as its slots tell it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._data.counts import Counts, has_raw_layer, read_counts
from mtopic._data.measured import batches, by_batch
from mtopic._data.proportions import shares
from mtopic._data.slots import Data, absent, find_signatures, modalities
from mtopic.inference.backend import Backend
from mtopic.inference.posterior import Posterior
from mtopic.inference.priors import by_row, total

from .priors import known_alpha, known_eta


def read_fit(data: Data, head: str, n_jobs: int) -> tuple[Posterior, Counts]:
    """The fit as far as the observations' topics tell it, without signatures; and the counts that it was made of."""
    if n_jobs == 0:
        raise ValueError("n_jobs=0: give a number of threads, or -1 for all cores")
    topics, params = _proportions(data, f"{head}topics"), fit_params(data, head)
    weights = params.get("modality_weights", {})
    batch = batches(data, params.get("batch_key"))
    counts = by_batch(read_counts(data, raw=bool(params.get("raw", False))), modalities(data), batch)
    corpus = counts.corpus.scaled(float(params.get("evidence", 1.0)))
    corpus = corpus.with_weights(np.array([float(weights.get(mod, 1.0)) for mod in modalities(data)]))
    alpha, eta = known_alpha(params, topics.columns), known_eta(params, counts.features)
    gamma = topics.to_numpy() * (corpus.totals + total(alpha, topics.shape[1]))[:, None]
    lam = np.ones((corpus.n_features, topics.shape[1]), corpus.dtype)
    family = str(params.get("inference", "variational"))
    return Posterior(corpus, gamma.astype(corpus.dtype), lam, alpha, eta, family, Backend(n_jobs)), counts


def read_evidence(data: Data, head: str, n_jobs: int) -> tuple[Posterior, Counts]:
    """The fit with its signatures, both scaled to the total of the raw counts where there are; and the counts that it was made of."""
    fitted, counts = read_fit(data, head, n_jobs)
    lam = _signatures(data, f"{head}signatures", data.obsm[f"{head}topics"].columns)
    scale = read_counts(data, raw=True).corpus.total / fitted.corpus.total if has_raw_layer(data) else 1.0
    eta = by_row(fitted.eta, np.float64)
    lam = eta + np.maximum(lam - eta, 0) * scale
    return replace(fitted, corpus=fitted.corpus.scaled(scale), lam=lam), counts


def fit_params(data: Data, head: str) -> Mapping[str, Any]:
    """What `export_params` says that the fit was made with."""
    key = f"{head}mtopic"
    known = [name for name, value in data.uns.items() if isinstance(value, Mapping) and "params" in value]
    if key not in known:
        raise KeyError(f"{absent(key, known, 'fit', 'uns')}; mtopic.tl.topic_model or export_params writes it")
    params: Mapping[str, Any] = data.uns[key]["params"]
    return params


def _proportions(data: Data, key: str) -> pd.DataFrame:
    values = shares(data, key)
    missing = int(values.isna().any(axis=1).sum())
    if missing:
        raise ValueError(f"obsm[{key!r}] lacks the proportions of {missing} observations: leave these out")
    return values


def _signatures(data: Data, key: str, topics: pd.Index) -> NDArray[np.float64]:
    """λ of all modalities, one below the other."""
    parts = []
    for mod in modalities(data):
        name, _, values = find_signatures(data, mod, key)
        if not values.columns.equals(topics):
            raise ValueError(
                f"varm[{key!r}] of modality {name!r} has other topics than the proportions: export both from one fit"
            )
        lam = values.to_numpy(dtype=np.float64)
        if not (np.isfinite(lam).all() and (lam > 0).all()):
            raise ValueError(
                f"varm[{key!r}] of modality {name!r} holds values that are not positive and finite: "
                "export the fit again with mtopic.tl.export_params"
            )
        parts.append(lam)
    return np.concatenate(parts)
