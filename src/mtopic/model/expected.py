"""What a fit expects of counts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from mtopic._data import Data, record
from mtopic._data.count_matrix import Summary, summary
from mtopic._data.in_rows import in_rows, raw_counts_in_rows
from mtopic._data.measured import batches, measured
from mtopic._data.names import absent
from mtopic._data.proportions import proportions
from mtopic._data.slots import find_signatures

from .fitted import checked_signatures


def expected(
    data: Data, mod: str | None, features: str | Sequence[str], prefix: str | None, rates: bool
) -> tuple[str, pd.DataFrame]:
    """Name of the modality, and its expected counts, or their shares, observations of the data × features."""
    head = record.head(prefix)
    name, adata, _ = find_signatures(data, mod, f"{head}signatures")
    theta = proportions(data, f"{head}topics", of_empty=True)
    table = checked_signatures(data, name, f"{head}signatures", theta.columns)
    chosen = table.loc[known_features(features, table.index, name)]
    total, params = table.to_numpy(dtype=np.float64).sum(axis=0), record.read_params(data, head)
    topics = theta.to_numpy() / _measured_share(data, adata, name, table / total, params.batch_key)
    values = pd.DataFrame(topics @ (chosen.to_numpy(dtype=np.float64) / total).T, theta.index, chosen.index)
    if rates:
        return name, values.div(topics.sum(axis=1), axis=0)
    known, sums = Summary(adata.n_obs, adata.n_vars), []
    for _, counts in raw_counts_in_rows(adata, name) if params.raw else in_rows(adata, name, None):
        known.add(counts)
        sums.append(np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel())
    record.warn_other_counts(data, head, summary({name: known}))
    totals = pd.Series(np.concatenate(sums), index=adata.obs_names)
    return name, values.mul(totals.reindex(values.index), axis=0)


def _measured_share(
    data: Data, adata: AnnData, mod: str, signatures: pd.DataFrame, batch_key: str | None
) -> NDArray[np.float64]:
    """The share of each topic's signature that an observation's batch has measured, observations × topics."""
    share = np.ones((data.n_obs, signatures.shape[1]))
    batch = batches(data, batch_key)
    table = None if batch is None else measured(adata, mod, batch)
    if batch is None or table is None:
        return share
    present = data.obs_names.isin(adata.obs_names)
    for name, there in table.items():
        share[present & (batch.astype(str) == name).to_numpy()] = signatures[there.to_numpy()].sum()
    return share


def known_features(features: str | Sequence[str], known: pd.Index, mod: str) -> list[str]:
    """The features as a list, each of which has to be there, and once."""
    names = [features] if isinstance(features, str) else list(features)
    if not names:
        raise ValueError(f"features is empty: name at least one feature of modality {mod!r}")
    for feature in names:
        if feature not in known:
            raise KeyError(absent(feature, known, "feature", f"modality {mod!r}"))
    if len(set(names)) < len(names):
        twice = next(feature for feature in names if names.count(feature) > 1)
        raise ValueError(f"features names {twice!r} twice: name each feature once")
    return names
