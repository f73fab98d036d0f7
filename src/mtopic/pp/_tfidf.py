import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import Data, DataLike
from mtopic._data.count_matrix import CSR
from mtopic._data.measured import n_observations
from mtopic._data.preparation import idf

from ._prepare import transform_counts


@public
def tfidf(mdata: DataLike, mod: str | None = None, copy: bool = False, *, batch_key: str | None = None) -> Data | None:
    """Weigh features by how few observations have them: x · (ln(D / df) + 1).

    df is the number of the modality's D observations in which the feature was counted (0 counts as 1). Observations are
    not normalised.

    {Parameters mdata:raw mod copy batch_key:measured}
        D is then the number of observations in which a feature was measured.

    Returns
    -------
    None, or the copy. Sets, in the modality,

    ``X`` : CSR, single precision unless it was double
        The weighed counts.
    ``layers["counts"]``
        The raw counts, unless there is such a layer.
    ``var["mtopic_idf"]`` : float64
        The weights.
    ``uns["mtopic"]["steps"]``
        The record of the step.

    {Raises KeyError:mod_column ValueError:prepared}

    {Warns UserWarning:prepared}

    Notes
    -----
    `muon.atac.pp.tfidf` takes logarithms of term frequencies and normalises observations; topic models need counts that
    are only weighed.

    {Examples:data}
    >>> mt.pp.tfidf(mdata, mod="atac")
    >>> [str(step) for step in mdata["atac"].uns["mtopic"]["steps"]]
    ['tfidf']
    """
    return transform_counts(mdata, mod, "tfidf", _weigh, batch_key, copy=copy)


def _weigh(x: CSR, adata: AnnData, mod: str, batch: pd.Series | None) -> NDArray[np.float64]:
    weights = idf(x, n_observations(adata, mod, batch))
    x.data *= weights.astype(x.dtype)[x.indices]
    return weights
