"""What every public function does first."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from mtopic._data.slots import its_table
from mtopic._docs import shared_docs

P = ParamSpec("P")
T = TypeVar("T")


def public(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function take a SpatialData in place of an AnnData, whose one table it works on, and fill in its texts."""

    @wraps(function)
    def with_tables(*args: P.args, **kwargs: P.kwargs) -> T:
        return function(*map(its_table, args), **{name: its_table(value) for name, value in kwargs.items()})  # type: ignore[arg-type]

    return shared_docs(with_tables)
