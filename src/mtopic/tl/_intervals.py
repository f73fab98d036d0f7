"""Intervals of shares."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv


def limits(
    mean: NDArray[np.float64], variance: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles of the beta distributions with these moments; the mean itself where there is no variance."""
    some = variance > 0
    size = mean[some] * (1 - mean[some]) / variance[some] - 1
    shapes = mean[some] * size, (1 - mean[some]) * size
    low, high = mean.copy(), mean.copy()
    low[some], high[some] = (betaincinv(*shapes, p) for p in ((1 - level) / 2, (1 + level) / 2))
    return low, high
