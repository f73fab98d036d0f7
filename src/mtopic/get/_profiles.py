"""Signatures as an AnnData."""

import numpy as np
import pandas as pd
from anndata import AnnData

from mtopic._api import public
from mtopic._data import DataLike
from mtopic._data.slots import find_signatures


@public
def profiles(data: DataLike, mod: str | None = None, *, key: str = "signatures") -> AnnData:
    r"""The signatures as an AnnData whose observations are the topics, for scores of gene sets and for heatmaps.

    `mtopic.tl.enrichment` tests gene sets by a measure that finds more of them; other methods of decoupler take this.

    {Parameters data:signatures mod key:signatures}

    Returns
    -------
    AnnData
        Topics × features, float64, with a copy of the modality's ``var``. ``X`` holds :math:`\ln (\beta_{kv} /
        \bar\beta_v)`: how much more of a feature a topic has than topics have on average, so that features that are
        frequent everywhere score 0. ``layers["shares"]`` holds :math:`\beta_{kv}`; its rows sum to 1.

    {Raises KeyError:table}
    ValueError
        If the modality is not named where there are several, or weights are not positive.

    {Examples:fit}
    >>> profiles = mt.get.profiles(mdata, "rna")
    >>> profiles.shape, profiles.obs_names[0]
    ((3, 300), 'topic_1')
    """
    name, adata, table = find_signatures(data, mod, key)
    weights = table.to_numpy(dtype=np.float64).T
    if not (weights > 0).all():
        raise ValueError(f"varm[{key!r}] of modality {name!r}: {(~(weights > 0)).sum()} weights are not positive")
    shares = weights / weights.sum(axis=1, keepdims=True)
    topics = pd.DataFrame(index=table.columns.astype(str))
    return AnnData(np.log(shares / shares.mean(axis=0)), topics, adata.var.copy(), layers={"shares": shares})
