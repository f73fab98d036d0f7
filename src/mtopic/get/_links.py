import numpy as np
import pandas as pd

from mtopic._api import public


@public
def links(data: pd.DataFrame, n_top: int | None = 10, *, min_weight: float = 0.0) -> pd.DataFrame:
    """The strongest links of each feature as a tidy table.

    Parameters
    ----------
    data
        Weights, features of B × features of A, as `mtopic.tl.feature_associations` gives them.
    n_top
        Number of links of a feature of A; all that are above ``min_weight`` if None.
    min_weight
        Links must weigh more than this.

    Returns
    -------
    DataFrame
        A row for each link with columns ``feature`` (of A), ``partner`` (of B), ``rank`` (1 is the feature's strongest)
        and ``weight``. Features keep their order; their links are sorted by falling weight.

    Raises
    ------
    ValueError
        If ``n_top`` is less than 1.

    Examples
    --------
    >>> import mtopic as mt, pandas as pd
    >>> weights = pd.DataFrame({"Gad1": [0.1, 0.7, 0.2]}, index=["peak_1", "peak_2", "peak_3"])
    >>> mt.get.links(weights, n_top=2)["partner"].tolist()
    ['peak_2', 'peak_3']
    """
    if n_top is not None and n_top < 1:
        raise ValueError(f"n_top={n_top}: choose at least 1 link a feature, or None for all")
    values = data.to_numpy(dtype=np.float64)
    order = np.argsort(-values, axis=0, kind="stable")[:n_top]
    weights = np.take_along_axis(values, order, axis=0)
    column, rank = np.nonzero(weights.T > min_weight)
    return pd.DataFrame(
        {
            "feature": data.columns[column],
            "partner": data.index[order[rank, column]],
            "rank": rank + 1,
            "weight": weights[rank, column],
        }
    )
