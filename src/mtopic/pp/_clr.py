import pandas as pd
from anndata import AnnData

from mtopic._data.count_matrix import CSR
from mtopic._data.measured import n_features
from mtopic._data.preparation import log_ratios
from mtopic._data.slots import Data, takes_spatialdata

from ._prepare import transform_counts


@takes_spatialdata
def clr(mdata: Data, mod: str | None = None, copy: bool = False, *, batch_key: str | None = None) -> Data | None:
    """Centred log-ratio of each observation, kept non-negative: log1p(x / g).

    g = expm1(mean over all features of log1p(x)) + 1e-6 stands for the observation's geometric mean. Zeros stay zeros.

    Parameters
    ----------
    mdata
        MuData or AnnData with raw counts, such as those of surface proteins, in ``X`` of the modality.
    mod
        The modality; may be left out where there is only one.
    copy
        Return a prepared copy and leave ``mdata`` as it is.
    batch_key
        Column of ``obs`` with the batch of each observation, where batches have not measured the same features (``varm["measured"]``): means are
        then over those that were measured.

    Returns
    -------
    None, or the copy. Sets ``X`` (CSR, single precision unless it was double), ``layers["counts"]`` (the raw counts, unless
    there is such a layer) and ``uns["mtopic"]["steps"]`` of the modality.

    Raises
    ------
    KeyError
        If there is no such modality or no such column.
    ValueError
        If values are negative or not finite, or mtopic has prepared ``X`` already.

    Warns
    -----
    UserWarning
        If values are not integers, or ``varm["measured"]`` is there and no ``batch_key``.

    Notes
    -----
    `muon.prot.pp.clr` divides each protein by its own mean over the observations, and two of its flavours give negative values, which topic models cannot use.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=100, modalities={"rna": 300, "prot": 20})
    >>> mt.pp.clr(mdata, mod="prot")
    >>> bool((mdata["prot"].X.data > 0).all())
    True
    """
    target = mdata.copy() if copy else mdata
    transform_counts(target, mod, "clr", _ratios, batch_key)
    return target if copy else None


def _ratios(x: CSR, adata: AnnData, mod: str, batch: pd.Series | None) -> CSR:
    return log_ratios(x, n_features(adata, mod, batch, adata.var_names))
