import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from mtopic._api import public
from mtopic._data import DataLike
from mtopic._data.empty import is_empty
from mtopic._data.slots import table


@public
def recovery(data: DataLike, *, topics: str = "topics", truth: str = "true_topics") -> pd.DataFrame:
    """Match found topics with known ones and say how well each came back.

    Topics are paired one to one so that the sum of the Pearson correlations of their proportions is largest.
    Observations without counts in the fit do not count.

    Parameters
    ----------
    data
        Data from `simulate` with fitted topics.
    topics
        Key of the found proportions in ``obsm``.
    truth
        Key of the known proportions in ``obsm``.

    Returns
    -------
    Table with a row for each known topic that found a partner: ``truth``, ``topic`` and ``correlation``.

    Raises
    ------
    KeyError
        If one of the tables is missing.

    {Examples:fit}
    >>> bool(mt.datasets.recovery(mdata)["correlation"].mean() > 0.9)
    True
    """
    found = table(data, topics)
    known = table(data, truth, made_by="mtopic.datasets.simulate")
    there = ~is_empty(data, topics)
    correlation = _correlations(known.to_numpy()[there], found.to_numpy()[there])
    rows, columns = linear_sum_assignment(correlation, maximize=True)
    pairs = {"truth": known.columns[rows], "topic": found.columns[columns]}
    return pd.DataFrame(pairs | {"correlation": correlation[rows, columns]})


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of each column of ``a`` with each of ``b``; 0 where a column is constant."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norms = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    return np.divide(a.T @ b, norms, out=np.zeros_like(norms), where=norms > 0)
