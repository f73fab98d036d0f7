from collections.abc import Sequence

import pandas as pd

from mtopic._api import public
from mtopic._data import DataLike
from mtopic.model.expected import expected


@public
def expected_counts(
    data: DataLike,
    mod: str | None = None,
    features: str | Sequence[str] = (),
    *,
    prefix: str | None = None,
    rates: bool = False,
) -> pd.DataFrame:
    r"""What a fit expects an observation's counts to be, also in a modality that the observation lacks.

    The expectation is :math:`n_d \sum_k \theta_{dk} \beta_{kv}`, from the total :math:`n_d` of the observation's counts
    in the modality, its topic proportions and the topics' mean signatures. Without :math:`n_d` it is a rate, the
    expected share of feature v in the modality's counts. See `mtopic.tl.denoise`.

    {Parameters data:fit mod features prefix}
    rates
        Give rates, which do not depend on depth and exist for every observation.

    Returns
    -------
    DataFrame
        Observations of the data × features, float64. Expected counts are NaN where the observation is not in the
        modality, because its depth there is unknown. All values are NaN where the topics are missing.

    {Raises KeyError:features ValueError:features}

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=5, missing={"atac": 0.5})
    >>> mt.tl.topic_model(mdata, n_topics=5, verbose=False)
    >>> rates = mt.get.expected_counts(mdata, "atac", mdata["atac"].var_names[:3], rates=True)
    >>> rates.shape, bool(rates.isna().any(axis=None))
    ((200, 3), False)
    """
    return expected(data, mod, features, prefix, rates)[1]
