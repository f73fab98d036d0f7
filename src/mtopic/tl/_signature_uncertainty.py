import os

import numpy as np
import pandas as pd

from mtopic._api import public
from mtopic._check import folder_given, level_given
from mtopic._data import Data, DataLike, record
from mtopic._data.slots import modalities
from mtopic._data.writable import writable
from mtopic._progress import watched
from mtopic.inference.learn.weights import dispersion
from mtopic.inference.uncertainty import signature_variance
from mtopic.model.fitted import own_posterior_as_observed

from ._intervals import limits


@public
def signature_uncertainty(
    data: DataLike,
    *,
    level: float = 0.9,
    prefix: str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    n_jobs: int = -1,
    verbose: bool = True,
    copy: bool = False,
) -> Data | None:
    """Measure how certain the signatures are: standard deviations of the features' shares, and limits of intervals.

    If the topic of every count were known, the posterior of a topic's shares would be Dirichlet(λ). As in
    `uncertainty`, the information that is missing is subtracted by Louis' identity :cite:p:`louis1982`, feature by
    feature: two topics that occur in the same observations share their counts, and either may have more of them. The
    limits are those of a beta distribution.

    A count is worth one over the dispersion of its modality :cite:p:`mccullagh1989`. The modality's weight in the fit
    does not matter, since signatures are made of all counts at any weight. Prepared counts whose raw ones are in
    ``layers["counts"]`` are scaled to the total of these.

    {Parameters data:fit}
        It also has the counts of the fit.
    {level prefix scratch:once n_jobs verbose copy}

    Returns
    -------
    None, or the copy. Sets in each modality

    ``varm["signatures_sd"]`` : DataFrame, features × topics, float64
        Posterior standard deviation of each feature's share in the topic, which is ``varm["signatures"]`` with columns
        scaled to sum 1.
    ``varm["signatures_low"]``, ``varm["signatures_high"]`` : DataFrame, features × topics, float64
        Limits of the intervals, in [0, 1].

    The topics' proportions are treated as known, so intervals are a little short where observations are few or have few
    counts; and they exclude 0, to which the prior gives little probability. With ``batch_key``, how much of a topic
    each batch could measure is also treated as known, which shortens the intervals of features that some batches lack.
    The intervals do not cover that a fit may have found other topics than there are.

    {Raises KeyError:fit ValueError:level}

    See Also
    --------
    mtopic.get.top_features : How probable it is that a feature is among the first of its topic.

    {Examples:fit}
    >>> mt.tl.signature_uncertainty(mdata)
    >>> mdata["rna"].varm["signatures_sd"].shape
    (300, 3)
    """
    level_given(level)
    folder_given(scratch=scratch)
    head = record.head(prefix)
    fitted, counts = own_posterior_as_observed(data, head, n_jobs, scratch)
    topics = data.obsm[f"{head}topics"].columns
    with np.errstate(divide="ignore", invalid="ignore"):  # a modality of one feature, which does not vary
        worth = np.fmin(1, 1 / dispersion(fitted))
    n_features = fitted.corpus.one_modality_per_set.n_features
    with watched(fitted.backend, n_features, "uncertainty", "feature", verbose=verbose):
        variance = signature_variance(fitted, worth)

    target = writable(data, copy=copy)
    parts = modalities(target)
    for block, (mod, features) in zip(fitted.corpus.blocks, counts.features.items(), strict=True):
        share = fitted.lam[block] / fitted.lam[block].sum(axis=0)
        results = {"sd": np.sqrt(variance[block])}
        results["low"], results["high"] = limits(share, variance[block], level)
        for name, values in results.items():
            parts[mod].varm[f"{head}signatures_{name}"] = pd.DataFrame(values, index=features, columns=topics)
    return target if copy else None
