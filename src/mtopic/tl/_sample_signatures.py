"""Counts of topics in each sample, by signatures of the sample's own."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csc_array
from tqdm import tqdm

from mtopic._data import Data, record
from mtopic._data.count_matrix import Summary, raw_counts
from mtopic._data.slots import find_signatures
from mtopic.inference.backend import Backend

from ._samples import Samples

LEAST_SHARE = np.float32(1e-12)
ROUNDS, PRIOR_COUNTS = 30, 100
"""Steps from the signatures of all samples to those of one, and how many counts the former stand for there."""


def counts_by_topic(
    data: Data,
    mod: str,
    key: str,
    theta: pd.DataFrame,
    design: Samples,
    names: list[str],
    backend: Backend,
    bar: tqdm,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected counts in each sample: of named features, samples × features × topics; of all, samples × topics."""
    _, adata, table = find_signatures(data, mod, key)
    x, places = raw_counts(adata, mod), adata.obs_names.get_indexer(data.obs_names)
    record.warn_other_raw_counts(data, record.head_of(key, "signatures"), mod, Summary.of(x))
    chosen = adata.var_names.get_indexer(names)
    t = np.maximum(theta.to_numpy(dtype=np.float32), LEAST_SHARE)
    beta = table.to_numpy(dtype=np.float64) / table.to_numpy(dtype=np.float64).sum(axis=0)
    of_features, of_all = [], []
    for rows in design.rows:
        present = rows[places[rows] >= 0]
        counts = _shared_out(csc_array(x[places[present]], dtype=np.float32), t[present], beta, backend)
        of_features.append(counts[chosen])
        of_all.append(counts.sum(axis=0))
        bar.update()
    return np.array(of_features), np.array(of_all)


def _shared_out(
    x: csc_array, t: NDArray[np.float32], beta: NDArray[np.float64], backend: Backend
) -> NDArray[np.float64]:
    """Expected counts, features × topics, by signatures that begin as ``beta`` and become those of these counts."""
    own, n_topics = beta, beta.shape[1]
    for _ in range(ROUNDS):
        b = np.maximum(own / own.max(axis=1, keepdims=True), LEAST_SHARE).astype(np.float32)
        counts, _bound = backend.statistics(x, t, b, n_topics)
        own = counts + PRIOR_COUNTS * beta
        own /= own.sum(axis=0)
    return counts.astype(np.float64)
