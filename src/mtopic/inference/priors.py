"""Concentrations of Dirichlet distributions: a number, which can be learned, or one for each entry.

Several distributions may have a column each.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.special import digamma, gammaln, polygamma

from .backend import Array

LOWEST, HIGHEST = 1e-4, 1e2

Prior: TypeAlias = float | NDArray[np.float64]


def symmetric(prior: Prior) -> float:
    """The number, or the mean of the numbers."""
    return float(np.mean(prior)) if isinstance(prior, np.ndarray) else prior


def part(prior: Prior, entries: slice | NDArray[np.integer]) -> Prior:
    """The concentrations of some entries."""
    return prior[entries] if isinstance(prior, np.ndarray) else prior


def by_row(prior: Prior, dtype: DTypeLike) -> Array:
    """The concentrations as something to add to a table with a row for each entry."""
    table = np.asarray(prior, dtype)
    return table if table.ndim == 2 else table.reshape(-1, 1)


def total(prior: Prior, n_entries: int) -> float | NDArray[np.float64]:
    """The sum of the concentrations of a distribution, or of each."""
    return prior.sum(axis=0) if isinstance(prior, np.ndarray) else n_entries * prior


def log_normalisers(prior: Prior, n_entries: int, n: int) -> float:
    """Logarithm of Γ(Σ a) / Π Γ(a) over the entries of a distribution, summed over ``n`` distributions."""
    if not isinstance(prior, np.ndarray):
        return n * float(gammaln(n_entries * prior) - n_entries * gammaln(prior))
    if prior.ndim == 2:
        return float(gammaln(prior.sum(axis=0)).sum() - gammaln(prior).sum())
    return n * float(gammaln(prior.sum()) - gammaln(prior).sum())


def concentration(start: float, shapes: list[tuple[float, int]], mean_log: float) -> float:
    """The a that maximises Σ E log Dirichlet(p; a) by Newton steps on log a from ``start`` (Minka 2000).

    ``shapes`` has the number of distributions, or their weight, and the number of their entries, for each kind;
    ``mean_log`` is Σ E log p over all entries of all distributions.
    """
    a = start
    for _ in range(50):
        slope = mean_log + sum(n * v * (digamma(v * a) - digamma(a)) for n, v in shapes)
        curvature = sum(n * v * (v * polygamma(1, v * a) - polygamma(1, a)) for n, v in shapes)
        bend = a * curvature + slope
        step = -slope / bend if bend < 0 else np.sign(slope)
        a = clipped(a * np.exp(np.clip(step, -1, 1)))
        if abs(step) < 1e-6:
            break
    return a


def clipped(a: float) -> float:
    """The nearest concentration that the inference can work with."""
    return float(np.clip(a, LOWEST, HIGHEST))
