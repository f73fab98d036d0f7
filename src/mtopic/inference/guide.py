"""What is known of some topics beforehand: signatures that they begin at and are drawn to, or that stay as they are."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from .backend import Array, Double, Logarithm
from .priors import LOWEST, Prior, by_row


@dataclass(frozen=True)
class Guide:
    """Of the first topics, which are guided; tables are features × guided topics, 0 where nothing is known."""

    weights: Double
    """Of the features that the guide knows, which sum to 1 in each modality."""
    lifts: Double
    """How many times as common as in all counts a feature should be, of all features of such a modality."""
    strengths: Double
    """Counts that the guide stands for, for each that is expected of its features; infinite where shares stay."""
    mean: Double
    """Counts of each feature in a topic, if all topics have as many."""

    @property
    def n_topics(self) -> int:
        return self.lifts.shape[1]

    def pseudocounts(self, n_topics: int) -> Double:
        """What the prior of the signatures has besides η, V × K."""
        finite = np.where(np.isinf(self.strengths), 0, self.strengths)
        known = finite * np.where(self.weights > 0, self.lifts, 0) * self.mean[:, None]
        return np.pad(known, ((0, 0), (0, n_topics - self.n_topics)))

    def beside(self, eta: Prior, n_topics: int) -> Double:
        """The whole prior of the signatures, V × K."""
        return self.pseudocounts(n_topics) + by_row(eta, np.float64)

    def scaled(self, ratio: float) -> Self:
        """For counts that are this many times as large."""
        return replace(self, mean=self.mean * ratio)

    def of_features(self, features: NDArray[np.int64]) -> Self:
        """Of some features."""
        return replace(self, weights=self.weights[features], lifts=self.lifts[features], mean=self.mean[features])

    def begin(self, lam: Array, blocks: list[slice]) -> None:
        """Have λ, random about 1, begin at what is known."""
        lam[:, : self.n_topics] *= np.where(self.lifts > 0, self.lifts, 1)
        self.hold_all(lam, blocks)

    def hold_all(self, lam: Array, blocks: list[slice]) -> None:
        """Give λ of all modalities the shares that stay as they are."""
        for block in blocks:
            self.hold(lam, block)

    def hold(self, lam: Array, block: slice, expected_log: Logarithm = np.log) -> float:
        """Give λ of a modality the shares that stay as they are; return what the bound has to have in addition.

        λ of the features with such shares keeps its sum. The bound of λ = η + counts lacks the sum of
        (η + counts − λ) E log β where λ is another.
        """
        correction = 0.0
        for k in np.flatnonzero(np.isinf(self.strengths) & self.weights[block].any(axis=0)):
            own, free = self.weights[block, k], np.asarray(lam[block, k], np.float64)
            held = np.where(own > 0, np.maximum(own * (free[own > 0].sum() / own.sum()), LOWEST), free)
            log_beta = expected_log(held) - expected_log(held.sum())
            correction += float(((free - held) * log_beta).sum())
            lam[block, k] = held
        return correction

    def found(self, lam: Array, blocks: list[slice]) -> Iterator[tuple[int, int, Double, Double]]:
        """Topic, modality, and where the guide's features are, for each topic of ``lam``.

        First how much more common they are in it than in all topics, the mean logarithm by the weights of the guide.
        Then the same times the share that the topic has of a feature's counts: of two topics in which features are as
        common, the one with more of their counts is what the guide means.
        """
        for m, block in enumerate(blocks):
            shares = lam[block] / lam[block].sum(axis=0)
            logs = np.log(shares) - np.log(lam[block].sum(axis=1, keepdims=True) / lam[block].sum())
            gains = logs * lam[block] / lam[block].sum(axis=1, keepdims=True)
            for k in np.flatnonzero(self.weights[block].any(axis=0)).tolist():
                weights = self.weights[block, k] / self.weights[block, k].sum()
                yield k, m, weights @ logs, weights @ gains

    def asked(self, block: slice) -> Double:
        """Of each topic: the mean lift that the guide asks for in a modality; 1 where it knows nothing."""
        return np.exp((self.weights[block] * np.log(np.maximum(self.lifts[block], LOWEST))).sum(axis=0))

    def order(self, lam: Array, blocks: list[slice]) -> NDArray[np.intp]:
        """The topics of ``lam``, first those that the guides mean."""
        scores = np.zeros((self.n_topics, lam.shape[1]))
        for k, _, _, gains in self.found(lam.astype(np.float64), blocks):
            scores[k] += gains
        _, first = linear_sum_assignment(-scores)
        return np.concatenate([first, np.setdiff1d(np.arange(lam.shape[1]), first)])
