"""Spatial neighbour graphs: squidpy builds them, this module finds, aligns and stores them."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from ._counts import unique
from ._slots import Data, absent, modalities
from ._warn import warn


@dataclass(frozen=True)
class Graph:
    """Neighbours of the observations (rows) among the observations (columns), as squidpy stores them.

    ``distances`` are in the units of the coordinates; coincident neighbours have an entry in ``connectivities`` only.
    """

    connectivities: csr_array
    distances: csr_array | None = None
    params: dict[str, Any] = field(default_factory=dict)

    def neighbours(self) -> csr_array:
        """Who is a neighbour of whom, an observation not of itself; the values are ones."""
        pattern = csr_array(self.connectivities, copy=True).tocoo()
        keep = (pattern.row != pattern.col) & (pattern.data != 0)
        ones = np.ones(int(keep.sum()))
        return csr_array((ones, (pattern.row[keep], pattern.col[keep])), shape=pattern.shape)

    def reorder(self, order: NDArray[np.integer]) -> "Graph":
        """The graph of the observations ``order``."""
        distances = None if self.distances is None else self.distances[order][:, order]
        return Graph(self.connectivities[order][:, order], distances, self.params)


def build(points: NDArray[np.float64], radius: float, n_neighbors: int | None) -> Graph:
    """Neighbours within ``radius``, or the ``n_neighbors`` nearest ones, by squidpy.

    ``radius`` is in units of the longer side of the tissue, as in `normalised`.
    """
    n_obs = points.shape[0]
    if n_neighbors is None:
        if not radius > 0:
            raise ValueError(f"radius={radius}: it must be positive, in units of the tissue's longer side")
    elif int(n_neighbors) != n_neighbors or not 1 <= n_neighbors < n_obs:
        raise ValueError(
            f"n_neighbors={n_neighbors}: it must be a whole number, at least 1 and less than the {n_obs} observations"
        )
    scaled, side = normalised(points)
    private = AnnData(obs=pd.DataFrame(index=[str(d) for d in range(n_obs)]), obsm={"spatial": scaled})
    with _quiet_squidpy() as sq:
        if n_neighbors is None:
            connectivities, distances = sq.gr.spatial_neighbors_radius(private, radius=float(radius), copy=True)
            params = {"radius": float(radius * side), "coord_type": "generic"}
        else:
            connectivities, distances = sq.gr.spatial_neighbors_knn(private, n_neighs=int(n_neighbors), copy=True)
            params = {"n_neighbors": int(n_neighbors), "coord_type": "generic"}
    return Graph(csr_array(connectivities), csr_array(distances) * side, params)


@contextmanager
def _quiet_squidpy() -> Iterator[ModuleType]:
    """Import squidpy, keeping to itself what it logs of every graph and what its dependencies warn of while loading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import squidpy
    logger = logging.getLogger("spatialdata._logging")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield squidpy
    finally:
        logger.setLevel(level)


def normalised(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Coordinates shifted to 0 and divided by the length of the longer side, and that length."""
    shifted = points - points.min(axis=0)
    side = float(shifted.max())
    if side == 0:
        return shifted, 1.0
    return shifted / side, side


def find(data: Data, key: str) -> Graph:
    """The graph that ``obsp`` holds under squidpy's names for ``key``, rows and columns in the order of the data.

    It is looked up in the data, then in its modalities.
    """
    slot, distance_slot = f"{key}_connectivities", f"{key}_distances"
    unique(data.obs_names, "observation names of the data", "obs_names_make_unique()")
    holders = [data, *modalities(data).values()]
    found = [holder for holder in holders if slot in holder.obsp]
    for holder in found:
        order = holder.obs_names.get_indexer(data.obs_names)
        if (order >= 0).all():
            distances = holder.obsp.get(distance_slot)
            params = dict(holder.uns.get(f"{key}_neighbors", {}).get("params", {}))
            graph = Graph(csr_array(holder.obsp[slot]), None if distances is None else csr_array(distances), params)
            return graph.reorder(order)
    if found:
        lacking = len(data.obs_names.difference(found[0].obs_names))
        raise ValueError(f"obsp[{slot!r}] lacks {lacking} observations of the data: build it on all of them")
    known = {k.removesuffix("_connectivities") for h in holders for k in h.obsp if k.endswith("_connectivities")}
    raise KeyError(absent(key, sorted(known), "neighbour graph", "obsp (neighbors_key=…)"))


def warn_isolated(neighbours: csr_array) -> None:
    """Say how many observations have no neighbour."""
    alone = int((np.diff(neighbours.indptr) == 0).sum())
    if alone:
        n_obs = neighbours.shape[0]
        warn(
            f"{alone} of {n_obs} observations ({alone / n_obs:.1%}) have no neighbour and keep their own topics: "
            "a larger radius, or n_neighbors, would give them some"
        )


def store(graph: Graph, data: Data, owner: str, spare: str) -> str:
    """Write the graph under squidpy's names, or under ``spare`` where those are taken; return the key.

    What an earlier export by the same ``owner`` wrote is replaced; graphs of others are left alone.
    """
    key = next(key for key in _keys(spare) if _is_free(data, key) or _owner(data, key) == owner)
    slots = {"connectivities_key": f"{key}_connectivities", "distances_key": f"{key}_distances"}
    data.obsp[slots["connectivities_key"]] = csr_matrix(graph.connectivities)
    if graph.distances is not None:
        data.obsp[slots["distances_key"]] = csr_matrix(graph.distances)
    data.uns[f"{key}_neighbors"] = {**slots, "params": {**graph.params, "mtopic": owner}}
    return key


def _keys(spare: str) -> Iterator[str]:
    yield "spatial"
    yield spare
    yield from (f"{spare}_{number}" for number in count(2))


def _is_free(data: Data, key: str) -> bool:
    taken = f"{key}_connectivities" in data.obsp or f"{key}_distances" in data.obsp
    return not taken and f"{key}_neighbors" not in data.uns


def _owner(data: Data, key: str) -> str | None:
    """The export that wrote a graph; squidpy drops this mark when it writes another in its place."""
    record = data.uns.get(f"{key}_neighbors", {})
    return record.get("params", {}).get("mtopic")
