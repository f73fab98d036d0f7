"""Checks that recur, with their texts; what an argument means by the annotation of its parameter."""

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import pandas as pd

SEEDS = ("rng", "seed", "random_state")
PLAIN = {int: "a whole number", float: "a number", bool: "True or False", str: "a name as text"}
SEVERAL = (Sequence, Iterable, list)


def as_annotated(name: str, value: Any, annotation: Any) -> Any:
    """The value in the type of its parameter, or an error that names the parameter.

    Numbers of NumPy and whole numbers in floating point, as configuration files have them, are taken for what they
    mean, and so are random states. Text is no number, and neither is a truth value.
    """
    members, words = _members(annotation)
    value = value.item() if isinstance(value, np.generic | np.ndarray) and value.ndim == 0 else value
    for member in members:
        value = _each(name, value, get_origin(member), get_args(member))
    types = {get_origin(member) or member for member in members}
    plain = [text for kind, text in PLAIN.items() if kind in types]
    if name in SEEDS and int in types:
        value = _seed(name, value, int if np.random.Generator not in types else np.random.Generator)
    if not plain or isinstance(value, str) and (words or str in types) or value is None and types not in ({int}, {str}):
        return value
    if any(value is word for word in words):
        return value
    if isinstance(value, float) and int in types and float not in types:
        if not value.is_integer():
            raise ValueError(f"{name}={value}: give a whole number")
        return int(value)
    if isinstance(value, bool):
        fits = bool in types
    elif isinstance(value, int):
        fits = bool({int, float, bool} & types)
    elif isinstance(value, float):
        fits = float in types
    else:
        fits = not types <= {*PLAIN, NoneType, np.random.Generator} or type(value) in types
    if not fits:
        hint = "text is no number, " if isinstance(value, str) and {int, float} & types else ""
        raise TypeError(f"{name}={value!r}: {hint}give {' or '.join([*plain, *map(repr, words)])}")
    return value


def n_jobs_given(n_jobs: int) -> None:
    """A number of threads, or -1."""
    if n_jobs == 0:
        raise ValueError("n_jobs=0: give a number of threads, or -1 for all cores")


def folder_given(**folders: str | os.PathLike[str] | None) -> None:
    """Folders that are there, where any are given."""
    for name, path in folders.items():
        if path is not None and not os.path.isdir(path):
            raise ValueError(f"{name}={str(path)!r}: there is no such folder. Create it first")


def at_least(least: int, /, **numbers: int) -> None:
    """Whole numbers that are not less than ``least``."""
    for name, value in numbers.items():
        if value < least:
            raise ValueError(f"{name}={value}: it must be at least {least}")


def level_given(level: float) -> None:
    """A probability between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level={level}: give a probability between 0 and 1")


def _members(annotation: Any) -> tuple[list[Any], tuple[Any, ...]]:
    """The types of a union, and the words that may stand in their place."""
    union = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    words = [word for one in union if get_origin(one) is Literal for word in get_args(one)]
    return [one for one in union if get_origin(one) is not Literal], tuple(words)


def _each(name: str, value: Any, kind: Any, of: tuple[Any, ...]) -> Any:
    """Several numbers or names, each in its type: sets in order, and a Series of numbers by name as a mapping."""
    if kind is Mapping and isinstance(value, Mapping | pd.Series):
        return {key: as_annotated(f"{name}[{key!r}]", one, of[1]) for key, one in value.items()}
    if kind in SEVERAL and isinstance(value, Set):
        value = sorted(value, key=str)
    if kind in SEVERAL and of == (int,) and isinstance(value, list | tuple):
        return [as_annotated(f"{name}[{i}]", one, int) for i, one in enumerate(value)]
    return value


def _seed(name: str, value: Any, kind: type) -> Any:
    """A seed, or a generator from which others can be spawned; an integer drawn from it where that is meant."""
    if isinstance(value, int) and value < 0:
        raise ValueError(f"{name}={value}: a seed is 0 or more")
    if isinstance(value, np.random.RandomState):
        value = np.random.default_rng(value.randint(2**31, size=8))
    elif isinstance(value, list | tuple | np.random.SeedSequence | np.random.BitGenerator):
        value = np.random.default_rng(value)
    if not isinstance(value, np.random.Generator):
        return value
    if kind is int:
        return int(value.integers(2**32))
    spawns = hasattr(value.bit_generator.seed_seq, "spawn")
    return value if spawns else np.random.default_rng(value.integers(2**31, size=8))
