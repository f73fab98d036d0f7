"""Signatures as a tidy table."""

from collections.abc import Sequence

import pandas as pd

from mtopic._api import public
from mtopic._data import DataLike
from mtopic._data.ranking import first_features


@public
def signatures(
    data: DataLike,
    mod: str | None = None,
    *,
    key: str = "signatures",
    n_top: int | None = None,
    topics: str | Sequence[str] | None = None,
    as_net: bool = False,
) -> pd.DataFrame:
    """The features of each topic by falling weight, a row for each.

    {Parameters data:signatures mod key:signatures}
    n_top
        Number of features of each topic; all if None.
    {topics:chosen}
    as_net
        Name the columns ``source``, ``target`` and ``weight``, without ranks, as decoupler takes a net, so that topics
        can be scored in other data.

    Returns
    -------
    DataFrame
        With columns ``topic``, ``feature``, ``rank`` (1 is the largest weight; equal weights keep the order of the
        features) and ``weight`` (share of the topic's total over all features of the modality: the weights of a whole
        topic sum to 1). With ``as_net``: ``source``, ``target`` and ``weight``.

    {Raises KeyError:topic}
    ValueError
        If ``n_top`` is less than 1, the modality is not named where there are several, or the weights of a topic do not
        have a positive sum.

    {Examples:data}
    >>> top = mt.get.signatures(mdata, "rna", key="true_signatures", n_top=5)
    >>> top.shape
    (15, 4)
    """
    tidy = first_features(data, mod, key, "probability", n_top, topics).rename(columns={"share": "weight"})
    if as_net:
        return tidy[["topic", "feature", "weight"]].set_axis(["source", "target", "weight"], axis=1)
    return tidy.drop(columns="score")
