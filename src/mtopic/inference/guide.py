"""What is known of some topics beforehand: signatures that they begin at and are drawn to, or that stay as they are."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from .backend import Array, Double
from .measured_sets import Logarithm
from .priors import Prior, by_row


@dataclass(frozen=True)
class Guide:
    """Of the first topics, which are guided; tables are features × guided topics."""

    drawn: Double
    """Pseudocounts for each count that a topic has in the modality if all topics have as many; 0 where none."""
    fixed: Double
    """Shares that stay as they are, beside each other; 0 where a share is free."""
    size: Double
    """The counts that a topic has in a feature's modality if all topics have as many."""

    @property
    def n_topics(self) -> int:
        return self.drawn.shape[1]

    @property
    def pseudocounts(self) -> Double:
        """What the prior of the signatures has besides η."""
        return self.drawn * self.size[:, None]

    def scaled(self, ratio: float) -> Self:
        """For counts that are this many times as many."""
        return replace(self, size=self.size * ratio)

    def of_features(self, features: NDArray[np.int64]) -> Self:
        """Of some features."""
        return replace(self, drawn=self.drawn[features], fixed=self.fixed[features], size=self.size[features])

    def beside(self, eta: Prior, n_topics: int) -> Double:
        """The whole prior of the signatures, V × K."""
        prior = np.zeros((len(self.size), n_topics))
        prior += by_row(eta, np.float64)
        return prior + self.padded(n_topics)

    def padded(self, n_topics: int) -> Double:
        """The pseudocounts of all topics, V × K."""
        return np.pad(self.pseudocounts, ((0, 0), (0, n_topics - self.n_topics)))

    def lifts(self, lam: Array, blocks: list[slice]) -> Iterator[tuple[int, slice, Double]]:
        """Of each guided topic and modality: by how much the guide's features are more common in a topic than in all.

        That is the mean logarithm of the ratio, by the weights of the guide, for each topic of ``lam``.
        """
        for block in blocks:
            shares, known = lam[block] / lam[block].sum(axis=0), self.drawn[block] + self.fixed[block]
            ratios = np.log(shares) - np.log(lam[block].sum(axis=1, keepdims=True) / lam[block].sum())
            for k in np.flatnonzero(known.any(axis=0)).tolist():
                yield k, block, known[:, k] @ ratios / known[:, k].sum()

    def order(self, lam: Array, blocks: list[slice]) -> NDArray[np.intp]:
        """The topics of ``lam``, first those in which the features of each guide are most common."""
        scores = np.zeros((self.n_topics, lam.shape[1]))
        for k, _, lifts in self.lifts(lam.astype(np.float64), blocks):
            scores[k] += lifts
        _, first = linear_sum_assignment(-scores)
        return np.concatenate([first, np.setdiff1d(np.arange(lam.shape[1]), first)])

    def begin(self, lam: Array, blocks: list[slice]) -> None:
        """Have λ, random about 1, begin at what is known."""
        for block in blocks:
            lam[block, : self.n_topics] += self.drawn[block] * (block.stop - block.start)
        self.hold(lam, blocks)

    def hold(self, lam: Array, blocks: list[slice], expected_log: Logarithm = np.log) -> Double:
        """Give λ the shares that are fixed; return what the bound of each modality has to have in addition.

        λ of the features with such shares keeps its sum. The bound of λ = η + counts lacks the sum of
        (η + counts − λ) E log β where λ is another.
        """
        corrections = np.zeros(len(blocks))
        for m, block in enumerate(blocks):
            for k in np.flatnonzero(self.fixed[block].any(axis=0)):
                own, free = self.fixed[block, k], np.asarray(lam[block, k], np.float64)
                held = np.where(own > 0, own * (free[own > 0].sum() / own.sum()), free)
                log_beta = expected_log(held) - expected_log(held.sum())
                corrections[m] += ((free - held) * log_beta).sum()
                lam[block, k] = held
        return corrections
