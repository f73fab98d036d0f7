from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd

from mtopic import __version__
from mtopic._api import public
from mtopic._check import n_jobs_given
from mtopic._data import Data, DataLike, graph, record, topic_names
from mtopic._data.counts import warn_empty
from mtopic._data.empty import mark_empty
from mtopic._data.graph import Method
from mtopic._data.record import Params
from mtopic._data.slots import modalities
from mtopic._data.spatial_graph import SpatialGraph
from mtopic._data.writable import writable
from mtopic._log import logger
from mtopic._progress import watched
from mtopic.inference import Array, Backend, Double
from mtopic.inference.fold_in import fold_in
from mtopic.inference.spatial import NeighbourPrior
from mtopic.model.fitted import Fitted
from mtopic.model.model import Model
from mtopic.model.new_counts import NewCounts

TAKEN_OVER = ("model", "alpha", "eta", "inference", "dtype", "raw", "modality_weights", "count_scale")


@public
def transform(
    model_or_reference: Model | DataLike,
    data: DataLike,
    *,
    prefix: str | None = None,
    spatial_key: str | None = None,
    radius: float | None = None,
    n_neighbors: int | None = None,
    neighbors_key: str | None = None,
    neighbors_method: Method | None = None,
    library_key: str | None = None,
    batch_key: str | None = None,
    key_added: str = "topics",
    n_jobs: int = -1,
    verbose: bool = True,
    copy: bool = False,
) -> Data | None:
    """Infer the topics of new observations with the signatures of a fit, which stay as they are.

    Every observation starts anew and is iterated until its proportions have settled (E-steps), with the fit's priors
    and modality weights. Observations of the fit get the proportions of the fit, except for rounds that it had still to
    do; where neighbours were the prior, give them again. The correction of ``smoothing="original"`` is not made.

    Features are matched by name. Where some are missing, topics are inferred from the rest of the signatures, each
    scaled to sum 1: proportions are then those of the counts that can be seen. Features that the training did not have
    are left out.

    Counts are prepared like those of the training, with its statistics. For a fit to counts prepared by
    `mtopic.pp.tfidf`, `mtopic.pp.clr` and `mtopic.pp.scale_counts`, the raw counts of ``data`` (``layers["counts"]``,
    else ``X``) go through the same steps, with the stored weights and factors. Means of clr are over the features of
    the fit, so choose features before it and not after. ``X`` is taken as it is only where it bears the same steps and
    no raw counts are left.

    {Parameters model_or_reference}
    data
        New observations: a MuData of any of the trained modalities, or an AnnData if there is one only.
    {prefix spatial_key}
        With this or any of the next five, the neighbours among the new observations are their prior, with the strength
        of the training. Without, α is the prior of each.
    {radius n_neighbors neighbors_key neighbors_method}
        If none of ``radius``, ``n_neighbors`` and this is given, neighbours are found as in the training, or are the 6
        nearest where that had a stored graph.
    {library_key batch_key:model}
        Topics are inferred from the features of the batch.
    key_added
        Key of the proportions. With a name P that is not ``P_topics``, or just ``"topics"``, the others begin with
        ``P_``.
    {n_jobs}
    verbose
        Say how many features of each modality were matched, and show progress.
    {copy}

    Returns
    -------
    None, or the copy. Sets

    ``obsm[key_added]`` : DataFrame, observations × topics, float64
        Topic proportions, rows sum to 1, columns named as in the fit.
    ``obs["mtopic_empty"]`` : bool
        Which observations have no counts, if any has none: tools that follow leave these out.
    ``uns["mtopic"]`` : dict
        ``params`` of the fit as far as they were used, with ``n_topics``, ``n_counts`` and ``transformed``, which is
        True; ``features``, a DataFrame with a row for each modality: how many were ``trained``, are ``missing``, with
        which share of the signatures (``missing_mass``, mean over topics), and are ``others``; and ``version``.
    ``obsp["spatial_connectivities"]``, ``obsp["spatial_distances"]``, ``uns["spatial_neighbors"]``
        The graph that was built, as `export_params` writes it.

    Signatures belong to the fit and are not written. As in `scanpy.tl.ingest`, new data are placed in the reference's
    space.

    {Raises KeyError:reference KeyError:spatial ValueError:reference}
        Also if neighbours are given but were no prior in training, or ``data`` holds a fit of its own under these
        names.

    Warns
    -----
    UserWarning
        If features are missing, with their share of the signatures; if observations have no counts, or no neighbour;
        if the fit has effects of batches and ``batch_key`` is not given.

    {Examples:data}
    >>> train, new = mdata[:150].copy(), mdata[150:].copy()
    >>> mt.tl.topic_model(train, n_topics=3, verbose=False)
    >>> mt.tl.transform(train, new, verbose=False)
    >>> new.obsm["topics"].shape
    (50, 3)
    """
    n_jobs_given(n_jobs)
    head = record.head_of(key_added)
    _require_free(data, key_added, head)
    fitted = Fitted.of(model_or_reference, prefix)
    new = NewCounts.of(fitted, data, batch_key)
    where = _given(
        spatial_key=spatial_key,
        radius=radius,
        n_neighbors=n_neighbors,
        neighbors_key=neighbors_key,
        neighbors_method=neighbors_method,
        library_key=library_key,
    )
    around = _spatial_graph(fitted, data, where)
    target = writable(data, copy=copy)
    gamma, totals = _inferred(new, n_jobs, verbose)
    warn_empty(totals)
    neighbours = _prior(fitted, around)
    if neighbours is not None:
        gamma = neighbours.smoothed(gamma, totals)
    shares = gamma.astype(np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    entries = _record(fitted, new, gamma, totals, around, batch_key)
    table = pd.DataFrame(shares, data.obs_names, fitted.topics)
    topic_names.take_back(target, head, entries["id"], table)
    target.obsm[key_added] = table
    mark_empty(target, head, totals == 0)
    _write(target, head, entries, around)
    if verbose:
        _say(new.matched)
    return target if copy else None


def _require_free(data: Data, key: str, head: str) -> None:
    parts = modalities(data)
    record.require_writable(data, head, "key_added", key)
    record.require_no_modality(data, key)
    for mod, adata in parts.items():
        if f"{head}signatures" in adata.varm:
            raise ValueError(
                f"modality {mod!r} of the data has varm['{head}signatures'], of a fit of its own, to which these "
                f"topics would not belong: give another name than key_added={key!r}"
            )


def _given(**where: Any) -> dict[str, Any]:
    return {name: value for name, value in where.items() if value is not None}


def _spatial_graph(fitted: Fitted, data: Data, where: dict[str, Any]) -> SpatialGraph | None:
    """The neighbours among the new observations, if any of ``where`` is given."""
    if not where:
        return None
    params = fitted.params
    if fitted.strength is None:
        raise ValueError(
            f"{next(iter(where))}={next(iter(where.values()))!r}: neighbours were not the prior in the training "
            f"({params.model}), leave it out"
        )
    names = {"radius", "n_neighbors", "neighbors_method"}
    if not names & set(where):
        known = {name: getattr(params, name) for name in names}
        where = {**where, **(_given(**known) or {"n_neighbors": 6})}
    around = SpatialGraph.of(data, bandwidth=params.bandwidth or "auto", **where)
    graph.warn_isolated(around.weights)
    return around


def _prior(fitted: Fitted, around: SpatialGraph | None) -> NeighbourPrior | None:
    return NeighbourPrior(around.weights, fitted.strength) if around is not None and fitted.strength else None


def _inferred(new: NewCounts, n_jobs: int, verbose: bool) -> tuple[Array, Double]:
    """γ of all observations without neighbours, and the sum of the counts of each."""
    found, n_obs = [], len(new.obs_names)
    with Backend(n_jobs) as backend, watched(backend, n_obs, "topics", "observation", verbose=verbose):
        for _, part in new.with_effects(backend).in_rows():
            posterior = part.posterior(part.corpus(part.read()), backend)
            fold_in(posterior)
            found.append((posterior.gamma, posterior.corpus.totals))
    gamma, totals = map(np.concatenate, zip(*found, strict=True))
    return gamma, totals


def _record(
    fitted: Fitted,
    new: NewCounts,
    gamma: Array,
    totals: Double,
    around: SpatialGraph | None,
    batch_key: str | None,
) -> dict[str, Any]:
    """What the topics were inferred with, in types that HDF5 can hold."""
    taken_over = {name: getattr(fitted.params, name) for name in TAKEN_OVER}
    own = {"n_topics": gamma.shape[1], "n_counts": float(totals.sum()), "transformed": True}
    space = {} if around is None else {**around.params, "smoothing": "prior", "strength": fitted.strength}
    params = Params.of({**deepcopy(taken_over), **own, **space, "batch_key": batch_key})
    fit = record.fit_id(new.obs_names, gamma)
    return {"params": params.as_dict(), "features": new.matched, "version": __version__, "id": fit}


def _write(target: Data, head: str, entries: dict[str, Any], around: SpatialGraph | None) -> None:
    if around is not None and "neighbors_key" not in around.params:
        stored = graph.store(around.graph, target, f"{head}mtopic", f"{head}mtopic_spatial")
        entries["params"]["stored_graph"] = stored
    record.write(target, head, entries)


def _say(matched: pd.DataFrame) -> None:
    for mod, row in matched.iterrows():
        there = row["trained"] - row["missing"]
        logger.info(
            f"{mod}: {there:,.0f} of {row['trained']:,.0f} features matched, {row['others']:,.0f} others left out"
        )
