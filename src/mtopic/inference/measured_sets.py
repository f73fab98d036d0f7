"""Features that some observations have measured and others have not.

Observations that have measured the same features of a modality are a measured set of it. A set has columns of its own
in the corpus, one for each of its features, and a feature has one row of λ, whatever the number of its columns. Of a
Dirichlet vector the entries that a set has, scaled to sum 1, are Dirichlet distributed with the same parameters, so
that observations are judged by these; and where counts are gathered, those that a set would have had in its other
features are expected there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .backend import Array, Double, Logarithm
from .batch_effects import BatchEffects, bound, likelier_strength, most_likely_factors
from .guide import Guide
from .priors import Prior, by_row, part, total

ROUNDS = 20
"""Steps to the most likely signatures, at most; each goes up in the likelihood, so fewer are no error."""
TOLERANCE = 1e-4
"""Largest change of a topic's shares, summed over the features, at which the steps end."""


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

    def summed(self, values: Double, n_modalities: int) -> Double:
        """The sums over the sets of each modality, of values whose last axis is sets."""
        return values

    def pooled(self, variances: Double, n_features: int) -> Double:
        """The variance of each feature when those of its columns are of independent measurements."""
        return variances

    def most_likely(
        self,
        counts: Array,
        lam: Array,
        eta: Prior,
        blocks: list[slice],
        expected_log: Logarithm,
        effects: BatchEffects | None = None,
        guide: Guide | None = None,
    ) -> tuple[Array, Double, BatchEffects | None]:
        """λ from ``counts`` of topics in each column, overwritten; what else the bound of each modality has; effects.

        Effects of batches, if there are any, are learned with λ. What a guide holds stays.
        """
        counts += by_row(eta, counts.dtype)
        if guide is None:
            return counts, np.zeros(len(blocks)), None
        return counts, np.array([guide.hold(counts, block, expected_log) for block in blocks]), None


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

    def summed(self, values: Double, n_modalities: int) -> Double:
        sums = np.zeros((*values.shape[:-1], n_modalities))
        for s, m in enumerate(self.modality):
            sums[..., m] += values[..., s]
        return sums

    def pooled(self, variances: Double, n_features: int) -> Double:
        known = np.zeros((n_features, variances.shape[1]))
        np.add.at(known, self.features, 1 / variances)
        return 1 / known

    def most_likely(
        self,
        counts: Array,
        lam: Array,
        eta: Prior,
        blocks: list[slice],
        expected_log: Logarithm,
        effects: BatchEffects | None = None,
        guide: Guide | None = None,
    ) -> tuple[Array, Double, BatchEffects | None]:
        found, corrections = np.empty(lam.shape, lam.dtype), np.zeros(len(blocks))
        for m, block in enumerate(blocks):
            gathered, own = self.gathered(m, block, counts, effects), part(eta, block)
            found[block] = gathered.most_likely(lam[block], own)
            if guide is not None:
                guide.hold(found, block, expected_log)
            if effects is not None:
                columns = self.columns_of(m)
                by_column = counts[columns].sum(axis=1, dtype=np.float64)
                if effects.learned:
                    c = likelier_strength(effects.strengths[m], by_column, gathered.in_columns(found[block]))
                    gathered = gathered.with_factors(found[block], by_column, c)
                    effects = effects.updated(m, columns, gathered.read.data, c)
                corrections[m] = bound(gathered.read.data, by_column, effects.strengths[m])
            corrections[m] += gathered.bound_correction(found[block], own, expected_log)
        return found, corrections, effects

    def gathered(self, modality: int, block: slice, counts: Array, effects: BatchEffects | None = None) -> "Gathered":
        """What topics have of the counts of a modality, whose features are ``block``, of columns × K."""
        columns, sets = self.columns_of(modality), self.within([modality])
        features = self.features[columns] - block.start
        ends = self.offsets[[*sets, sets[-1] + 1]] - columns.start
        factors = np.ones(features.size) if effects is None else effects.factors[columns]
        read = csr_array((factors, features, ends), shape=(len(sets), block.stop - block.start))
        by_feature = np.zeros((read.shape[1], counts.shape[1]))
        for s in sets:
            by_feature[self.features[self.blocks[s]] - block.start] += counts[self.blocks[s]]
        by_set = [counts[self.blocks[s]].sum(axis=0, dtype=np.float64) for s in sets]
        return Gathered(by_feature, np.array(by_set), read)

    @property
    def is_complete(self) -> bool:
        """Whether every set has all features of its modality."""
        sizes = np.diff(self.offsets)
        return all(len(np.unique(self.features[self.columns_of(m)])) == sizes[s] for s, m in enumerate(self.modality))

    def columns_of(self, modality: int) -> slice:
        """The columns of all sets of a modality."""
        first, end = np.searchsorted(self.modality, [modality, modality + 1])
        return slice(int(self.offsets[first]), int(self.offsets[end]))


