"""Counts in files, in blocks of observations that are read when they are needed."""

import shutil
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, vstack

BLOCK = 2**23
"""Non-zeros of a block at most: some 130 MB in memory by row and by column, and long enough for threads to share."""
MOST_ROWS = 2**16
"""Of a block, so that two bytes tell a row."""
PARTS = ("indptr", "indices", "data")

T = TypeVar("T")


class Folder:
    """A new folder, which is removed when nothing refers to it any more, and when Python ends, unless it is kept."""

    def __init__(self, parent: Path) -> None:
        self.path = Path(mkdtemp(prefix="mtopic-", dir=parent))
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    @classmethod
    def kept(cls, path: Path) -> Self:
        """One that is there, and stays."""
        folder = cls.__new__(cls)
        folder.path = path
        folder.remove = weakref.finalize(folder, shutil.rmtree, path)
        folder.remove.detach()
        return folder

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process it is one that is there, and stays."""
        return Folder.kept, (self.path,)


@dataclass(frozen=True)
class StoredCounts:
    """A matrix in a folder of its own.

    Blocks of rows lie there by row and by column, in the smallest types that hold them, so that a non-zero takes some
    three bytes each. Where they are cut depends on the counts alone.
    """

    folder: Folder
    edges: NDArray[np.int64]
    """Block i has the rows ``edges[i]`` to ``edges[i + 1]``."""
    nonzeros: NDArray[np.int64]
    """Of each block."""
    n_columns: int
    dtype: np.dtype
    """In which counts are read."""
    factor: float = 1.0
    """Times which they are read."""
    first: int = 0
    """Number of the first block in the folder."""
    digest: str | None = None
    """Of all counts as they are in the folder, if it is known."""

    @classmethod
    def write(cls, chunks: Iterable[csr_array], n_columns: int, dtype: np.dtype, parent: Path) -> Self:
        """Chunks of rows, in their order, as blocks in a new folder within ``parent``; half a folder is removed."""
        folder, edges, nonzeros = Folder(parent), [0], []
        try:
            for number, block in enumerate(ahead(_blocks(chunks))):
                _save(folder.path / f"{number}-rows", block, n_columns)
                _save(folder.path / f"{number}-columns", block.tocsc(), block.shape[0])
                edges.append(edges[-1] + block.shape[0])
                nonzeros.append(block.nnz)
        except BaseException:
            folder.remove()
            raise
        return cls(folder, np.array(edges, np.int64), np.array(nonzeros, np.int64), n_columns, dtype)

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.edges[-1] - self.edges[0]), self.n_columns

    @property
    def nnz(self) -> int:
        return int(self.nonzeros.sum())

    @property
    def n_blocks(self) -> int:
        return len(self.nonzeros)

    def block(self, i: int) -> "StoredCounts":
        """One block."""
        edges, nonzeros = self.edges[i : i + 2] - self.edges[i], self.nonzeros[i : i + 1]
        return replace(self, edges=edges, nonzeros=nonzeros, first=self.first + i, digest=None)

    def by_row(self) -> csr_array:
        """All rows, in memory."""
        if self.n_blocks > 1:
            return csr_array(vstack([self.block(i).by_row() for i in range(self.n_blocks)], format="csr"))
        indptr, indices, data = (np.load(self._file("rows", part), mmap_mode="r") for part in PARTS)
        return csr_array((self._read(data), _index(indices), _index(indptr)), shape=self.shape)

    def by_column(self) -> csc_array:
        """All columns, in memory."""
        if self.n_blocks > 1:
            return self.by_row().tocsc()
        indptr, indices, data = (np.load(self._file("columns", part), mmap_mode="r") for part in PARTS)
        return csc_array((self._read(data), _index(indices), _index(indptr)), shape=self.shape)

    def column_parts(self) -> list[slice]:
        """Columns that follow each other and have about `BLOCK` non-zeros."""
        before = sum(self.block(i)._column_edges() for i in range(self.n_blocks))
        cuts = np.searchsorted(before, np.arange(BLOCK, self.nnz, BLOCK))
        return [slice(*ends) for ends in pairwise(np.unique([0, *cuts, self.n_columns]).tolist())]

    def columns(self, part: slice) -> csc_array:
        """Some columns that follow each other, of all rows, in memory."""
        of_blocks = [self.block(i)._columns(part) for i in range(self.n_blocks)]
        return csc_array(vstack(of_blocks, format="csc"))

    def of(self, rows: NDArray[np.integer] | slice) -> csr_array:
        """Some rows, in the order given, in memory."""
        wanted = np.arange(self.shape[0])[rows]
        block = np.searchsorted(self.edges, wanted, side="right") - 1
        order = np.argsort(block, kind="stable")
        parts = [self.block(i)._gathered(wanted[block == i] - self.edges[i]) for i in np.unique(block)]
        if not parts:
            return csr_array((0, self.n_columns), dtype=self.dtype)
        found = parts[0] if len(parts) == 1 else csr_array(vstack(parts, format="csr"))
        return found if np.array_equal(order, np.arange(order.size)) else found[np.argsort(order)]

    def rewritten(self, of: Callable[[slice, csr_array], csr_array], n_columns: int) -> "StoredCounts":
        """Other rows in place of each block's, with ``n_columns``, in a folder of their own beside this one."""
        where = (slice(*ends) for ends in pairwise(self.edges))
        chunks = (of(rows, self.block(i).by_row()) for i, rows in enumerate(where))
        return StoredCounts.write(chunks, n_columns, self.dtype, self.folder.path.parent)

    def sample(self, rows: NDArray[np.integer]) -> "StoredCounts":
        """Some rows, in rising order, in a folder of their own beside this one."""
        of_blocks = np.split(rows, np.searchsorted(rows, self.edges[1:-1]))
        chunks = (self.of(of_block) for of_block in of_blocks)
        return StoredCounts.write(chunks, self.n_columns, self.dtype, self.folder.path.parent)

    def astype(self, dtype: np.dtype) -> "StoredCounts":
        return self if self.dtype == dtype else replace(self, dtype=np.dtype(dtype), digest=None)

    def times(self, factor: float) -> "StoredCounts":
        return replace(self, factor=self.factor * factor, digest=None)

    def _gathered(self, rows: NDArray[np.int64]) -> csr_array:
        """Rows of a single block; the files are mapped, so that only what is wanted is read."""
        indptr = np.load(self._file("rows", "indptr")).astype(np.int64)
        lengths = np.diff(indptr)[rows]
        edges = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(edges[-1]) + np.repeat(indptr[rows] - edges[:-1], lengths)
        indices, data = (np.load(self._file("rows", part), mmap_mode="r")[places] for part in PARTS[1:])
        return csr_array((self._read(data), _index(indices), _index(edges)), shape=(len(rows), self.n_columns))

    def _column_edges(self) -> NDArray[np.int64]:
        return np.load(self._file("columns", "indptr")).astype(np.int64)

    def _columns(self, part: slice) -> csc_array:
        """Columns of a single block."""
        edges = self._column_edges()[part.start : part.stop + 1]
        where = slice(edges[0], edges[-1])
        indices, data = (np.load(self._file("columns", name), mmap_mode="r")[where] for name in PARTS[1:])
        return csc_array((self._read(data), _index(indices), edges - edges[0]), shape=(self.shape[0], len(edges) - 1))

    def _file(self, form: str, part: str) -> Path:
        return self.folder.path / f"{self.first}-{form}-{part}.npy"

    def _read(self, data: NDArray[Any]) -> NDArray[np.floating]:
        values = np.asarray(data).astype(self.dtype)
        return values if self.factor == 1 else values * self.dtype.type(self.factor)


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The items, each of which is made while the one before is worked on."""
    source, end = iter(items), cast("T", object())
    with ThreadPoolExecutor(1) as helper:
        following = helper.submit(next, source, end)
        while (item := following.result()) is not end:
            following = helper.submit(next, source, end)
            yield item


def _index(values: NDArray[Any]) -> NDArray[np.int32]:
    return np.asarray(values).astype(np.int32)


def _blocks(chunks: Iterable[csr_array]) -> Iterator[csr_array]:
    """The rows of all chunks in blocks of as many whole rows as `BLOCK` and `MOST_ROWS` allow."""
    waiting: list[csr_array] = []
    nonzeros = rows = 0
    for chunk in chunks:
        while chunk.shape[0]:
            fits = int(np.searchsorted(chunk.indptr, BLOCK - nonzeros, side="right")) - 1
            fits = min(fits, MOST_ROWS - rows)
            if fits <= 0 and rows:
                yield csr_array(vstack(waiting, format="csr"))
                waiting, nonzeros, rows = [], 0, 0
                continue
            part = chunk[: max(1, fits)]
            waiting.append(part)
            nonzeros, rows = nonzeros + part.nnz, rows + part.shape[0]
            chunk = chunk[part.shape[0] :]
    if rows:
        yield csr_array(vstack(waiting, format="csr"))


def _save(name: Path, block: csr_array | csc_array, n_inner: int) -> None:
    smallest = block.indptr, block.indices.astype(np.min_scalar_type(max(0, n_inner - 1))), _smallest(block.data)
    with written_to(name.parent.parent):
        for part, values in zip(PARTS, smallest, strict=True):
            np.save(name.with_name(f"{name.name}-{part}.npy"), values)


@contextmanager
def written_to(scratch: Path) -> Iterator[None]:
    """Say why counts cannot be written to a folder, and what helps."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"counts cannot be written to scratch={str(scratch)!r}: {error.strerror or error}; a non-zero takes some "
            "six bytes there, and up to 16 more for a while where it lies on disk by column: give a folder with more "
            "room"
        ) from error


def _smallest(counts: NDArray[Any]) -> NDArray[Any]:
    """The counts in whole numbers of as few bytes as hold them; as they are where some are not whole."""
    most = float(counts.max(initial=0))
    if most >= 2**32 or (counts != np.trunc(counts)).any():
        return counts
    return counts.astype(np.min_scalar_type(int(most)))
