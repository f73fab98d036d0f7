"""Features that some observations have measured and others have not.

Observations that have measured the same features of a modality are a panel of it. A panel has columns of its own in the corpus, one for each
of its features, and a feature has one row of λ, whatever the number of its columns. Of a Dirichlet vector the entries that a panel has, scaled
to sum 1, are Dirichlet distributed with the same parameters, so that observations are judged by these; and where counts are gathered, those
that a panel would have had in its other features are expected there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .backend import Array
from .priors import Prior, by_row, total

ROUNDS, TOLERANCE = 20, 1e-4

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class MeasuredSets:
    """What the columns of a corpus are.

    Parameters
    ----------
    features
        The feature of each column; within a panel they ascend.
    offsets
        Panel p has the columns ``offsets[p]`` to ``offsets[p + 1]``.
    modality
        The modality of each panel; they ascend.
    """

    features: NDArray[np.int64]
    offsets: NDArray[np.int64]
    modality: NDArray[np.int64]

    @property
    def blocks(self) -> list[slice]:
        """The columns of each panel."""
        return [slice(int(a), int(b)) for a, b in zip(self.offsets[:-1], self.offsets[1:], strict=True)]

    def gathered(self, modality: int, block: slice, counts: Array) -> "Gathered":
        """What topics have of the counts of a modality, whose features are ``block``, of columns × K."""
        n_features, n_topics = block.stop - block.start, counts.shape[1]
        by_feature, by_panel, features = np.zeros((n_features, n_topics)), [], []
        for p in np.flatnonzero(self.modality == modality):
            columns = self.blocks[p]
            features.append(self.features[columns] - block.start)
            by_feature[features[-1]] += counts[columns]
            by_panel.append(counts[columns].sum(axis=0, dtype=np.float64))
        return Gathered(by_feature, np.array(by_panel), features)

    def dealt(self, order: NDArray[np.intp], offsets: NDArray[np.int64]) -> tuple[NDArray[np.intp], "MeasuredSets"]:
        """The columns in a new order, and what they are when features are in ``order`` and modality m has those from ``offsets[m]`` on."""
        features = np.argsort(order)[self.features]
        modality = np.searchsorted(offsets, features, side="right") - 1
        panel = np.repeat(np.arange(len(self.modality)), np.diff(self.offsets))
        columns = np.lexsort((features, panel, modality))
        features, modality, panel = features[columns], modality[columns], panel[columns]
        starts = np.flatnonzero(np.diff(modality, prepend=-1) | np.diff(panel, prepend=-1))
        return columns, MeasuredSets(features, np.append(starts, features.size), modality[starts])

    def summed(self, values: Shares) -> Shares:
        """The sums over the panels of each modality, of values whose last axis is panels."""
        starts = np.searchsorted(self.modality, np.arange(self.modality.max() + 1))
        return np.add.reduceat(values, starts, axis=-1)


@dataclass(frozen=True)
class Gathered:
    """What topics have of the counts of one modality.

    Parameters
    ----------
    by_feature
        Sum over the panels, V × K.
    by_panel
        Sum over the features, panels × K.
    features
        Those of each panel, from 0.
    """

    by_feature: Shares
    by_panel: Shares
    features: list[NDArray[np.int64]]

    def of(self, topics: list[int]) -> "Gathered":
        """What some of the topics have."""
        return Gathered(self.by_feature[:, topics], self.by_panel[:, topics], self.features)

    def most_likely(self, lam: Array, eta: Prior) -> Shares:
        """λ = η + counts, seen and expected, at the signatures that explain the seen ones best; the search begins at ``lam``.

        A feature has the share of what was seen of it, in what there was to see where it was measured (Hunter 2004): λ goes up in
        the likelihood with every round.
        """
        shares, added = _shares(lam), by_row(eta, np.float64)
        prior = total(eta, len(lam))
        for _ in range(ROUNDS):
            before, there = shares, self.by_panel / self._measured(shares)
            shares = (self.by_feature + added) / (prior + self._exposure(there))
            shares /= shares.sum(axis=0)
            if np.abs(shares - before).sum(axis=0).max() < TOLERANCE:
                break
        return shares * (prior + (self.by_panel / self._measured(shares)).sum(axis=0))

    def expected(self, lam: Array) -> Shares:
        """Counts, seen and expected where ``lam`` says what was not seen."""
        shares = _shares(lam)
        there = self.by_panel / self._measured(shares)
        return self.by_feature + shares * (there.sum(axis=0) - self._exposure(there))

    def bound_correction(self, lam: Array, eta: Prior, logarithm: Callable[[Array], Array]) -> float:
        """What the bound has besides the evidence of a λ that would be η + counts seen.

        That is Σ_k (Σ_p n_pk (f(Σ_v λ_kv) − f(Σ_{v∈p} λ_kv)) − Σ_v u_kv (f(λ_kv) − f(Σ_w λ_kw))) with u = λ − η − seen and f the
        logarithm or its expectation.
        """
        values = np.asarray(lam, dtype=np.float64)
        log_total = logarithm(values.sum(axis=0))
        unseen = ((values - by_row(eta, np.float64) - self.by_feature) * (logarithm(values) - log_total)).sum()
        return float((self.by_panel * (log_total - logarithm(self._measured(values)))).sum() - unseen)

    def _measured(self, values: Shares) -> Shares:
        """Sums over the features of each panel, panels × K."""
        return np.array([values[features].sum(axis=0) for features in self.features])

    def _exposure(self, there: Shares) -> Shares:
        """Sums over the panels that have a feature, V × K, of ``there``, panels × K."""
        sums = np.zeros_like(self.by_feature)
        for features, values in zip(self.features, there, strict=True):
            sums[features] += values
        return sums


def _shares(lam: Array) -> Shares:
    return lam / lam.sum(axis=0, dtype=np.float64)
