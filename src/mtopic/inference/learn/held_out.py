"""Short fits to a part of the counts, and how well they predict the rest."""

from dataclasses import replace

import numpy as np

from mtopic.inference import Corpus, Double, Fit, NeighbourPrior, initial, schedule
from mtopic.inference.stochastic import STEPS, initial_signatures

LONGEST = 20
"""Iterations of a short fit, at most: strengths are compared, and they part before fits have settled."""
SETTLED = 5e-3
"""Share of an observation's topics that an iteration moves, on average, when a short fit may end: as in a whole fit."""
ROUNDS = 3
"""Of an E-step; few are enough from the last state, as in `fit.ROUNDS_BESIDE_NEIGHBOURS`."""


class HeldOut:
    """Short fits to the counts that are shown, from a common state, and how well they predict the hidden ones.

    Their settings are those of ``fit``. Counts are as they were observed: only of these can a likelihood be said to be
    true. ``passes`` is the work as a share of that on the whole data, which have ``n_nonzeros``.
    """

    def __init__(
        self, fit: Fit, shown: Corpus, hidden: Corpus, n_nonzeros: int, rng: np.random.Generator, steps: int = STEPS
    ) -> None:
        of = fit.posterior
        self._hidden = hidden
        self._share = shown.rows.nnz / max(1, n_nonzeros)
        posterior = initial(shown, of.n_topics, rng, of.alpha, of.eta, of.family)
        self.common = Fit(posterior, 0, learns_alpha=False, learns_eta=fit.learns_eta, started=True)
        self.common.configure(shown.dtype, 1)
        posterior.backend = of.backend
        self.lam, passes = initial_signatures(posterior, rng, steps)
        posterior.update(posterior.gamma, self.lam)
        self.passes = passes * self._share
        self.advance(schedule.EXPLORE)

    def advance(self, iterations: int) -> None:
        """Take the common state further, without neighbours."""
        for _ in range(iterations):
            self._iterate(self.common, None)

    def log_likelihood(
        self, *, prior: NeighbourPrior | None = None, weights: Double | None = None, longest: int = LONGEST
    ) -> Double:
        """`Posterior.log_likelihood` of the hidden counts after ``longest`` iterations, or when proportions settle.

        With this prior from neighbours, and ``weights`` of modalities in place of those that the counts came with.
        """
        fit = replace(self.common, elbo=[], changes=[])
        if weights is not None:
            fit.posterior = replace(fit.posterior, corpus=fit.posterior.corpus.with_weights(weights))
        for iteration in range(longest):
            self._iterate(fit, prior)
            if iteration > schedule.DESCEND and fit.changes[-1] < SETTLED:
                break
        return fit.posterior.log_likelihood(self._hidden)

    def _iterate(self, fit: Fit, prior: NeighbourPrior | None) -> None:
        before = fit.passes
        fit.iterate(schedule.SCHEDULES["fast"].plan(fit.position, ROUNDS), prior)
        self.passes += (fit.passes - before) * self._share


def parabola(below: Double, above: Double, error: Double) -> tuple[float, float]:
    """Where a parabola has its top, and how far from there it is a standard error lower, at most 1.

    It goes through 0 at 0 and through the sums of ``below`` at −1 and of ``above`` at 1, each by observation; the error
    is that of the sum of ``error``. Both are 0 where it bends upwards.
    """
    bend = -float(below.sum() + above.sum()) / 2
    if bend <= 0:
        return 0.0, 0.0
    lower = float(error.std()) * np.sqrt(error.size)
    return float(above.sum() - below.sum()) / (4 * bend), min(1.0, float(np.sqrt(lower / bend)))
