"""How much a count of each modality is worth, learned from counts that are hidden from the fit."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .corpus import Corpus
from .execution import Array
from .fit import Fit
from .held_out import LARGEST, HeldOut

STEP, LOWEST = 3.0, -4
BEFORE, AFTER = 5, 5
ERRORS = 3

Rungs = tuple[int, ...]


@dataclass(frozen=True)
class LearnedWeights:
    """What short fits have taught.

    Parameters
    ----------
    weights
        Of each modality; the largest is 1.
    lam
        λ at the start of these fits, which serves the whole fit as well; None if they did not have all observations.
    passes
        Their work in full passes over the data.
    """

    weights: NDArray[np.float64]
    lam: Array | None
    passes: float


def learned_weights(fit: Fit, counts: Corpus, rng: np.random.Generator) -> LearnedWeights:
    """Learn how much each modality should say from how well short fits predict counts that are hidden from them."""
    n_obs = counts.n_obs
    chosen = np.sort(rng.permutation(n_obs)[:LARGEST]) if n_obs > LARGEST else np.arange(n_obs)
    held_out = HeldOut(fit, counts, chosen, rng)

    held_out.advance(BEFORE)

    @cache
    def score(rungs: Rungs) -> NDArray[np.float64]:
        return held_out.log_likelihood(weights=STEP ** np.array(rungs, dtype=float), longest=AFTER)

    best = _descend(score, len(counts.blocks))
    weights = np.array([STEP ** _nearest_one(score, best, m) for m in range(len(best))])
    gain = score(best) - held_out.by_frequency()
    says = gain.sum(axis=0) > ERRORS * gain.std(axis=0) * np.sqrt(len(gain))
    if says.any():
        weights *= says
    return LearnedWeights(weights / weights.max(), held_out.lam, held_out.passes)


def _descend(score, n_modalities: int) -> Rungs:
    best = (0,) * n_modalities
    while True:
        lower = [best[:m] + (best[m] - 1,) + best[m + 1 :] for m in range(n_modalities)]
        lower = [rungs for rungs in lower if max(rungs) == 0 and min(rungs) >= LOWEST]
        top = max([best, *lower], key=lambda rungs: score(rungs).sum())
        if top == best:
            return best
        best = top


def _nearest_one(score, best: Rungs, m: int) -> float:
    """The rung of modality m nearest to 0 whose score is within a standard error of the best's, by a parabola, a rung off at most."""
    def at(step: int) -> NDArray[np.float64]:
        return (score(best[:m] + (best[m] + step,) + best[m + 1 :]) - score(best)).sum(axis=1)

    if best[m] == 0:
        return 0.0
    if best[m] == LOWEST:
        return float(LOWEST)
    below, above = at(-1), at(1)
    bend = -float(below.sum() + above.sum()) / 2
    if bend <= 0:
        return float(best[m])
    top = float(above.sum() - below.sum()) / (4 * bend)
    error = float(above.std()) * np.sqrt(above.size)
    return min(0.0, best[m] + top + min(1.0, float(np.sqrt(error / bend))))
