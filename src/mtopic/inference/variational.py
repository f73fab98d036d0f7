"""The variational family: q(θ_d) = Dirichlet(γ_d), q(β_k) = Dirichlet(λ_k)."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from . import kernels
from .corpus import Corpus
from .execution import Threads

Array = NDArray[np.floating]

EPOCH_BATCHES, SMALLEST_BATCH = 16, 50


@dataclass
class Variational:
    """Posterior of one model and its coordinate updates.

    Parameters
    ----------
    corpus
        The counts.
    gamma
        γ, D × K.
    lam
        λ, V × K, the features of all modalities in the order of the corpus.
    alpha, eta
        Dirichlet priors of the topic proportions and of the signatures.
    threads
        Who does the work. It changes no bit of any result.

    Notes
    -----
    The updates and the bound are those of latent Dirichlet allocation (Blei, Ng and Jordan 2003) with proportions shared
    and signatures normalised by modality.
    """

    corpus: Corpus
    gamma: Array
    lam: Array
    alpha: float
    eta: float
    threads: Threads = field(default_factory=Threads)
    _signatures: tuple[Array, Array] | None = field(default=None, init=False, repr=False)

    @property
    def n_topics(self) -> int:
        return int(self.gamma.shape[1])

    def e_step(
        self, start: Array, max_rounds: int, *, atol: float = 0.0, rtol: float = 0.0
    ) -> tuple[Array, NDArray[np.int32]]:
        """Iterate γ from ``start`` with λ fixed; return it and the rounds each observation took."""
        rows = self.corpus.rows
        b, _ = self.signatures()
        gamma = np.array(start, dtype=self.corpus.dtype)
        rounds = np.empty(gamma.shape[0], np.int32)
        prior = np.full((1, self.n_topics), self.alpha, dtype=gamma.dtype)
        args = (rows.indptr, rows.indices, rows.data, b, prior, gamma, rounds, max_rounds, atol, rtol)
        self.threads.run(kernels.e_step, rows.indptr, *args)
        return gamma, rounds

    def m_step(self, gamma: Array) -> Array:
        """λ that is optimal for ``gamma`` and the responsibilities it implies."""
        columns = self.corpus.columns
        b, _ = self.signatures()
        t, _ = self._topics(gamma)
        lam = np.empty_like(b)
        args = (columns.indptr, columns.indices, columns.data, t, b, lam)
        self.threads.run(kernels.sufficient_statistics, columns.indptr, *args)
        lam += np.asarray(self.eta, dtype=lam.dtype)
        return lam

    def update(self, gamma: Array, lam: Array) -> None:
        """Take a new posterior."""
        self.gamma, self.lam = gamma, lam
        self._signatures = None

    def elbo(self) -> float:
        """The evidence lower bound of the posterior as it is now, in nats, summed in double precision."""
        rows = self.corpus.rows
        b, b_shift = self.signatures()
        t, t_shift = self._topics(self.gamma)
        by_row = np.empty(self.corpus.n_obs)
        args = (rows.indptr, rows.indices, rows.data, t, t_shift, b, b_shift, by_row)
        self.threads.run(kernels.log_likelihood, rows.indptr, *args)
        return float(by_row.sum() - self._topic_divergence() - self._signature_divergence())

    def signatures(self) -> tuple[Array, Array]:
        """exp(E log β), each feature scaled by its largest topic, and the logarithms of the scales."""
        if self._signatures is None:
            b, shift = np.empty_like(self.lam), np.empty(self.lam.shape[0])
            for block in self.corpus.blocks:
                log_total = digamma(self.lam[block].sum(axis=0, dtype=np.float64))
                args = (self.lam[block], log_total, b[block], shift[block])
                self.threads.run(kernels.expected_signatures, np.arange(block.stop - block.start + 1), *args)
            self._signatures = b, shift
        return self._signatures

    def _topics(self, gamma: Array) -> tuple[Array, Array]:
        t, shift = np.empty_like(gamma), np.empty(gamma.shape[0])
        self.threads.run(kernels.expected_topics, np.arange(gamma.shape[0] + 1), gamma, t, shift)
        return t, shift

    def _topic_divergence(self) -> float:
        prior = np.full((1, self.n_topics), self.alpha)
        total = self.gamma.sum(axis=1, dtype=np.float64)
        shared = _totals(total, np.full(1, prior.sum())).sum()
        return float(self._divergence(self.gamma, prior) + shared)

    def _signature_divergence(self) -> float:
        prior = np.full((1, self.n_topics), self.eta)
        shared = 0.0
        for block in self.corpus.blocks:
            total = self.lam[block].sum(axis=0, dtype=np.float64)
            shared += _totals(total, np.full(1, self.eta * (block.stop - block.start))).sum()
        return float(self._divergence(self.lam, prior) + shared)

    def _divergence(self, values: Array, prior: Array) -> float:
        by_row = np.empty(values.shape[0])
        self.threads.run(kernels.dirichlet_divergence, np.arange(values.shape[0] + 1), values, prior, by_row)
        return float(by_row.sum())


def _totals(total: Array, prior_total: Array) -> Array:
    """The part of KL(Dir(v) ‖ Dir(p)) that depends on the totals of v and p."""
    return gammaln(total) - gammaln(prior_total) - (total - prior_total) * digamma(total)


def initial(
    corpus: Corpus, n_topics: int, rng: np.random.Generator, alpha: float, eta: float, threads: Threads
) -> Variational:
    """γ = α everywhere; λ ~ Gamma(100, 1/100), drawn topics × features, modality after modality, in double precision."""
    lam = np.concatenate([rng.gamma(100, 1 / 100, (n_topics, b.stop - b.start)).T for b in corpus.blocks])
    gamma = np.full((corpus.n_obs, n_topics), alpha)
    return Variational(corpus, gamma, lam, alpha, eta, threads)


def stochastic_step(
    posterior: Variational,
    batch: NDArray[np.integer],
    rate: float,
    max_rounds: int,
    *,
    atol: float = 0.0,
    rtol: float = 0.0,
) -> None:
    """Move λ by ``rate`` towards the optimum for a batch that stands for all observations; take the batch's γ.

    An observation may be in the batch more than once and then counts as often.
    """
    corpus = posterior.corpus
    sample = replace(posterior, corpus=Corpus(corpus.rows[batch], corpus.offsets), gamma=posterior.gamma[batch])
    gamma, _ = sample.e_step(np.ones_like(sample.gamma), max_rounds, atol=atol, rtol=rtol)
    weight = corpus.n_obs / batch.size
    target = posterior.eta + weight * (sample.m_step(gamma) - posterior.eta)
    everyone = posterior.gamma.copy()
    everyone[batch] = gamma
    posterior.update(everyone, (1 - rate) * posterior.lam + rate * target)


def stochastic_epoch(posterior: Variational, order: NDArray[np.integer], max_rounds: int) -> Variational:
    """A posterior that has seen every observation once, in batches of ``order``, at rates (1 + t)^-0.6; t = 0, 1, …

    A good place to start from: signatures part early, before any observation has committed itself.
    """
    moved = replace(posterior)
    n_batches = min(EPOCH_BATCHES, max(1, order.size // SMALLEST_BATCH))
    for step, batch in enumerate(np.array_split(order, n_batches)):
        stochastic_step(moved, batch, (1 + step) ** -0.6, max_rounds, rtol=1e-2)
    return moved
