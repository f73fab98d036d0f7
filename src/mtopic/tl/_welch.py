"""Welch's test of many things at once."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, t


def welch(values: NDArray[np.float64], in_group: NDArray[np.bool_], level: float) -> pd.DataFrame:
    """Differences of the means of two groups of rows, by column, without NaN values; NaN where less than two remain."""
    mean, error, freedom = {}, {}, {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for side in (True, False):
            part = values[in_group == side]
            n = np.isfinite(part).sum(axis=0)
            mean[side] = np.nansum(part, axis=0) / n
            error[side] = np.nansum((part - mean[side]) ** 2, axis=0) / (n - 1) / n
            freedom[side] = error[side] ** 2 / (n - 1)
        difference, squared = mean[True] - mean[False], error[True] + error[False]
        df = squared**2 / (freedom[True] + freedom[False])
        statistic = difference / np.sqrt(squared)
    half = t.ppf((1 + level) / 2, df) * np.sqrt(squared)
    p = 2 * t.sf(np.abs(statistic), df)
    columns = {"difference": difference, "low": difference - half, "high": difference + half, "t": statistic, "df": df}
    return pd.DataFrame({**columns, "p": p, "q": adjusted(p)})


def adjusted(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates of false discoveries by Benjamini and Hochberg; NaN where there was no test."""
    q, tested = np.full(p.shape, np.nan), np.isfinite(p)
    if tested.any():
        q[tested] = false_discovery_control(p[tested])
    return q
