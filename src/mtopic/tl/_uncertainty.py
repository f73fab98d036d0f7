import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._data import graph
from mtopic._data.slots import Data, coordinates, takes_spatialdata
from mtopic.inference.backend import Array
from mtopic.inference.learn.weights import dispersion
from mtopic.inference.posterior import Posterior
from mtopic.inference.spatial import NeighbourPrior
from mtopic.inference.uncertainty import moments
from mtopic.model.exported import fit_params, read_evidence

from ._intervals import limits


@takes_spatialdata
def uncertainty(
    data: Data, *, level: float = 0.9, prefix: str | None = None, n_jobs: int = -1, copy: bool = False
) -> Data | None:
    """Say how sure the topic proportions are: standard deviations, and the limits of an interval for each.

    The variance of an observation's proportions is by Louis' identity :cite:p:`louis1982`: the precision that they would have if the topic of
    every count were known, less what is missing of it. The signatures that the counts are judged by are made of the other
    observations only, and are uncertain themselves where few counts have made them. The limits are those of a beta distribution.

    A count is worth its modality's weight in the fit, but no more than one over the dispersion of the modality's counts: those that come in clumps
    are fewer pieces of evidence :cite:p:`mccullagh1989`. Prepared counts whose raw ones are in ``layers["counts"]`` are scaled to the total of
    these, for ten thousand units made of sixty-five counts do not make anybody surer.

    Parameters
    ----------
    data
        MuData or AnnData with topics and signatures, as `topic_model` and `export_params` write them, and the counts that they were fitted to.
    level
        Posterior probability of an interval, between 0 and 1; half of the rest lies on either side.
    prefix
        As given to `export_params`, or as ``key_added`` to `topic_model`.
    n_jobs
        Threads; -1 for all cores. It changes no bit of the result.
    copy
        Return a copy with the results and leave ``data`` as it is.

    Returns
    -------
    None, or the copy. Sets

    ``obsm["topics_sd"]`` : DataFrame, observations × topics, float64
        Posterior standard deviation of each proportion.
    ``obsm["topics_low"]``, ``obsm["topics_high"]`` : DataFrame, observations × topics, float64
        Limits of the intervals, in [0, 1].

    The posterior's mean is not quite ``obsm["topics"]``, in which an observation's counts have helped to make the signatures: a proportion of few counts, or of a
    topic that hardly occurs, may lie outside of its interval. What limits say holds of proportions as such: of those of a topic
    just beneath what the counts can show, more lie above their interval than ``level`` says, and of those that are nearly 0, fewer.

    Where neighbours are the prior (`sMTM`), their proportions count as known. The original's smoothing is left out of account.

    Raises
    ------
    KeyError
        If there are no topics, signatures or parameters of a fit of that prefix, or the graph of a spatial fit is gone.
    ValueError
        If ``level`` is not between 0 and 1, signatures are of other topics than the proportions, proportions are missing, or
        proportions, signatures or counts are not valid.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=5, spatial=False)
    >>> mt.tl.topic_model(mdata, n_topics=5, verbose=False)
    >>> mt.tl.uncertainty(mdata, level=0.95)
    >>> mdata.obsm["topics_sd"].shape
    (200, 5)
    >>> bool((mdata.obsm["topics_low"] <= mdata.obsm["topics_high"]).all(axis=None))
    True
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: give a probability between 0 and 1")
    head = "" if prefix is None else f"{prefix}_"
    fitted, counts = read_evidence(data, head, n_jobs)
    topics = data.obsm[f"{head}topics"].columns
    fitted.corpus = fitted.corpus.with_weights(_worth(fitted))
    fitted.pseudocounts = _lent(data, head, fitted)
    mean, variance = moments(fitted)

    target = data.copy() if copy else data
    results = {"sd": np.sqrt(variance)}
    results["low"], results["high"] = limits(mean, variance, level)
    for name, values in results.items():
        target.obsm[f"{head}topics_{name}"] = pd.DataFrame(values, index=counts.obs_names, columns=topics)
    return target if copy else None


def _worth(fitted: Posterior) -> NDArray[np.float64]:
    """What a count of each modality is worth: its weight in the fit, less where counts vary more than they would one by one."""
    return np.minimum(fitted.corpus.modality_weights, 1 / dispersion(fitted))


def _lent(data: Data, head: str, fitted: Posterior) -> Array | None:
    """What the prior has from the neighbours, where it has."""
    params = fit_params(data, head)
    strength = float(params.get("strength", 0.0))
    if params.get("smoothing") != "prior" or strength == 0:
        return None
    key, bandwidth, library = (params.get(name) for name in ("neighbors_key", "bandwidth", "library_key"))
    stored = graph.find(data, str(params["stored_graph"]) if key is None else str(key))
    points = coordinates(data, str(params["spatial_key"])) if "spatial_key" in params else None
    sections = None if library is None else graph.sections(data, str(library))
    weights = stored.weights(points, bandwidth, sections)
    return NeighbourPrior(weights, strength)(fitted.gamma, fitted.corpus.totals, fitted.backend, descent=0)
