"""What is computed of counts block by block: the tables that go with a block, and sums over blocks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Table: TypeAlias = NDArray[Any]
Tables: TypeAlias = Sequence[Table]


class InBlocks(Protocol):
    """Counts of which each block of observations can be had by itself."""

    def in_blocks(self, of: Callable[[Any], T]) -> Iterator[tuple[slice, T]]:
        """What is asked of each block, in order, and the rows that it has."""


def rows_of(table: Table, rows: slice) -> Table:
    """The rows of a block; a table of one row is the same for all."""
    return table if len(table) == 1 else table[rows]


def added(one: Tables, other: Tables) -> tuple[Table, ...]:
    """The sums of two results of several tables each."""
    return tuple(np.add(*pair) for pair in zip(one, other, strict=True))


def sum_in_pairs(results: Iterable[T], add: Callable[[T, T], T]) -> T:
    """The sum of neighbours in pairs, of these pairs in pairs, and so on; few partial sums are there at a time."""
    sums: list[tuple[int, T]] = []
    for result in results:
        height = 0
        while sums and sums[-1][0] == height:
            result, height = add(sums.pop()[1], result), height + 1
        sums.append((height, result))
    total = sums.pop()[1]
    while sums:
        total = add(sums.pop()[1], total)
    return total