@dataclass(frozen=True)
class Gathered:
    """What topics have of the counts of one modality: V × K, summed over the sets; and sets × K, over the features."""

    by_feature: Double
    by_set: Double
    read: csr_array
    """How much of a feature a set reads, sets × V: 1, or an effect of its batch; none where it was not measured."""

    def of(self, topics: list[int]) -> "Gathered":
        """What some of the topics have."""
        return replace(self, by_feature=self.by_feature[:, topics], by_set=self.by_set[:, topics])

    def most_likely(self, lam: Array, eta: Prior) -> Double:
        """λ = η + counts, seen and expected, at the signatures that explain the seen ones best; starts at ``lam``.

        A feature has the share of what was seen of it, in what there was to see where it was measured (Hunter 2004): λ
        goes up in the likelihood with every round.
        """
        shares, added = _shares(lam), by_row(eta, np.float64)
        prior = total(eta, len(lam))
        for _ in range(ROUNDS):
            before, there = shares, self._there(shares)
            shares = (self.by_feature + added) / (prior + self.read.T @ there)
            shares /= shares.sum(axis=0)
            if np.abs(shares - before).sum(axis=0).max() < TOLERANCE:
                break
        return shares * (prior + self._there(shares).sum(axis=0))

    def expected(self, lam: Array) -> Double:
        """Counts, seen and expected where ``lam`` says what was not seen."""
        shares = _shares(lam)
        there = self._there(shares)
        seen, exposure = self.read.sign().T @ there, self.read.T @ there
        as_common = np.divide(seen, exposure, out=np.ones_like(seen), where=exposure > 0)
        return self.by_feature * as_common + shares * (there.sum(axis=0) - seen)

    def in_columns(self, lam: Array) -> Double:
        """The counts that are expected in each column if it reads what others do."""
        shares, own = _shares(lam), np.repeat(np.arange(len(self.by_set)), np.diff(self.read.indptr))
        return np.asarray((shares[self.read.indices] * self._there(shares)[own]).sum(axis=1))

    def with_factors(self, lam: Array, by_column: Double, strength: float) -> "Gathered":
        """With the likeliest factors beside ``lam``, of the counts of each column."""
        shares, read, found = _shares(lam), self.read, np.empty(self.read.nnz)
        for columns, by_topic in zip(slices(read.indptr), self.by_set, strict=True):
            beta = shares[read.indices[columns]]
            found[columns] = most_likely_factors(read.data[columns], by_column[columns], by_topic, beta, strength)
        return replace(self, read=csr_array((found, read.indices, read.indptr), shape=read.shape))

    def bound_correction(self, lam: Array, eta: Prior, expected_log: Logarithm) -> float:
        """What the bound has besides that of a λ that would be η + counts seen.

        That is Σ_k (Σ_s n_sk (f(Σ_v λ_kv) − f(Σ_{v∈s} λ_kv)) − Σ_v u_kv (f(λ_kv) − f(Σ_w λ_kw))) with u = λ − η − seen
        and f the logarithm or its expectation.
        """
        values = np.asarray(lam, dtype=np.float64)
        log_total = expected_log(values.sum(axis=0))
        unseen = ((values - by_row(eta, np.float64) - self.by_feature) * (expected_log(values) - log_total)).sum()
        return float((self.by_set * (log_total - expected_log(self.read @ values))).sum() - unseen)

    def _there(self, shares: Double) -> Double:
        """What there was of each topic in each set, sets × K, if it reads a part of the ``shares``."""
        return np.asarray(self.by_set / (self.read @ shares))


def _shares(lam: Array) -> Double:
    return lam / lam.sum(axis=0, dtype=np.float64)
