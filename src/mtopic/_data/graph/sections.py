"""Sections: observations of several tissues in one object, which are no neighbours of each other."""

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from mtopic._data import Data
from mtopic._data.names import absent, as_text
from mtopic._data.slots import modalities


def sections(data: Data, library_key: str) -> pd.CategoricalIndex:
    """The section of each observation: ``obs[library_key]`` of the data, else of its modalities, rows matched by name.

    Labels become text; the index bears the name ``library_key``. ``"mod:column"`` names the column of one modality.
    """
    if not isinstance(library_key, str):
        raise TypeError(f"library_key={library_key!r}: give the name of a column of obs")
    labels = _labels(data, library_key)
    missing = labels.isna()
    if missing.any():
        raise ValueError(
            f"obs[{library_key!r}] names no section for {missing.sum()} observations, "
            f"the first is {labels.index[missing][0]!r}: give them one, or drop these observations"
        )
    return pd.CategoricalIndex(labels.to_numpy(), name=library_key)


def _labels(data: Data, key: str) -> pd.Series:
    parts = {} if isinstance(data, AnnData) else modalities(data)
    mod, _, column = key.partition(":")
    holders = (data,) if key in data.obs and data.obs[key].notna().all() else (data, *parts.values())
    columns = [holder.obs[key] for holder in holders if key in holder.obs]
    if mod in parts and column in parts[mod].obs:
        columns.append(parts[mod].obs[column])
    if not columns:
        known = {name for holder in (data, *parts.values()) for name in holder.obs}
        raise KeyError(absent(key, sorted(known), "column", "obs of the data and of its modalities"))
    first, *others = (as_text(column, f"obs[{key!r}]").reindex(data.obs_names) for column in columns)
    for other in others:
        differ = first.notna() & other.notna() & (first != other)
        if differ.any():
            names = " or ".join(repr(f"{mod}:{key}") for mod, part in parts.items() if key in part.obs)
            raise ValueError(
                f"modalities name different sections obs[{key!r}] of {differ.sum()} observations, the first is "
                f"{differ.idxmax()!r}: say which are meant, {names}"
            )
        first = first.where(first.notna(), other)
    return first


def split(sections: pd.CategoricalIndex | None, n_obs: int) -> dict[str | None, NDArray[np.intp]]:
    """The observations of each section that has any; all of them, under None, without sections."""
    if sections is None:
        return {None: np.arange(n_obs)}
    codes = np.asarray(sections.codes)
    if codes.size != n_obs:
        raise ValueError(f"{codes.size} observations have a section, of {n_obs}: name the section of each")
    missing = np.flatnonzero(codes < 0)
    if missing.size:
        raise ValueError(
            f"{missing.size} observations have no section, the first is number {missing[0]}: "
            "give them one, or drop these observations"
        )
    return {str(sections.categories[code]): np.flatnonzero(codes == code) for code in np.unique(codes)}
