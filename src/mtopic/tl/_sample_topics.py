"""Shares of topics in each sample, as they are compared."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._data import Data, record
from mtopic._warn import warn
from mtopic.model.fitted import shares_of_prior

from ._samples import Samples

Scale = Literal["median", "clr", "log"]


def sample_means(values: NDArray[np.float64], design: Samples) -> NDArray[np.float64]:
    """Means over the observations of each sample."""
    return np.array([values[rows].mean(axis=0) for rows in design.rows])


def comparable(data: Data, head: str, theta: pd.DataFrame, design: Samples) -> NDArray[np.float64]:
    """Mean proportions of each sample, with the same share of the prior in all."""
    if "params" not in record.read(data, head):
        return sample_means(theta.to_numpy(), design)
    try:
        of_prior = shares_of_prior(data, head, theta.columns)
    except ValueError as error:
        warn(f"topics that are absent may differ by depth, as the counts of the fit cannot be read: {error}")
        return sample_means(theta.to_numpy(), design)
    told = sample_means(np.maximum(theta.to_numpy() - of_prior, 0), design)
    return told + sample_means(of_prior, design).max(axis=0)


def relative(
    group: NDArray[np.float64], reference: NDArray[np.float64], scale: str, *, paired: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The logarithms over what they are compared with."""
    if scale == "log":
        return group, reference
    if scale == "clr":
        return group - group.mean(axis=1, keepdims=True), reference - reference.mean(axis=1, keepdims=True)
    if paired:
        return group - _of_median_topic(group - reference), reference
    mean = reference.mean(axis=0)
    return group - _of_median_topic(group - mean), reference - _of_median_topic(reference - mean)


def _of_median_topic(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each sample: the median over topics of the mean differences, and how far its topics are above their means."""
    mean = differences.mean(axis=0)
    one, other = np.triu_indices(len(mean))
    deviations = differences - mean
    own = np.median((deviations[:, one] + deviations[:, other]) / 2, axis=1, keepdims=True)
    return np.median(mean) + own - own.mean()
