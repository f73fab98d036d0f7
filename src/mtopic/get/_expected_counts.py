from collections.abc import Sequence

import pandas as pd

from mtopic._data.slots import Data, takes_spatialdata
from mtopic.model.expected import expected


@takes_spatialdata
def expected_counts(
    data: Data,
    mod: str | None,
    features: str | Sequence[str],
    *,
    prefix: str | None = None,
    rates: bool = False,
) -> pd.DataFrame:
    r"""What a fit expects an observation's counts to be, also of a modality that the observation lacks.

    The expectation is :math:`n_d \sum_k \theta_{dk} \beta_{kv}`, of the counts :math:`n_d` of the observation in the modality, the topics' proportions and
    their mean signatures; without :math:`n_d` it is a rate, the expected share of feature v in the modality's counts. See :func:`mtopic.tl.denoise`.

    Parameters
    ----------
    data
        MuData or AnnData with topics and signatures, as :func:`mtopic.tl.topic_model` and :func:`mtopic.tl.export_params` write them.
    mod
        Modality; None where there is only one.
    features
        Name or names of features of the modality.
    prefix
        As given to :func:`mtopic.tl.export_params`, or as ``key_added`` to :func:`mtopic.tl.topic_model`.
    rates
        Give rates, which do not depend on depth and exist for every observation.

    Returns
    -------
    DataFrame
        Observations of the data × features, float64. Expected counts are NaN where the observation is not in the modality, for nobody knows how deeply it
        would have been sequenced, and all is NaN where the topics are missing.

    Raises
    ------
    KeyError
        If there is no such modality or feature, or there are no topics, signatures or parameters of a fit of that prefix.
    ValueError
        If no feature is named or one twice, signatures are of other topics than the proportions, or proportions or counts are not valid.

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
