import numpy as np
import pandas as pd

from mtopic._api import public


@public
def links(data: pd.DataFrame, n_top: int | None = 10, *, min_weight: float = 0.0) -> pd.DataFrame:
    """The strongest links of each feature as a tidy table.

    Parameters
    ----------
    data
        Weights, features of B × features of A, as `mtopic.tl.feature_associations` gives them. Of a sparse table, only
        the pairs that it holds are links.
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
    if all(isinstance(kind, pd.SparseDtype) and kind.fill_value == 0 for kind in data.dtypes):
        pairs = data.sparse.to_coo()
        enough = pairs.data > min_weight
        row, column, weight = pairs.row[enough], pairs.col[enough], pairs.data[enough].astype(np.float64)
    else:
        values = data.to_numpy(dtype=np.float64)
        column, row = np.nonzero(values.T > min_weight)
        weight = values[row, column]
    order = np.lexsort((row, -weight, column))
    row, column, weight = row[order], column[order], weight[order]
    rank = np.arange(len(order)) - np.searchsorted(column, column) + 1
    top = rank <= (len(data) if n_top is None else n_top)
    return pd.DataFrame(
        {
            "feature": data.columns[column[top]],
            "partner": data.index[row[top]],
            "rank": rank[top],
            "weight": weight[top],
        }
    )
