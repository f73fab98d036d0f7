"""Blocks of counts on the workers of a dask cluster."""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeGuard
from uuid import uuid4

import joblib
import numpy as np

from .backend import Backend
from .blocks import InBlocks, Tables, added, rows_of, sum_in_pairs
from .corpus import Corpus
from .stored import StoredCounts, written_to

if TYPE_CHECKING:
    from distributed import Client, Future


class Cluster(Backend):
    """Blocks of counts in files are the work of a client's workers, all else of threads here.

    A task needs nothing but files in the folder of the counts, so that one whose worker has died is begun anew on
    another. Sums are taken in the same order as here: no bit depends on who does what.
    """

    def __init__(self, client: "Client", n_jobs: int = 1) -> None:
        super().__init__(n_jobs)
        self._client = client

    def __reduce__(self) -> tuple[Any, ...]:
        """A client stays where it is."""
        return Backend, (self.count,)

    def of_blocks(
        self, corpus: InBlocks, load: Callable[[Any], Any], of: Callable[..., Any], by_row: Tables, *common: Any
    ) -> Iterator[Any]:
        """As `Backend.of_blocks`."""
        if not _is_in_files(corpus):
            yield from super().of_blocks(corpus, load, of, by_row, *common)
            return
        with self._tasks(corpus, load, of, by_row, common) as tasks:
            waiting = deque(tasks)
            while waiting:
                yield waiting.popleft().result()

    def sum_of_blocks(
        self, corpus: InBlocks, load: Callable[[Any], Any], of: Callable[..., Tables], by_row: Tables, *common: Any
    ) -> Tables:
        """As `Backend.sum_of_blocks`; workers add what they have found, and the sum alone comes here."""
        if not _is_in_files(corpus):
            return super().sum_of_blocks(corpus, load, of, by_row, *common)
        with self._tasks(corpus, load, of, by_row, common) as tasks:
            total: Tables = sum_in_pairs(tasks, self._added).result()
            return total

    def _added(self, one: "Future[Tables]", other: "Future[Tables]") -> "Future[Tables]":
        return self._client.submit(added, one, other, key=f"sum-{uuid4().hex}")

    @contextmanager
    def _tasks(
        self,
        corpus: Corpus,
        load: Callable[[Any], Any],
        of: Callable[..., Any],
        by_row: Tables,
        common: tuple[Any, ...],
    ) -> Iterator[Iterator["Future[Any]"]]:
        """A task for each block, while files have what it needs."""
        counts = corpus.counts
        assert isinstance(counts, StoredCounts)
        scratch = counts.folder.path.parent
        with TemporaryDirectory(prefix="mtopic-", dir=scratch, ignore_cleanup_errors=True) as folder:
            job, name = Path(folder) / "job", f"{of.__name__.strip('_')}-{uuid4().hex}"
            with written_to(scratch):
                joblib.dump((replace(corpus), load, of, tuple(by_row), common), job)
            args = str(scratch), str(job)
            submit = self._client.submit
            yield (submit(_of_block, *args, i, key=f"{name}-{i}") for i in range(counts.n_blocks))


def backend(n_jobs: int) -> Backend:
    """Threads; with the workers of the active client of dask, if there is one."""
    client = _active_client()
    return Backend(n_jobs) if client is None else Cluster(client, n_jobs)


def _active_client() -> "Client | None":
    """None in a task, too, which would wait for tasks that wait for its own worker."""
    distributed = sys.modules.get("distributed")
    if distributed is None or _has(distributed.get_worker) is not None:
        return None
    client = _has(distributed.default_client)
    is_active = client is not None and client.status == "running" and not client.asynchronous
    return client if is_active else None


def _has(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except ValueError:
        return None


def _is_in_files(corpus: InBlocks) -> TypeGuard[Corpus]:
    return isinstance(corpus, Corpus) and isinstance(corpus.counts, StoredCounts)


def _of_block(scratch: str, job: str, i: int) -> Any:
    """What is asked of a block, on a worker."""
    try:
        corpus, load, of, by_row, common = joblib.load(job, mmap_mode="r")
        rows = slice(*corpus.counts.edges[i : i + 2])
        counts = load(replace(corpus, counts=corpus.counts.block(i)))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"a worker cannot read scratch={scratch!r} ({error.filename}): give a folder that all workers of the "
            "client see under the same name, or fit without a client"
        ) from None
    tables = (_in_memory(rows_of(table, rows)) for table in by_row)
    return of(Backend(), counts, *tables, *map(_in_memory, common))


def _in_memory(value: Any) -> Any:
    return np.array(value) if isinstance(value, np.ndarray) else value
