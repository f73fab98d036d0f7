"""Blocks of rows over threads."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from joblib import Parallel, cpu_count, delayed, effective_n_jobs
from numpy.typing import NDArray

BLOCKS_PER_THREAD = 8


def run(kernel: Callable[..., None], work: NDArray[np.integer], n_jobs: int, *args: Any) -> None:
    """Call ``kernel(start, stop, *args)`` on blocks that cover all rows.

    Parameters
    ----------
    kernel
        Releases the interpreter's lock and writes the rows ``start`` to ``stop`` of its output.
    work
        Cumulative work before each row, as ``indptr`` of a CSR matrix; blocks get equal shares of it.
    n_jobs
        Number of threads; beyond the cores it has no effect, and none on the result.
    args
        Shared by all blocks; nothing is copied.
    """
    threads = min(effective_n_jobs(n_jobs), cpu_count())
    edges = balanced_edges(work, 1 if threads == 1 else threads * BLOCKS_PER_THREAD)
    if threads == 1:
        for start, stop in pairwise(edges):
            kernel(start, stop, *args)
        return
    Parallel(n_jobs=threads, backend="threading")(
        delayed(kernel)(start, stop, *args) for start, stop in pairwise(edges)
    )


def balanced_edges(work: NDArray[np.integer], n_blocks: int) -> list[int]:
    """Row numbers that cut the rows into at most ``n_blocks`` blocks of about equal work."""
    n_rows = work.size - 1
    cost = np.asarray(work, dtype=np.int64) + np.arange(n_rows + 1)  # a row without entries is not free
    targets = np.linspace(cost[0], cost[-1], n_blocks + 1)
    edges = np.searchsorted(cost, targets)
    edges[0], edges[-1] = 0, n_rows
    return [int(edge) for edge in np.unique(edges)]
