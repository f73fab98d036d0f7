from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mtopic import __version__
from mtopic._data import graph
from mtopic._data.counts import matched
from mtopic._data.slots import Data, modalities, takes_spatialdata, topic_name
from mtopic._docs import shared_docs
from mtopic.model.model import Model

WAY_OUT = "export to the data that the model was fitted to"
OF_AN_EARLIER_FIT = (
    "topic_shares", "modality_shares", "modality_agreement", "topics_sd", "topics_low", "topics_high", "signatures_sd",
    "signatures_low", "signatures_high", "comparison",
)  # fmt: skip


@takes_spatialdata
@shared_docs
def export_params(
    model: Model,
    mdata: Data,
    prefix: str | None = None,
    filter_topics: bool = True,
    filter_threshold: float = 0.01,
    normalize: bool = True,
) -> None:
    """Write a fitted model into the data of the fit.

    Parameters
    ----------
    model
        A fitted `MTM` or `sMTM`.
    mdata
        The data of the fit; the order of observations and features may have changed since.
    prefix
        With a prefix P, all names begin with ``P_``.
    filter_topics
        Leave out topics whose share is not above ``filter_threshold`` in any observation; the others keep their
        numbers.
    filter_threshold
        A share of an observation's topics, 0 to 1.
    normalize
        Write proportions, whose rows sum to 1 over the topics that are kept; otherwise γ itself.

    Returns
    -------
    None. Sets

    ``obsm["topics"]`` : DataFrame, observations × topics, float64
        Topic proportions, columns ``topic_1`` to ``topic_K``.
    ``varm["signatures"]`` of each modality : DataFrame, features × topics
        λ, all positive; a column divided by its sum is the topic's distribution over features.
    ``obsm["modality_shares"]`` : DataFrame, observations × modalities, float64
        Share of each modality in the evidence on an observation, its counts × the weight of the modality. Only with
        several modalities.
    ``uns["mtopic"]`` : dict
        ``params``, ``elbo`` (nats, an entry for each iteration) and ``version``; after several starts also
        ``stability``, a DataFrame with a row for each topic: the mean ``correlation`` of its signature with those of
        the other starts.
    ``obsp["spatial_connectivities"]``, ``obsp["spatial_distances"]``, ``uns["spatial_neighbors"]``
        The graph that an `sMTM` built, as squidpy stores it; under the key ``mtopic_spatial`` where these names are
        taken.

    Raises
    ------
    ValueError
        If the model is not fitted, the prefix is no name for a slot, the names of observations or features are not
        those of the fit, or no topic is left.

    {Examples:data}
    >>> model = mt.tl.MTM(mdata, n_topics=3, verbose=False)
    >>> model.VI(n_iter=10)
    >>> mt.tl.export_params(model, mdata)
    >>> list(mdata.obsm["topics"].columns)
    ['topic_1', 'topic_2', 'topic_3']
    """
    if not model.fitted:
        raise ValueError(f"this {type(model).__name__} is not fitted yet: call model.VI() before export_params")
    head = "" if prefix is None else f"{prefix}_"
    require_record(mdata, head, "prefix", prefix)
    parts = modalities(mdata)
    if set(parts) != set(model.modalities):
        raise ValueError(f"the model was fitted to modalities {model.modalities}, the data has {list(parts)}")
    order = matched(model.barcodes, mdata.obs_names, "observations", WAY_OUT)
    gamma = model.gamma.astype(np.float64)[order]
    proportions = gamma / gamma.sum(axis=1, keepdims=True)
    kept = proportions.max(axis=0) > filter_threshold if filter_topics else np.ones(model.n_topics, bool)
    if not kept.any():
        raise ValueError(f"no observation has more than {filter_threshold} of any topic: use filter_topics=False")
    names = pd.Index([topic_name(int(k)) for k in np.flatnonzero(kept)])
    values = _share(proportions[:, kept]) if normalize else gamma[:, kept]
    signatures = {}
    for mod, adata in parts.items():
        features = matched(model.features[mod], adata.var_names, f"features of modality {mod!r}", WAY_OUT)
        lam = model.lambda_[mod][kept].T[features]
        signatures[mod] = pd.DataFrame(np.ascontiguousarray(lam), index=adata.var_names, columns=names)

    mdata.obsm[f"{head}topics"] = pd.DataFrame(values, index=mdata.obs_names, columns=names)
    for mod, adata in modalities(mdata).items():  # anew: writing to a view has made it an object of its own
        adata.varm[f"{head}signatures"] = signatures[mod]
    _record(model, mdata, head, order, names)
    if len(parts) > 1:
        mdata.obsm[f"{head}modality_shares"] = model.modality_shares().iloc[order]


def require_record(data: Data, head: str, parameter: str, value: str | None) -> None:
    """The record of a fit must be writable under the name that a parameter has given."""
    if "/" in head:
        raise ValueError(f"{parameter}={value!r}: names of slots hold no '/'")
    if not isinstance(data.uns.get(f"{head}mtopic", {}), Mapping):
        raise ValueError(
            f"uns['{head}mtopic'] holds something that mtopic did not write: rename it or give another {parameter}"
        )


def _share(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=1, keepdims=True)


def _record(model: Model, mdata: Data, head: str, order: np.ndarray, topics: pd.Index) -> None:
    """Write parameters, trace, stability and graph."""
    key = f"{head}mtopic"
    params: dict[str, Any] = model.params()
    if model.graph is not None and "neighbors_key" not in params:
        params["stored_graph"] = graph.store(model.graph.reorder(order), mdata, key, f"{head}mtopic_spatial")
    fit: dict[str, Any] = {"params": params, "elbo": np.asarray(model.elbo), "version": __version__}
    if model.stability is not None:
        fit["stability"] = model.stability.loc[topics].to_frame("correlation")
    write_record(mdata, head, fit)


def write_record(data: Data, head: str, record: dict[str, Any]) -> None:
    """Put a record in place of the earlier one, and take away what was found out about that fit."""
    gone = (*OF_AN_EARLIER_FIT, "elbo", "stability")
    kept = {name: value for name, value in data.uns.get(f"{head}mtopic", {}).items() if name not in gone}
    data.uns[f"{head}mtopic"] = {**kept, **record}
    for name in OF_AN_EARLIER_FIT:
        data.obsm.pop(f"{head}{name}", None)
        for adata in modalities(data).values():
            adata.varm.pop(f"{head}{name}", None)
