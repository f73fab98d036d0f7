import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from mtopic._counts import CSR
from mtopic._slots import Data

from ._prepare import transform_counts

IDF = "mtopic_idf"


def tfidf(mdata: Data, mod: str | None = None, copy: bool = False) -> Data | None:
    """Weigh features by how few observations have them: x · (ln(D / df) + 1).

    df is the number of the modality's D observations in which the feature was counted (0 counts as 1). Observations are not
    normalised.

    Parameters
    ----------
    mdata
        MuData or AnnData with raw counts in ``X`` of the modality.
    mod
        The modality; may be left out where there is only one.
    copy
        Return a prepared copy and leave ``mdata`` as it is.

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

    Raises
    ------
    KeyError
        If there is no such modality.
    ValueError
        If values are negative or not finite, or mtopic has prepared ``X`` already.

    Warns
    -----
    UserWarning
        If values are not integers.

    Notes
    -----
    `muon.atac.pp.tfidf` takes logarithms of term frequencies and normalises observations; topics want counts that are weighed only.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=100)
    >>> mt.pp.tfidf(mdata, mod="atac")
    >>> [str(step) for step in mdata["atac"].uns["mtopic"]["steps"]]
    ['tfidf']
    """
    target = mdata.copy() if copy else mdata
    transform_counts(target, mod, "tfidf", _weigh)
    return target if copy else None


def _weigh(x: CSR, adata: AnnData) -> CSR:
    weights = idf(x)
    x.data *= weights.astype(x.dtype)[x.indices]
    adata.var[IDF] = weights
    return x


def idf(x: CSR) -> NDArray[np.float64]:
    """ln(D / df) + 1 of each column."""
    n_obs, n_vars = x.shape
    df = np.bincount(x.indices[x.data > 0], minlength=n_vars)
    return np.log(n_obs / np.maximum(df, 1)) + 1
