"""What neighbours have to do with a fit: nothing, or the original's correction and the prior."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array

from mtopic._data import Data
from mtopic._data import graph as graphs
from mtopic._data.graph import Graph
from mtopic._data.spatial_graph import SpatialGraph
from mtopic.inference import Array, Corpus, Correction, Fit, NeighbourPrior, SpatialTerm, State
from mtopic.inference.learn.strength import learned_strength

from .settings import SpatialSettings

PARTS = ("data", "indices", "indptr")


@dataclass(frozen=True)
class NoSmoothing:
    """Observations that are no neighbours of each other."""

    graph: Graph | None = None
    strength: float | None = None

    def count_scale(self, schedule: str) -> float:
        """What a unit of the data counts for."""
        return 1.0

    def learns(self, schedule: str | None = None) -> bool:
        """Whether the strength has still to be learned, under this schedule or under any."""
        return False

    def learned(self, fit: Fit, observed: Corpus, rng: np.random.Generator) -> tuple[Self, Array | None, float]:
        """With the strength that counts hidden from short fits ask for; a start of the fit, if any; and the work."""
        return self, None, 0.0

    def term(self, schedule: str) -> SpatialTerm | None:
        """What an iteration does about neighbours."""
        return None

    def params(self, schedule: str) -> dict[str, Any]:
        """What the fit was made with, in types that HDF5 can hold."""
        return {}

    def state(self) -> State:
        """Settings and arrays for a file."""
        return {}, {}


@dataclass(frozen=True, kw_only=True)
class Smoothing(NoSmoothing):
    """Neighbours, how much each weighs, and how strongly they count; the strength is None until it is learned."""

    graph: Graph
    weights: csr_array
    """Of the neighbours in the prior, n_obs × n_obs."""
    correction: Correction
    asked: str | None
    """``"prior"``, ``"original"``, or None to go by the schedule."""
    where: Mapping[str, Any]
    """What was asked about neighbours, in types that HDF5 can hold."""
    raw_share: float
    """Total of the raw counts over that of the data."""

    @classmethod
    def of(cls, data: Data, settings: SpatialSettings, raw_share: float) -> Self:
        """Find the neighbours in the data."""
        around = SpatialGraph.of(data, **settings.neighbours())
        strength = None if settings.strength == "auto" else float(settings.strength)
        asked = settings.smoothing if strength is None else "prior"
        neighbours = around.graph.neighbours()
        graphs.warn_isolated(neighbours if asked == "original" else around.weights)
        points = None if around.points is None else graphs.scaled(around.points, around.sections)
        return cls(
            graph=around.graph,
            strength=strength,
            weights=around.weights,
            correction=Correction.from_points(neighbours, points),
            asked=asked,
            where=around.params,
            raw_share=raw_share,
        )

    def count_scale(self, schedule: str) -> float:
        """The prior weighs against counts: those that were scaled up would pass for more than there are."""
        if self._kind(schedule) == "original":
            return 1.0
        if schedule == "original":
            raise ValueError(
                "schedule='original' has the original's smoothing: make the model with smoothing=None or 'original', "
                "or fit with schedule='fast'"
            )
        return self.raw_share

    def learns(self, schedule: str | None = None) -> bool:
        kind = self.asked if schedule is None else self._kind(schedule)
        return self.strength is None and kind != "original"

    def learned(self, fit: Fit, observed: Corpus, rng: np.random.Generator) -> tuple[Self, Array | None, float]:
        strength, lam, passes = learned_strength(fit, observed, self.weights, rng)
        return replace(self, strength=strength), lam if self.raw_share == 1 else None, passes

    def term(self, schedule: str) -> SpatialTerm | None:
        if self._kind(schedule) == "original":
            return self.correction
        return NeighbourPrior(self.weights, self.strength) if self.strength else None

    def params(self, schedule: str) -> dict[str, Any]:
        kind = self._kind(schedule)
        known = {"strength": self.strength} if self.strength is not None and kind == "prior" else {}
        return {**self.where, "smoothing": kind, **known}

    def state(self) -> State:
        plain = {"smoothing": self.asked, "strength": self.strength, "where": dict(self.where)}
        plain |= {"raw_share": self.raw_share, "graph": self.graph.params}
        matrices = {"connectivities": self.graph.connectivities, "distances": self.graph.distances}
        matrices |= {"weights": self.weights, "correction": self.correction.neighbours}
        return plain, {
            f"graph/{name}/{part}": getattr(matrix, part)
            for name, matrix in matrices.items()
            if matrix is not None
            for part in PARTS
        }

    @classmethod
    def from_state(cls, plain: Mapping[str, Any], arrays: Mapping[str, Any], n_obs: int) -> Self:
        """The smoothing with this `state`."""

        def matrix(name: str) -> csr_array:
            return csr_array(tuple(arrays[f"graph/{name}/{part}"] for part in PARTS), shape=(n_obs, n_obs))

        params = {key: np.array(value) if isinstance(value, list) else value for key, value in plain["graph"].items()}
        distances = matrix("distances") if "graph/distances/data" in arrays else None
        return cls(
            graph=Graph(matrix("connectivities"), distances, params),
            strength=plain["strength"],
            weights=matrix("weights"),
            correction=Correction(matrix("correction")),
            asked=plain["smoothing"],
            where=plain["where"],
            raw_share=plain["raw_share"],
        )

    def _kind(self, schedule: str) -> str:
        return self.asked or ("original" if schedule == "original" else "prior")
