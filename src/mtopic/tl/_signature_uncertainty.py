import numpy as np
import pandas as pd

from mtopic._data.slots import Data, modalities, takes_spatialdata
from mtopic.inference.learn.weights import dispersion
from mtopic.inference.uncertainty import signature_variance
from mtopic.model.exported import read_evidence

from ._intervals import limits


@takes_spatialdata
def signature_uncertainty(
    data: Data, *, level: float = 0.9, prefix: str | None = None, n_jobs: int = -1, copy: bool = False
) -> Data | None:
    """Say how sure the signatures are: the standard deviation of each feature's share in each topic, and the limits of an interval.

    Dirichlet(λ) would be the posterior of a topic's shares if it were known which topic every count is of. As in `uncertainty`, what is not
    known of that is taken off by Louis' identity :cite:p:`louis1982`, feature by feature: two topics that occur in the same observations
    share their counts, and either may have more of them. The limits are those of a beta distribution.

    A count is worth one over the dispersion of its modality :cite:p:`mccullagh1989`. The modality's weight in the fit does
    not matter, since signatures are of all counts at any weight. Prepared counts whose raw ones are in ``layers["counts"]`` are scaled to the total of these.

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
    None, or the copy. Sets in each modality

    ``varm["signatures_sd"]`` : DataFrame, features × topics, float64
        Posterior standard deviation of each feature's share in the topic, which is ``varm["signatures"]`` with columns scaled to sum 1.
    ``varm["signatures_low"]``, ``varm["signatures_high"]`` : DataFrame, features × topics, float64
        Limits of the intervals, in [0, 1].

    The topics' proportions count as known, so intervals are a little short where observations are few or have few counts; and they
    keep away from 0, which the prior hardly believes in. With ``batch_key`` it counts as known too how much
    of a topic each batch could measure, which shortens the intervals of features that some batches lack. That a fit may have found other topics than there are is not in them.

    Raises
    ------
    KeyError
        If there are no topics, signatures or parameters of a fit of that prefix.
    ValueError
        If ``level`` is not between 0 and 1, signatures are of other topics than the proportions, proportions are missing, or
        proportions, signatures or counts are not valid.

    See Also
    --------
    mtopic.get.top_features : How probable it is that a feature is among the first of its topic.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=5, spatial=False)
    >>> mt.tl.topic_model(mdata, n_topics=5, verbose=False)
    >>> mt.tl.signature_uncertainty(mdata)
    >>> mdata["rna"].varm["signatures_sd"].shape
    (300, 5)
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: give a probability between 0 and 1")
    head = "" if prefix is None else f"{prefix}_"
    fitted, counts = read_evidence(data, head, n_jobs)
    topics = data.obsm[f"{head}topics"].columns
    with np.errstate(divide="ignore", invalid="ignore"):  # a modality of one feature, which does not vary
        worth = np.fmin(1, 1 / dispersion(fitted))
    variance = signature_variance(fitted, worth)

    target = data.copy() if copy else data
    parts = modalities(target)
    for block, (mod, features) in zip(fitted.corpus.blocks, counts.features.items(), strict=True):
        share = fitted.lam[block] / fitted.lam[block].sum(axis=0)
        results = {"sd": np.sqrt(variance[block])}
        results["low"], results["high"] = limits(share, variance[block], level)
        for name, values in results.items():
            parts[mod].varm[f"{head}signatures_{name}"] = pd.DataFrame(values, index=features, columns=topics)
    return target if copy else None
