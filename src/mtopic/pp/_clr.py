import pandas as pd
from anndata import AnnData

from mtopic._api import public
from mtopic._data import Data, DataLike
from mtopic._data.count_matrix import CSR
from mtopic._data.measured import n_features
from mtopic._data.preparation import log_ratios

from ._prepare import transform_counts


@public
def clr(mdata: DataLike, mod: str | None = None, copy: bool = False, *, batch_key: str | None = None) -> Data | None:
    """Centred log-ratio of each observation, kept non-negative: log1p(x / g).

    g = expm1(mean over all features of log1p(x)) + 1e-6 stands for the observation's geometric mean. Zeros stay zeros.

    {Parameters mdata:raw mod copy batch_key:measured}
        Means are then over the features that were measured.

    Returns
    -------
    None, or the copy. Sets ``X`` (CSR, single precision unless it was double), ``layers["counts"]`` (the raw counts,
    unless there is such a layer) and ``uns["mtopic"]["steps"]`` of the modality.

    {Raises KeyError:mod_column ValueError:prepared}

    {Warns UserWarning:prepared}

    Notes
    -----
    `muon.prot.pp.clr` divides each protein by its own mean over the observations, and two of its flavours give negative
    values, which topic models cannot use.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=100, modalities={"rna": 300, "prot": 20})
    >>> mt.pp.clr(mdata, mod="prot")
    >>> bool((mdata["prot"].X.data > 0).all())
    True
    """
    return transform_counts(mdata, mod, "clr", _ratios, batch_key, copy=copy)


def _ratios(x: CSR, adata: AnnData, mod: str, batch: pd.Series | None) -> None:
    log_ratios(x, n_features(adata, mod, batch, adata.var_names))
