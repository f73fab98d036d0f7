"""t-tests of many things at once, in columns; NaN values are left out."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, t

from ._moderated import moderated

Values = NDArray[np.float64]


def compared(
    group: Values, reference: Values, level: float, *, paired: bool, widened: float = 1.0, counts: Values | None = None
) -> pd.DataFrame:
    """Means of the group minus those of the reference, and their test; NaN where a side has less than two values.

    Pairs are in the same rows. The squared errors of the differences are moderated over the columns, and are then
    ``widened`` by a factor. Where the values are of ``counts``, columns with less than one say nothing of others.
    """
    trend, telling = (None, None) if counts is None else (np.log(np.maximum(counts, 1)), counts >= 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference, squared, df, per_value = (_of_pairs if paired else _of_groups)(group, reference)
        variance, df = moderated(squared / per_value, df, trend, telling)
        squared = variance * per_value * widened
        statistic = difference / np.sqrt(squared)
    half = t.ppf((1 + level) / 2, df) * np.sqrt(squared)
    p = 2 * t.sf(np.abs(statistic), df)
    columns = {"difference": difference, "low": difference - half, "high": difference + half, "t": statistic, "df": df}
    return pd.DataFrame({**columns, "p": p, "q": adjusted(p)})


def adjusted(p: Values) -> Values:
    """Rates of false discoveries by Benjamini and Hochberg; NaN where there was no test."""
    q, tested = np.full(p.shape, np.nan), np.isfinite(p)
    if tested.any():
        q[tested] = false_discovery_control(p[tested])
    return q


def _of_groups(group: Values, reference: Values) -> tuple[Values, Values, Values, Values]:
    """Difference of the means, its squared error and Welch's degrees of freedom, and the error at variance 1."""
    (mean, error, n), (other_mean, other_error, other_n) = _of_mean(group), _of_mean(reference)
    squared = error + other_error
    df = squared**2 / (error**2 / (n - 1) + other_error**2 / (other_n - 1))
    return mean - other_mean, squared, np.where(squared == 0, n + other_n - 2, df), 1 / n + 1 / other_n


def _of_pairs(group: Values, reference: Values) -> tuple[Values, Values, Values, Values]:
    mean, squared, n = _of_mean(group - reference)
    return mean, squared, n - 1, 1 / n


def _of_mean(values: Values) -> tuple[Values, Values, Values]:
    """Means, their squared errors, and numbers of values."""
    n = np.isfinite(values).sum(axis=0).astype(np.float64)
    mean = np.nansum(values, axis=0) / n
    return mean, np.nansum((values - mean) ** 2, axis=0) / (n - 1) / n, n
