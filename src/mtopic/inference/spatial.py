"""Spatial terms: the influence of neighbours on an observation's topics."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from .backend import Array, Backend, Double

SHARPNESS = 8
"""Power of likeness: at 8, neighbours across a sharp border (likeness below 0.7) have under a tenth of the weight."""
REFINEMENTS = 3
"""Of likeness, each by the topics that the one before gave: further ones change little."""
PRECISION, LONGEST = 1e-5, 10_000
"""Of proportions, at which rounds end; and rounds at most, of which a hundred are many."""


@dataclass(frozen=True)
class NeighbourPrior:
    """θ_d ~ Dirichlet(α + s · n̄ · Σ_j w_dj ℓ_dj θ_j / Σ_j w_dj) over the neighbours j, n̄ the mean count.

    The topics that an observation's counts have are those of a fit without neighbours, c_d = γ_d − α. With the
    likeness ℓ held, the means of all θ are the one solution of linear equations. It begins at 1 and is the
    Bhattacharyya coefficient Σ_k √(θ_dk θ_jk) to the power `SHARPNESS` in each of the `REFINEMENTS`. An observation
    without counts, or without neighbours that have any, takes no part.
    """

    neighbours: csr_array
    """D × D, without self edges; an entry is the weight of a neighbour in the mean."""
    strength: float
    """With 1, neighbours that are alike weigh as much as the counts of an observation that has n̄."""

    def pseudocounts(self, gamma: Array, totals: NDArray[np.float64]) -> Array:
        """What the prior adds to α, D × K, from γ of all observations; zero where nobody is near."""
        theta = _shares(gamma)
        return np.asarray(_alike(self._means(totals), theta) @ theta, gamma.dtype)

    def smoothed(self, gamma: Array, totals: NDArray[np.float64]) -> Array:
        """γ of all observations beside neighbours, from γ without."""
        own, means = gamma.astype(np.float64), self._means(totals)
        theta = _solved(own, means)
        for _ in range(REFINEMENTS):
            alike = _alike(means, theta)
            theta = _solved(own, alike)
        return np.asarray(own + alike @ theta, gamma.dtype)

    def _means(self, totals: NDArray[np.float64]) -> csr_array:
        """A matrix that takes θ to the mean over the neighbours that have counts, times s · n̄."""
        known = (totals > 0).astype(np.float64)
        mutual = (self.neighbours + self.neighbours.T) / 2
        weights = csr_array(diags_array(known) @ mutual @ diags_array(known))
        mass = np.asarray(weights.sum(axis=1)).ravel()
        amount = self.strength * totals.sum() / max(1.0, known.sum())
        scale = np.divide(amount, mass, out=np.zeros_like(mass), where=mass > 0)
        return csr_array(diags_array(scale) @ weights)


def _alike(means: csr_array, theta: Double) -> csr_array:
    """The same, with neighbours that are unlike counting less."""
    roots, rows = np.sqrt(theta), np.repeat(np.arange(len(theta)), np.diff(means.indptr))
    likeness = sum(column[rows] * column[means.indices] for column in roots.T)
    return csr_array((means.data * likeness**SHARPNESS, means.indices, means.indptr), shape=means.shape)


def _solved(own: Double, means: csr_array) -> Double:
    """θ = (own + means · θ) / its sum, by Richardson's iteration of the second order.

    A round of the equation alone brings θ nearer by the factor ρ. As neighbours are mutual, its eigenvalues are real,
    and ω = 2 / (1 + √(1 − ρ²)) makes the number of rounds a matter of √(1 − ρ).
    """
    lent = np.asarray(means.sum(axis=1))
    total = own.sum(axis=1) + lent
    omega = 2 / (1 + np.sqrt(1 - (lent / total).max() ** 2))
    before = theta = _shares(own)
    for _ in range(LONGEST):
        found = (own + means @ theta) / total[:, None]
        if abs(found - theta).max() < PRECISION:
            break
        before, theta = theta, before + omega * (found - before)
    return found


def _shares(gamma: Array) -> Double:
    return np.asarray(gamma / gamma.sum(axis=1, keepdims=True, dtype=np.float64))


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
