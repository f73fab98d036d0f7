"""Held-out log-likelihood by document completion: one judge for the topics of any program.

Half of an observation's counts say which topics it has, the other half is scored. The fold-in is the variational one of
:cite:t:`blei2003` with fixed topics, the same for all programs.
"""

import math
import sys
from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_matrix


def hold_out(n_obs: int, share: float = 0.1, seed: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows to train on and rows held out, both in order."""
    order = np.random.default_rng(seed).permutation(n_obs)
    cut = round(share * n_obs)
    return np.sort(order[cut:]), np.sort(order[:cut])


def halves(counts: csr_matrix, seed: int = 0) -> tuple[csr_matrix, csr_matrix]:
    """Every count unit in one of two halves at random; observations with an empty half are left out."""
    whole = csr_matrix(counts, dtype=np.int64)
    given = whole.copy()
    given.data = np.random.default_rng(seed).binomial(whole.data, 0.5)
    scored = csr_matrix(whole - given)
    given.eliminate_zeros()
    scored.eliminate_zeros()
    both = np.flatnonzero((np.diff(given.indptr) > 0) & (np.diff(scored.indptr) > 0))
    return given[both], scored[both]


def fold_in(
    given: csr_matrix,
    topics: NDArray[np.floating],
    alpha: float | NDArray[np.floating],
    tol: float = 1e-4,
    max_rounds: int = 1000,
) -> NDArray[np.float64]:
    """Proportions of topics, observations × topics, of new observations under fixed topics (topics × features).

    γ_dk = α_k + t_dk Σ_v x_dv φ_kv / Σ_j t_dj φ_jv with t_dk = exp ψ(γ_dk) is iterated, from equal shares, until an
    observation's γ moves by less than ``tol`` of its total; θ is γ with rows of sum 1.
    """
    gamma = np.empty((given.shape[0], topics.shape[0]))
    by_feature = np.ascontiguousarray(topics.T, dtype=np.float64)
    prior = np.array(np.broadcast_to(alpha, topics.shape[:1]), dtype=np.float64)
    _fixed_points(given.indptr, given.indices, given.data.astype(np.float64), by_feature, prior, tol, max_rounds, gamma)
    return gamma / gamma.sum(axis=1, keepdims=True)


def completion(
    given: csr_matrix, scored: csr_matrix, topics: NDArray[np.floating], alpha: float | NDArray[np.floating]
) -> float:
    """Mean log-likelihood in nats of a count unit of the scored half; rows of ``topics`` are normalised first."""
    phi = np.asarray(topics, dtype=np.float64)
    phi = phi / phi.sum(axis=1, keepdims=True)
    theta = fold_in(given, phi, alpha)
    rows = np.repeat(np.arange(scored.shape[0]), np.diff(scored.indptr))
    chance = np.einsum("ik,ik->i", theta[rows], phi.T[scored.indices])
    return float(np.average(np.log(chance), weights=scored.data))


class Trajectory:
    """Points (seconds of training, score); the clock stands still while a point is scored."""

    def __init__(self, name: str, given: csr_matrix, scored: csr_matrix) -> None:
        self.name, self.given, self.scored, self.seconds = name, given, scored, 0.0
        self.points: list[tuple[float, float]] = []

    def start(self) -> None:
        self._since = perf_counter()

    def report(self, topics_and_prior: Callable[[], tuple]) -> None:
        self.seconds += perf_counter() - self._since
        self.points.append((self.seconds, completion(self.given, self.scored, *topics_and_prior())))
        if self.name:
            print(f"{self.name}: {self.points[-1][1]:.4f} after {self.seconds:.2f} s", file=sys.stderr, flush=True)
        self.start()

    @property
    def best(self) -> tuple[float, float]:
        return max(self.points, key=lambda point: point[1])

    def reaches(self, score: float) -> float:
        """Seconds until a score is first reached; infinite if it is not."""
        return next((seconds for seconds, reached in self.points if reached >= score), math.inf)


def steps(most: int, first: int = 1) -> Iterator[int]:
    """Iterations between scores: each 15 % of what went before, or ``first``."""
    done = 0
    while done < most:
        step = min(max(first, done * 15 // 100), most - done)
        done += step
        yield step


@njit
def _digamma(x):
    steps = 0.0
    while x < 6:
        steps += 1 / x
        x += 1
    z = 1 / (x * x)
    return math.log(x) - 0.5 / x - z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z / 132)))) - steps


@njit
def _fixed_points(indptr, indices, counts, by_feature, prior, tol, max_rounds, gamma):
    n_topics = prior.size
    t, total = np.empty(n_topics), np.empty(n_topics)
    for d in range(gamma.shape[0]):
        start, stop = indptr[d], indptr[d + 1]
        size = prior.sum() + counts[start:stop].sum()
        gamma[d] = prior + counts[start:stop].sum() / n_topics
        for _ in range(max_rounds):
            top = _digamma(gamma[d].max())
            for k in range(n_topics):
                t[k] = math.exp(_digamma(gamma[d, k]) - top)
            total[:] = 0.0
            for i in range(start, stop):
                row = by_feature[indices[i]]
                total += counts[i] / np.dot(t, row) * row
            moved = 0.0
            for k in range(n_topics):
                new = prior[k] + t[k] * total[k]
                moved += abs(new - gamma[d, k])
                gamma[d, k] = new
            if moved < tol * size:
                break
