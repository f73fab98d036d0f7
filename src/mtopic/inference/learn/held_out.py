"""Short fits to a part of the counts, and how well they predict the rest."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mtopic.inference import Corpus, Double, Fit, NeighbourPrior, schedule
from mtopic.inference.priors import Prior
from mtopic.inference.stochastic import STEPS, initial_signatures

HIDDEN = 0.2
"""Share of the counts that is hidden: enough to compare predictions, and little enough to leave signatures."""
MOST_OBSERVATIONS = 3000
"""Of these many, sums over observations are sure enough, and the fits stay short whatever the data's size."""
COMMON = 0, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6
"""Shares of a prediction that are tried for the frequencies of the features."""
ROUNDS = 3
"""Of an E-step; few are enough from the last state."""


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
        self._share = shown.nnz / max(1, n_nonzeros)
        posterior = fit.begun(shown, rng)
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
            self._iterate(self.common)

    def under(self, iterations: int, *, weights: Double | None = None, eta: Prior | None = None) -> Double:
        """`Posterior.log_likelihood` of the hidden counts after further iterations with other weights, or another η."""
        of = self.common.posterior
        corpus = of.corpus if weights is None else of.corpus.with_weights(weights)
        posterior = replace(of, corpus=corpus, eta=of.eta if eta is None else eta)
        fit = replace(self.common, posterior=posterior, elbo=[], changes=[])
        for _ in range(iterations):
            self._iterate(fit)
        return fit.posterior.log_likelihood(self._hidden)

    def beside(self, neighbours: NeighbourPrior | None) -> Double:
        """The same beside neighbours, with the signatures as they are, and the best of `COMMON` in each modality.

        Where topics are uncertain, to be drawn to what is common predicts better, whoever is near: that is no gain of
        neighbours.
        """
        of = self.common.posterior
        gamma = of.gamma if neighbours is None else neighbours.smoothed(of.gamma, of.corpus.totals)
        beside = replace(of, gamma=gamma)
        tried = np.stack([beside.log_likelihood(self._hidden, common) for common in COMMON])
        return np.take_along_axis(tried, tried.sum(axis=1).argmax(axis=0)[None, None], axis=0)[0]

    def _iterate(self, fit: Fit) -> None:
        before = fit.passes
        fit.iterate(schedule.SCHEDULES["fast"].plan(fit.position, ROUNDS), None)
        self.passes += (fit.passes - before) * self._share


def thinned(corpus: Corpus, rng: np.random.Generator) -> tuple[Corpus, Corpus]:
    """The counts without a random part `HIDDEN`, and this part; values are rounded up or down at random."""
    rows = corpus.rows
    whole = np.floor(rows.data + rng.random(rows.nnz)).astype(np.int64)
    away = np.minimum(rng.binomial(whole, HIDDEN), rows.data)

    def part(data: NDArray[np.floating]) -> Corpus:
        kept = csr_array((data.astype(rows.dtype), rows.indices.copy(), rows.indptr.copy()), shape=rows.shape)
        kept.eliminate_zeros()
        return replace(corpus, counts=kept)

    return part(rows.data - away), part(away)


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
