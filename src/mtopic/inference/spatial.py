"""Spatial terms: the influence of neighbours on an observation's topics."""

from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .backend import Array, Backend

SHARPNESS = 8
"""Power of likeness: at 8, neighbours across a sharp border (likeness below 0.7) have under a tenth of the weight."""
INITIAL_STRENGTH = 10.0
"""Times its strength, the prior begins a fit: topics of regions form before those of single observations."""


@dataclass(frozen=True)
class NeighbourPrior:
    """θ_d ~ Dirichlet(α + strength · n_d · mean of likeness_dj · θ_j over the neighbours j), n_d its total count.

    Likeness is the Bhattacharyya coefficient Σ_k √(θ_dk θ_jk) to the power `SHARPNESS`: across a sharp border there is
    little influence.
    """

    neighbours: csr_array
    """D × D, without self edges; an entry is the weight of a neighbour in the mean."""
    strength: float
    """With 1, neighbours that are alike weigh together as much as the observation's own counts."""

    def __call__(self, gamma: Array, totals: NDArray[np.float64], backend: Backend, *, descent: float) -> Array:
        """The pseudo-counts that the prior adds to α, D × K, from γ of all observations; zero where nobody is near.

        At ``descent`` 1 the strength is `INITIAL_STRENGTH` times what it is at 0, and all neighbours count as alike.
        """
        strength = self.strength * INITIAL_STRENGTH**descent
        return backend.pseudocounts(self.neighbours, gamma, SHARPNESS * (1 - descent), strength * totals)

    def around(self, observations: NDArray[np.integer]) -> tuple[Self, NDArray[np.integer]]:
        """The prior of some observations, and whose γ it asks for: these, and then each neighbour of each."""
        graph, n_obs = self.neighbours[observations], len(observations)
        places = np.arange(n_obs, n_obs + graph.nnz).astype(graph.indices.dtype)
        near = csr_array((graph.data, places, graph.indptr), shape=(n_obs, n_obs + graph.nnz))
        return replace(self, neighbours=near), np.concatenate([observations, graph.indices])


@dataclass(frozen=True)
class Correction:
    """The original's correction: γ is multiplied by (1 + similarity-weighted mean of the neighbours)."""

    neighbours: csr_array
    """D × D, without self edges; an entry is the weight exp(−π·distance²) of a neighbour."""

    @classmethod
    def from_points(cls, neighbours: csr_array, points: NDArray[np.float64] | None) -> "Correction":
        """Weigh neighbours by their distance in the units of ``points``; all alike where there are none."""
        weighted = neighbours.copy()
        if points is not None:
            rows = np.repeat(np.arange(neighbours.shape[0]), np.diff(neighbours.indptr))
            squared = ((points[rows] - points[neighbours.indices]) ** 2).sum(axis=1)
            weighted.data = np.exp(-np.pi * squared)
        return cls(weighted)

    def __call__(self, gamma: Array, previous: Array, backend: Backend, *, isolated: bool) -> Array:
        """γ after the correction; ``previous`` holds the neighbours' γ of the iteration before.

        With ``isolated``, observations without neighbours are corrected by themselves, as the original does.
        """
        return backend.corrected(self.neighbours, gamma, previous, isolated=isolated)


SpatialTerm: TypeAlias = NeighbourPrior | Correction
