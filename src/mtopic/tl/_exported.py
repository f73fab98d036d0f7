"""A fit as its slots tell it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtopic._counts import Counts, read_counts
from mtopic._measured import batches, by_batch
from mtopic._slots import Data, absent, modalities
from mtopic.inference.execution import Threads
from mtopic.inference.posterior import Posterior

from ._shares import shares


def read_fit(data: Data, head: str, n_jobs: int) -> tuple[Posterior, Counts]:
    """The fit as far as the observations' topics tell it, without signatures; and the counts that it was made of."""
    if n_jobs == 0:
        raise ValueError("n_jobs=0: give a number of threads, or -1 for all cores")
    topics, params = _proportions(data, f"{head}topics"), fit_params(data, head)
    weights = params.get("modality_weights", {})
    batch = batches(data, params.get("batch_key"))
    counts = by_batch(read_counts(data, raw=bool(params.get("raw", False))), modalities(data), batch)
    corpus = counts.corpus.scaled(float(params.get("evidence", 1.0)))
    corpus = corpus.weighted(np.array([float(weights.get(mod, 1.0)) for mod in modalities(data)]))
    alpha, eta = float(params["alpha"]), float(params["eta"])
    gamma = topics * (corpus.totals + topics.shape[1] * alpha)[:, None]
    lam = np.ones((corpus.n_features, topics.shape[1]), corpus.dtype)
    family = str(params.get("inference", "variational"))
    return Posterior(corpus, gamma.astype(corpus.dtype), lam, alpha, eta, family, Threads(n_jobs)), counts


def fit_params(data: Data, head: str) -> Mapping[str, Any]:
    """What `export_params` says that the fit was made with."""
    key = f"{head}mtopic"
    known = [name for name, value in data.uns.items() if isinstance(value, Mapping) and "params" in value]
    if key not in known:
        raise KeyError(f"{absent(key, known, 'fit', 'uns')}; mtopic.tl.export_params writes it")
    params: Mapping[str, Any] = data.uns[key]["params"]
    return params


def _proportions(data: Data, key: str) -> NDArray[np.float64]:
    values = shares(data, key).to_numpy()
    missing = int(np.isnan(values).any(axis=1).sum())
    if missing:
        raise ValueError(f"obsm[{key!r}] lacks the proportions of {missing} observations: leave these out")
    return values
