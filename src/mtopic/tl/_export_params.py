from typing import Any

import numpy as np
import pandas as pd

from mtopic import __version__
from mtopic._api import public
from mtopic._data import Data, DataLike, graph, record, topic_names
from mtopic._data.dominance import mean_roots
from mtopic._data.empty import mark_empty
from mtopic._data.modality_shares import without_evidence
from mtopic._data.names import matched
from mtopic._data.slots import modalities
from mtopic._warn import warn
from mtopic.model.guided import warn_left
from mtopic.model.model import Model

WAY_OUT = "export to the data that the model was fitted to"


@public
def export_params(
    model: Model,
    mdata: DataLike,
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
        Leave out topics whose share is not above ``filter_threshold`` in any observation with counts; the others keep
        their numbers.
    filter_threshold
        A share of an observation's topics, 0 to 1.
    normalize
        Write proportions, whose rows sum to 1 over the topics that are kept; otherwise γ itself.

    Returns
    -------
    None. Sets

    ``obsm["topics"]`` : DataFrame, observations × topics, float64
        Topic proportions, columns ``topic_1`` to ``topic_K``, or names of a guide. A model does not know of
        `rename_topics`: results of the same fit that are there get these names back.
    ``varm["signatures"]`` of each modality : DataFrame, features × topics
        λ, all positive; a column divided by its sum is the topic's distribution over features.
    ``obsm["modality_shares"]`` : DataFrame, observations × modalities, float64
        Share of each modality in the evidence on an observation, its counts × the weight of the modality. Only with
        several modalities.
    ``obs["mtopic_empty"]`` : bool
        Which observations have no counts, if any has none: tools that follow leave these out.
    ``uns["mtopic"]`` : dict
        ``params``, ``elbo`` (nats, an entry for each iteration) and ``version``; after several starts also
        ``stability``, a DataFrame with a row for each topic: the mean ``correlation`` of its signature with those of
        the other starts. With a guide also ``guides``, a DataFrame with a row for each guided topic and modality:
        ``n_features`` and ``strength`` of the guide, ``lift``, how many times as common its features are in the topic
        as in all topics (geometric mean by weight, without what the guide has added), ``asked``, what the guide asks
        for, and ``rank``, the topic's place among all by the mean of share × log lift, share being that of a feature's
        counts which the topic has.
    ``obsp["spatial_connectivities"]``, ``obsp["spatial_distances"]``, ``uns["spatial_neighbors"]``
        The graph that an `sMTM` built, as squidpy stores it; under the key ``mtopic_spatial`` where these names are
        taken.

    Raises
    ------
    ValueError
        If the model is not fitted, the prefix is no name for a slot, the names of observations or features are not
        those of the fit, or no topic is left.

    Warns
    -----
    UserWarning
        If a guided topic is left out, or has left its guide: ``lift`` is below the fourth root of what was asked, or
        ``rank`` is not 1.

    {Examples:data}
    >>> model = mt.tl.MTM(mdata, n_topics=3, verbose=False)
    >>> model.VI(n_iter=10)
    >>> mt.tl.export_params(model, mdata)
    >>> list(mdata.obsm["topics"].columns)
    ['topic_1', 'topic_2', 'topic_3']
    """
    if not model.fitted:
        raise ValueError(f"this {type(model).__name__} is not fitted yet: call model.VI() before export_params")
    head = record.head(prefix)
    record.require_writable(mdata, head, "prefix", prefix)
    parts = modalities(mdata)
    if set(parts) != set(model.modalities):
        raise ValueError(f"the model was fitted to modalities {model.modalities}, the data has {list(parts)}")
    order = matched(model.barcodes, mdata.obs_names, "observations", WAY_OUT)
    gamma = model.gamma.astype(np.float64)[order]
    proportions = gamma / gamma.sum(axis=1, keepdims=True)
    shares = model.modality_shares().iloc[order]
    empty = without_evidence(shares)
    kept = proportions[~empty].max(axis=0) > filter_threshold if filter_topics else np.ones(model.n_topics, bool)
    if not kept.any():
        raise ValueError(f"no observation has more than {filter_threshold} of any topic: use filter_topics=False")
    names = model.topics[kept]
    values = _share(proportions[:, kept]) if normalize else gamma[:, kept]
    signatures = {}
    for mod, adata in parts.items():
        features = matched(model.features[mod], adata.var_names, f"features of modality {mod!r}", WAY_OUT)
        lam = model.lambda_[mod][kept].T[features]
        signatures[mod] = pd.DataFrame(np.ascontiguousarray(lam), index=adata.var_names, columns=names)

    fit_id = record.fit_id([*names, *model.barcodes], model.gamma, *model.lambda_.values())
    table = pd.DataFrame(values, index=mdata.obs_names, columns=names)
    topic_names.take_back(mdata, head, fit_id, table)
    mdata.obsm[f"{head}topics"] = table
    for mod, adata in modalities(mdata).items():  # anew: writing to a view has made it an object of its own
        adata.varm[f"{head}signatures"] = signatures[mod]
    _record(model, mdata, head, fit_id, order, mean_roots(_share(proportions[~empty][:, kept]), names))
    for mod, table in (model.batch_factors or {}).items():
        holder = modalities(mdata)[mod]
        holder.varm[f"{head}batch_effects"] = table.loc[holder.var_names]
    mark_empty(mdata, head, empty)
    if len(parts) > 1:
        mdata.obsm[f"{head}modality_shares"] = shares


def _share(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=1, keepdims=True)


def _record(model: Model, mdata: Data, head: str, fit_id: str, order: np.ndarray, roots: pd.DataFrame) -> None:
    """Write parameters, id, trace, means of the topics, what is known of the counts, stability and graph."""
    topics = roots.index
    params: dict[str, Any] = model.params()
    if model.graph is not None and "neighbors_key" not in params:
        stored = graph.store(model.graph.reorder(order), mdata, f"{head}mtopic", f"{head}mtopic_spatial")
        params["stored_graph"] = stored
    fit: dict[str, Any] = {
        "params": params,
        "elbo": np.asarray(model.elbo),
        "version": __version__,
        "mean_roots": roots,
        "id": fit_id,
    }
    if len(model.counts_summary):
        fit["counts"] = model.counts_summary
    if model.stability is not None:
        fit["stability"] = model.stability.loc[topics].to_frame("correlation")
    if (guides := model.guides) is not None:
        present = guides["topic"].isin(topics)
        fit["guides"] = guides[present].reset_index(drop=True)
        warn_left(fit["guides"])
        for topic in guides["topic"][~present].unique():
            warn(f"guided topic {topic!r} is left out: no observation has more of it than filter_threshold")
    record.write(mdata, head, fit)
