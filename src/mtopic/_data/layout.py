"""Counts of modalities side by side, observations aligned by name."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import csr_array

from mtopic.inference.corpus import Corpus

from .count_matrix import CSR

ROWS_AT_ONCE = 4096


def lay_out(
    obs_names: pd.Index, parts: Mapping[str, AnnData], matrices: Mapping[str, CSR], dtype: DTypeLike = np.float32
) -> Corpus:
    """Matrices of modalities side by side.

    Their rows are the observations of ``parts`` and go where ``obs_names`` has these.
    """
    orders = [positions(obs_names, parts[mod], mod) for mod in matrices]
    return side_by_side(list(matrices.values()), orders, len(obs_names), np.dtype(dtype))


def positions(obs_names: pd.Index, adata: AnnData, mod: str) -> NDArray[np.intp]:
    order = obs_names.get_indexer(adata.obs_names)
    if (order < 0).any():
        stray = adata.obs_names[order < 0]
        raise ValueError(
            f"modality {mod!r} has {len(stray)} observations that the data does not have, the first is {stray[0]!r}: "
            "set mdata.obs_names to the names that modalities have now, which renames all; update() would empty obsm"
        )
    return order


def side_by_side(matrices: list[CSR], orders: list[NDArray[np.intp]], n_obs: int, dtype: np.dtype) -> Corpus:
    """Matrices beside each other; their rows go to the rows ``orders``."""
    corpus = _placed(matrices, orders, n_obs, dtype)
    if not np.isfinite(corpus.rows.data).all():
        raise ValueError(f"some counts are too large for {corpus.dtype}: use dtype='float64'")
    return corpus


def _placed(matrices: list[CSR], orders: list[NDArray[np.intp]], n_obs: int, dtype: np.dtype) -> Corpus:
    offsets = np.cumsum([0, *(x.shape[1] for x in matrices)])
    if len(matrices) == 1 and np.array_equal(orders[0], np.arange(n_obs)):
        x = matrices[0]
        with np.errstate(over="ignore"):
            data = x.data.astype(dtype, copy=False)
        return Corpus(csr_array((data, x.indices, x.indptr), shape=x.shape), offsets)

    per_row = np.zeros(n_obs, np.int64)
    for x, order in zip(matrices, orders, strict=True):
        per_row[order] += np.diff(x.indptr)
    nnz = int(per_row.sum())
    index_dtype = np.int32 if max(nnz, offsets[-1]) < np.iinfo(np.int32).max else np.int64
    indptr = np.concatenate([[0], np.cumsum(per_row)]).astype(index_dtype)
    indices, values = np.empty(nnz, index_dtype), np.empty(nnz, dtype)
    free = indptr[:-1].copy()
    for x, order, column in zip(matrices, orders, offsets[:-1], strict=True):
        _place(x, order, column, free, indices, values)
    return Corpus(csr_array((values, indices, indptr), shape=(n_obs, int(offsets[-1]))), offsets)


def _place(x: CSR, order: np.ndarray, column: int, free: np.ndarray, indices: np.ndarray, values: np.ndarray) -> None:
    """Copy rows to the rows ``order`` of a wider matrix, each to where it is ``free``, which moves on."""
    for start in range(0, len(order), ROWS_AT_ONCE):
        edges, rows = x.indptr[start : start + ROWS_AT_ONCE + 1], order[start : start + ROWS_AT_ONCE]
        part, lengths = slice(edges[0], edges[-1]), np.diff(edges)
        places = np.repeat(free[rows] - edges[:-1], lengths) + np.arange(edges[0], edges[-1])
        indices[places] = x.indices[part] + column
        with np.errstate(over="ignore"):
            values[places] = x.data[part]
        free[rows] += lengths
