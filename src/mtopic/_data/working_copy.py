"""A working copy of counts on disk, made by reading the data once, some rows at a time."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from mtopic.inference.corpus import Corpus
from mtopic.inference.stored import StoredCounts

from . import kept_copy
from .by_row import ByRow
from .count_matrix import CSR, Summary, canonical, loaded, row_edges, values
from .fingerprint import fingerprint
from .layout import positions, side_by_side

ROWS_AT_ONCE = 1024
"""Few, as a cell may have ten thousand peaks."""


@dataclass(frozen=True)
class _Source:
    """Where the counts of a modality are read from."""

    adata: AnnData
    mod: str
    slot: str
    x: Any
    places: NDArray[np.intp]
    """The row of each observation of the data, -1 where it lacks the modality."""

    @classmethod
    def of(cls, adata: AnnData, mod: str, layer: str | None, obs_names: pd.Index, sorting: Path) -> "_Source":
        slot, x = values(adata, mod, layer)
        if getattr(x, "format", "csr") == "csc" and hasattr(x, "group"):
            x = ByRow(x, Path(mkdtemp(dir=sorting)), sorting.parent)
        if issparse(x):
            x = x.tocsr()
        places = np.full(len(obs_names), -1)
        places[positions(obs_names, adata, mod)] = np.arange(adata.n_obs)
        return cls(adata, mod, slot, x, places)

    def has_all(self, n_obs: int) -> bool:
        """Whether it has all observations in their order."""
        return np.array_equal(self.places, np.arange(n_obs))

    def read(self, start: int, stop: int) -> tuple[CSR, NDArray[np.intp]]:
        """The counts of those observations from ``start`` to ``stop`` that have the modality, and which these are."""
        has = np.flatnonzero(self.places[start:stop] >= 0)
        has = has[np.argsort(self.places[start + has])]
        rows = self.places[start + has]
        is_one_piece = rows.size == 0 or rows[-1] - rows[0] + 1 == rows.size
        part: Any = slice(rows[0], rows[-1] + 1) if is_one_piece and rows.size else rows
        x = loaded(self.x[part if rows.size else slice(0, 0)])
        return canonical(x, self.mod, self.slot, self.adata.obs_names[rows], self.adata.var_names), has


def working_copy(
    obs_names: pd.Index,
    parts: Mapping[str, AnnData],
    layers: Mapping[str, str | None],
    dtype: np.dtype,
    scratch: str | os.PathLike[str],
    keep: bool,
) -> tuple[Corpus, dict[str, Summary]]:
    """The counts of modalities side by side in a folder within ``scratch``, and what is known of each modality.

    An array of dask is computed chunk by chunk, what lies in a file is read by rows; a matrix by column is sorted
    first. A copy that was kept of the same files is taken as it is.
    """
    folder, source = Path(os.path.abspath(scratch)), kept_copy.origin(obs_names, parts, layers, dtype)
    copy = None if source is None else kept_copy.find(folder, source=source)
    if copy is None:
        with TemporaryDirectory(prefix="mtopic-", dir=folder) as sorting:
            sources = [_Source.of(adata, mod, layers[mod], obs_names, Path(sorting)) for mod, adata in parts.items()]
            copy = _written(sources, len(obs_names), dtype, folder)
        if keep:
            copy = kept_copy.keep(copy, fingerprint(copy[0]), source)
    return copy


def _written(sources: list[_Source], n_obs: int, dtype: np.dtype, scratch: Path) -> kept_copy.Copy:
    known = {source.mod: Summary(*source.adata.shape) for source in sources}
    offsets = np.cumsum([0, *(source.adata.n_vars for source in sources)])

    def chunk(start: int, stop: int) -> csr_array:
        found = [source.read(start, stop) for source in sources]
        for one, (x, _) in zip(known.values(), found, strict=True):
            one.add(x)
        return side_by_side([x for x, _ in found], [order for _, order in found], stop - start, dtype).rows

    chunks = (chunk(*ends) for ends in pairwise(_edges(sources, n_obs)))
    return Corpus(StoredCounts.write(chunks, int(offsets[-1]), dtype, scratch), offsets), known


def _edges(sources: list[_Source], n_obs: int) -> list[int]:
    """Where observations are cut: as the first array of dask whose rows are these observations."""
    in_chunks = (source.x for source in sources if hasattr(source.x, "dask") and source.has_all(n_obs))
    return row_edges(next(in_chunks, None), n_obs, ROWS_AT_ONCE)
