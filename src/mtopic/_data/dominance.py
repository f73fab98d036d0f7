"""Which topic an observation is of, where one has to be named."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import Data, record
from .empty import is_empty
from .names import look_up
from .proportions import scaled

By: TypeAlias = Literal["deviation", "proportion"]
RULES: Mapping[str, bool] = {"deviation": True, "proportion": False}
TIE = 1e-6
"""Weight of the proportion itself: it decides between deviations that differ by rounding alone."""


def dominant(data: Data, key: str, proportions: pd.DataFrame, by: By) -> NDArray[np.intp]:
    """Column of the topic that dominates in each row of ``obsm[key]``, -1 where there are no counts or no proportions.

    Means, from which proportions deviate, are those of the fit, so that a part of its observations has the same topics;
    of other tables, they are those of the rows.
    """
    deviates = look_up(RULES, by, "by", "the ways to name a dominant topic")
    table = proportions.to_numpy(dtype=np.float64)
    known = ~np.isnan(table).any(axis=1) & ~is_empty(data, key)
    values, found = table[known], np.full(len(table), -1)
    if len(values) and deviates:
        values = scaled(values, key, "by='proportion' takes the largest value of any table")
        means = _means_of_the_fit(data, key, proportions.columns)
        roots = np.sqrt(values)
        values = roots - (roots.mean(axis=0) if means is None else means) + TIE * values
    found[known] = values.argmax(axis=1)
    return found


def mean_roots(shares: NDArray[np.float64], topics: pd.Index) -> pd.DataFrame:
    """The mean square root of each topic's shares, for the record of a fit."""
    return pd.DataFrame({"mean_root": np.sqrt(shares).mean(axis=0)}, index=topics)


def _means_of_the_fit(data: Data, key: str, topics: pd.Index) -> NDArray[np.float64] | None:
    known = record.read(data, record.head_of(key)).get("mean_roots")
    names = topics.astype(str)
    if not isinstance(known, pd.DataFrame) or not names.isin(known.index).all():
        return None
    return known.loc[names, "mean_root"].to_numpy(dtype=np.float64)
