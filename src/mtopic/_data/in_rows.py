"""Counts of one modality some rows at a time, where they are not in memory."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import issparse

from mtopic._warn import warn

from .count_matrix import CSR, canonical, count_matrix, loaded, row_edges, values
from .slots import Data, modalities

ROWS_AT_ONCE = 8192
"""Few enough for all genes, or some thousand peaks, of each in memory."""


def place(adata: AnnData, mod: str, layer: str | None) -> Literal["memory", "rows", "columns"]:
    """Whether counts are in memory, in rows that can be had one by one, or on disk by column."""
    x = values(adata, mod, layer)[1]
    if _is_in_memory(x):
        return "memory"
    return "columns" if getattr(x, "format", "csr") == "csc" else "rows"


def _is_in_memory(x: Any) -> bool:
    return x is None or issparse(x) or isinstance(x, np.ndarray)


def in_rows(adata: AnnData, mod: str, layer: str | None) -> Iterator[tuple[slice, CSR]]:
    """Rows and their counts as `count_matrix` gives them: all at once of a matrix in memory, or on disk by column."""
    if place(adata, mod, layer) != "rows":
        yield slice(0, adata.n_obs), count_matrix(adata, mod, layer=layer)
        return
    slot, x = values(adata, mod, layer)
    for ends in pairwise(row_edges(x, adata.n_obs, ROWS_AT_ONCE)):
        rows = slice(*ends)
        yield rows, canonical(loaded(x[rows]), mod, slot, adata.obs_names[rows], adata.var_names)


def column(x: Any, at: int) -> NDArray[np.float64]:
    """A column of a matrix; of one that is on disk by row, some rows are in memory at a time."""
    part = slice(at, at + 1)
    if issparse(x) or getattr(x, "format", "csc") != "csr":
        found = [loaded(x[:, part])]
    else:
        found = [loaded(x[slice(*ends)])[:, part] for ends in pairwise(row_edges(x, x.shape[0], ROWS_AT_ONCE))]
    dense = [one.toarray() if issparse(one) else one for one in found]
    return np.concatenate(dense).astype(np.float64).ravel()


def warn_if_loaded(data: Data, what: str) -> None:
    """Say that all counts come into memory, where they are not there."""
    counts = {mod: adata.layers.get("counts", adata.X) for mod, adata in modalities(data).items()}
    on_disk = [mod for mod, x in counts.items() if not _is_in_memory(x)]
    if on_disk:
        warn(
            f"{what} loads all counts of {' and '.join(map(repr, on_disk))} into memory: give a sample of the "
            "observations, such as data[chosen].copy(), if that is too much"
        )


def raw_counts_in_rows(adata: AnnData, mod: str) -> Iterator[tuple[slice, CSR]]:
    """Those of ``layers["counts"]`` where it is present, else of X."""
    return in_rows(adata, mod, "counts" if "counts" in adata.layers else None)
