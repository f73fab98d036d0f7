"""Signatures as a tidy table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mtopic._api import public
from mtopic._data import DataLike
from mtopic._data.names import absent
from mtopic._data.slots import find_signatures


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
    if n_top is not None and n_top < 1:
        raise ValueError(f"n_top={n_top}: ask for at least 1 feature of each topic, or None for all")
    name, _, table = find_signatures(data, mod, key)
    chosen = choose(table, topics, f"varm[{key!r}] of modality {name!r}")
    totals = chosen.sum()
    if not (totals > 0).all():
        bad = totals.index[~(totals > 0)][0]
        raise ValueError(
            f"varm[{key!r}] of modality {name!r}: the weights of {bad!r} sum to {totals[bad]}, not more than 0"
        )
    weights = (chosen / totals).to_numpy()
    order = np.argsort(-weights, axis=0, kind="stable")[:n_top]
    n_rows, n_topics = order.shape
    tidy = pd.DataFrame(
        {
            "topic": np.repeat(chosen.columns.to_numpy(), n_rows),
            "feature": chosen.index.to_numpy()[order.T.ravel()],
            "rank": np.tile(np.arange(1, n_rows + 1), n_topics),
            "weight": np.take_along_axis(weights, order, axis=0).T.ravel(),
        }
    )
    return tidy.drop(columns="rank").rename(columns={"topic": "source", "feature": "target"}) if as_net else tidy


def choose(table: pd.DataFrame, topics: str | Sequence[str] | None, where: str) -> pd.DataFrame:
    if topics is None:
        return table
    names = [topics] if isinstance(topics, str) else list(topics)
    for topic in names:
        if topic not in table.columns:
            raise KeyError(absent(topic, table.columns, "topic", where))
    return table[names]
