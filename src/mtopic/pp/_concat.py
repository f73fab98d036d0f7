from collections.abc import Mapping, Sequence

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy.sparse import csr_matrix

from mtopic._api import public
from mtopic._data import DataLike
from mtopic._data.count_matrix import raw_counts
from mtopic._data.measured import MEASURED
from mtopic._data.names import alike_but_for, unique
from mtopic._data.preparation import IDF
from mtopic._data.quiet import quiet_mudata
from mtopic._data.slots import ANNDATA_MODALITY, Data, by_position, its_table, modalities
from mtopic._warn import warn

LITTLE = 0.05
"""The share of features in common that is worth a warning."""


@public
def concat(
    data: Mapping[str, DataLike] | Sequence[DataLike],
    *,
    label: str = "batch",
    keys: Sequence[str] | None = None,
    index_unique: str | None = None,
) -> Data:
    """Join batches of observations by the union of each modality's features, and note what each batch has measured.

    A feature that a batch did not measure is not a feature without counts. Models that are told the batches
    (``batch_key``) treat it as missing. Batches may lack whole modalities.

    Parameters
    ----------
    data
        Batches by name, or a list of them: MuData, or AnnData of one modality. Their raw counts are taken:
        ``layers["counts"]`` where it is present, else ``X``.
    label
        Column of ``obs`` for the names of the batches.
    keys
        Names of the batches of a list; None for 0, 1, and so on.
    index_unique
        Appended to the names of observations, before the name of the batch, as in `anndata.concat`; None to leave names
        as they are.

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
        If ``data`` is neither a mapping nor a list, a batch is neither an AnnData nor a MuData, or there are both.
    ValueError
        If there is no batch, observation names occur twice, there is such a column already, a batch is the result of an
        earlier call that noted what was measured, a batch has no feature of the others or a table without values, or
        counts are not valid.

    Warns
    -----
    UserWarning
        If a batch has few of its features in common with the others.

    {Examples:data}
    >>> a, b = mdata[:100].copy(), mdata[100:].copy()
    >>> a.mod["rna"] = a["rna"][:, :200].copy()
    >>> both = mt.pp.concat({"a": a, "b": b})
    >>> both.n_obs, int(both["rna"].varm["measured"]["a"].sum())
    (200, 200)
    """
    batches = _by_name(data, keys)
    parts = {name: modalities(one) for name, one in batches.items()}
    endings = {name: "" if index_unique is None else f"{index_unique}{name}" for name in batches}
    _require_joinable(batches, label, endings)
    names = dict.fromkeys(mod for mods in parts.values() for mod in mods)
    joined = {
        mod: _joined({name: mods[mod] for name, mods in parts.items() if mod in mods}, mod, endings) for mod in names
    }
    sizes = [one.n_obs for one in batches.values()]
    which = pd.Categorical.from_codes([code for code, n in enumerate(sizes) for _ in range(n)], list(batches))
    if list(joined) == [ANNDATA_MODALITY] and isinstance(next(iter(batches.values())), AnnData):
        joined[ANNDATA_MODALITY].obs[label] = which
        return joined[ANNDATA_MODALITY]
    above = anndata.concat(
        [_observations(one, names, name, endings[name]) for name, one in batches.items()], join="outer"
    )
    above.obs[label] = which
    with quiet_mudata():
        whole = MuData(joined)
    above = above[whole.obs_names]
    whole.obs = above.obs.copy()
    whole.obsm.update(dict(above.obsm))
    return whole


def _by_name(data: Mapping[str, Data] | Sequence[Data], keys: Sequence[str] | None) -> dict[str, Data]:
    """The batches by name."""
    if isinstance(data, Mapping):
        if keys is not None:
            raise TypeError("keys are for a list of batches, a mapping has names already: leave keys out")
    elif isinstance(data, list | tuple):
        given = range(len(data)) if keys is None else keys
        if len(given) != len(data) or len(set(given)) != len(data):
            raise ValueError(f"keys={list(given)}: give each of the {len(data)} batches a name of its own")
        data = dict(zip(map(str, given), data, strict=True))
    else:
        raise TypeError(
            f"data is a {type(data).__name__}: give a mapping from names of batches to MuData or AnnData, or a list"
        )
    return {str(name): its_table(one) for name, one in data.items()}


def _require_joinable(batches: Mapping[str, Data], label: str, endings: Mapping[str, str]) -> None:
    if not batches:
        raise ValueError("data holds no batch: give a mapping from names to MuData or AnnData")
    if len({isinstance(one, AnnData) for one in batches.values()}) > 1:
        raise TypeError(
            "some batches are AnnData and some MuData: wrap the former as MuData({name of the modality: adata})"
        )
    for name, one in batches.items():
        if label in one.obs:
            raise ValueError(f"obs of batch {name!r} has a column {label!r} already: give another label")
    everyone = pd.Index([name + endings[batch] for batch, one in batches.items() for name in one.obs_names])
    unique(everyone, "observation names of the batches", "index_unique='-', which appends the name of the batch")


def _joined(pieces: Mapping[str, AnnData], mod: str, endings: Mapping[str, str]) -> AnnData:
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
        above = _observations(adata, {}, name, endings[name])
        bare[name] = AnnData(x, obs=above.obs, var=var, obsm=dict(above.obsm))
    _require_common(bare, mod)
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


def _require_common(pieces: Mapping[str, AnnData], mod: str) -> None:
    """Batches of a modality have features in common, by which they are told to be of the same topics."""
    for name, one in pieces.items() if len(pieces) > 1 else ():
        there = pd.Index([]).append([other.var_names for key, other in pieces.items() if key != name])
        common = int(one.var_names.isin(there).sum())
        if common >= LITTLE * min(one.n_vars, *(other.n_vars for other in pieces.values())):
            continue
        text = (
            f"modality {mod!r} of batch {name!r} has {common or 'none'} of its {one.n_vars} features in common with "
            f"the other batches: names are such as {one.var_names[0]!r} here and {there[0]!r} there"
            f"{alike_but_for(one.var_names, there)}; give the same features the same names"
        )
        if not common:
            raise ValueError(text)
        warn(text)


def _observations(data: Data, mods: Mapping[str, None], batch: str, ending: str) -> AnnData:
    """The tables of observations, whose rows are by position, under the names that these will have."""
    names, tables = data.obs_names + ending, {}
    for key, value in data.obsm.items():
        if key in mods:
            continue
        value = by_position(value, names)
        values = value.to_numpy() if isinstance(value, pd.DataFrame) else value
        if isinstance(values, np.ndarray) and values.size and pd.isna(values).all():
            raise ValueError(
                f"obsm[{key!r}] of batch {batch!r} holds no values. MuData.update() empties tables after the "
                "observations of modalities were given other names: take the data as they were, and give "
                "index_unique='-' in place of new names; or drop the table"
            )
        tables[key] = value
    return AnnData(obs=data.obs.set_axis(names), obsm=tables)
