import os

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._check import folder_given, level_given
from mtopic._data import Data, DataLike, record
from mtopic._data.spatial_graph import weights_of_fit
from mtopic._data.writable import writable
from mtopic._progress import watched
from mtopic.inference.backend import Array
from mtopic.inference.learn.weights import dispersion
from mtopic.inference.posterior import Posterior
from mtopic.inference.spatial import NeighbourPrior
from mtopic.inference.uncertainty import moments
from mtopic.model.fitted import own_posterior_as_observed

from ._intervals import limits


@public
def uncertainty(
    data: DataLike,
    *,
    level: float = 0.9,
    prefix: str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    n_jobs: int = -1,
    verbose: bool = True,
    copy: bool = False,
) -> Data | None:
    """Measure how certain the topic proportions are: standard deviations, and the limits of an interval for each.

    The variance of an observation's proportions follows from Louis' identity :cite:p:`louis1982`: the precision that
    they would have if the topic of every count were known, less the information that is missing. The signatures that
    the counts are judged by come from the other observations only, and are uncertain themselves where they are made of
    few counts. The limits are those of a beta distribution.

    A count is worth its modality's weight in the fit, but no more than one over the dispersion of the modality's
    counts: those that come in clumps are fewer pieces of evidence :cite:p:`mccullagh1989`. Prepared counts whose raw
    ones are in ``layers["counts"]`` are scaled to the total of these: ten thousand units made of sixty-five counts are
    no more certain than sixty-five counts.

    {Parameters data:fit}
        It also has the counts of the fit.
    {level prefix scratch:once n_jobs verbose copy}

    Returns
    -------
    None, or the copy. Sets

    ``obsm["topics_sd"]`` : DataFrame, observations × topics, float64
        Posterior standard deviation of each proportion.
    ``obsm["topics_low"]``, ``obsm["topics_high"]`` : DataFrame, observations × topics, float64
        Limits of the intervals, in [0, 1].

    The posterior's mean is not quite ``obsm["topics"]``, where an observation's counts have helped to make the
    signatures: a proportion of few counts, or of a topic that hardly occurs, may lie outside of its interval. The
    limits are calibrated over all proportions. Of the proportions of a topic just beneath what the counts can show,
    more lie above their interval than ``level`` says; of those that are nearly 0, fewer.

    Where neighbours are the prior (`sMTM`), their proportions are treated as known. The original's smoothing is
    ignored.

    {Raises KeyError:fit}
        Also if the graph of a spatial fit is gone.
    {ValueError:level}

    {Examples:fit}
    >>> mt.tl.uncertainty(mdata, level=0.95)
    >>> mdata.obsm["topics_sd"].shape
    (200, 3)
    """
    level_given(level)
    folder_given(scratch=scratch)
    head = record.head(prefix)
    fitted, counts = own_posterior_as_observed(data, head, n_jobs, scratch)
    topics = data.obsm[f"{head}topics"].columns
    fitted.corpus = fitted.corpus.with_weights(_worth(fitted))
    fitted.pseudocounts = _pseudocounts(data, head, fitted)
    with watched(fitted.backend, data.n_obs, "uncertainty", "observation", verbose=verbose):
        mean, variance = moments(fitted)

    target = writable(data, copy=copy)
    results = {"sd": np.sqrt(variance)}
    results["low"], results["high"] = limits(mean, variance, level)
    for name, values in results.items():
        target.obsm[f"{head}topics_{name}"] = pd.DataFrame(values, index=counts.obs_names, columns=topics)
    return target if copy else None


def _worth(fitted: Posterior) -> NDArray[np.float64]:
    """What a count of each modality is worth: its weight in the fit, less where counts are overdispersed."""
    return np.minimum(fitted.corpus.modality_weights, 1 / dispersion(fitted))


def _pseudocounts(data: Data, head: str, fitted: Posterior) -> Array | None:
    """What the prior has from the neighbours, if any."""
    params = record.read_params(data, head)
    if params.smoothing != "prior" or not params.strength:
        return None
    prior = NeighbourPrior(weights_of_fit(data, params), params.strength)
    return prior.pseudocounts(fitted.gamma, fitted.corpus.totals)
