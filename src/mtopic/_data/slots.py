"""Where things are in the user's object: modalities, coordinates, tables; and what is said when they are not there."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from . import Data as Data
from . import record
from .names import absent, as_text, look_up, topic_name

T = TypeVar("T")

ANNDATA_MODALITY = "X"
IN_TISSUE = ("spatial", "coord")
"""With what the names of coordinates in a tissue begin."""

EMBEDDINGS = ("umap", "tsne", "pca")
FEW_GROUPS, MANY_GROUPS = 50, 1000
"""So many groups are always plausible, and never."""


def its_table(value: T) -> T | AnnData:
    """The one table of a SpatialData, known by its name as importing it takes seconds; else the value."""
    if "SpatialData" not in [kind.__name__ for kind in type(value).__mro__]:
        return value
    tables: Mapping[str, AnnData] = value.tables  # type: ignore[attr-defined]
    if not tables:
        raise ValueError("the SpatialData has no table: topics are found in the counts of one")
    if len(tables) > 1:
        names = ", ".join(map(repr, tables))
        raise ValueError(
            f"the SpatialData has {len(tables)} tables, {names}: give the one that is meant, sdata.tables[name]"
        )
    return next(iter(tables.values()))


def modalities(data: Data) -> dict[str, AnnData]:
    """The modalities by name; an AnnData is one modality named "X"."""
    if isinstance(data, AnnData):
        _require_loaded(data, ANNDATA_MODALITY)
        return {ANNDATA_MODALITY: data}
    if not isinstance(data, MuData):
        raise TypeError(
            f"expected an AnnData or a MuData, got {type(data).__name__}: read the file with mtopic.read.h5mu"
        )
    if data.axis != 0:
        raise ValueError(f"the MuData shares axis {data.axis}: topics need modalities that share observations (axis=0)")
    if not data.mod:
        raise ValueError("the MuData holds no modality")
    for mod, adata in data.mod.items():
        _require_loaded(adata, mod)
    return dict(data.mod)


def _require_loaded(adata: AnnData, mod: str) -> None:
    if not isinstance(adata.obs, pd.DataFrame):
        raise TypeError(f"modality {mod!r} was read lazily, and its tables are not loaded: call to_memory() first")


def holders(data: Data) -> list[Data]:
    """The data, and the modalities of a MuData."""
    return [data, *data.mod.values()] if isinstance(data, MuData) else [data]


def modality(data: Data, mod: str | None) -> tuple[str, AnnData]:
    """One modality and its name; ``mod`` may be left out where there is only one."""
    found = modalities(data)
    if mod is None:
        if len(found) > 1:
            raise ValueError(f"say which modality is meant: mod is one of {sorted(found)}")
        mod = next(iter(found))
    return mod, look_up(found, mod, "modality", "the data")


def coordinates(data: Data, key: str) -> NDArray[np.float64]:
    """Coordinates (n_obs × dimensions) from ``obsm`` of the data, else of its modalities, rows matched by name.

    A basis ``umap`` is also found as ``X_umap``; the default ``coords`` also as ``spatial``. ``"mod:key"`` is that of
    one modality.
    """
    return basis(data, key)[1].to_numpy()


def basis(data: Data, key: str, *, of_one: bool = False) -> tuple[str, pd.DataFrame]:
    """Name of the slot that `coordinates` come from, and these.

    If they are ``of_one`` modality, those of observations that it lacks may be NaN; so may be those of observations
    without a place in an embedding.
    """
    parts: dict[str, AnnData] = {} if isinstance(data, AnnData) else modalities(data)
    mod, _, rest = key.partition(":")
    places = [(slot, named) for slot in _spellings(key) for named in ({"": data}, parts)]
    if mod in parts:
        places += [(slot, {mod: parts[mod]}) for slot in _spellings(rest)]
    for slot, named in places:
        tables = {name: _rows(holder, slot) for name, holder in named.items() if _is_table(holder, slot)}
        if tables:
            record.warn_outdated(data, f"obsm:{slot}")
            _require_one_basis(data, tables, slot)
            merged = _merge(tables, data.obs_names, slot, whole=not (of_one and list(named) == [mod]))
            return slot, _finite(merged, tables, slot, part=of_one and is_embedding(data, slot))
    known = {name for holder in holders(data) for name in holder.obsm if _is_table(holder, name)}
    raise KeyError(absent(key, sorted(known), "coordinates", "obsm of the data and of its modalities"))


def is_embedding(data: Data, slot: str) -> bool:
    """Whether coordinates of this name are places in an embedding and not in a tissue."""
    name = slot.removeprefix("X_")
    as_scanpy = any(f"X_{name}" in holder.obsm for holder in holders(data))
    return as_scanpy and not name.startswith(IN_TISSUE) or any(kind in name.lower() for kind in EMBEDDINGS)


def _spellings(key: str) -> list[str]:
    return [key, f"X_{key}"] + (["spatial"] if key == "coords" else [])


def _is_table(holder: Data, name: str) -> bool:
    is_mask = isinstance(holder, MuData) and name in holder.mod
    return name in holder.obsm and not is_mask


def _rows(holder: Data, name: str) -> pd.DataFrame:
    values = holder.obsm[name]
    if hasattr(values, "toarray"):
        values = values.toarray()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"obsm[{name!r}] does not hold numbers: {error}") from error
    if array.ndim != 2:
        raise ValueError(f"obsm[{name!r}] has shape {array.shape}: coordinates are n_obs × dimensions")
    return pd.DataFrame(array, index=holder.obs_names)


def _merge(tables: dict[str, pd.DataFrame], names: pd.Index, slot: str, *, whole: bool) -> pd.DataFrame:
    first, *others = (table.reindex(names) for table in tables.values())
    for other in others:
        first = first.combine_first(other)
    covered = _covered(names, tables)
    if whole and not covered.all():
        raise ValueError(
            f"obsm[{slot!r}] has no coordinates for {(~covered).sum()} observations, the first is "
            f"{names[~covered][0]!r}"
        )
    return first


def _covered(names: pd.Index, tables: dict[str, pd.DataFrame]) -> NDArray[np.bool_]:
    """Whether a table has the observation; to look each up takes seconds where they are many."""
    covered = np.zeros(len(names), bool)
    for table in tables.values():
        covered |= True if table.index.equals(names) else names.isin(table.index)
    return covered


def _finite(points: pd.DataFrame, tables: dict[str, pd.DataFrame], slot: str, *, part: bool) -> pd.DataFrame:
    """The points, finite where a table has the observation, or missing as a whole if ``part`` may be."""
    bad = ~np.isfinite(points).all(axis=1)
    bad &= points.notna().any(axis=1) if part else _covered(points.index, tables)
    if bad.any():
        raise ValueError(
            f"obsm[{slot!r}] is not finite for {bad.sum()} observations, the first is {points.index[bad][0]!r}: "
            "drop these observations or mend their coordinates"
        )
    return points


def _require_one_basis(data: Data, tables: dict[str, pd.DataFrame], slot: str) -> None:
    """Several modalities may hold the same coordinates, or a tissue's for observations that the others lack."""
    (mod, first), *others = tables.items()
    for other_mod, other in others:
        common = first.index.intersection(other.index)
        if len(common) and first.shape[1] == other.shape[1]:
            here, there = first.loc[common].to_numpy(), other.loc[common].to_numpy()
            differ = bool((np.abs(here - there) > 1e-4 * np.nanmax(np.abs(here), initial=0)).any())
        else:
            differ = is_embedding(data, slot) or first.shape[1] != other.shape[1]
        if differ:
            one, another = f"{mod}:{slot}", f"{other_mod}:{slot}"
            raise ValueError(
                f"modalities {mod!r} and {other_mod!r} have different coordinates obsm[{slot!r}]: say which are meant, "
                f"{one!r} or {another!r}"
            )


