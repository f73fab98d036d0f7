"""Counts of one modality: a canonical CSR matrix of valid values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_array, csr_matrix, issparse

CSR: TypeAlias = csr_array | csr_matrix


def count_matrix(adata: AnnData, mod: str, *, layer: str | None = None) -> CSR:
    """X or a layer as canonical CSR with valid counts and no entries of zero; the caller's arrays are not changed."""
    slot, x = values(adata, mod, layer)
    return canonical(loaded(x), mod, slot, adata.obs_names, adata.var_names)


def values(adata: AnnData, mod: str, layer: str | None) -> tuple[str, Any]:
    """The name of X or a layer, and what it holds, wherever that is."""
    slot = "X" if layer is None else f"layers[{layer!r}]"
    x = adata.X if layer is None else adata.layers[layer]
    if x is None:
        raise ValueError(f"modality {mod!r} has no {slot}: topics are fitted to counts")
    return slot, x


def canonical(x: Any, mod: str, slot: str, obs_names: pd.Index, var_names: pd.Index) -> CSR:
    """Rows in memory as `count_matrix` gives them; ``obs_names`` are theirs."""
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
    _check_values(x, mod, slot, obs_names, var_names)
    return x


def loaded(x: Any) -> Any:
    """Counts in memory, sparse or dense, of counts in a file or in blocks of dask."""
    for load in ("to_memory", "compute"):
        if hasattr(x, load):
            x = getattr(x, load)()
    return x if issparse(x) or x is None else np.asarray(x)


def row_edges(x: Any, n_obs: int, at_once: int) -> list[int]:
    """Where rows are cut that are read one part after the other.

    An array of dask is cut where its chunks are, which would else be computed again and again.
    """
    return np.cumsum([0, *x.chunks[0]]).tolist() if hasattr(x, "dask") else [*range(0, n_obs, at_once), n_obs]


def raw_counts(adata: AnnData, mod: str) -> CSR:
    """``layers["counts"]`` where it is present, else X."""
    return count_matrix(adata, mod, layer="counts" if "counts" in adata.layers else None)


@dataclass
class Summary:
    """What is known of the counts of a modality."""

    n_obs: int
    n_features: int
    total: float = 0.0
    fraction: float | None = None
    """The first value that is not whole, if there is one."""

    def add(self, x: CSR) -> None:
        """Take in further rows."""
        self.total += float(x.data.sum(dtype=np.float64))
        parted = x.data != np.trunc(x.data)
        if self.fraction is None and parted.any():
            self.fraction = float(x.data[parted.argmax()])

    @classmethod
    def of(cls, x: CSR) -> Self:
        found = cls(*x.shape)
        found.add(x)
        return found


def fractions(known: Mapping[str, Summary]) -> dict[str, float]:
    """The first value that is not whole, of each modality that has one."""
    return {mod: one.fraction for mod, one in known.items() if one.fraction is not None}


def summary(known: Mapping[str, Summary]) -> pd.DataFrame:
    """A row for each modality."""
    rows = {mod: (one.n_obs, one.n_features, one.total, one.fraction is None) for mod, one in known.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["n_obs", "n_features", "total", "whole"])


def _check_values(x: CSR, mod: str, slot: str, obs_names: pd.Index, var_names: pd.Index) -> None:
    for bad, name in ((~np.isfinite(x.data), "not finite"), (x.data < 0, "negative")):
        if not bad.any():
            continue
        first = int(np.flatnonzero(bad)[0])
        row = int(np.searchsorted(x.indptr, first, side="right")) - 1
        where = f"{obs_names[row]!r}, {var_names[x.indices[first]]!r}"
        raise ValueError(
            f"{slot} of modality {mod!r}: {bad.sum()} values are {name}, the first is {x.data[first]} at ({where}): "
            "topics are fitted to counts or to non-negative transforms of them"
        )
