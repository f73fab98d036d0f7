import numpy as np
import pandas as pd

from mtopic._check import n_jobs_given
from mtopic._data.slots import Data, takes_spatialdata
from mtopic.model.completion import completed, halves, require_whole
from mtopic.model.fitted import Fitted
from mtopic.model.model import Model
from mtopic.model.new_counts import NewCounts


@takes_spatialdata
def perplexity(
    model_or_reference: Model | Data,
    data: Data,
    *,
    prefix: str | None = None,
    batch_key: str | None = None,
    rng: int | np.random.Generator = 2291,
    n_jobs: int = -1,
) -> pd.DataFrame:
    """How well the topics of a fit predict the counts of new observations: document completion.

    Every count of an observation falls into one of two halves at random. Its topics are inferred from one half as by `transform`, without neighbours,
    and the other half is scored by the probability that these topics, by the means of proportions and signatures, give it. Of the data
    of the fit the score would be too good.

    Parameters
    ----------
    model_or_reference
        A fitted `MTM` or `sMTM`, or data with an exported fit, as for `transform`.
    data
        New observations, of any of the trained modalities, with raw counts in whole numbers in ``layers["counts"]`` or ``X``. Features are matched by
        name; those that are missing here or there are not scored, so compare fits on data with the same features.
    prefix
        Of a reference: as given to `export_params`, or as ``key_added`` to `topic_model`.
    batch_key
        Batch of each observation, a column of ``obs``, where batches have not measured the same features, as for `transform`.
    rng
        Seed or generator of the halves.
    n_jobs
        Threads; -1 for all cores. It changes no bit of the result.

    Returns
    -------
    DataFrame, float64, with a row for each modality and one for all of them, ``total``. Columns are ``log_likelihood``, the mean of a
    count in nats; ``perplexity``, exp(−``log_likelihood``): as good as that many equally probable features to choose from; and ``n_counts``, the
    scored counts on the scale that the fit had. A fit to prepared counts is scored on prepared counts, and its scores are not to be compared with those of a fit to raw ones.
    NaN where there are no counts.

    Raises
    ------
    KeyError, ValueError
        As `transform`; and if raw counts are not there or not whole numbers.

    References
    ----------
    :cite:t:`wallach2009`

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=300, n_topics=4)
    >>> train, new = mdata[:200].copy(), mdata[200:].copy()
    >>> mt.tl.topic_model(train, n_topics=4, verbose=False)
    >>> score = mt.tl.perplexity(train, new)
    >>> list(score.index), bool(score.loc["rna", "perplexity"] < new["rna"].n_vars)
    (['rna', 'atac', 'total'], True)
    """
    n_jobs_given(n_jobs)
    fitted = Fitted.of(model_or_reference, prefix)
    new = NewCounts.of(fitted, data, batch_key)
    generator = np.random.default_rng(rng)
    given, scored = {}, {}
    for mod, x in new.matrices.items():
        if new.preparation[mod].steps != fitted.steps(mod).steps:
            raise ValueError(
                f"modality {mod!r} has no raw counts, which are divided into halves: put them into layers['counts']"
            )
        require_whole(x, mod)
        given[mod], scored[mod] = halves(x, generator)
    found = completed(new.posterior(new.corpus(given), n_jobs), new.corpus(scored), list(new.parts))
    found.insert(1, "perplexity", np.exp(-found["log_likelihood"]))
    return found
