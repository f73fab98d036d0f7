from collections.abc import Mapping

import anndata
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy.sparse import csr_matrix

from mtopic._api import public
from mtopic._data.count_matrix import raw_counts
from mtopic._data.measured import MEASURED
from mtopic._data.names import unique
from mtopic._data.preparation import IDF
from mtopic._data.quiet import quiet_mudata
from mtopic._data.slots import ANNDATA_MODALITY, Data, its_table, modalities


@public
def concat(data: Mapping[str, Data], *, label: str = "batch") -> Data:
    """Join batches of observations by the union of each modality's features, and note what each batch has measured.

    A feature that a batch did not measure is not a feature without counts. Models that are told the batches
    (``batch_key``) treat it as missing. Batches may lack whole modalities.

    Parameters
    ----------
    data
        Batches by name: MuData, or AnnData of one modality. Their raw counts are taken: ``layers["counts"]`` where it
        is present, else ``X``.
    label
        Column of ``obs`` for the names of the batches.

    Returns
    -------
    New data: a MuData, or an AnnData if the batches are, with

    ``X`` of every modality : CSR
        Raw counts, observations in the order of the batches; 0 where nothing was measured.
    ``obs[label]`` : categorical
        The batch, categories in the order given.
    ``varm["measured"]`` of a modality : DataFrame, features × batches, bool
        Whether the batch has the feature; only where batches that have the modality differ in features.

    Tables of observations (``obs``, ``obsm``) are joined, and so are the columns of ``var`` that give every feature one
    value. Layers, graphs, ``varm`` and ``uns`` are left out.

    Raises
    ------
    TypeError
        If ``data`` is not a mapping, a batch is neither an AnnData nor a MuData, or there are both.
    ValueError
        If there is no batch, observation names occur twice, there is such a column already, a batch is the result of an
        earlier call that noted what was measured, or counts are not valid.

    {Examples:data}
    >>> a, b = mdata[:100].copy(), mdata[100:].copy()
    >>> a.mod["rna"] = a["rna"][:, :200].copy()
    >>> both = mt.pp.concat({"a": a, "b": b})
    >>> both.n_obs, int(both["rna"].varm["measured"]["a"].sum())
    (200, 200)
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"data is a {type(data).__name__}: give a mapping from names of batches to MuData or AnnData")
    batches = {str(name): its_table(one) for name, one in data.items()}
    parts = {name: modalities(one) for name, one in batches.items()}
    _require_joinable(batches, label)
    names = dict.fromkeys(mod for mods in parts.values() for mod in mods)
    joined = {mod: _joined({name: mods[mod] for name, mods in parts.items() if mod in mods}, mod) for mod in names}
    sizes = [one.n_obs for one in batches.values()]
    which = pd.Categorical.from_codes([code for code, n in enumerate(sizes) for _ in range(n)], list(batches))
    if list(joined) == [ANNDATA_MODALITY] and isinstance(next(iter(batches.values())), AnnData):
        joined[ANNDATA_MODALITY].obs[label] = which
        return joined[ANNDATA_MODALITY]
    above = anndata.concat([_observations(one, names) for one in batches.values()], join="outer")
    above.obs[label] = which
    with quiet_mudata():
        whole = MuData(joined)
    above = above[whole.obs_names]
    whole.obs = above.obs.copy()
    whole.obsm.update(dict(above.obsm))
    return whole


def _require_joinable(batches: Mapping[str, Data], label: str) -> None:
    if not batches:
        raise ValueError("data holds no batch: give a mapping from names to MuData or AnnData")
    if len({isinstance(one, AnnData) for one in batches.values()}) > 1:
        raise TypeError(
            "some batches are AnnData and some MuData: wrap the former as MuData({name of the modality: adata})"
        )
    for name, one in batches.items():
        if label in one.obs:
            raise ValueError(f"obs of batch {name!r} has a column {label!r} already: give another label")
    everyone = pd.Index([name for one in batches.values() for name in one.obs_names])
    unique(everyone, "observation names of the batches", "prefixes, such as adata.obs_names = 'a_' + adata.obs_names")


def _joined(pieces: Mapping[str, AnnData], mod: str) -> AnnData:
    """One modality of all batches that have it."""
    bare = {}
    for name, adata in pieces.items():
        unique(adata.var_names, f"feature names of modality {mod!r} of batch {name!r}", "var_names_make_unique()")
        if MEASURED in adata.varm:
            raise ValueError(
                f"modality {mod!r} of batch {name!r} has varm['{MEASURED}'] of batches of its own: "
                "join all batches in one call"
            )
        x, var = csr_matrix(raw_counts(adata, mod)), adata.var.drop(columns=IDF, errors="ignore")
        bare[name] = AnnData(x, obs=adata.obs, var=var, obsm=dict(adata.obsm))
    whole = anndata.concat(list(bare.values()), join="outer")
    whole.var = _annotations([one.var for one in bare.values()], whole.var_names)
    measured = pd.DataFrame({name: whole.var_names.isin(one.var_names) for name, one in bare.items()}, whole.var_names)
    if not measured.all(axis=None):
        whole.varm[MEASURED] = measured
    return whole


def _annotations(tables: list[pd.DataFrame], names: pd.Index) -> pd.DataFrame:
    """The columns that every feature has a value in, and only one."""
    below = pd.concat(tables)
    columns = {}
    for column, values in below.items():
        known = values.dropna()
        first = known[~known.index.duplicated()]
        if len(first) == len(names) and known.equals(first.loc[known.index]):
            columns[column] = first.loc[names]
    return pd.DataFrame(columns, index=names)


def _observations(mdata: MuData, mods: Mapping[str, None]) -> AnnData:
    """The tables of observations that the MuData itself holds."""
    tables = {key: value for key, value in mdata.obsm.items() if key not in mods}
    return AnnData(obs=mdata.obs, obsm=tables)
