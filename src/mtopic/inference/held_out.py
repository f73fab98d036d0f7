"""Counts that are hidden from short fits, and how well these predict them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from . import kernels, schedule
from .corpus import Corpus
from .fit import Fit
from .posterior import initial
from .spatial import NeighbourPrior
from .stochastic import overcomplete_start

GROUPS = 5
LARGEST = 3000
LONGEST, SETTLED, ROUNDS = 20, 5e-3, 3

Score = Callable[[int], NDArray[np.float64]]


class HeldOut:
    """Short fits to a part of the counts, and how well they predict the rest.

    Parameters
    ----------
    fit
        Whose settings are taken.
    counts
        The data: counts as they were observed, of which a likelihood can be said to be true.
    chosen
        The observations of the short fits.
    rng
        Which features, and where the fits start.
    """

    def __init__(self, fit: Fit, counts: Corpus, chosen: NDArray[np.intp], rng: np.random.Generator) -> None:
        of = fit.posterior
        corpus, hidden, order = mosaic(counts.part(chosen), rng)
        modality = np.searchsorted(counts.offsets, order, side="right") - 1
        self._hidden = [csr_array(hidden.multiply(modality == m)) for m in range(len(counts.blocks))]
        self._groups = np.bincount(modality[corpus.offsets[:-1]])
        self._share = corpus.rows.nnz / max(1, counts.rows.nnz)
        posterior = initial(corpus, of.n_topics, rng, of.alpha, of.eta, of.family)
        self._common = Fit(posterior, 0, learns_alpha=False, learns_eta=fit.learns_eta, started=True)
        self._common.begin(corpus.dtype, 1)
        posterior.threads = of.threads
        lam, passes = overcomplete_start(posterior, rng)
        posterior.update(posterior.gamma, lam)
        self.passes = passes * self._share
        self.lam = lam[np.argsort(order)] if chosen.size == counts.n_obs else None
        self.advance(schedule.EXPLORE)

    def advance(self, iterations: int) -> None:
        """Take the fit from which all others start further."""
        for _ in range(iterations):
            self._go_on(self._common, None)

    def log_likelihood(
        self,
        *,
        prior: NeighbourPrior | None = None,
        weights: NDArray[np.float64] | None = None,
        longest: int = LONGEST,
    ) -> NDArray[np.float64]:
        """Of the hidden counts of each observation in each modality, D × M, under the fit after ``longest`` more iterations."""
        posterior = self._common.posterior
        if weights is not None:
            posterior = replace(posterior, corpus=posterior.corpus.weighted(np.repeat(weights, self._groups)))
        fit = replace(self._common, posterior=posterior, elbo=[], changes=[])
        for iteration in range(longest):
            self._go_on(fit, prior)
            if iteration > schedule.DESCEND and fit.changes[-1] < SETTLED:
                break
        return self._score(fit)

    def by_frequency(self) -> NDArray[np.float64]:
        """The same under the frequencies of the features among the counts that are not hidden."""
        corpus, eta = self._common.posterior.corpus, self._common.posterior.eta
        counts = np.asarray(corpus.rows.sum(axis=0, dtype=np.float64)).ravel() + eta
        log_share = np.concatenate([np.log(counts[block] / counts[block].sum()) for block in corpus.blocks])
        return np.stack([hidden @ log_share for hidden in self._hidden], axis=1)

    def _go_on(self, fit: Fit, prior: NeighbourPrior | None) -> None:
        before = fit.passes
        fit.iterate(schedule.SCHEDULES["fast"].plan(fit.iterations, ROUNDS), prior)
        self.passes += (fit.passes - before) * self._share

    def _score(self, fit: Fit) -> NDArray[np.float64]:
        """Σ_v x_dv ln Σ_k θ_dk β_kv of the hidden counts of each modality, with the means of θ and β."""
        of = fit.posterior
        theta, beta = (np.zeros((n, kernels.padded(of.n_topics)), of.lam.dtype) for n in (len(of.gamma), len(of.lam)))
        theta[:, : of.n_topics] = of.gamma / of.gamma.sum(axis=1, keepdims=True)
        for block in of.corpus.blocks:
            beta[block, : of.n_topics] = of.lam[block] / of.lam[block].sum(axis=0, dtype=np.float64)
        out = np.empty((len(self._hidden), len(theta)))
        for x, scores in zip(self._hidden, out, strict=True):
            of.threads.run(kernels.log_likelihood, x.indptr, x.indptr, x.indices, x.data, theta, beta, scores)
        return out.T


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

    weights = None if corpus.weights is None else np.repeat(corpus.weights, [np.unique(g).size for g in dealt])
    return Corpus(part(~hidden), np.concatenate([[0], np.cumsum(sizes)]), weights), part(hidden), order