def column(data: Data, key: str) -> pd.Series:
    """A column of ``obs``; of a modality as ``"mod:column"``, or by its bare name if one modality only has it.

    Values that differ, but not as text, are refused.
    """
    values = _column(data, key)
    as_text(values, f"obs[{key!r}]")
    return values


def _column(data: Data, key: str) -> pd.Series:
    if key in data.obs:
        record.warn_outdated(data, f"obs:{key}")
        return data.obs[key]
    found = {}
    for mod, adata in (data.mod if isinstance(data, MuData) else {}).items():
        for name in adata.obs:
            found[f"{mod}:{name}"] = adata.obs[name]
    if key in found:
        return found[key].reindex(data.obs_names)
    full = [name for name in found if name.partition(":")[2] == key]
    if len(full) > 1:
        raise ValueError(f"several modalities have a column {key!r}: say {' or '.join(map(repr, full))}")
    if full:
        return found[full[0]].reindex(data.obs_names)
    raise KeyError(absent(key, [*data.obs.columns, *found], "column", "obs of the data and of its modalities"))


def categories(data: Data, key: str) -> pd.Categorical:
    """The category of each observation by a `column`, in their own order or sorted; their names are text."""
    given = column(data, key)
    values = pd.Categorical(given).remove_unused_categories()
    if not len(values.categories):
        raise ValueError(f"obs[{key!r}] holds no category")
    if _is_no_grouping(given, len(values.categories)):
        raise ValueError(
            f"obs[{key!r}] has {len(values.categories):,} different values, such as {values.categories[0]!r}, of "
            f"{len(given):,} observations, which makes no groups: name a column of categories; "
            f"pandas.cut(obs[{key!r}], 5) makes some of numbers"
        )
    return values.rename_categories(values.categories.astype(str))


