"""The one door between annotated data and arrays of counts."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import DTypeLike
from scipy.sparse import csr_array, csr_matrix, issparse

from mtopic._warn import warn
from mtopic.inference.corpus import Corpus

from .slots import Data, modalities

CSR: TypeAlias = csr_array | csr_matrix

ROWS = 4096


@dataclass(frozen=True)
class Counts:
    """Counts of all modalities with the names of what they count."""

    corpus: Corpus
    obs_names: pd.Index
    features: dict[str, pd.Index]


def read_counts(data: Data, *, raw: bool = False, dtype: DTypeLike = np.float32) -> Counts:
    """Lay the counts of all modalities side by side, observations aligned by name.

    With ``raw``, ``layers["counts"]`` is taken where it is present. One modality that is a CSR matrix of ``dtype`` is used
    in place. An observation that lacks a modality has an empty block there.
    """
    parts, obs_names, matrices = named_once(data), data.obs_names, {}
    for mod, adata in parts.items():
        layer = "counts" if raw and "counts" in adata.layers else None
        matrices[mod] = count_matrix(adata, mod, layer=layer)
        _require_counts(matrices[mod], mod, layer)
    corpus = lay_out(obs_names, parts, matrices, dtype)
    return Counts(corpus, obs_names, {mod: adata.var_names for mod, adata in parts.items()})


def lay_out(
    obs_names: pd.Index, parts: Mapping[str, AnnData], matrices: Mapping[str, CSR], dtype: DTypeLike = np.float32
) -> Corpus:
    """Matrices of modalities side by side; their rows are the observations of ``parts`` and go where ``obs_names`` has these."""
    orders = [_positions(obs_names, parts[mod], mod) for mod in matrices]
    corpus = _side_by_side(list(matrices.values()), orders, len(obs_names), np.dtype(dtype))
    if not np.isfinite(corpus.rows.data).all():
        raise ValueError(f"some counts are too large for {corpus.dtype}: use dtype='float64'")
    return corpus


def in_order(counts: Counts, obs_names: pd.Index, features: dict[str, pd.Index]) -> Counts:
    """The counts with modalities, observations and features in the order of a model, which has to be of these and no others."""
    if set(counts.features) != set(features):
        raise ValueError(f"the model was fitted to modalities {list(features)}, the data has {list(counts.features)}")
    way_out = "take the data that the model was fitted to"
    rows = np.argsort(matched(obs_names, counts.obs_names, "observations", way_out))
    blocks = dict(zip(counts.features, counts.corpus.blocks, strict=True))
    parts = []
    for mod, names in features.items():
        order = np.argsort(matched(names, counts.features[mod], f"features of modality {mod!r}", way_out))
        parts.append(blocks[mod].start + order)
    columns, x = np.concatenate(parts), counts.corpus.rows
    if all(np.array_equal(order, np.arange(order.size)) for order in (rows, columns)):
        return counts
    x = csr_array(x[rows][:, columns])
    x.sort_indices()
    return Counts(Corpus(x, np.cumsum([0, *map(len, features.values())])), obs_names, features)


def matched(fitted: pd.Index, present: pd.Index, what: str, way_out: str) -> np.ndarray:
    """Where each name of the data is in the model; they must be the same names."""
    order = fitted.get_indexer(present)
    unknown, missing = int((order < 0).sum()), len(fitted.difference(present))
    if unknown or missing:
        raise ValueError(
            f"model and data do not belong together: {unknown} {what} of the data are not in the model and {missing} of the "
            f"model not in the data; {way_out}"
        )
    return order


def fingerprint(corpus: Corpus) -> str:
    """A digest of all counts, by which the same data are known again, however they are stored."""
    digest = hashlib.sha256()
    for start in range(0, corpus.n_obs, ROWS):
        part = csr_array(corpus.rows[start : start + ROWS], copy=True)
        part.eliminate_zeros()
        for values, kind in ((part.indptr, np.int64), (part.indices, np.int64), (part.data, corpus.dtype)):
            digest.update(np.ascontiguousarray(values, dtype=kind).data)
    return digest.hexdigest()


def warn_empty(counts: Counts) -> None:
    """Say how many observations have no counts."""
    empty = int((counts.corpus.totals == 0).sum())
    if empty:
        warn(f"{empty} of {len(counts.obs_names)} observations have no counts: their topics are the prior")


def warn_zero_weight_only(corpus: Corpus) -> None:
    """Say how many observations have counts only in modalities of weight 0."""
    unheard = int(((corpus.totals == 0) & (corpus.by_modality.sum(axis=1) > 0)).sum())
    if unheard:
        warn(
            f"{unheard} of {corpus.n_obs} observations have counts only in modalities of weight 0: their topics are the prior; "
            "give weights of your own with modality_weights"
        )


def count_matrix(adata: AnnData, mod: str, *, layer: str | None = None) -> CSR:
    """X or a layer as canonical CSR with valid counts and no entries of zero; the caller's arrays are not changed."""
    slot = "X" if layer is None else f"layers[{layer!r}]"
    x = adata.X if layer is None else adata.layers[layer]
    if x is None:
        raise ValueError(f"modality {mod!r} has no {slot}: topics are fitted to counts")
    if hasattr(x, "to_memory"):
        x = x.to_memory()
    if not issparse(x):
        x = np.asarray(x)
    if x.dtype.kind not in "buif":
        raise TypeError(
            f"{slot} of modality {mod!r} has dtype {x.dtype}: counts are real numbers in memory, sparse or dense"
        )
    if x.dtype.kind == "f" and x.dtype.itemsize not in (4, 8):
        x = x.astype(np.float32 if x.dtype.itemsize < 4 else np.float64)
    if not issparse(x):
        x = csr_matrix(x.astype(x.dtype.newbyteorder("="), copy=False))
    original, x = x, x.tocsr()
    if not (x.has_canonical_format and x.data.all()):
        x = x.copy() if x is original else x
        x.sum_duplicates()
        x.eliminate_zeros()
    _check_values(x, adata, mod, slot)
    return x


