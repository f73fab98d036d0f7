"""The posterior of one model and its updates."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csc_array, csr_array, hstack
from scipy.special import digamma, gammaln

from . import priors
from .backend import Array, Backend, Double, Logarithm
from .batch_effects import BatchEffects
from .corpus import Corpus
from .families import FAMILIES
from .guide import Guide
from .measured_sets import MeasuredSets
from .priors import Prior

UPDATES = 5
"""Of signatures with the topics fixed, from flat ones; they move little after."""


@dataclass
class Posterior:
    """q(θ_d) = Dirichlet(γ_d), λ for the signatures, and the family that says what λ stands for.

    γ is D × K, λ V × K, with the features of all modalities in the order of the corpus. The Dirichlet priors α of topic
    proportions and η of signatures are a number, or one for each topic and for each feature.
    """

    corpus: Corpus
    gamma: Array
    lam: Array
    alpha: Prior
    eta: Prior
    family: str = "variational"
    backend: Backend = field(default_factory=Backend)
    pseudocounts: Array | None = None
    """What the prior of each observation's proportions has besides α, D × K, if anything."""
    effects: BatchEffects | None = None
    """Of batches on the signatures, if they have any."""
    guide: Guide | None = None
    """What is known of the first topics beforehand, if anything."""
    _signatures: Array | None = field(default=None, init=False, repr=False)

    @property
    def n_topics(self) -> int:
        return int(self.gamma.shape[1])

    def e_step(self, start: Array, max_rounds: int, *, atol: float = 0.0, rtol: float = 0.0) -> tuple[Array, float]:
        """γ, iterated from ``start`` with the signatures fixed, and the work in full passes.

        That is non-zeros × rounds × share of topics alive, over the non-zeros.
        """
        by_row, common = (start, self.prior()), (self.signatures(), max_rounds, atol, rtol)
        gamma, work = zip(*self.backend.of_blocks(self.corpus, _by_row, _e_step, by_row, *common), strict=True)
        return np.concatenate(gamma), float(np.concatenate(work).sum()) / max(1, self.corpus.nnz)

    def m_step(self, gamma: Array, family: str | None = None) -> tuple[Array, float, BatchEffects | None]:
        """λ from the responsibilities that ``gamma`` and the signatures imply, what these add to the `bound`, effects.

        The bound is that of another ``family`` if one is given.
        """
        t, observed = self.topics(gamma)
        counts, by_column = self.statistics(t)
        by_modality = self.corpus.summed(np.array([by_column[block].sum() for block in self.corpus.column_blocks]))
        lam, corrections, effects = self.likeliest(counts, FAMILIES[family or self.family].expected_log)
        return lam, observed + self._weighted_sum(by_modality) + self._weighted_sum(corrections), effects

    def likeliest(self, counts: Array, expected_log: Logarithm) -> tuple[Array, Double, BatchEffects | None]:
        """λ from ``counts`` of topics in each column, overwritten; what the bound has besides; effects of batches."""
        args = self.lam, self.prior_of_signatures(), self.corpus.blocks, expected_log, self.effects, self.guide
        return self.corpus.measured_sets.most_likely(counts, *args)

    def relearned(self) -> "Posterior":
        """The same with λ by γ alone: begun at λ it would keep what other observations have taught it."""
        of = replace(self, lam=np.ones_like(self.lam))
        for _ in range(UPDATES):
            of.update(of.gamma, of.m_step(of.gamma)[0])
        return of

    def statistics(self, t: Array) -> tuple[Array, Double]:
        """The expected counts of topics in each column, columns × K, and what each column adds to the `bound`."""
        common = self.signatures(), self.n_topics
        expected, bound = self.backend.sum_of_blocks(self.corpus, _by_column, _statistics, (t,), *common)
        return expected, bound

    def update(self, gamma: Array, lam: Array) -> None:
        """Take a new posterior."""
        self.gamma, self.lam = gamma, lam
        self._signatures = None

    def bound(self, observed: float) -> float:
        """What the updates climb, in nats, from what `m_step` returned with this λ."""
        of, prior = FAMILIES[self.family].bound_of_signatures, self.prior_of_signatures()
        parts = [of(self.lam[b], priors.part(prior, b), self.backend) for b in self.corpus.blocks]
        return observed + self._weighted_sum(parts)

    def signatures(self) -> Array:
        """The expectation of the signatures, each column scaled by its largest topic."""
        if self._signatures is None:
            of = self.one_modality_per_set()
            of_means = self.family == "collapsed"
            self._signatures = self.backend.signatures(of.lam, of.corpus.blocks, of.lam_as_read(), of_means=of_means)
        return self._signatures

    def lam_as_read(self) -> Array:
        """λ times the factors of the batches, where every measured set is a modality of its own."""
        return self.lam if self.effects is None else self.lam * self.effects.factors.astype(self.lam.dtype)[:, None]

    def one_modality_per_set(self) -> "Posterior":
        """The same with every measured set as a modality of its own: for all that leaves λ as it is."""
        sets = self.corpus.measured_sets
        if not isinstance(sets, MeasuredSets):
            return self
        corpus, eta = self.corpus.one_modality_per_set, priors.part(self.eta, sets.features)
        guide = self.guide and self.guide.of_features(sets.features)
        return replace(self, corpus=corpus, lam=sets.of_features(self.lam), eta=eta, guide=guide)

    def of_sets(self, sets: list[int]) -> "Posterior":
        """That of some measured sets, each a modality of its own; with weights only where several have any."""
        of = self.one_modality_per_set()
        weights, blocks = of.corpus.modality_weights[sets], [of.corpus.blocks[s] for s in sets]
        rows = csr_array(hstack([of.corpus.rows[:, block] for block in blocks], format="csr"))
        offsets = np.cumsum([0, *(block.stop - block.start for block in blocks)])
        corpus = Corpus(rows, offsets, weights if len(blocks) > 1 and weights.any() else None)
        features = np.concatenate([np.arange(block.start, block.stop) for block in blocks])
        effects = of.effects and replace(of.effects, factors=of.effects.factors[features])
        eta, guide = priors.part(of.eta, features), of.guide and of.guide.of_features(features)
        return replace(of, corpus=corpus, lam=of.lam[features], eta=eta, effects=effects, guide=guide)

    def prior(self) -> Array:
        """Dirichlet prior of the proportions: a row for all observations, or a row each."""
        if self.pseudocounts is None:
            return np.full((1, self.n_topics), self.alpha, dtype=self.corpus.dtype)
        return self.pseudocounts + np.asarray(self.alpha, self.corpus.dtype)

    def prior_of_signatures(self) -> Prior:
        """Dirichlet prior of the signatures: η, and V × K with what a guide adds to it."""
        return self.eta if self.guide is None else self.guide.beside(self.eta, self.n_topics)

    def learned_alpha(self) -> float:
        """The α under which E log θ of all observations is most likely."""
        total = self.gamma.sum(axis=1, dtype=np.float64)
        mean_log = self.backend.sum("digamma", self.gamma) - self.n_topics * float(digamma(total).sum())
        return priors.concentration(priors.symmetric(self.alpha), [self.gamma.shape], mean_log)

    def learned_eta(self) -> float:
        """The η under which the signatures of all modalities are most likely, but for those that are guided."""
        free, eta = self.lam, priors.symmetric(self.eta)
        if self.guide is not None:
            if self.guide.n_topics == self.n_topics:
                return eta
            free = np.ascontiguousarray(free[:, self.guide.n_topics :])
        lam = [free[block] for block in self.corpus.blocks]
        return FAMILIES[self.family].learned_eta(lam, self.corpus.modality_weights, eta, self.backend)

    def topics(self, gamma: Array) -> tuple[Array, float]:
        """exp(E log θ), each row scaled, and what γ adds to the bound."""
        prior = self.prior()
        t, by_row = self.backend.topics(gamma, prior, self.corpus.totals)
        total = gammaln(prior.sum(axis=1, dtype=np.float64)).sum()
        normaliser = float(total) - self.backend.sum("log_gamma", prior)
        return t, float(by_row.sum()) + normaliser * (len(gamma) / len(prior))

    def log_likelihood(self, hidden: Corpus, common: float = 0.0) -> Double:
        """Σ_v x_dv ln Σ_k θ_dk β_kv of counts of the observations, D × M, with the means of θ and β.

        Of every prediction, the share ``common`` is that of the features' frequencies instead.
        """
        of = self.one_modality_per_set()
        theta, lam = of.gamma / of.gamma.sum(axis=1, keepdims=True), of.lam_as_read()
        if common:
            theta = np.column_stack([(1 - common) * theta, np.full(len(theta), common)])
            lam = np.column_stack([lam, of.corpus.by_column + of.eta])
        theta, scores = theta.astype(of.lam.dtype), []
        for block in hidden.column_blocks:
            beta = (lam[block] / lam[block].sum(axis=0, dtype=np.float64)).astype(of.lam.dtype)
            scores.append(of.backend.log_likelihood(csr_array(hidden.rows[:, block]), theta, beta))
        return hidden.summed(np.stack(scores).T)

    def _weighted_sum(self, parts: Iterable[float]) -> float:
        """The sum over modalities of what each adds to the bound, times its weight."""
        return float(sum(weight * part for weight, part in zip(self.corpus.modality_weights, parts, strict=True)))


