from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import Data, DataLike, record
from mtopic._data.empty import is_empty
from mtopic._data.slots import modalities, table
from mtopic._log import logger

MANY = 10_000


@public
def umap(
    mdata: DataLike,
    x: str = "topics",
    umap: str = "umap",
    n_components: int = 2,
    min_dist: float = 0.1,
    n_neighbors: int = 20,
    seed: int | np.random.Generator = 2291,
    n_jobs: int = 10,
    *,
    metric: str = "euclidean",
    verbose: bool = True,
) -> None:
    """Embed the observations by UMAP of their topic proportions, with scanpy's neighbours and embedding.

    {Parameters mdata=data:topics}
    x
        Key of the table in ``obsm`` to embed (n_obs × topics).
    umap
        Name of the embedding.
    n_components
        Number of its dimensions.
    min_dist
        Least distance of two points in it: the smaller, the tighter the clumps.
    n_neighbors
        Number of nearest observations, itself included, whose nearness to an observation is kept.
    {seed=rng}
    n_jobs
        Without effect: a reproducible embedding is computed in one thread.
    metric
        Distance between rows of the table, by scikit-learn's names. ``"euclidean"`` is the original program's;
        ``"hellinger"`` is a distance between distributions.
    verbose
        Say that it takes a while, where there are many observations.

    Returns
    -------
    None. Sets

    ``obsm["umap"]`` : DataFrame, n_obs × n_components, float32
        Columns ``umap_1``, ``umap_2``, … Only in a MuData.
    ``obsm["X_umap"]`` : array, n_obs × n_components, float32
        The same numbers. NaN for observations without counts in the fit (``obs["mtopic_empty"]``), which are no
        neighbours of others.
    ``uns["umap"]["params"]``
        Settings of the embedding, as scanpy stores them, unless there is something else under this name.

    With another ``umap`` all names change with it.

    Raises
    ------
    KeyError
        If there is no such table.
    ValueError
        If the table is not finite; if ``n_neighbors`` is not from 2 to one less than there are observations with
        counts, ``n_components`` less than 1 or ``min_dist`` not from 0 to 1; if ``umap`` is the name of a modality; or
        if there is no such ``metric``.

    Notes
    -----
    `scanpy.pl.umap` draws an AnnData as it is. For a MuData, scanpy and muon cannot draw the table that the original
    program writes: ``mu.pl.embedding(mdata, "X_umap", color=...)`` and ``sc.pl.umap(mt.get.topics(mdata), color=...)``
    draw the array.

    References
    ----------
    McInnes, Healy and Melville (2018): UMAP, uniform manifold approximation and projection for dimension reduction.

    {Examples:data}
    >>> mt.tl.umap(mdata, "true_topics")
    >>> list(mdata.obsm["umap"].columns), mdata.obsm["X_umap"].shape
    (['umap_1', 'umap_2'], (200, 2))
    """
    known = ~is_empty(mdata, x)
    values = _finite(table(mdata, x)[known], x)
    name = umap.removeprefix("X_")
    if not isinstance(mdata, AnnData) and name in modalities(mdata):
        raise ValueError(f"umap={umap!r} is a modality, whose observations obsm[{name!r}] marks: give another name")
    if not 2 <= n_neighbors < len(values):
        raise ValueError(
            f"n_neighbors={n_neighbors}: of {len(values)} observations choose from 2 to {len(values) - 1} neighbours"
        )
    if n_components < 1:
        raise ValueError(f"n_components={n_components}: an embedding has at least 1 dimension")
    if not 0 <= min_dist <= 1:
        raise ValueError(f"min_dist={min_dist}: choose a distance from 0 to 1")
    if verbose and len(values) >= MANY:
        logger.info(f"UMAP of {len(values):,} observations takes a while, the first in a session longer")
    random_state = int(seed.integers(2**32)) if isinstance(seed, np.random.Generator) else seed
    points = np.full((mdata.n_obs, n_components), np.nan, np.float32)
    points[known] = _embedded(values, n_neighbors, metric, n_components, min_dist, random_state)
    options = {"n_neighbors": n_neighbors, "min_dist": min_dist, "metric": metric, "random_state": random_state}
    _write(mdata, name, points, {**options, "use_rep": x})
    record.note(mdata, record.head_of(x), f"obsm:{name}", f"obsm:X_{name}")


def _embedded(
    values: NDArray[np.float32], n_neighbors: int, metric: str, n_components: int, min_dist: float, random_state: int
) -> NDArray[np.float32]:
    """Points near one another where rows are; rows of square roots are as far apart as Hellinger has distributions."""
    import scanpy as sc

    if metric == "hellinger":
        values, metric = np.sqrt(values / values.sum(axis=1, keepdims=True)), "euclidean"
    private = AnnData(values)
    sc.pp.neighbors(private, n_neighbors, use_rep="X", metric=metric, transformer="sklearn", random_state=random_state)
    sc.tl.umap(private, n_components=n_components, min_dist=min_dist, random_state=random_state)
    return np.asarray(private.obsm["X_umap"], dtype=np.float32)


def _finite(proportions: pd.DataFrame, key: str) -> NDArray[np.float32]:
    values = proportions.to_numpy(dtype=np.float32)
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise ValueError(
            f"obsm[{key!r}] is not finite for {bad.sum()} observations, the first is {proportions.index[bad][0]!r}: "
            "leave these observations out"
        )
    return values


def _write(data: Data, name: str, points: NDArray[np.float32], params: dict[str, object]) -> None:
    data.obsm[f"X_{name}"] = points
    if not isinstance(data, AnnData):
        columns = [f"{name}_{i + 1}" for i in range(points.shape[1])]
        data.obsm[name] = pd.DataFrame(points, index=data.obs_names, columns=columns)
    held = data.uns.get(name, {"params": {}})
    if isinstance(held, Mapping) and "params" in held:
        data.uns[name] = {"params": params}