def warn_fractions(counts: Counts, but: Collection[str]) -> None:
    """Say which modalities, other than those of ``but``, have values that are not whole numbers, as logarithms have."""
    rows, names = counts.corpus.rows, list(counts.features)
    at = np.flatnonzero(rows.data != np.trunc(rows.data))
    found, first = np.unique(np.searchsorted(counts.corpus.offsets, rows.indices[at], "right") - 1, return_index=True)
    for mod, value in zip([names[n] for n in found], rows.data[at[first]], strict=True):
        if mod not in but:
            warn(
                f"what is taken for raw counts of modality {mod!r} are not whole numbers, such as {value:.3g}: topics of logarithms or normalised values are "
                "others. Put the counts into layers['counts'], unless these are counts that were corrected for background"
            )


def has_raw_layer(data: Data) -> bool:
    """Whether a modality keeps raw counts in ``layers["counts"]``."""
    return any("counts" in adata.layers for adata in modalities(data).values())


def raw_counts(adata: AnnData, mod: str) -> CSR:
    """``layers["counts"]`` where it is present, else X."""
    return count_matrix(adata, mod, layer="counts" if "counts" in adata.layers else None)


def _check_values(x: CSR, adata: AnnData, mod: str, slot: str) -> None:
    for bad, name in ((~np.isfinite(x.data), "not finite"), (x.data < 0, "negative")):
        if not bad.any():
            continue
        first = int(np.flatnonzero(bad)[0])
        row = int(np.searchsorted(x.indptr, first, side="right")) - 1
        where = f"{adata.obs_names[row]!r}, {adata.var_names[x.indices[first]]!r}"
        raise ValueError(
            f"{slot} of modality {mod!r}: {bad.sum()} values are {name}, the first is {x.data[first]} at ({where}): "
            "topics are fitted to counts or to non-negative transforms of them"
        )


def _require_counts(x: CSR, mod: str, layer: str | None) -> None:
    if x.shape[1] == 0:
        raise ValueError(f"modality {mod!r} has no features: leave it out or undo the filter that emptied it")
    if not (x.data > 0).any():
        slot = "X" if layer is None else f"layers[{layer!r}]"
        raise ValueError(f"{slot} of modality {mod!r} holds no counts: leave the modality out")


def named_once(data: Data) -> dict[str, AnnData]:
    """The modalities, in which no observation and no feature may have the name of another."""
    parts = modalities(data)
    unique(data.obs_names, "observation names of the data", "obs_names_make_unique()")
    for mod, adata in parts.items():
        unique(adata.obs_names, f"observation names of modality {mod!r}", "obs_names_make_unique()")
        unique(adata.var_names, f"feature names of modality {mod!r}", "var_names_make_unique()")
    return parts


def unique(names: pd.Index, what: str, way_out: str) -> pd.Index:
    """The names, which must not occur twice."""
    if not names.is_unique:
        twice = names[names.duplicated()]
        raise ValueError(f"{len(twice)} {what} occur twice, the first is {twice[0]!r}: make them unique with {way_out}")
    return names


def _positions(obs_names: pd.Index, adata: AnnData, mod: str) -> np.ndarray:
    order = obs_names.get_indexer(adata.obs_names)
    if (order < 0).any():
        stray = adata.obs_names[order < 0]
        raise ValueError(
            f"modality {mod!r} has {len(stray)} observations that the data does not have, the first is {stray[0]!r}: "
            "bring the MuData up to date with mdata.update()"
        )
    return order


def _side_by_side(matrices: list[CSR], orders: list[np.ndarray], n_obs: int, dtype: np.dtype) -> Corpus:
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
    """Copy the rows of a matrix to the rows ``order`` of a wider one, of which each goes on where it is ``free``; move that on."""
    for start in range(0, len(order), ROWS):
        edges, rows = x.indptr[start : start + ROWS + 1], order[start : start + ROWS]
        part, lengths = slice(edges[0], edges[-1]), np.diff(edges)
        places = np.repeat(free[rows] - edges[:-1], lengths) + np.arange(edges[0], edges[-1])
        indices[places] = x.indices[part] + column
        with np.errstate(over="ignore"):
            values[places] = x.data[part]
        free[rows] += lengths
