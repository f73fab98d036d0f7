"""Weights of the modalities in the posterior of topics, learned from the counts."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mtopic.inference import Backend, Corpus, Double, Fit, Posterior

from .held_out import HeldOut, parabola, thinned

MOST_OBSERVATIONS = 20_000
"""Of these many, sums over observations are sure enough, and the fits stay short whatever the data's size."""
START_BATCHES = 48
"""Fewer than in the start of a fit, whose topics have to be better than these."""
ITERATIONS_BEFORE, ITERATIONS_AFTER = 5, 5
"""Of the state that all short fits share, and of each: weights move topics within a few iterations."""
STEP = 3.0
"""Ratio of the factors that are tried; the likelihood changes little over less, and a parabola goes between."""
LOWEST = -4
"""Power of `STEP` below which a modality is as good as silent: its counts weigh 1/81."""
STANDARD_ERRORS = 3
"""How far above 0 a gain has to be to count as one, so that noise changes no weight."""
SMALLEST_GAIN = 0.005
"""Share of what topics predict that weights must gain; a smaller gain may be significant and not matter."""
NO_VARIANCE = 1e-9
"""Multinomial variance over counts below which there is none but by rounding, as with one feature."""

Rungs = tuple[int, ...]
Score = Callable[[Rungs], Double]


def learned_weights(fit: Fit, counts: Corpus, rng: np.random.Generator) -> tuple[Double, float]:
    """The weights of the modalities, the largest of which is 1, and the work in full passes over the data.

    Counts that vary φ times as much as multinomial ones have the weight 1/φ. Whether a modality with less certain
    signatures should have less is decided by counts that are hidden from short fits: powers of `STEP` are tried as
    further factors, as long as the hidden counts of all modalities, each divided by its φ, are predicted better, and
    dropped if the gain is not significant and large enough. Nothing is left of a modality of which topics predict no
    more than the frequencies of its features do.
    """
    chosen = np.sort(rng.permutation(counts.n_obs)[:MOST_OBSERVATIONS])
    shown, hidden = thinned(replace(counts.part(chosen), weights=None), rng)
    held_out = HeldOut(fit, shown, hidden, counts.nnz, rng, START_BATCHES)
    held_out.advance(ITERATIONS_BEFORE)
    unit = 1 / dispersion(held_out.common.posterior)

    @cache
    def predicted(rungs: Rungs) -> Double:
        weights = unit / unit.max() * STEP ** np.array(rungs, dtype=float)
        return held_out.under(ITERATIONS_AFTER, weights=weights)

    def score(rungs: Rungs) -> Double:
        return predicted(rungs) @ unit

    by_chance = held_out.common.posterior.log_likelihood(hidden, common=1)
    best, none = _descend(score, len(unit)), (0,) * len(unit)
    gain = score(best) - score(none)
    if not _surely_positive(gain) or gain.sum() < SMALLEST_GAIN * (score(best) - by_chance @ unit).sum():
        best = none
    factors = [STEP ** _highest(score, best, m) for m in range(len(unit))]
    predictable = _surely_positive(predicted(best) - by_chance)
    weights = unit * factors * (predictable | ~predictable.any())
    return weights / weights.max(), held_out.passes


def dispersion(of: Posterior) -> Double:
    """φ of each modality, at least 1: Σ (x − μ)² over multinomial variances, μ = n_d Σ_k θ_dk β_kv with mean θ, β.

    1 where there are none: of one feature, or of no counts.
    """
    theta = of.gamma / of.gamma.sum(axis=1, keepdims=True, dtype=np.float64)
    corpus, of = of.corpus, of.one_modality_per_set()
    lam = of.lam_as_read()
    beta = [lam[block] / lam[block].sum(axis=0, dtype=np.float64) for block in of.corpus.blocks]
    (sums,) = of.backend.sum_of_blocks(of.corpus, _rows, _variances, (theta,), beta)
    observed, multinomial, total = corpus.summed(sums)
    varies = multinomial > NO_VARIANCE * total
    return np.maximum(1.0, np.divide(observed, multinomial, out=np.ones_like(observed), where=varies))


def _rows(block: Corpus) -> Corpus:
    return replace(block, counts=block.rows)


def _variances(backend: Backend, block: Corpus, theta: Double, beta: list[Double]) -> tuple[Double]:
    """Σ (x − μ)², the multinomial variance and the sum of the counts of each measured set, 3 × sets."""
    sums = []
    for columns, means in zip(block.column_blocks, beta, strict=True):
        x = block.rows[:, columns]
        n = np.asarray(x.sum(axis=1, dtype=np.float64)).ravel()
        concentrated = ((theta @ (means.T @ means)) * theta).sum(axis=1)
        squares = float((x.data.astype(np.float64) ** 2).sum())
        residual = squares - 2 * (n * ((x @ means) * theta).sum(axis=1)).sum() + (n**2 * concentrated).sum()
        sums.append((residual, (n * (1 - concentrated)).sum(), n.sum()))
    return (np.array(sums).T,)


def _surely_positive(gains: Double) -> NDArray[np.bool_]:
    """Whether the sum over observations is `STANDARD_ERRORS` standard errors above 0."""
    return np.asarray(gains.sum(axis=0) > STANDARD_ERRORS * gains.std(axis=0) * np.sqrt(len(gains)))


def _descend(score: Score, n_modalities: int) -> Rungs:
    """Downhill from no further factors, a rung of one modality at a time, while the score rises."""
    best = (0,) * n_modalities
    while True:
        lower = [best[:m] + (best[m] - 1,) + best[m + 1 :] for m in range(n_modalities)]
        lower = [rungs for rungs in lower if max(rungs) == 0 and min(rungs) >= LOWEST]
        top = max([best, *lower], key=lambda rungs: float(score(rungs).sum()))
        if top == best:
            return best
        best = top


def _highest(score: Score, best: Rungs, m: int) -> float:
    """The rung of modality m up to where a parabola through the best is a standard error below its top."""
    if not LOWEST < best[m] < 0:
        return float(best[m])
    below, above = (score(best[:m] + (best[m] + step,) + best[m + 1 :]) - score(best) for step in (-1, 1))
    top, reach = parabola(below, above, above)
    return min(0.0, best[m] + top + reach)
