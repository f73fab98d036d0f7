"""How strongly signatures are drawn to the frequencies of their features, learned from counts that are hidden."""

import numpy as np

from mtopic.inference import Corpus, Double, Fit, by_frequency

from .held_out import MOST_OBSERVATIONS, HeldOut, thinned

SHARES = np.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.3])
"""Those that are tried; below, the prior is next to nothing, and above, topics become one."""
ITERATIONS = 10
"""Of each short fit after the state that all share: the best share is the same after 60."""
KEPT = 0.5
"""Of the gain: what is more draws topics together for little (chosen on B1, DLPFC and simulated tissue)."""


def learned_shares(fit: Fit, counts: Corpus, rng: np.random.Generator) -> tuple[Double, float]:
    """The shares, by modality, under which `by_frequency` predicts hidden counts well; and the work in full passes.

    Of each modality, the smallest that has the part `KEPT` of what the best of `SHARES` gains over the first.
    """
    chosen = np.sort(rng.permutation(counts.n_obs)[:MOST_OBSERVATIONS])
    shown, hidden = thinned(counts.part(chosen), rng)
    held_out = HeldOut(fit, shown, hidden, counts.nnz, rng)

    def predicted(share: float) -> Double:
        eta = by_frequency(shown, [share] * len(counts.blocks), fit.posterior.n_topics)
        return np.asarray(held_out.under(ITERATIONS, eta=eta).sum(axis=0))

    gains = np.stack([predicted(share) for share in SHARES])
    return np.array([_smallest(of_modality) for of_modality in (gains - gains[0]).T]), held_out.passes


def _smallest(gains: Double) -> float:
    """Where the gain first reaches `KEPT` of the best, on lines through those tried."""
    rising = np.maximum.accumulate(gains[: int(gains.argmax()) + 1])
    return float(np.exp(np.interp(KEPT * rising[-1], rising, np.log(SHARES[: rising.size]))))
