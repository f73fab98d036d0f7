"""How strongly neighbours should count, learned from counts that are hidden from the fit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from . import priors
from .backend import Array
from .corpus import Corpus
from .fit import Fit
from .held_out import HeldOut
from .spatial import NeighbourPrior

STEP, LOWEST, FIRST, HIGHEST = 3.0, -3, -1, 3
ERRORS = 3
GROUPS, LARGEST = 5, 3000

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
    chosen = patch(neighbours, LARGEST, rng)
    shown, hidden, order = mosaic(counts.part(chosen), rng)
    dealt = replace(fit.posterior, eta=priors.part(fit.posterior.eta, order))
    held_out = HeldOut(replace(fit, posterior=dealt), shown, hidden, counts.rows.nnz, rng)
    near = csr_array(neighbours[chosen][:, chosen])

    @cache
    def score(rung: int) -> NDArray[np.float64]:
        return held_out.log_likelihood(prior=NeighbourPrior(near, STEP**rung)) @ shown.modality_weights

    best = _climb(score, FIRST)
    gain = score(best) - held_out.log_likelihood() @ shown.modality_weights
    prior = None
    if gain.sum() > ERRORS * gain.std() * np.sqrt(gain.size):
        prior = NeighbourPrior(neighbours, STEP ** (best + _weakest(score, best)))
    lam = held_out.lam[np.argsort(order)] if chosen.size == counts.n_obs else None
    return Learned(prior, lam, held_out.passes)


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


def mosaic(corpus: Corpus, rng: np.random.Generator) -> tuple[Corpus, Corpus, NDArray[np.intp]]:
    """The counts without those of one group of features in each observation, these, and the features in their new order.

    The features of every modality are dealt out to `GROUPS` groups, each of which becomes a modality of its own.
    """
    dealt = [rng.permutation(block.stop - block.start) % GROUPS for block in corpus.blocks]
    order = np.concatenate([b.start + np.argsort(g, kind="stable") for b, g in zip(corpus.blocks, dealt, strict=True)])
    group = np.concatenate([np.sort(g) for g in dealt])
    offsets = np.cumsum([0, *np.concatenate([np.unique(g, return_counts=True)[1] for g in dealt])])
    columns, panels = order, corpus.panels
    if panels is not None:
        columns, panels = panels.dealt(order, offsets)
        group = group[panels.features]
    counts = csr_array(corpus.rows[:, columns]).tocoo()
    hidden = group[counts.col] == (rng.permutation(corpus.n_obs) % GROUPS)[counts.row]

    weights = None if corpus.weights is None else np.repeat(corpus.weights, [np.unique(g).size for g in dealt])

    def part(keep: NDArray[np.bool_]) -> Corpus:
        rows = csr_array((counts.data[keep], (counts.row[keep], counts.col[keep])), shape=counts.shape)
        return Corpus(rows, offsets, weights, panels)

    return part(~hidden), part(hidden), order


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
