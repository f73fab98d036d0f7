"""Topics of groups that have measured different features, paired by the features that the groups have in common.

Where these are few, a topic may be one thing in one group and another in the next. That fits each group as well, and
updates do not come back from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import xlogy

from .backend import Array, Double
from .corpus import Corpus
from .frequency_prior import guide_of
from .measured_sets import MeasuredSets, slices
from .posterior import UPDATES, Posterior
from .random_streams import Stream, generator
from .stochastic import initial_signatures

MARGIN = 10.0
"""Nats that other pairs must be likelier by before topics are found anew, times the dispersion of the counts."""
ITERATIONS, ROUNDS = 10, 10
"""Of a fit to one group, and of its E-steps."""


@dataclass(frozen=True)
class Group:
    """Observations that have measured the same features."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    """Of the sets that it has measured, one of each modality."""
    features: NDArray[np.int64]
    """Of these columns."""
    factors: Double
    """Of these columns, by effects of batches."""
    posterior: Posterior
    """Of the group alone, with signatures that no other has a part in, as its batch reads them."""

    def counts(self) -> Array:
        """The expected counts of topics, columns × K."""
        return self.posterior.statistics(self.posterior.topics(self.posterior.gamma)[0])[0]

    def fitted(self, rng: np.random.Generator) -> tuple["Group", float]:
        """The group with topics that are found in it alone, and the work in full passes over its counts."""
        lam, passes = initial_signatures(self.posterior, rng)
        of = replace(self.posterior, lam=lam, gamma=np.ones_like(self.posterior.gamma), family="collapsed")
        for _ in range(ITERATIONS):
            of.gamma, rounds = of.e_step(of.gamma, ROUNDS, rtol=1e-3)
            of.update(of.gamma, of.m_step(of.gamma)[0])
            passes += rounds + 1
        return replace(self, posterior=of.relearned()), passes + UPDATES


@dataclass(frozen=True)
class Pairing:
    """Which topic of a group goes with each topic of the groups before it."""

    order: NDArray[np.intp]
    loss: float
    """Log-likelihood of the common counts under signatures of each group, less that under signatures in common."""
    gain: float
    """How much larger the loss is of topics as they are."""
    freedom: int
    """Parameters that signatures of each group have more."""


def aligned(posterior: Posterior, seed: int) -> tuple[Posterior, float]:
    """The posterior with each topic the same thing in all groups, and the work in full passes.

    It is left as it is unless common counts are clearly likelier if topics of groups go with others. Then each group
    finds topics by itself, and those become one that make the common counts most likely.
    """
    corpus, sets = posterior.corpus, posterior.corpus.measured_sets
    if not isinstance(sets, MeasuredSets) or sets.is_complete:
        return posterior, 0.0
    groups, passes = _groups(posterior, sets), UPDATES + 1.0
    if _are_right(_pairings(groups, corpus)):
        return posterior, passes
    rng = generator(seed, Stream.ALIGNMENT)
    for g, group in enumerate(groups):
        groups[g], done = group.fitted(rng)
        passes += done * group.posterior.corpus.nnz / corpus.nnz
    gamma = np.empty_like(posterior.gamma)
    counts = np.zeros((len(sets.features), posterior.n_topics), posterior.lam.dtype)
    for group, pairing in zip(groups, _pairings(groups, corpus), strict=True):
        gamma[group.rows] = group.posterior.gamma[:, pairing.order]
        counts[group.columns] += group.counts()[:, pairing.order]
    lam, *_ = replace(posterior, lam=np.ones_like(posterior.lam)).likeliest(counts, np.log)
    return replace(posterior, gamma=gamma, lam=lam), passes


def _groups(posterior: Posterior, sets: MeasuredSets) -> list[Group]:
    """The groups of the observations; those without counts in some modality go with others that have them."""
    seen = posterior.corpus.one_modality_per_set.by_modality > 0
    patterns, which, n_obs = np.unique(seen, axis=0, return_inverse=True, return_counts=True)
    measured: list[NDArray[np.bool_]] = []
    member = np.empty(len(patterns), np.intp)
    for p in np.lexsort((n_obs, patterns.sum(axis=1)))[::-1]:
        fitting = (g for g, of_group in enumerate(measured) if _belongs(patterns[p], of_group, sets))
        member[p] = g = next(fitting, len(measured))
        if g == len(measured):
            measured.append(patterns[p])
        measured[g] = measured[g] | patterns[p]
    return [_group(posterior, sets, np.flatnonzero(member[which.ravel()] == g), own) for g, own in enumerate(measured)]


def _belongs(pattern: NDArray[np.bool_], measured: NDArray[np.bool_], sets: MeasuredSets) -> bool:
    """Whether observations with counts in these sets may be of a group that has measured those."""
    one_of_each = np.bincount(sets.modality[pattern | measured], minlength=1).max() <= 1
    return bool(one_of_each and ((pattern & measured).any() or not pattern.any()))


def _group(posterior: Posterior, sets: MeasuredSets, rows: NDArray[np.intp], measured: NDArray[np.bool_]) -> Group:
    columns = np.flatnonzero(np.repeat(measured, np.diff(sets.offsets)))
    part = replace(posterior, corpus=posterior.corpus.part(rows), gamma=posterior.gamma[rows])
    own = replace(part.of_sets(np.flatnonzero(measured).tolist()), effects=None)
    own = replace(own, guide=guide_of(own.corpus, own.guide, own.n_topics))
    factors = np.ones(columns.size) if posterior.effects is None else posterior.effects.factors[columns]
    return Group(rows, columns, sets.features[columns], factors, own.relearned())


def _pairings(groups: Sequence[Group], corpus: Corpus) -> list[Pairing]:
    """Of each group: first that with most counts, then always the one that has most in common with those before."""
    counts = [group.counts() / group.factors[:, None] for group in groups]
    by_feature = np.zeros((len(groups), corpus.n_features))
    for totals, group, own in zip(by_feature, groups, counts, strict=True):
        totals[group.features] = own.sum(axis=1)
    common = np.minimum(by_feature[:, None], by_feature).sum(axis=2)
    found: dict[int, Pairing] = {}
    while len(found) < len(groups):
        before = list(found)
        most = common[:, before].sum(axis=1) if before else common.diagonal()
        new = max(set(range(len(groups))) - set(before), key=lambda g: float(most[g]))
        losses = [_loss(groups[b].features, counts[b], groups[new].features, counts[new], corpus) for b in before]
        found[new] = _best(losses, counts[new].shape[1])
        counts[new] = counts[new][:, found[new].order]
    return [found[g] for g in range(len(groups))]


def _best(losses: Sequence[tuple[Double, int]], n_topics: int) -> Pairing:
    loss = sum((values for values, _ in losses), np.zeros((n_topics, n_topics)))
    topics, order = linear_sum_assignment(loss)
    least = float(loss[topics, order].sum())
    return Pairing(order, least, float(loss.trace()) - least, sum(freedom for _, freedom in losses))


def _are_right(pairings: Sequence[Pairing]) -> bool:
    """Whether topics may stay as they are."""
    loss, gain, freedom = (sum(getattr(one, name) for one in pairings) for name in ("loss", "gain", "freedom"))
    return bool(gain <= MARGIN * max(1.0, 2 * loss / max(1, freedom)))


def _loss(
    features: NDArray[np.int64], counts: Double, others: NDArray[np.int64], more: Double, corpus: Corpus
) -> tuple[Double, int]:
    """`Pairing.loss` of each topic of one group with each of another, and `Pairing.freedom`."""
    common, a, b = np.intersect1d(features, others, assume_unique=True, return_indices=True)
    n_topics, freedom = counts.shape[1], 0
    loss = np.zeros((n_topics, n_topics))
    for weight, block in zip(corpus.modality_weights, slices(np.searchsorted(common, corpus.offsets)), strict=True):
        one, other = counts[a[block]].T, more[b[block]].T
        together = np.stack([_log_likelihood(topic + other) for topic in one])
        loss += weight * (_log_likelihood(one)[:, None] + _log_likelihood(other) - together)
        freedom += n_topics * max(0, one.shape[1] - 1)
    return loss, freedom


def _log_likelihood(counts: Double) -> Double:
    """Of the counts in each row under the shares that they have."""
    total = counts.sum(axis=1)
    return np.asarray(xlogy(counts, counts).sum(axis=1) - xlogy(total, total))
