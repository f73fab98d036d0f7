"""Blocks of rows over threads."""

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from queue import SimpleQueue
from threading import Thread
from typing import Any, Self, TypeAlias

import numpy as np
from joblib import cpu_count, effective_n_jobs
from numpy.typing import NDArray

Work: TypeAlias = NDArray[np.integer]

BLOCKS_PER_THREAD = 8
"""So that a thread whose blocks are done early has others to take."""
TOLD = 20
"""Blocks at least where somebody is told of each."""
REMEMBERED = 8
"""Arrays of work whose blocks are remembered: those of an iteration."""


class Threads:
    """Threads that stay for the time of a ``with`` block and share the work on blocks of rows.

    Outside the ``with`` block the calling thread does all the work. ``n_jobs`` is as in joblib: beyond the cores it has
    no effect, and none on any result.
    """

    def __init__(self, n_jobs: int = 1) -> None:
        self.count = max(1, min(effective_n_jobs(n_jobs), cpu_count()))
        self._helpers: list[Thread] = []
        self._edges: deque[tuple[Work, int, list[int]]] = deque(maxlen=REMEMBERED)

    def __enter__(self) -> Self:
        if self.count > 1:
            self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
            self._outcomes: SimpleQueue[BaseException | None] = SimpleQueue()
            self._helpers = [Thread(target=self._serve, daemon=True) for _ in range(self.count - 1)]
            for helper in self._helpers:
                helper.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._helpers:
            for _ in self._helpers:
                self._calls.put(None)
            for helper in self._helpers:
                helper.join()
            self._helpers = []
            del self._calls, self._outcomes

    def run(
        self, kernel: Callable[..., None], work: int | Work, *args: Any, tell: Callable[[int], object] | None = None
    ) -> None:
        """Call ``kernel(start, stop, *args)`` on blocks that cover all rows; return when all are done.

        A kernel releases the interpreter's lock and writes the rows ``start`` to ``stop`` of its output. ``work`` is
        the number of rows, or the cumulative work before each, as ``indptr`` of a CSR matrix; blocks get equal shares.
        ``tell`` is called with the number of rows of each block that is done.
        """
        blocks = deque(pairwise(self._balanced_edges(work, TOLD if tell is not None else 1)))

        def drain() -> None:
            while True:
                try:
                    start, stop = blocks.popleft()
                except IndexError:
                    return
                kernel(start, stop, *args)
                if tell is not None:
                    tell(stop - start)

        for _ in self._helpers:
            self._calls.put(drain)
        try:
            drain()
        finally:  # none may still work on what the caller goes on with
            outcomes = [self._outcomes.get() for _ in self._helpers]
        for outcome in filter(None, outcomes):
            raise outcome

    def _balanced_edges(self, work: int | Work, least: int) -> list[int]:
        n_blocks = max(least, self.count * BLOCKS_PER_THREAD if self._helpers else 1)
        if n_blocks == 1 or isinstance(work, int):
            return balanced_edges(work, n_blocks)
        for known, number, edges in self._edges:
            if known is work and number == n_blocks:
                return edges
        self._edges.append((work, n_blocks, balanced_edges(work, n_blocks)))
        return self._edges[-1][2]

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except BaseException as error:  # noqa: BLE001 (raised again by the thread that waits)
                self._outcomes.put(error)
            else:
                self._outcomes.put(None)


def balanced_edges(work: int | Work, n_blocks: int) -> list[int]:
    """Row numbers that cut the rows into at most ``n_blocks`` blocks of about equal work."""
    n_rows = work if isinstance(work, int) else work.size - 1
    if n_blocks == 1:
        return [0, n_rows]
    if isinstance(work, int):
        return sorted({-(-block * n_rows // n_blocks) for block in range(n_blocks + 1)})
    cost = np.asarray(work, dtype=np.int64) + np.arange(n_rows + 1)  # a row without entries is not free
    edges = np.searchsorted(cost, np.linspace(cost[0], cost[-1], n_blocks + 1))
    edges[0], edges[-1] = 0, n_rows
    return [int(edge) for edge in np.unique(edges)]
