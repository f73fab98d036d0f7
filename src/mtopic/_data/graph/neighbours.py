"""What a neighbour graph is, and how much its neighbours weigh."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from mtopic._warn import warn

from .sections import split

LIGHTEST = 1e-100
"""Weights below have hardly a reciprocal, and means of them none."""


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

    def weights(
        self,
        points: NDArray[np.float64] | None,
        bandwidth: float | Literal["auto"] | None = None,
        sections: pd.CategoricalIndex | None = None,
    ) -> csr_array:
        """How much each neighbour weighs: exp(−(distance / bandwidth)² / 2), an observation not its own neighbour.

        Parameters
        ----------
        points
            Coordinates, n_obs × dimensions. Without them the graph's distances are taken; where it has none either,
            its connectivities are the weights.
        bandwidth
            In units of the distances; infinite, and all neighbours weigh 1. None and ``"auto"`` stand for the median,
            over the observations of a section, of the distance to the nearest neighbour that is not in the same place.
        sections
            The section of each observation, for a bandwidth of its own.

        Returns
        -------
        n_obs × n_obs, double precision, rows sorted. Neighbours so far away that they weigh less than 1e-100 have no
        entry.
        """
        given = _given(bandwidth)
        neighbours = self.neighbours()
        if points is not None:
            far = lengths(neighbours, points)
        elif self.distances is not None:
            far = _stored_lengths(neighbours, self.distances)
        elif given is None:
            return _stored_weights(neighbours, self.connectivities)
        elif np.isinf(given):
            return neighbours
        else:
            raise ValueError(f"bandwidth={given}: the graph has no distances, give coordinates or leave bandwidth out")
        unit = _nearest(neighbours, far, sections) if given is None else np.full(neighbours.shape[0], given)
        with np.errstate(over="ignore"):
            neighbours.data = np.exp(-0.5 * (far / unit[_rows(neighbours)]) ** 2)
        neighbours.data[neighbours.data < LIGHTEST] = 0
        neighbours.eliminate_zeros()
        return neighbours

    def reorder(self, order: NDArray[np.integer]) -> "Graph":
        """The graph of the observations ``order``."""
        distances = None if self.distances is None else self.distances[order][:, order]
        return Graph(self.connectivities[order][:, order], distances, self.params)


def _given(bandwidth: float | Literal["auto"] | None) -> float | None:
    if bandwidth is None or bandwidth == "auto":
        return None
    if isinstance(bandwidth, str) or not bandwidth > 0:
        raise ValueError(f"bandwidth={bandwidth!r}: it must be positive, in units of the coordinates, or 'auto'")
    return float(bandwidth)


def lengths(pattern: csr_array, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance that each entry of ``pattern`` spans."""
    return np.sqrt(((points[_rows(pattern)] - points[pattern.indices]) ** 2).sum(axis=1))


def _rows(pattern: csr_array) -> NDArray[np.integer]:
    return np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))


def _stored_lengths(neighbours: csr_array, distances: csr_array) -> NDArray[np.float64]:
    """Stored distances, of either direction, as scanpy may store one only; coincident neighbours have none."""
    _check_values(distances.data, "distances")
    either = csr_matrix(distances.maximum(distances.T), dtype=np.float64)
    return np.asarray(either[_rows(neighbours), neighbours.indices]).ravel()


def _stored_weights(neighbours: csr_array, connectivities: csr_array) -> csr_array:
    weights = csr_array(neighbours.multiply(connectivities))
    _check_values(weights.data, "connectivities")
    return weights


def _check_values(values: NDArray[np.floating], what: str) -> None:
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        raise ValueError(
            f"{bad.sum()} {what} of the graph are negative or not finite, the first is {values[bad][0]}: "
            "build the graph anew, or give coordinates"
        )


def _nearest(
    neighbours: csr_array, far: NDArray[np.float64], sections: pd.CategoricalIndex | None
) -> NDArray[np.float64]:
    """The automatic bandwidth of each observation; 1 in sections where no distance says otherwise."""
    n_obs = neighbours.shape[0]
    nearest, unit = np.full(n_obs, np.inf), np.ones(n_obs)
    np.minimum.at(nearest, _rows(neighbours), np.where(far > 0, far, np.inf))
    for members in split(sections, n_obs).values():
        known = nearest[members][np.isfinite(nearest[members])]
        if known.size:
            unit[members] = np.median(known)
    return unit


def warn_isolated(neighbours: csr_array) -> None:
    """Say how many observations have no neighbour."""
    alone = int((np.diff(neighbours.indptr) == 0).sum())
    if alone:
        n_obs = neighbours.shape[0]
        warn(
            f"{alone} of {n_obs} observations ({alone / n_obs:.1%}) have no neighbour and keep their own topics: "
            "a larger radius, or n_neighbors, would give them some"
        )
