"""Topic proportions as numbers, for what follows from them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .empty import is_empty
from .slots import Data, table


def proportions(data: Data, key: str, *, of_empty: bool = False) -> pd.DataFrame:
    """The proportions ``obsm[key]`` in float64, rows scaled to sum 1; NaN throughout where any is missing.

    So are those of observations without counts, unless they are wanted (``of_empty``).
    """
    given = table(data, key)
    names = given.columns.astype(str)
    if not len(names):
        raise ValueError(f"obsm[{key!r}] has no columns: name a table with a column for each topic")
    if not names.is_unique:
        raise ValueError(f"obsm[{key!r}] has two columns {names[names.duplicated()][0]!r}: name each topic once")
    values = given.to_numpy(dtype=np.float64, copy=True)
    values[np.isnan(values).any(axis=1)] = np.nan
    if not of_empty:
        values[is_empty(data, key)] = np.nan
    if np.isnan(values).any(axis=1).all():
        raise ValueError(
            f"obsm[{key!r}] holds no proportions: they are missing for all {len(values)} observations; "
            "name a table that mtopic.tl.topic_model wrote"
        )
    shares = scaled(values, key, "name a table that mtopic.tl.topic_model wrote")
    return pd.DataFrame(shares, index=data.obs_names, columns=names)


def scaled(values: NDArray[np.float64], key: str, way_out: str) -> NDArray[np.float64]:
    """Rows of ``obsm[key]`` scaled to sum 1; those with missing values stay so."""
    total = values.sum(axis=1, keepdims=True)
    if (values < 0).any() or np.isinf(total).any() or (total == 0).any():
        raise ValueError(
            f"obsm[{key!r}] holds values that are no proportions: negative or infinite, or rows of zeros; {way_out}"
        )
    return values / total
