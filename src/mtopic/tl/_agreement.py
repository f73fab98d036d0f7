"""How far two sets of topic proportions of the same observations agree."""

from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

STANDARD_ERRORS = 3
FEWEST_PAIRS = 10
ALIKE = 1e-5  # beyond what rounding makes of 0 in single precision
LEAST = 0.1
"""Agreement that a fit finds where there is none, for it has seen the pairs."""


@dataclass(frozen=True)
class Pairs:
    """Square roots of two proportions θ of each observation, D × K, and of which observations both are known."""

    one: NDArray[np.float64]
    other: NDArray[np.float64]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, one: NDArray[np.floating], other: NDArray[np.floating], known: NDArray[np.bool_]) -> Self:
        """From the proportions."""
        return cls(np.sqrt(one, dtype=np.float64), np.sqrt(other, dtype=np.float64), known)

    def agreement(self) -> NDArray[np.float64]:
        """Bhattacharyya coefficients, scaled: 0 is the mean over all pairs of different observations and 1 is identity.

        NaN where observations are all alike, which leaves nothing to agree on.
        """
        values = np.full(len(self.known), np.nan)
        one, other = self.one[self.known], self.other[self.known]
        n = len(one)
        if n > 1:
            coefficients = np.einsum("dk,dk->d", one, other)
            chance = (one.sum(axis=0) @ other.sum(axis=0) - coefficients.sum()) / (n * (n - 1))
            if 1 - chance > ALIKE:
                values[self.known] = (coefficients - chance) / (1 - chance)
        return values

    def within(self, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What each of some observations adds to their mean agreement if chance is the mean of the pairs among them."""
        one, other = self.one[self.known & rows], self.other[self.known & rows]
        if len(one) < 2:
            return np.empty(0)
        centre, other_centre = one.mean(axis=0), other.mean(axis=0)
        gains = np.einsum("dk,dk->d", one - centre, other - other_centre)
        return np.asarray(gains / (1 - centre @ other_centre))


def mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1)) / sqrt(values.size)


def is_chance(gains: NDArray[np.float64]) -> bool:
    """Whether there are observations enough to tell, and they agree hardly better than if paired anew."""
    if gains.size < FEWEST_PAIRS:
        return False
    mean, error = mean_and_error(gains)
    return mean < max(LEAST, STANDARD_ERRORS * error)


def is_half(here: NDArray[np.float64], there: NDArray[np.float64]) -> bool:
    """Whether agreement here is surely less than half of that there."""
    if min(here.size, there.size) < FEWEST_PAIRS:
        return False
    (low, error), (high, other_error) = mean_and_error(here), mean_and_error(there)
    floor = (high - STANDARD_ERRORS * other_error) / 2
    return floor > 0 and low + STANDARD_ERRORS * error < floor
