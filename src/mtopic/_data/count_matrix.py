"""Counts of one modality: a canonical CSR matrix of valid values."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_array, csr_matrix, issparse

CSR: TypeAlias = csr_array | csr_matrix


def count_matrix(adata: AnnData, mod: str, *, layer: str | None = None) -> CSR:
    """X or a layer as canonical CSR with valid counts and no entries of zero; the caller's arrays are not changed."""
    slot = "X" if layer is None else f"layers[{layer!r}]"
    x = adata.X if layer is None else adata.layers[layer]
    if x is None:
        raise ValueError(f"modality {mod!r} has no {slot}: topics are fitted to counts")
    x = loaded(x)
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


def loaded(x: Any) -> Any:
    """Counts in memory, sparse or dense, of counts in a file or in blocks of dask."""
    for load in ("to_memory", "compute"):
        if hasattr(x, load):
            x = getattr(x, load)()
    return x if issparse(x) or x is None else np.asarray(x)


def raw_counts(adata: AnnData, mod: str) -> CSR:
    """``layers["counts"]`` where it is present, else X."""
    return count_matrix(adata, mod, layer="counts" if "counts" in adata.layers else None)


def fractions(matrices: Mapping[str, CSR]) -> dict[str, float]:
    """The first value that is not whole, of each modality that has one."""
    found = {}
    for mod, x in matrices.items():
        parted = x.data != np.trunc(x.data)
        if parted.any():
            found[mod] = float(x.data[parted.argmax()])
    return found


def summary(matrices: Mapping[str, CSR]) -> pd.DataFrame:
    """What is known of counts: a row for each modality."""
    broken = fractions(matrices)
    rows = {mod: (*x.shape, float(x.data.sum(dtype=np.float64)), mod not in broken) for mod, x in matrices.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["n_obs", "n_features", "total", "whole"])


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
