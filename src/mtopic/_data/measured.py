"""What was measured in which batch: ``varm["measured"]`` of a modality, features × batches."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype
from scipy.sparse import csr_array

from mtopic._warn import warn
from mtopic.inference.corpus import Corpus
from mtopic.inference.measured_sets import MeasuredSets
from mtopic.inference.stored import StoredCounts

from .names import absent
from .slots import Data, categories

MEASURED, ROWS_AT_ONCE = "measured", 4096


def batches(data: Data, key: str | None) -> pd.Series | None:
    """The batch of each observation, NaN where there is none."""
    return None if key is None else pd.Series(categories(data, key), index=data.obs_names)


def warn_if_ignored(parts: Mapping[str, AnnData], key: str | None) -> None:
    """Say that zeros will be taken for counts, if some were not measured and nobody says in which batch."""
    for mod, adata in parts.items() if key is None else ():
        table = adata.varm.get(MEASURED)
        if _is_table(table) and not table.to_numpy().all():
            warn(
                f"varm['{MEASURED}'] of modality {mod!r} says that batches lack features, which are taken for zeros "
                "here: name the column of batches in obs with batch_key"
            )


def _is_table(table: Any) -> bool:
    return isinstance(table, pd.DataFrame) and all(map(is_bool_dtype, table.dtypes))


def require_measured(parts: Mapping[str, AnnData], batch: pd.Series | None) -> None:
    """Every feature has to be measured in a batch that is there."""
    for mod, adata in parts.items():
        table = None if batch is None else measured(adata, mod, batch)
        if table is None:
            continue
        nowhere = adata.var_names[~table.any(axis=1)]
        if len(nowhere):
            raise ValueError(
                f"{len(nowhere)} features of modality {mod!r} are measured in no batch of the data, the first is "
                f"{nowhere[0]!r}: leave them out (varm['{MEASURED}'])"
            )


def measured(adata: AnnData, mod: str, batch: pd.Series) -> pd.DataFrame | None:
    """Features × batches of a modality's observations; None where it is not said what was measured."""
    if MEASURED not in adata.varm:
        return None
    slot, table = f"varm['{MEASURED}'] of modality {mod!r}", adata.varm[MEASURED]
    if not _is_table(table):
        raise TypeError(f"{slot} is not a DataFrame of truth values, features × batches: mtopic.pp.concat writes one")
    table, names = table.rename(columns=str), _batch_names(adata, mod, batch)
    for name in names:
        if name not in table:
            raise ValueError(f"{absent(name, table.columns, 'batch', slot)}; say there which features it measured")
    return table[names]


def _batch_names(adata: AnnData, mod: str, batch: pd.Series) -> list[str]:
    """The batches that have observations of a modality."""
    own = batch.reindex(adata.obs_names)
    if own.isna().any():
        name = own.index[own.isna()][0]
        raise ValueError(
            f"{own.isna().sum()} observations of modality {mod!r} are in no batch, the first is {name!r}: name one for "
            "each, or leave these observations out"
        )
    return sorted(own.astype(str).unique())


def measured_by_each(adata: AnnData, mod: str, batch: pd.Series, names: pd.Index) -> pd.DataFrame:
    """Which of the features ``names`` each batch has measured, of batches with observations that measured any."""
    table = measured(adata, mod, batch)
    table = pd.DataFrame(True, names, _batch_names(adata, mod, batch)) if table is None else table.loc[names]
    return table.loc[:, table.any()]


def batches_with_columns(
    features: Mapping[str, pd.Index], parts: Mapping[str, AnnData], batch: pd.Series
) -> dict[str, list[str]]:
    """The batches of each modality that have columns of their own where ``each`` has, in their order."""
    return {mod: list(measured_by_each(parts[mod], mod, batch, names)) for mod, names in features.items()}


def n_observations(adata: AnnData, mod: str, batch: pd.Series | None) -> NDArray[np.int64]:
    """In how many observations of the modality each feature was measured."""
    table = None if batch is None else measured(adata, mod, batch)
    if batch is None or table is None:
        return np.full(adata.n_vars, adata.n_obs)
    sizes = batch.reindex(adata.obs_names).astype(str).value_counts()
    return np.asarray((table * sizes[table.columns]).sum(axis=1), dtype=np.int64)


def n_features(adata: AnnData, mod: str, batch: pd.Series | None, names: pd.Index) -> NDArray[np.int64]:
    """How many of the features ``names`` were measured in each observation of the modality."""
    table = None if batch is None else measured(adata, mod, batch)
    if batch is None or table is None:
        return np.full(adata.n_obs, len(names))
    return np.asarray(table.loc[names].sum()[batch.reindex(adata.obs_names).astype(str)], dtype=np.int64)


def measured_where(adata: AnnData, mod: str, batch: pd.Series | None) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The number of each observation's batch, and which features these have measured, features × batches."""
    table = None if batch is None else measured(adata, mod, batch)
    if batch is None or table is None:
        return np.zeros(adata.n_obs, np.intp), np.ones((adata.n_vars, 1), bool)
    return table.columns.get_indexer(batch.reindex(adata.obs_names).astype(str)), table.to_numpy()