def _is_no_grouping(given: pd.Series, n: int) -> bool:
    """Whether values are measurements or names of single observations: many, and few observations of each."""
    n_obs = len(given)
    if not is_numeric_dtype(given.dtype) or is_bool_dtype(given.dtype):
        return n > FEW_GROUPS and 2 * n > n_obs or n > MANY_GROUPS
    if not (given.dropna() % 1).any():
        return n > FEW_GROUPS and 4 * n > n_obs or n > MANY_GROUPS
    return n > FEW_GROUPS or 2 * n > max(n_obs, 10)


def table(data: Data, key: str, *, made_by: str = "mtopic.tl.topic_model (or export_params)") -> pd.DataFrame:
    """The table ``obsm[key]`` with named columns."""
    known = [name for name in data.obsm if _is_table(data, name)]
    if key not in known:
        raise KeyError(f"{absent(key, known, 'table', 'obsm of the data')}; {made_by} writes it")
    values = data.obsm[key]
    return by_position(values, data.obs_names) if isinstance(values, pd.DataFrame) else _named(values, data.obs_names)


def by_position(values: T, names: pd.Index) -> T:
    """A table of ``obsm`` by the names that its observations have now, as an index may be older; other values as is."""
    is_stale = isinstance(values, pd.DataFrame) and not values.index.equals(names)
    return values.set_axis(names) if is_stale else values  # type: ignore[attr-defined]


def with_signatures(data: Data, key: str) -> list[str]:
    """The modalities with signatures; one without, to be complained of, if there are none."""
    parts = modalities(data)
    return [mod for mod, adata in parts.items() if key in adata.varm] or list(parts)[:1]


def find_signatures(data: Data, mod: str | None, key: str) -> tuple[str, AnnData, pd.DataFrame]:
    """A modality, its name and its signatures ``varm[key]``, features × topics."""
    name, adata = modality(data, mod)
    if key not in adata.varm:
        what = absent(key, list(adata.varm.keys()), "signatures", f"varm of modality {name!r}")
        raise KeyError(f"{what}; mtopic.tl.topic_model (or export_params) writes them")
    values = adata.varm[key]
    return name, adata, values if isinstance(values, pd.DataFrame) else _named(values, adata.var_names)


def _named(values: Any, index: pd.Index) -> pd.DataFrame:
    array = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    return pd.DataFrame(array, index=index, columns=[topic_name(k) for k in range(array.shape[1])])


def find_feature(data: Data, feature: str) -> tuple[str, str]:
    """Modality and name of a feature, ``"mod:name"`` or the name alone where one modality only has it."""
    parts = modalities(data)
    mods = [mod for mod, adata in parts.items() if feature in adata.var_names]
    if len(mods) == 1:
        return mods[0], feature
    if mods:
        full = " or ".join(repr(f"{mod}:{feature}") for mod in mods)
        raise ValueError(f"modalities {mods} have a feature {feature!r}: say {full}")
    mod, _, name = feature.partition(":")
    if name and mod in parts and not isinstance(data, AnnData):
        if name in parts[mod].var_names:
            return mod, name
        raise KeyError(absent(name, parts[mod].var_names, "feature", f"modality {mod!r}"))
    known = [name for adata in parts.values() for name in adata.var_names]
    raise KeyError(absent(feature, known, "feature", "the data"))


def choose(table: pd.DataFrame, topics: str | Sequence[str] | None, where: str) -> pd.DataFrame:
    """The columns of topics that are asked for, in this order; all if None."""
    if topics is None:
        return table
    names = [topics] if isinstance(topics, str) else list(topics)
    for topic in names:
        if topic not in table.columns:
            raise KeyError(absent(topic, table.columns, "topic", where))
    return table[names]
