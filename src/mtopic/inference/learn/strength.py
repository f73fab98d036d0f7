"""How strongly neighbours should count, learned from counts that are hidden from the fit."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mtopic.inference import Array, Corpus, Double, Fit, NeighbourPrior, priors

from .held_out import HeldOut, parabola

STEP = 3.0
"""Ratio of the strengths that are tried; the likelihood changes little over less, and a parabola goes between."""
FIRST = -1
"""Power of `STEP` that is tried first: a third of an observation's own counts."""
LOWEST, HIGHEST = -3, 3
"""Powers beyond which neighbours have next to no influence, or the observation itself."""
STANDARD_ERRORS = 3
"""How much better than without neighbours the best has to be, so that noise smoothes nothing."""
GROUPS = 5
"""Of features, one of which is hidden from each observation: a fifth of the counts."""
MOST_OBSERVATIONS = 3000
"""Of these many, sums over observations are sure enough, and the fits stay short whatever the data's size."""

Score = Callable[[int], Double]


def learned_strength(
    fit: Fit, counts: Corpus, neighbours: csr_array, rng: np.random.Generator
) -> tuple[float, Array | None, float]:
    """How strongly neighbours should count: as strongly as lets short fits predict best what is hidden from them.

    A part of the features is hidden from each observation. Powers of `STEP` are tried as strengths, uphill from
    `FIRST`. The strength taken is the weakest that predicts as well as the best, up to a standard error, and 0 where
    a fit without neighbours does. With it, λ at the start of these fits, which serves the whole fit as well, unless
    they did not have all observations; and their work in full passes over the data.
    """
    chosen = sample_neighbourhood(neighbours, MOST_OBSERVATIONS, rng)
    shown, hidden, order = hide_feature_groups(counts.part(chosen), rng)
    permuted = replace(fit.posterior, eta=priors.part(fit.posterior.eta, order))
    held_out = HeldOut(replace(fit, posterior=permuted), shown, hidden, counts.rows.nnz, rng)
    near = csr_array(neighbours[chosen][:, chosen])

    @cache
    def score(rung: int) -> Double:
        return held_out.log_likelihood(prior=NeighbourPrior(near, STEP**rung)) @ shown.modality_weights

    best = _climb(score, FIRST)
    gain = score(best) - held_out.log_likelihood() @ shown.modality_weights
    is_better = gain.sum() > STANDARD_ERRORS * gain.std() * np.sqrt(gain.size)
    strength = STEP ** (best + _weakest(score, best)) if is_better else 0.0
    lam = held_out.lam[np.argsort(order)] if chosen.size == counts.n_obs else None
    return strength, lam, held_out.passes


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
    """From the best rung to where a parabola through it is a standard error below its top, a rung at most."""
    if not LOWEST < best < HIGHEST:
        return 0.0
    below, above = (score(best + step) - score(best) for step in (-1, 1))
    top, reach = parabola(below, above, below)
    return top - reach


def hide_feature_groups(corpus: Corpus, rng: np.random.Generator) -> tuple[Corpus, Corpus, NDArray[np.intp]]:
    """Counts without those of one feature group in each observation, these, and the features in their new order.

    The features of every modality are put into `GROUPS` groups at random, each of which becomes a modality of its own.
    """
    groups = [rng.permutation(block.stop - block.start) % GROUPS for block in corpus.blocks]
    order = np.concatenate([b.start + np.argsort(g, kind="stable") for b, g in zip(corpus.blocks, groups, strict=True)])
    group = np.concatenate([np.sort(g) for g in groups])
    offsets = np.cumsum([0, *np.concatenate([np.unique(g, return_counts=True)[1] for g in groups])])
    columns, sets = corpus.measured_sets.permuted(order, offsets)
    group = sets.of_features(group)
    counts = csr_array(corpus.rows[:, columns]).tocoo()
    hidden = group[counts.col] == (rng.permutation(corpus.n_obs) % GROUPS)[counts.row]

    weights = None if corpus.weights is None else np.repeat(corpus.weights, [np.unique(g).size for g in groups])

    def part(keep: NDArray[np.bool_]) -> Corpus:
        rows = csr_array((counts.data[keep], (counts.row[keep], counts.col[keep])), shape=counts.shape)
        return Corpus(rows, offsets, weights, sets)

    return part(~hidden), part(hidden), order


def sample_neighbourhood(neighbours: csr_array, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
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
