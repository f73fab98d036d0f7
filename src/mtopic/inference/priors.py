"""Concentrations of symmetric Dirichlet distributions, learned from what they are the prior of."""

import numpy as np
from scipy.special import digamma, polygamma

LOWEST, HIGHEST = 1e-4, 1e2


def concentration(start: float, shapes: list[tuple[float, int]], mean_log: float) -> float:
    """The a that maximises Σ E log Dirichlet(p; a) by Newton steps on log a (Minka 2000).

    Parameters
    ----------
    start
        Where the search begins.
    shapes
        Number of distributions, or their weight, and number of their entries, for each kind.
    mean_log
        Σ E log p over all entries of all distributions.
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