def initial(
    corpus: Corpus,
    n_topics: int,
    rng: np.random.Generator,
    alpha: Prior,
    eta: Prior,
    family: str = "variational",
    *,
    effects: bool = False,
    guide: Guide | None = None,
) -> Posterior:
    """γ = α everywhere; λ ~ Gamma(100, 1/100), drawn topics × features by modality in double precision.

    With ``effects`` all that tells batches apart is taken for effects, until topics explain it.
    """
    drawn = [rng.gamma(100, 1 / 100, (n_topics, b.stop - b.start)).T for b in corpus.blocks]
    lam = np.ascontiguousarray(np.concatenate(drawn))
    if guide is not None:
        guide.begin(lam, corpus.blocks)
    gamma = np.full((corpus.n_obs, n_topics), alpha)
    found = _of_one_topic(corpus) if effects and isinstance(corpus.measured_sets, MeasuredSets) else None
    return Posterior(corpus, gamma, lam, alpha, eta, family, effects=found, guide=guide)


def _of_one_topic(corpus: Corpus) -> BatchEffects:
    """What effects are if all observations are alike."""
    counts: Array = corpus.by_column[:, None]
    lam: Array = np.ones((corpus.n_features, 1))
    effects: BatchEffects | None = BatchEffects.none(len(counts), len(corpus.blocks))
    for _ in range(UPDATES):
        lam, _, effects = corpus.measured_sets.most_likely(counts, lam, priors.LOWEST, corpus.blocks, np.log, effects)
    assert effects is not None
    return effects


def _by_row(block: Corpus) -> csr_array:
    return block.weighted_counts


def _by_column(block: Corpus) -> csc_array:
    return block.columns


def _e_step(
    backend: Backend, counts: csr_array, start: Array, prior: Array, signatures: Array, *how: float
) -> tuple[Array, Double]:
    """γ of a block, and the work of each row in non-zeros."""
    rounds, atol, rtol = how
    gamma, taken = backend.e_step(counts, signatures, prior, start, int(rounds), atol, rtol)
    return gamma, taken * np.diff(counts.indptr)  # and not @: BLAS would wake threads that spin beside ours


def _statistics(
    backend: Backend, counts: csc_array, t: Array, signatures: Array, n_topics: int
) -> tuple[Array, Double]:
    return backend.statistics(counts, t, signatures, n_topics)