def in_measured_sets(
    corpus: Corpus,
    obs_names: pd.Index,
    features: Mapping[str, pd.Index],
    parts: Mapping[str, AnnData],
    batch: pd.Series | None,
    *,
    each: bool = False,
) -> Corpus:
    """The corpus with columns of their own for all batches of a modality that measured the same features.

    As it is if all measured all. With ``each``, every batch has columns of its own.
    """
    if batch is None:
        return corpus
    columns: list[NDArray[np.int64]] = []
    measured_by: list[NDArray[np.int64]] = []
    modality: list[int] = []
    number = np.full((len(obs_names), len(features)), -1)
    for m, (mod, names) in enumerate(features.items()):
        table = measured_by_each(parts[mod], mod, batch, names) if each else measured(parts[mod], mod, batch)
        patterns, of_batch = _patterns(table, names, each)
        own = pd.Series(0, parts[mod].obs_names) if table is None else batch.astype(str).map(of_batch)
        number[:, m] = own.reindex(parts[mod].obs_names).reindex(obs_names, fill_value=-1)
        columns.append(np.cumsum(patterns).reshape(patterns.shape) - 1 + sum(map(len, measured_by)))
        columns[-1] = np.where(patterns, columns[-1], -1)
        measured_by += [corpus.blocks[m].start + np.flatnonzero(pattern) for pattern in patterns if pattern.any()]
        modality += [m] * int(patterns.any(axis=1).sum())
    if not each and len(measured_by) == len(columns) and sum(map(len, measured_by)) == corpus.n_features:
        return corpus
    sets = MeasuredSets(np.concatenate(measured_by), np.cumsum([0, *map(len, measured_by)]), np.array(modality))

    def of_sets(where: slice, rows: csr_array) -> csr_array:
        if not rows.data.all():
            rows = rows.copy()
            rows.eliminate_zeros()
        indices = _column_indices(rows, corpus.offsets, columns, number[where])
        if (indices < 0).any():
            raise _not_measured(rows, indices < 0, corpus.offsets, obs_names[where], features)
        return csr_array((rows.data, indices, rows.indptr), shape=(rows.shape[0], int(sets.offsets[-1])))

    return Corpus(_rewritten(corpus, of_sets, int(sets.offsets[-1])), corpus.offsets, corpus.weights, sets)


def _rewritten(corpus: Corpus, of: Callable[[slice, csr_array], csr_array], n_columns: int) -> csr_array | StoredCounts:
    """The counts with other columns; counts in files in a folder of their own, in place of the one before."""
    known = corpus.counts
    if not isinstance(known, StoredCounts):
        return of(slice(None), known)
    try:
        return known.rewritten(of, n_columns)
    finally:
        corpus.remove_files()


def _patterns(table: pd.DataFrame | None, names: pd.Index, each: bool) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """What batches measured, patterns × features ``names``, and the pattern of each batch; ``each`` has its own."""
    if table is None:
        return np.ones((1, len(names)), bool), {}
    if each:
        return table.loc[names].to_numpy().T, {str(batch): number for number, batch in enumerate(table)}
    known: dict[bytes, int] = {}
    values = table.loc[names].to_numpy()
    of_batch = {
        str(batch): known.setdefault(column.tobytes(), len(known))
        for batch, column in zip(table, np.ascontiguousarray(values.T), strict=True)
    }
    patterns = np.array([np.frombuffer(pattern, bool) for pattern in known])
    return patterns, of_batch


def _column_indices(
    rows: csr_array, offsets: NDArray[np.int64], columns: list[NDArray[np.int64]], number: NDArray[np.int64]
) -> NDArray[np.integer]:
    """The column of each count, -1 where its batch did not measure the feature.

    ``columns`` has those of each pattern, by modality, and ``number`` the pattern, observations × modalities.
    """
    sizes = np.diff(offsets)
    starts = np.cumsum([0, *(table.size for table in columns)])[:-1] - offsets[:-1]
    table, indices = np.concatenate([table.ravel() for table in columns]), np.empty_like(rows.indices)
    for start in range(0, len(number), ROWS_AT_ONCE):
        edges = rows.indptr[start : start + ROWS_AT_ONCE + 1]
        part, own = slice(edges[0], edges[-1]), np.repeat(number[start : start + ROWS_AT_ONCE], np.diff(edges), axis=0)
        features = rows.indices[part]
        m = np.searchsorted(offsets, features, side="right") - 1
        own = own[np.arange(len(m)), m]
        indices[part] = np.where(own < 0, -1, table[starts[m] + own * sizes[m] + features])
    return indices


def _not_measured(
    rows: csr_array,
    bad: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    obs_names: pd.Index,
    features: Mapping[str, pd.Index],
) -> ValueError:
    first = int(bad.argmax())
    row, feature = int(np.searchsorted(rows.indptr, first, side="right")) - 1, int(rows.indices[first])
    m = int(np.searchsorted(offsets, feature, side="right")) - 1
    mod, names = list(features.items())[m]
    where = f"{obs_names[row]!r}, {names[feature - offsets[m]]!r}"
    return ValueError(
        f"some counts are of features that were not measured in their batch according to varm['{MEASURED}'], "
        f"the first is one of modality {mod!r} at ({where}): mend the table, or name another column of batches"
    )
