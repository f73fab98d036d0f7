"""Checks that recur, with their texts."""

import numpy as np


def n_jobs_given(n_jobs: int) -> None:
    """A number of threads, or -1."""
    if n_jobs == 0:
        raise ValueError("n_jobs=0: give a number of threads, or -1 for all cores")


def at_least(least: int, /, **numbers: int) -> None:
    """Whole numbers that are not less than ``least``."""
    for name, value in numbers.items():
        if not isinstance(value, int | np.integer):
            raise TypeError(f"{name}={value!r}: give a whole number")
        if value < least:
            raise ValueError(f"{name}={value}: it must be at least {least}")


def level_given(level: float) -> None:
    """A probability between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level={level}: give a probability between 0 and 1")
