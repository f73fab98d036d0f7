"""What every public function does first."""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec, TypeVar

from mtopic._check import SEEDS, as_annotated
from mtopic._data import DataLike, WithImages
from mtopic._data.slots import its_table, modalities
from mtopic._docs import shared_docs

P = ParamSpec("P")
T = TypeVar("T")


def public(function: Callable[P, T]) -> Callable[P, T]:
    """Take arguments for what they mean, and fill in the texts of the docstring.

    A SpatialData stands for its one table, numbers are of the annotated types, and one option, the seed, may go by any
    of its names.
    """
    parameters = signature(function).parameters

    @wraps(function)
    def with_arguments(*args: P.args, **kwargs: P.kwargs) -> T:
        named = _by_own_names(kwargs, parameters)
        by_position = [_meant(name, value, parameters) for name, value in zip(parameters, args, strict=False)]
        by_name = {name: _meant(name, value, parameters) for name, value in named.items()}
        return function(*by_position, *args[len(by_position) :], **by_name)  # type: ignore[arg-type]

    return shared_docs(with_arguments)


def _by_own_names(kwargs: dict[str, Any], parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The arguments, a seed by the name that the function has for it."""
    own = next((name for name in SEEDS if name in parameters), None)
    other = next((name for name in SEEDS if name in kwargs and name != own), None)
    if own is None or other is None:
        return kwargs
    if own in kwargs:
        raise TypeError(f"{own} and {other} are two names of one option: give {own} only")
    return {own if name == other else name: value for name, value in kwargs.items()}


def _meant(name: str, value: Any, parameters: Mapping[str, Parameter]) -> Any:
    if name in parameters and parameters[name].annotation == WithImages:
        modalities(its_table(value))
        return value
    value = its_table(value)
    if name not in parameters:
        return value
    if parameters[name].annotation == DataLike:
        modalities(value)  # which says what is no data
    return as_annotated(name, value, parameters[name].annotation)
