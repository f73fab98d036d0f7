"""Features that some observations have measured and others have not.

Observations that have measured the same features of a modality are a measured set of it. A set has columns of its own
in the corpus, one for each of its features, and a feature has one row of λ, whatever the number of its columns. Of a
Dirichlet vector the entries that a set has, scaled to sum 1, are Dirichlet distributed with the same parameters, so
that observations are judged by these; and where counts are gathered, those that a set would have had in its other
features are expected there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backend import Array, Double
from .priors import Prior, by_row, part, total

ROUNDS = 20
"""Steps to the most likely signatures, at most; each goes up in the likelihood, so fewer are no error."""
TOLERANCE = 1e-4
"""Largest change of a topic's shares, summed over the features, at which the steps end."""

Logarithm = Callable[[Array], Array]


def slices(offsets: NDArray[np.int64]) -> list[slice]:
    """Those between one offset and the next."""
    return [slice(int(a), int(b)) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]


@dataclass(frozen=True)
class EverythingMeasured:
    """All observations have measured all features: columns are features, and every modality is one set."""

    def column_offsets(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the columns of each set begin, from where the features of each modality do."""
        return offsets

    def of_features(self, values: NDArray[Any]) -> NDArray[Any]:
        """Of each column what ``values`` has of its feature."""
        return values

    def of_modalities(self, values: NDArray[Any]) -> NDArray[Any]:
        """Of each set what ``values`` has of its modality."""
        return values

    def within(self, modalities: Sequence[int]) -> list[int]:
        """The sets of some modalities."""
        return list(modalities)

    def summed(self, values: Double) -> Double:
        """The sums over the sets of each modality, of values whose last axis is sets."""
        return values

    def pooled(self, variances: Double, n_features: int) -> Double:
        """The variance of each feature when those of its columns are of independent measurements."""
        return variances

    def most_likely(
        self, counts: Array, lam: Array, eta: Prior, blocks: list[slice], expected_log: Logarithm
    ) -> tuple[Array, Double]:
        """λ from ``counts`` of topics in each column, overwritten, and what else the bound of each modality has."""
        counts += by_row(eta, counts.dtype)
        return counts, np.zeros(len(blocks))

    def permuted(
        self, order: NDArray[np.intp], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.intp], "EverythingMeasured"]:
        """The columns in a new order: features in ``order``, and modalities from ``offsets`` on."""
        return order, self


EVERYTHING = EverythingMeasured()


@dataclass(frozen=True)
class MeasuredSets(EverythingMeasured):
    """What the columns of a corpus are."""

    features: NDArray[np.int64]
    """The feature of each column; within a set they ascend."""
    offsets: NDArray[np.int64]
    """Set s has the columns ``offsets[s]`` to ``offsets[s + 1]``."""
    modality: NDArray[np.int64]
    """The modality of each set; they ascend."""

    @property
    def blocks(self) -> list[slice]:
        """The columns of each set."""
        return slices(self.offsets)

    def column_offsets(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.offsets

    def of_features(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[self.features]

    def of_modalities(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[self.modality]

    def within(self, modalities: Sequence[int]) -> list[int]:
        return np.flatnonzero(np.isin(self.modality, modalities)).tolist()

    def summed(self, values: Double) -> Double:
        starts = np.searchsorted(self.modality, np.arange(self.modality.max() + 1))
        return np.add.reduceat(values, starts, axis=-1)

    def pooled(self, variances: Double, n_features: int) -> Double:
        known = np.zeros((n_features, variances.shape[1]))
        np.add.at(known, self.features, 1 / variances)
        return 1 / known

    def most_likely(
        self, counts: Array, lam: Array, eta: Prior, blocks: list[slice], expected_log: Logarithm
    ) -> tuple[Array, Double]:
        found, corrections = np.empty(lam.shape, lam.dtype), np.empty(len(blocks))
        for m, block in enumerate(blocks):
            gathered, own = self.gathered(m, block, counts), part(eta, block)
            found[block] = gathered.most_likely(lam[block], own)
            corrections[m] = gathered.bound_correction(found[block], own, expected_log)
        return found, corrections

    def gathered(self, modality: int, block: slice, counts: Array) -> "Gathered":
        """What topics have of the counts of a modality, whose features are ``block``, of columns × K."""
        n_features, n_topics = block.stop - block.start, counts.shape[1]
        by_feature, by_set, features = np.zeros((n_features, n_topics)), [], []
        for s in self.within([modality]):
            columns = self.blocks[s]
            features.append(self.features[columns] - block.start)
            by_feature[features[-1]] += counts[columns]
            by_set.append(counts[columns].sum(axis=0, dtype=np.float64))
        return Gathered(by_feature, np.array(by_set), features)

    def permuted(
        self, order: NDArray[np.intp], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.intp], EverythingMeasured]:
        features = np.argsort(order)[self.features]
        modality = np.searchsorted(offsets, features, side="right") - 1
        own = np.repeat(np.arange(len(self.modality)), np.diff(self.offsets))
        columns = np.lexsort((features, own, modality))
        features, modality, own = features[columns], modality[columns], own[columns]
        starts = np.flatnonzero(np.diff(modality, prepend=-1) | np.diff(own, prepend=-1))
        return columns, MeasuredSets(features, np.append(starts, features.size), modality[starts])


@dataclass(frozen=True)
class Gathered:
    """What topics have of the counts of one modality: V × K, summed over the sets; and sets × K, over the features."""

    by_feature: Double
    by_set: Double
    features: list[NDArray[np.int64]]
    """Those of each set, from 0."""

    def of(self, topics: list[int]) -> "Gathered":
        """What some of the topics have."""
        return Gathered(self.by_feature[:, topics], self.by_set[:, topics], self.features)

    def most_likely(self, lam: Array, eta: Prior) -> Double:
        """λ = η + counts, seen and expected, at the signatures that explain the seen ones best; starts at ``lam``.

        A feature has the share of what was seen of it, in what there was to see where it was measured (Hunter 2004): λ
        goes up in the likelihood with every round.
        """
        shares, added = _shares(lam), by_row(eta, np.float64)
        prior = total(eta, len(lam))
        for _ in range(ROUNDS):
            before, there = shares, self.by_set / self._measured(shares)
            shares = (self.by_feature + added) / (prior + self._exposure(there))
            shares /= shares.sum(axis=0)
            if np.abs(shares - before).sum(axis=0).max() < TOLERANCE:
                break
        return shares * (prior + (self.by_set / self._measured(shares)).sum(axis=0))

    def expected(self, lam: Array) -> Double:
        """Counts, seen and expected where ``lam`` says what was not seen."""
        shares = _shares(lam)
        there = self.by_set / self._measured(shares)
        return self.by_feature + shares * (there.sum(axis=0) - self._exposure(there))

    def bound_correction(self, lam: Array, eta: Prior, expected_log: Logarithm) -> float:
        """What the bound has besides that of a λ that would be η + counts seen.

        That is Σ_k (Σ_s n_sk (f(Σ_v λ_kv) − f(Σ_{v∈s} λ_kv)) − Σ_v u_kv (f(λ_kv) − f(Σ_w λ_kw))) with u = λ − η − seen
        and f the logarithm or its expectation.
        """
        values = np.asarray(lam, dtype=np.float64)
        log_total = expected_log(values.sum(axis=0))
        unseen = ((values - by_row(eta, np.float64) - self.by_feature) * (expected_log(values) - log_total)).sum()
        return float((self.by_set * (log_total - expected_log(self._measured(values)))).sum() - unseen)

    def _measured(self, values: Double) -> Double:
        """Sums over the features of each set, sets × K."""
        return np.array([values[features].sum(axis=0) for features in self.features])

    def _exposure(self, there: Double) -> Double:
        """Sums over the sets that have a feature, V × K, of ``there``, sets × K."""
        sums = np.zeros_like(self.by_feature)
        for features, values in zip(self.features, there, strict=True):
            sums[features] += values
        return sums


def _shares(lam: Array) -> Double:
    return lam / lam.sum(axis=0, dtype=np.float64)
