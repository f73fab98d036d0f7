from collections.abc import Iterable, Mapping
from os import PathLike

import pandas as pd
from anndata import AnnData
from mudata import MuData

from mtopic._api import public
from mtopic._data import Data, DataLike
from mtopic._data.count_matrix import raw_counts
from mtopic._data.counts import named_once
from mtopic._data.names import absent, look_up
from mtopic._data.slots import modalities
from mtopic._files import read
from mtopic._log import logger

from ._subset import with_counts


@public
def filter_var_list(
    path: str | PathLike[str] | DataLike, var: Iterable[str] | Mapping[str, Iterable[str]], *, verbose: bool = True
) -> Data:
    """Keep the features that are listed.

    {Parameters path:raw}
    var
        Names of features. A name is kept in every modality that has it, ``"mod:name"`` in that modality only. Or a
        mapping from modalities to names; modalities that it leaves out keep all features.
    {verbose:dropped}

    Returns
    -------
    New data of raw counts (CSR), features in their own order, with the tables of observations and features (``obs``,
    ``obsm``, ``obsp``, ``var``, ``varm``, ``varp``) and ``uns``; without layers and ``uns["mtopic"]``.

    Raises
    ------
    KeyError
        If a name is nowhere in the data; the nearest names are offered.
    ValueError
        If nothing would be left of a modality, names occur twice, or counts are not valid.

    {Examples:data}
    >>> less = mt.pp.filter_var_list(mdata, {"rna": mdata["rna"].var_names[:50]}, verbose=False)
    >>> less["rna"].n_vars, less["atac"].n_vars == mdata["atac"].n_vars
    (50, True)
    """
    data, parts = opened(path)
    if isinstance(var, str):
        raise TypeError(f"var={var!r} is one name: give a list of names")
    if isinstance(var, Mapping):
        wanted = {mod: pd.Index(names) for mod, names in var.items()}
        for mod, names in wanted.items():
            _require(names, look_up(parts, mod, "modality", "the data").var_names, f"modality {mod!r}")
    else:
        names = pd.Index(list(var))
        known = {mod: adata.var_names.append(pd.Index(mod + ":" + adata.var_names)) for mod, adata in parts.items()}
        _require(names, pd.Index([]).append(list(known.values())), "the data")
        wanted = {
            mod: pd.Index([name.removeprefix(f"{mod}:") for name in names[names.isin(known[mod])]]) for mod in parts
        }
    features = {mod: adata.var_names for mod, adata in parts.items()}
    features |= {mod: features[mod][features[mod].isin(names)] for mod, names in wanted.items()}
    return keep_features(data, features, verbose=verbose)


def opened(path: str | PathLike[str] | Data) -> tuple[Data, dict[str, AnnData]]:
    """The data, read if a file is named, and its modalities."""
    data = path if isinstance(path, AnnData | MuData) else read(path)
    return data, named_once(data)


def keep_features(data: Data, features: Mapping[str, pd.Index], *, verbose: bool) -> Data:
    """New data of the raw counts of some features of each modality."""
    parts = modalities(data)
    for mod, names in features.items():
        if not len(names):
            raise ValueError(
                f"none of the {parts[mod].n_vars} features of modality {mod!r} would be left: "
                "name some, or leave the modality out of the data"
            )
    counts = {mod: raw_counts(adata, mod) for mod, adata in parts.items()}
    keep = {mod: adata.var_names.isin(features[mod]) for mod, adata in parts.items()}
    if verbose:
        for mod, kept in keep.items():
            logger.info(f"{mod}: {kept.sum():,} of {kept.size:,} features kept, {kept.size - kept.sum():,} dropped")
    return with_counts(data, counts, keep, data.obs_names)


def _require(names: pd.Index, known: pd.Index, where: str) -> None:
    missing = names.difference(known)
    if len(missing):
        also = f" ({len(missing)} names are not there)" if len(missing) > 1 else ""
        raise KeyError(absent(missing[0], known, "feature", where) + also)
