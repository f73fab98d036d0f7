"""Graphs from coordinates: every edge is squidpy's."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.spatial import QhullError

from .neighbours import Graph, lengths
from .sections import split

Method: TypeAlias = Literal["delaunay", "grid"]


def build(
    points: NDArray[np.float64],
    radius: float,
    n_neighbors: int | None,
    *,
    method: Method | None = None,
    sections: pd.CategoricalIndex | None = None,
) -> Graph:
    """Neighbours within ``radius``, or the ``n_neighbors`` nearest ones, or by another method of squidpy.

    Parameters
    ----------
    points
        Coordinates, n_obs × dimensions.
    radius
        In units of the longer side of the section, as in `normalised`; without effect where another argument decides.
    n_neighbors
        The number of nearest observations; of a grid, that of adjacent places, 6 if None.
    method
        ``"delaunay"``, the corners of the same triangles or tetrahedra; ``"grid"``, adjacent places of a regular grid.
    sections
        The section of each observation. Each has the graph that it would have alone, and no edge leaves it.
    """
    parts = split(sections, points.shape[0])
    if method == "grid" and n_neighbors is None:
        n_neighbors = 6
    _check(points, radius, n_neighbors, method, parts)
    rows, columns, sides = [], [], []
    with quiet_squidpy() as sq:
        for name, members in parts.items():
            unit, side = normalised(points[members])
            edges = _edges(sq, unit, radius, n_neighbors, method, _of(name))
            rows.append(members[edges.row])
            columns.append(members[edges.col])
            sides.append(side)
    index = np.concatenate(rows), np.concatenate(columns)
    graph = csr_array((np.ones(index[0].size, dtype=np.float32), index), shape=(points.shape[0],) * 2)
    distances = csr_array((lengths(graph, points), graph.indices, graph.indptr), shape=graph.shape, copy=True)
    distances.eliminate_zeros()
    return Graph(graph, distances, _params(radius, n_neighbors, method, sections, dict(zip(parts, sides, strict=True))))


def _check(
    points: NDArray[np.float64],
    radius: float,
    n_neighbors: int | None,
    method: Method | None,
    parts: dict[str | None, NDArray[np.intp]],
) -> None:
    if method is not None and method not in get_args(Method):
        raise ValueError(f"method={method!r}: it must be one of {', '.join(map(repr, get_args(Method)))}, or None")
    if method == "delaunay":
        if n_neighbors is not None:
            raise ValueError(
                f"n_neighbors={n_neighbors}: method='delaunay' finds their number itself, leave one of them out"
            )
        return
    if n_neighbors is None:
        if not radius > 0:
            raise ValueError(f"radius={radius}: it must be positive, in units of the tissue's longer side")
        return
    for name, members in parts.items():
        if not 1 <= n_neighbors < members.size or int(n_neighbors) != n_neighbors:
            raise ValueError(
                f"n_neighbors={n_neighbors}: it must be a whole number, at least 1 and less than the "
                f"{members.size} observations{_of(name)}"
            )
        if method == "grid" and (np.ptp(points[members], axis=0) > 0).sum() > 2:
            raise ValueError(
                f"method='grid' is for two dimensions, the coordinates{_of(name)} have {points.shape[1]}: "
                "use radius, n_neighbors or method='delaunay'"
            )


def _of(section: str | None) -> str:
    return "" if section is None else f" of section {section!r}"


def _edges(
    sq: ModuleType, points: NDArray[np.float64], radius: float, n_neighbors: int | None, method: Method | None, of: str
) -> coo_array:
    """The edges of one section, by the builder of squidpy that is meant."""
    if method == "delaunay":
        return _delaunay(sq, points, of)
    private = _private(points)
    if method == "grid":
        found = sq.gr.spatial_neighbors_grid(private, n_neighs=int(n_neighbors or 6), copy=True)
    elif n_neighbors is not None:
        found = sq.gr.spatial_neighbors_knn(private, n_neighs=int(n_neighbors), copy=True)
    else:
        found = sq.gr.spatial_neighbors_radius(private, radius=float(radius), copy=True)
    return coo_array(found[0])


def _delaunay(sq: ModuleType, points: NDArray[np.float64], of: str) -> coo_array:
    """Delaunay neighbours of places; observations in one place are neighbours and share those of the place."""
    wide = points[:, np.ptp(points, axis=0) > 0]
    failed = ValueError(
        f"method='delaunay' finds no triangles: the {len(points)} observations{of} are too few, or lie on a line or "
        "in a plane; use radius or n_neighbors"
    )
    if wide.shape[1] < 2:
        raise failed
    place = pd.DataFrame(wide).groupby(list(range(wide.shape[1])), sort=False).ngroup().to_numpy()
    first = np.unique(place, return_index=True)[1]
    try:
        between = sq.gr.spatial_neighbors_delaunay(_private(wide[first]), copy=True)[0]
    except QhullError as error:
        raise failed from error
    at = csr_array((np.ones(place.size, dtype=np.float32), (np.arange(place.size), place)))
    edges = coo_array(at @ csr_array(between) @ at.T + at @ at.T)
    apart = edges.row != edges.col
    return coo_array((edges.data[apart], (edges.row[apart], edges.col[apart])), shape=edges.shape)


def _private(points: NDArray[np.float64]) -> AnnData:
    return AnnData(obs=pd.DataFrame(index=[str(d) for d in range(len(points))]), obsm={"spatial": points})


def _params(
    radius: float,
    n_neighbors: int | None,
    method: Method | None,
    sections: pd.CategoricalIndex | None,
    sides: dict[str | None, float],
) -> dict[str, Any]:
    """What the graph was built with, as squidpy notes it: a radius in the units of the coordinates, one a section."""
    params: dict[str, Any] = {"coord_type": "grid" if method == "grid" else "generic"}
    if method is not None:
        params["method"] = method
    if n_neighbors is not None:
        params["n_neighbors"] = int(n_neighbors)
    elif method is None:
        radii = float(radius) * np.array(list(sides.values()))
        params["radius"] = float(radii[0]) if sections is None else radii
    if sections is not None:
        params["sections"] = np.array(list(sides))
        if getattr(sections, "name", None) is not None:
            params["library_key"] = str(sections.name)
    return params


@contextmanager
def quiet_squidpy() -> Iterator[ModuleType]:
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


def scaled(points: NDArray[np.float64], sections: pd.CategoricalIndex | None = None) -> NDArray[np.float64]:
    """Coordinates of each section as in `normalised`."""
    unit = np.empty_like(points, dtype=np.float64)
    for members in split(sections, points.shape[0]).values():
        unit[members] = normalised(points[members])[0]
    return unit
