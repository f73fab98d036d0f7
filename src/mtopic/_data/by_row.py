"""Rows of a matrix that lies on disk by column."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from mtopic.inference.stored import written_to

AT_ONCE = 2**22
"""Non-zeros that are sorted at once: some 70 MB."""


class ByRow:
    """The matrix in files of some rows each, sorted there by one pass over its columns; it is asked for rows in order.

    The files take 8 bytes a non-zero and the count itself. Their ``folder`` is removed by the caller.
    """

    def __init__(self, x: Any, folder: Path, scratch: Path) -> None:
        self.shape, self.dtype = x.shape, x.dtype
        indptr = np.asarray(x.group["indptr"][:]).astype(np.int64)
        self._rows = max(1, int(self.shape[0] * AT_ONCE // max(1, indptr[-1])))
        self._entry = np.dtype([("row", np.int32), ("column", np.int32), ("count", self.dtype)])
        self._folder, self._scratch = folder, scratch
        self._last: tuple[int, csr_array] | None = None
        start = 0
        while start < self.shape[1]:
            stop = max(start + 1, int(np.searchsorted(indptr, indptr[start] + AT_ONCE, side="right")) - 1)
            self._sort(x[:, start:stop].tocsr(), start)
            start = stop

    def _sort(self, columns: Any, first_column: int) -> None:
        for first in range(0, self.shape[0], self._rows):
            rows = columns[first : first + self._rows]
            entries = np.empty(rows.nnz, self._entry)
            entries["row"] = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
            entries["column"], entries["count"] = rows.indices + first_column, rows.data
            with written_to(self._scratch), self._file(first // self._rows).open("ab") as file:
                file.write(entries.tobytes())

    def __getitem__(self, rows: slice | NDArray[np.integer]) -> csr_array:
        wanted = np.arange(self.shape[0])[rows]
        file = wanted // self._rows
        parts = [self._of(i)[wanted[file == i] - i * self._rows] for i in np.unique(file).tolist()]
        if not parts:
            return csr_array((0, self.shape[1]), dtype=self.dtype)
        order = np.argsort(file, kind="stable")
        return csr_array(vstack(parts, format="csr"))[np.argsort(order)]

    def _of(self, i: int) -> csr_array:
        if self._last is None or self._last[0] != i:
            entries = np.fromfile(self._file(i), self._entry)
            shape = min(self._rows, self.shape[0] - i * self._rows), self.shape[1]
            self._last = i, csr_array((entries["count"], (entries["row"], entries["column"])), shape=shape)
        return self._last[1]

    def _file(self, i: int) -> Path:
        return self._folder / f"{i}"
