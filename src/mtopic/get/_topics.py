"""Topics as an AnnData."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from mtopic._api import public
from mtopic._data import Data, DataLike, record
from mtopic._data.slots import by_position, coordinates, modalities, table
from mtopic._warn import warn

SPATIAL = "spatial"


@public
def topics(data: DataLike, *, key: str = "topics") -> AnnData:
    """The topic proportions as an AnnData of its own, for scanpy, squidpy and muon to plot and analyse.

    {Parameters data:topics}
    key
        Key of the proportions in ``obsm``.

    Returns
    -------
    AnnData
        With the proportions (float64) as ``X`` and the topics as variables. It carries copies of ``obs``, ``obsp``,
        ``uns`` and the other tables of ``obsm``: a change of one object does not change the other. Besides,

        - ``obsm["spatial"]`` is a float array of the coordinates, if ``obsm["spatial"]`` or ``obsm["coords"]`` of the
          data or of its modalities holds them; ``uns["spatial"]`` has the images of all modalities where the data have
          none,
        - a basis in a table of two or three numeric columns, such as ``obsm["umap"]``, is an array and is also found as
          ``obsm["X_umap"]``,
        - colours of a modality's categories (``uns["cell_type_colors"]``) are found under the name that mudata gives
          the column (``uns["rna:cell_type_colors"]``).

    Raises
    ------
    KeyError
        If there is no table ``obsm[key]``; the nearest names are offered.

    {Examples:data}
    >>> adata = mt.get.topics(mdata, key="true_topics")
    >>> adata.shape, adata.var_names[0], adata.obsm["spatial"].shape
    ((200, 3), 'topic_1', (200, 2))
    """
    proportions = table(data, key)
    record.warn_outdated(data, *(f"obs:{name}" for name in data.obs), *(f"obsm:{name}" for name in data.obsm))
    obs = _obs(data)
    return AnnData(
        X=proportions.to_numpy(dtype=np.float64),
        obs=obs,
        var=pd.DataFrame(index=proportions.columns.astype(str)),
        obsm=_tables(data, key, proportions.columns),
        obsp=dict(data.obsp),
        uns=_uns(data, obs),
    ).copy()


def _obs(data: Data) -> pd.DataFrame:
    """``obs`` of the data, with the columns of its modalities as ``modality:column`` where they are not there yet."""
    obs = data.obs.copy()
    if isinstance(data, MuData):
        for mod, adata in data.mod.items():
            for column in adata.obs:
                if f"{mod}:{column}" not in obs:
                    obs[f"{mod}:{column}"] = adata.obs[column].reindex(obs.index)
    return obs


def _tables(data: Data, key: str, topics: pd.Index) -> dict[str, Any]:
    """The tables of ``obsm`` in the forms that scanpy and squidpy take, without masks of modalities and the topics."""
    parts = list(data.mod) if isinstance(data, MuData) else []
    left_behind = {key, SPATIAL, *parts}
    tables = {name: by_position(data.obsm[name], data.obs_names) for name in data.obsm if name not in left_behind}
    for name, values in list(tables.items()):
        if _is_basis(values) and not values.columns.isin([*topics, *parts]).any():
            tables[name] = values.to_numpy(dtype=np.float64)
            tables.setdefault(f"X_{name}", tables[name])
    points = _coordinates(data)
    return tables if points is None else tables | {SPATIAL: points}


def _is_basis(table: Any) -> bool:
    return isinstance(table, pd.DataFrame) and table.shape[1] in (2, 3) and all(map(is_numeric_dtype, table.dtypes))


def _coordinates(data: Data) -> NDArray[np.float64] | None:
    for name in (SPATIAL, "coords"):
        try:
            return coordinates(data, name)
        except KeyError:
            continue
        except (TypeError, ValueError) as error:
            warn(f"the topics come without obsm['spatial']: {error}")
            return None
    return None


def _uns(data: Data, obs: pd.DataFrame) -> dict[str, Any]:
    """``uns`` of the data, with the images and the colours that only a modality holds."""
    uns = {**_images(data), **data.uns}
    for mod, adata in modalities(data).items():
        for name in adata.uns:
            column = f"{mod}:{name.removesuffix('_colors')}"
            if name.endswith("_colors") and column in obs:
                uns.setdefault(f"{column}_colors", adata.uns[name])
    return uns


def _images(data: Data) -> dict[str, Any]:
    """``uns["spatial"]`` of all modalities, where the data have none; it has images by library."""
    libraries: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for mod, adata in modalities(data).items() if SPATIAL not in data.uns else ():
        for name, library in adata.uns.get(SPATIAL, {}).items():
            if owner.setdefault(name, mod) == mod:
                libraries[name] = library
            elif not _equal(libraries[name], library):
                warn(
                    f"modalities {owner[name]!r} and {mod!r} have different images uns['spatial'][{name!r}]: the "
                    f"topics come with that of {owner[name]!r}; put the one that is meant into uns['spatial'] of the "
                    "data"
                )
    return {SPATIAL: libraries} if libraries else {}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    return bool(np.array_equal(one, other))
