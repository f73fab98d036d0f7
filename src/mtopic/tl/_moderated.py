"""Variances of few values, moderated by what all have in common :cite:p:`smyth2004`."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

Values = NDArray[np.float64]

ROWS_A_TERM, MOST_TERMS = 5, 4
"""The trend is a polynomial with a term for each five variances, and at most cubic."""
LEAST = 1e-8
"""Variances that are smaller, in terms of the median, count as this in the prior's estimate: zero has no logarithm."""


def moderated(
    variances: Values, df: Values, trend: Values | None = None, telling: NDArray[np.bool_] | None = None
) -> tuple[Values, Values]:
    r"""Posterior means of the variances, and their degrees of freedom; NaN where there is none, or all are zero.

    The true variances have a scaled inverse :math:`\chi^2` distribution, whose degrees of freedom come from the
    variance of the logarithms, and whose scale from their mean, or their polynomial in ``trend``; only those that are
    ``telling`` say so. Of few variances the prior is hardly known, so the degrees of freedom become no more than half
    of what all have together.
    """
    posterior, freedom = np.full_like(variances, np.nan), np.full_like(variances, np.nan)
    known = np.isfinite(variances) & (df > 0)
    s2, d = variances[known], df[known]
    if not s2.any():
        return posterior, freedom
    places = np.zeros_like(s2) if trend is None else trend[known]
    d0, s02 = _prior(s2, d, places, (s2 >= 0) if telling is None else telling[known])
    posterior[known] = s02 if np.isinf(d0) else (d0 * s02 + d * s2) / (d0 + d)
    freedom[known] = np.minimum(d + d0, np.maximum(d, d.sum() / 2))
    return posterior, freedom


def _prior(s2: Values, d: Values, trend: Values, telling: NDArray[np.bool_]) -> tuple[float, Values]:
    """Degrees of freedom of the prior, and its scale for each variance."""
    n_terms = int(np.clip(telling.sum() // ROWS_A_TERM, 1, MOST_TERMS))
    terms = np.vander((trend - trend.mean()) / (np.ptp(trend) or 1), n_terms)
    s2, d = s2[telling], d[telling]
    if len(s2) < 2 or not s2.any():
        return 0.0, np.zeros(len(terms))
    logs = np.log(np.maximum(s2, LEAST * np.median(s2[s2 > 0]))) - digamma(d / 2) + np.log(d / 2)
    weights, *_, rank, _ = np.linalg.lstsq(terms[telling], logs)
    rest = logs - terms[telling] @ weights
    excess = (rest**2).sum() / (len(logs) - rank) - polygamma(1, d / 2).mean()
    if excess <= 0:
        return np.inf, np.exp(terms @ weights) * np.average(s2 / np.exp(terms[telling] @ weights), weights=d)
    half = _inverse_trigamma(excess)
    return 2 * half, np.exp(terms @ weights + digamma(half) - np.log(half))


def _inverse_trigamma(value: float) -> float:
    """Where trigamma is this, which lies between 1 / y and 1 / y + 1 / y²."""
    low, high = 1 / value, (1 + np.sqrt(1 + 4 * value)) / (2 * value)
    return float(brentq(lambda y: polygamma(1, y) - value, low / 2, 2 * high))
