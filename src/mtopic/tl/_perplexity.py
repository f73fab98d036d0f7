import numpy as np
import pandas as pd

from mtopic._api import public
from mtopic._check import n_jobs_given
from mtopic._data import DataLike
from mtopic._progress import watched
from mtopic.inference import Backend
from mtopic.model.completion import completed, halves, require_whole, scores
from mtopic.model.fitted import Fitted
from mtopic.model.model import Model
from mtopic.model.new_counts import NewCounts


@public
def perplexity(
    model_or_reference: Model | DataLike,
    data: DataLike,
    *,
    prefix: str | None = None,
    batch_key: str | None = None,
    rng: int | np.random.Generator = 2291,
    n_jobs: int = -1,
    verbose: bool = True,
) -> pd.DataFrame:
    """Measure how well the topics of a fit predict the counts of new observations: document completion.

    Every count of an observation is put into one of two halves at random. The topics are inferred from one half as
    `transform` does, without neighbours. The other half is scored by the probability that these topics give it, from
    the means of proportions and signatures. For the data of the fit, the score would be too good.

    {Parameters model_or_reference}
    data
        New observations, of any of the trained modalities, with raw counts in whole numbers in ``layers["counts"]`` or
        ``X``. Features are matched by name. Those that are missing on either side are not scored, so compare fits on
        data with the same features.
    {prefix batch_key:model}
    rng
        Seed or generator of the halves. Those of several modalities on disk are others than those in memory.
    {n_jobs verbose}

    Returns
    -------
    DataFrame, float64, with a row for each modality and one for all of them, ``total``. Columns are ``log_likelihood``,
    the mean of a count in nats; ``perplexity``, exp(−``log_likelihood``): the number of equally probable features among
    which the choice would be as hard; and ``n_counts``, the scored counts on the scale of the fit. A fit to prepared
    counts is scored on prepared counts; do not compare its scores with those of a fit to raw ones. NaN where there are
    no counts.

    {Raises KeyError:reference ValueError:reference}
        Also if raw counts are not there or not whole numbers.

    References
    ----------
    :cite:t:`wallach2009`

    {Examples:data}
    >>> train, new = mdata[:150].copy(), mdata[150:].copy()
    >>> mt.tl.topic_model(train, n_topics=3, verbose=False)
    >>> score = mt.tl.perplexity(train, new)
    >>> list(score.index), bool(score.loc["rna", "perplexity"] < new["rna"].n_vars)
    (['rna', 'atac', 'total'], True)
    """
    n_jobs_given(n_jobs)
    fitted = Fitted.of(model_or_reference, prefix)
    new = NewCounts.of(fitted, data, batch_key)
    _require_raw(new)
    generator, n_modalities = np.random.default_rng(rng), len(new.parts)
    sums, n_rows = np.zeros((2, n_modalities)), len(new.obs_names) * (1 + n_modalities)
    with Backend(n_jobs) as backend, watched(backend, n_rows, "perplexity", "observation", verbose=verbose):
        for _, part in new.with_effects(backend).in_rows():
            given, scored = {}, {}
            for mod, x in part.read().items():
                require_whole(x, mod)
                given[mod], scored[mod] = halves(x, generator)
            posterior = part.posterior(part.corpus(given), backend)
            sums += completed(posterior, part.corpus(scored))
    found = scores(sums, list(new.parts))
    found.insert(1, "perplexity", np.exp(-found["log_likelihood"]))
    return found


def _require_raw(new: NewCounts) -> None:
    for mod, needed in new.preparation.items():
        if needed.steps != new.fitted.steps(mod).steps:
            raise ValueError(
                f"modality {mod!r} has no raw counts, which are divided into halves: put them into layers['counts']"
            )
