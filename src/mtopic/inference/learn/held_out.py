"""Short fits to a part of the counts, and how well they predict the rest."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mtopic.inference import schedule
from mtopic.inference.corpus import Corpus
from mtopic.inference.fit import Fit
from mtopic.inference.likelihood import log_likelihood
from mtopic.inference.posterior import Posterior, initial
from mtopic.inference.spatial import NeighbourPrior
from mtopic.inference.stochastic import STEPS, initial_signatures

LONGEST = 20
"""Iterations of a short fit, at most: strengths are compared, and they part before fits have settled."""
SETTLED = 5e-3
"""Share of an observation's topics that an iteration moves, on average, when a short fit may end: as in a whole fit."""
ROUNDS = 3
"""Of an E-step; few are enough from the last state, as in `fit.ROUNDS_BESIDE_NEIGHBOURS`."""


class HeldOut:
    """Short fits to the counts that are shown, from a common state, and how well they predict the hidden ones.

    Parameters
    ----------
    fit
        Whose settings are taken.
    shown
        The counts of the short fits, as they were observed: only of these can a likelihood be said to be true.
    hidden
        The counts to predict.
    n_nonzeros
        Size of the whole data, of which ``passes`` counts shares.
    rng
        Where the fits start.
    steps
        Batches of which the start is made.
    """

    def __init__(
        self, fit: Fit, shown: Corpus, hidden: Corpus, n_nonzeros: int, rng: np.random.Generator, steps: int = STEPS
    ) -> None:
        of = fit.posterior
        self._hidden = hidden
        self._share = shown.rows.nnz / max(1, n_nonzeros)
        posterior = initial(shown, of.n_topics, rng, of.alpha, of.eta, of.family)
        self._common = Fit(posterior, 0, learns_alpha=False, learns_eta=fit.learns_eta, started=True)
        self._common.configure(shown.dtype, 1)
        posterior.backend = of.backend
        self.lam, passes = initial_signatures(posterior, rng, steps)
        posterior.update(posterior.gamma, self.lam)
        self.passes = passes * self._share
        self.advance(schedule.EXPLORE)

    @property
    def posterior(self) -> Posterior:
        """The state from which all fits go on."""
        return self._common.posterior

    def advance(self, iterations: int) -> None:
        """Take this state further, without neighbours."""
        for _ in range(iterations):
            self._iterate(self._common, None)

    def log_likelihood(
        self, *, prior: NeighbourPrior | None = None, weights: NDArray[np.float64] | None = None, longest: int = LONGEST
    ) -> NDArray[np.float64]:
        """Σ_v x_dv ln Σ_k θ_dk β_kv of the hidden counts, D × M, with mean θ, β after ``longest`` iterations or fewer.

        Parameters
        ----------
        prior
            The prior from neighbours.
        weights
            Of the modalities, instead of those that the counts came with.
        longest
            A fit under a prior ends sooner when proportions have settled.
        """
        fit = replace(self._common, elbo=[], changes=[])
        if weights is not None:
            fit.posterior = replace(fit.posterior, corpus=fit.posterior.corpus.with_weights(weights))
        for iteration in range(longest):
            self._iterate(fit, prior)
            if iteration > schedule.DESCEND and fit.changes[-1] < SETTLED:
                break
        return log_likelihood(fit.posterior, self._hidden)

    def _iterate(self, fit: Fit, prior: NeighbourPrior | None) -> None:
        before = fit.passes
        fit.iterate(schedule.SCHEDULES["fast"].plan(fit.position, ROUNDS), prior)
        self.passes += (fit.passes - before) * self._share
