"""Who is a neighbour of whom, and how much each weighs: one reading of what users say about it."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mtopic._warn import warn

from . import graph
from .graph import Graph, Method
from .record import Params
from .slots import Data, coordinates, holders

OVERLAP = 0.1
"""The share of observations in places of others from which on it is said: a few coincide in any data."""


@dataclass(frozen=True)
class SpatialGraph:
    """A neighbour graph with the weights of its edges.

    Parameters
    ----------
    graph
        As built or as stored.
    weights
        Of the neighbours, n_obs × n_obs.
    points
        Coordinates, or None where a stored graph came without.
    sections
        Of the observations, if there are several.
    params
        What was asked for, in types that HDF5 can hold.
    """

    graph: Graph
    weights: csr_array
    points: NDArray[np.float64] | None
    sections: pd.CategoricalIndex | None
    params: dict[str, Any]

    @classmethod
    def of(
        cls,
        data: Data,
        *,
        spatial_key: str = "coords",
        radius: float = 0.05,
        n_neighbors: int | None = None,
        neighbors_key: str | None = None,
        neighbors_method: Method | None = None,
        library_key: str | None = None,
        bandwidth: float | Literal["auto"] = "auto",
    ) -> "SpatialGraph":
        """The surroundings that `sMTM` documents."""
        sections = None if library_key is None else graph.sections(data, library_key)
        points: NDArray[np.float64] | None
        if neighbors_key is None:
            points = coordinates(data, spatial_key)
            _warn_overlapping(data, points, sections)
            found = graph.build(points, radius, n_neighbors, method=neighbors_method, sections=sections)
            params: dict[str, Any] = {"spatial_key": spatial_key}
            if neighbors_method is not None:
                params["neighbors_method"] = neighbors_method
            elif n_neighbors is None:
                params["radius"] = radius
            if n_neighbors is not None:
                params["n_neighbors"] = n_neighbors
        else:
            points = points_if_any(data, spatial_key)
            found = graph.find(data, neighbors_key)
            _check_sections(found, sections, neighbors_key)
            params = {"neighbors_key": neighbors_key}
        params["bandwidth"] = "auto" if bandwidth is None else bandwidth
        if library_key is not None:
            params["library_key"] = library_key
        return cls(found, found.weights(points, bandwidth, sections), points, sections, params)


def weights_of_fit(data: Data, params: Params) -> csr_array:
    """How much each neighbour weighed in a fit whose graph the data hold."""
    stored = graph.find(data, params.neighbors_key or str(params.stored_graph))
    points = None if params.spatial_key is None else coordinates(data, params.spatial_key)
    sections = None if params.library_key is None else graph.sections(data, params.library_key)
    return stored.weights(points, params.bandwidth, sections)


def _warn_overlapping(data: Data, points: NDArray[np.float64], sections: pd.CategoricalIndex | None) -> None:
    """Say if sections lie on top of each other, by places that are taken twice or by what squidpy knows of them."""
    places = pd.DataFrame(points)
    if sections is not None:
        places["section"] = sections.codes
    shared = int(places.duplicated(keep=False).sum())
    if shared > OVERLAP * len(places):
        named = "library_key" if sections is None else f"another column than library_key={sections.name!r}"
        warn(
            f"{shared} of {len(places)} observations are in places that are taken twice: if sections lie on top of "
            f"each other, name their column of obs by {named}, so that neighbours are of the same section"
        )
    libraries = [str(name) for holder in holders(data) for name in holder.uns.get("spatial", ())]
    if sections is None and len(set(libraries)) > 1:
        warn(
            f"uns['spatial'] has several sections, such as {libraries[0]!r} and {libraries[1]!r}, and neighbours may "
            "be of another one: name their column of obs by library_key"
        )


def _check_sections(graph: Graph, sections: pd.CategoricalIndex | None, key: str) -> None:
    if sections is None:
        return
    edges = graph.neighbours().tocoo()
    between = int((sections.codes[edges.row] != sections.codes[edges.col]).sum())
    if between:
        raise ValueError(
            f"obsp['{key}_connectivities'] has {between} neighbours in other sections of obs[{sections.name!r}]: "
            "build it with squidpy's library_key, or leave neighbors_key out"
        )


def points_if_any(data: Data, key: str) -> NDArray[np.float64] | None:
    """Coordinates, or None where there are none under the default key: a stored graph can do without."""
    try:
        return coordinates(data, key)
    except KeyError:
        if key != "coords":
            raise
        return None
