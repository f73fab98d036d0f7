"""Spatial terms: what neighbours say of an observation's topics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from . import kernels
from .execution import Threads


@dataclass(frozen=True)
class Correction:
    """The original's correction: once an iteration, γ is multiplied by (1 + similarity-weighted mean of the neighbours).

    Parameters
    ----------
    neighbours
        D × D, without self edges; an entry is the weight exp(−π·distance²) of a neighbour.
    """

    neighbours: csr_array

    @classmethod
    def from_points(cls, neighbours: csr_array, points: NDArray[np.float64] | None) -> "Correction":
        """Weigh neighbours by their distance in the units of ``points``; all alike where there are none."""
        weighted = neighbours.copy()
        if points is not None:
            rows = np.repeat(np.arange(neighbours.shape[0]), np.diff(neighbours.indptr))
            squared = ((points[rows] - points[neighbours.indices]) ** 2).sum(axis=1)
            weighted.data = np.exp(-np.pi * squared)
        return cls(weighted)

    def __call__(
        self, gamma: NDArray[np.floating], previous: NDArray[np.floating], threads: Threads, *, isolated: bool
    ) -> NDArray[np.floating]:
        """γ after the correction; ``previous`` holds the neighbours' γ of the iteration before.

        With ``isolated``, observations without neighbours are corrected by themselves, as the original does.
        """
        graph = self.neighbours
        corrected, units = np.empty_like(gamma), np.empty_like(gamma)
        threads.run(kernels.unit_rows, np.arange(len(gamma) + 1), previous, units)
        args = (graph.indptr, graph.indices, graph.data, gamma, units, isolated, corrected)
        threads.run(kernels.correct_by_neighbours, graph.indptr, *args)
        return corrected
