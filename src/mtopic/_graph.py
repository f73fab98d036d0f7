"""Spatial neighbour graphs: squidpy builds them, this module finds, aligns and stores them."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from ._slots import Data, absent, modalities


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
    elif not 1 <= n_neighbors < n_obs:
        raise ValueError(f"n_neighbors={n_neighbors}: it must be at least 1 and less than the {n_obs} observations")
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
    holders = [data, *modalities(data).values()]
    for holder in holders:
        if slot in holder.obsp:
            order = holder.obs_names.get_indexer(data.obs_names)
            if (order < 0).any():
                raise ValueError(
                    f"obsp[{slot!r}] lacks {(order < 0).sum()} observations of the data: build it on all of them"
                )
            distances = holder.obsp.get(distance_slot)
            params = dict(holder.uns.get(f"{key}_neighbors", {}).get("params", {}))
            graph = Graph(csr_array(holder.obsp[slot]), None if distances is None else csr_array(distances), params)
            return graph.reorder(order)
    known = {k.removesuffix("_connectivities") for h in holders for k in h.obsp if k.endswith("_connectivities")}
    raise KeyError(absent(key, sorted(known), "neighbour graph", "obsp (neighbors_key=…)"))


def warn_isolated(neighbours: csr_array) -> None:
    """Say how many observations have no neighbour."""
    alone = int((np.diff(neighbours.indptr) == 0).sum())
    if alone:
        n_obs = neighbours.shape[0]
        warnings.warn(
            f"{alone} of {n_obs} observations ({alone / n_obs:.1%}) have no neighbour and keep their own topics: "
            "a larger radius, or n_neighbors, would give them some",
            stacklevel=4,
        )


def store(graph: Graph, data: Data, own: str | None) -> str:
    """Write the graph under squidpy's names, or with ``mtopic_`` before them where those are taken; return the key.

    ``own`` is the key of a graph that an earlier export wrote, to be replaced.
    """
    key = "spatial"
    slots = {"connectivities_key": f"{key}_connectivities", "distances_key": f"{key}_distances"}
    taken = f"{key}_neighbors" in data.uns or any(slot in data.obsp for slot in slots.values())
    if taken and own != key:
        key = "mtopic_spatial"
        slots = {"connectivities_key": f"{key}_connectivities", "distances_key": f"{key}_distances"}
    data.obsp[slots["connectivities_key"]] = csr_matrix(graph.connectivities)
    if graph.distances is not None:
        data.obsp[slots["distances_key"]] = csr_matrix(graph.distances)
    data.uns[f"{key}_neighbors"] = {**slots, "params": dict(graph.params)}
    return key
