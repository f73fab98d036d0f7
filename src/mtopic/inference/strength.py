"""How strongly neighbours should count, learned from counts that are hidden from the fit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from . import kernels, schedule
from .corpus import Corpus
from .execution import Array
from .fit import Fit
from .posterior import initial
from .spatial import NeighbourPrior
from .stochastic import overcomplete_start

GROUPS = 5
LARGEST = 3000
STEP, LOWEST, FIRST, HIGHEST = 3.0, -3, -1, 3
LONGEST, SETTLED, ROUNDS = 20, 5e-3, 3
ERRORS = 3

Score = Callable[[int], NDArray[np.float64]]


@dataclass(frozen=True)
class Learned:
    """What short fits have taught.

    Parameters
    ----------
    prior
        The prior under which hidden counts are best predicted; None where a fit without neighbours does so.
    lam
        λ at the start of these fits, which serves the whole fit as well; None if they did not have all observations.
    passes
        Their work in full passes over the data.
    """

    prior: NeighbourPrior | None
    lam: Array | None
    passes: float


def learned_prior(fit: Fit, counts: Corpus, neighbours: csr_array, rng: np.random.Generator) -> Learned:
    """Learn how strongly neighbours should count from how well short fits predict counts that are hidden from them.

    A part of the features is hidden from each observation. Powers of `STEP` are tried as strengths, uphill from `FIRST`. The
    strength taken is the weakest that predicts as well as the best, up to a standard error.
    """
    held_out = HeldOut(fit, counts, neighbours, rng)
    score = cache(lambda rung: held_out.score(STEP**rung))
    best = _climb(score, FIRST)
    gain = score(best) - held_out.score(0.0)
    prior = None
    if gain.sum() > ERRORS * gain.std() * np.sqrt(gain.size):
        prior = NeighbourPrior(neighbours, STEP ** (best + _weakest(score, best)))
    return Learned(prior, held_out.lam, held_out.passes)


def _climb(score: Score, start: int) -> int:
    """The rung from ``start`` uphill that has no better neighbour."""
    best = start
    for step in (1, -1):
        while LOWEST <= best + step <= HIGHEST and score(best + step).sum() > score(best).sum():
            best += step
        if best != start:
            break
    return best


def _weakest(score: Score, best: int) -> float:
    """From the best rung to where a parabola through it and its neighbours is a standard error below its top, a rung at most."""
    if not LOWEST < best < HIGHEST:
        return 0.0
    below, above = (score(best + step) - score(best) for step in (-1, 1))
    bend = -float(below.sum() + above.sum()) / 2
    if bend <= 0:
        return 0.0
    top = float(above.sum() - below.sum()) / (4 * bend)
    error = float(below.std()) * np.sqrt(below.size)
    return top - min(1.0, float(np.sqrt(error / bend)))


class HeldOut:
    """Short fits to a part of the counts, and how well they predict the rest.

    Parameters
    ----------
    fit
        Whose settings are taken.
    counts
        The data: counts as they were observed, of which a likelihood can be said to be true.
    neighbours
        The graph, D × D.
    rng
        Which observations, which features, and where the fits start.
    """

    def __init__(self, fit: Fit, counts: Corpus, neighbours: csr_array, rng: np.random.Generator) -> None:
        of = fit.posterior
        chosen = patch(neighbours, LARGEST, rng)
        corpus, self._hidden, order = mosaic(Corpus(counts.rows[chosen], counts.offsets), rng)
        self._share = corpus.rows.nnz / max(1, counts.rows.nnz)
        self._neighbours = csr_array(neighbours[chosen][:, chosen])
        posterior = initial(corpus, of.n_topics, rng, of.alpha, of.eta, of.family)
        self._explored = Fit(posterior, 0, learns_alpha=False, learns_eta=fit.learns_eta, started=True)
        self._explored.begin(corpus.dtype, 1)
        posterior.threads = of.threads
        lam, passes = overcomplete_start(posterior, rng)
        posterior.update(posterior.gamma, lam)
        self.passes = passes * self._share
        self.lam = lam[np.argsort(order)] if chosen.size == counts.n_obs else None
        for _ in range(schedule.EXPLORE):
            self._go_on(self._explored, None)

    def score(self, strength: float) -> NDArray[np.float64]:
        """Log likelihood of each observation's hidden counts under a short fit."""
        fit = replace(self._explored, elbo=[], changes=[])
        prior = NeighbourPrior(self._neighbours, strength) if strength else None
        for iteration in range(LONGEST):
            self._go_on(fit, prior)
            if iteration > schedule.DESCEND and fit.changes[-1] < SETTLED:
                break
        return self._score(fit)

    def _go_on(self, fit: Fit, prior: NeighbourPrior | None) -> None:
        before = fit.passes
        fit.iterate(schedule.SCHEDULES["fast"].plan(fit.iterations, ROUNDS), prior)
        self.passes += (fit.passes - before) * self._share

    def _score(self, fit: Fit) -> NDArray[np.float64]:
        """Σ_v x_dv ln Σ_k θ_dk β_kv of the hidden counts, with the means of θ and β."""
        of = fit.posterior
        theta, beta = (np.zeros((n, kernels.padded(of.n_topics)), of.lam.dtype) for n in (len(of.gamma), len(of.lam)))
        theta[:, : of.n_topics] = of.gamma / of.gamma.sum(axis=1, keepdims=True)
        for block in of.corpus.blocks:
            beta[block, : of.n_topics] = of.lam[block] / of.lam[block].sum(axis=0, dtype=np.float64)
        out, hidden = np.empty(len(theta)), self._hidden
        of.threads.run(
            kernels.log_likelihood, hidden.indptr, hidden.indptr, hidden.indices, hidden.data, theta, beta, out
        )
        return out


def mosaic(corpus: Corpus, rng: np.random.Generator) -> tuple[Corpus, csr_array, NDArray[np.intp]]:
    """The counts without those of one group of features in each observation, these, and the features in their new order.

    The features of every modality are dealt out to `GROUPS` groups, each of which becomes a modality of its own.
    """
    dealt = [rng.permutation(block.stop - block.start) % GROUPS for block in corpus.blocks]
    order = np.concatenate([b.start + np.argsort(g, kind="stable") for b, g in zip(corpus.blocks, dealt, strict=True)])
    group = np.concatenate([np.sort(g) for g in dealt])
    sizes = np.concatenate([np.unique(g, return_counts=True)[1] for g in dealt])
    counts = csr_array(corpus.rows[:, order]).tocoo()
    hidden = group[counts.col] == (rng.permutation(corpus.n_obs) % GROUPS)[counts.row]

    def part(keep: NDArray[np.bool_]) -> csr_array:
        return csr_array((counts.data[keep], (counts.row[keep], counts.col[keep])), shape=counts.shape)

    return Corpus(part(~hidden), np.concatenate([[0], np.cumsum(sizes)])), part(hidden), order


def patch(neighbours: csr_array, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most ``size`` observations that are near each other: rings of neighbours around random observations."""
    n_obs = neighbours.shape[0]
    if n_obs <= size:
        return np.arange(n_obs)
    taken = np.zeros(n_obs, dtype=bool)
    order = iter(rng.permutation(n_obs))
    ring = np.array([next(order)])
    while True:
        taken[ring] = True
        spare = size - int(taken.sum())
        if spare <= 0:
            return np.flatnonzero(taken)
        reached = np.unique(neighbours[ring].indices)
        ring = reached[~taken[reached]][:spare]
        if not ring.size:
            ring = np.array([next(d for d in order if not taken[d])])
