"""How much more of each feature one batch reads than another: factors of the signatures.

In batch b, β^(b)_kv = β_kv r_bv / Σ_w β_kw r_bw. A factor is common to all topics, so that responsibilities for a count
do not feel it; it says what is expected of a feature, and how many counts of a topic are read at all. Its prior is
Gamma(c, c), of mean 1. With c learned, counts of a feature in a batch are negative binomial.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.special import digamma, polygamma

from .backend import Double

WEAKEST, STRONGEST = 1e-2, 1e6
"""Of c; at the latter, factors are 1."""
STEPS, TOLERANCE = 5, 1e-3
"""Newton's, to the most likely logarithms of factors; those of an M-step begin near."""
LONGEST = 1.0
"""Of a step in a logarithm."""


@dataclass(frozen=True)
class BatchEffects:
    """Factors of the features in batches."""

    factors: Double
    """One for each column of the corpus; NaN of a batch of which nothing is known yet."""
    strengths: Double
    """c of each modality."""
    learned: bool = True
    """Whether an M-step learns them, or leaves them as they are."""

    @classmethod
    def none(cls, n_columns: int, n_modalities: int) -> Self:
        """Where nothing is known yet: factors are 1."""
        return cls(np.ones(n_columns), np.ones(n_modalities))

    def or_average(self) -> Self:
        """With batches of which nothing is known as an average one."""
        return replace(self, factors=np.nan_to_num(self.factors, nan=1.0))

    def updated(self, modality: int, columns: slice, factors: Double, strength: float) -> Self:
        """With other factors of the ``columns`` of a modality."""
        known, strengths = self.factors.copy(), self.strengths.copy()
        known[columns], strengths[modality] = factors, strength
        return replace(self, factors=known, strengths=strengths)


def most_likely_factors(factors: Double, counts: Double, by_topic: Double, beta: Double, c: float) -> Double:
    """Those of one batch, under which ``counts`` of its features are likeliest, by Newton steps from ``factors``.

    ``by_topic`` has the counts of each topic in the batch, ``beta`` its signatures, V × K. What goes up, in ρ = log r,
    is Σ_v (x_v + c) ρ_v − Σ_k n_k log Σ_v β_kv exp(ρ_v) − c Σ_v exp(ρ_v).
    """
    if c == STRONGEST:
        return np.ones_like(factors)
    rho = np.log(factors)
    for _ in range(STEPS):
        read = np.exp(rho)[:, None] * beta
        read /= read.sum(axis=0)
        expected = read @ by_topic
        held = c * np.exp(rho)
        bend = expected + held
        scaled = read / bend[:, None]
        slope = (counts + c - expected - held) / bend
        shared = np.eye(len(by_topic)) - by_topic[:, None] * (read.T @ scaled)
        step = slope + scaled @ np.linalg.solve(shared, by_topic * (read.T @ slope))
        rho += np.clip(step, -LONGEST, LONGEST)
        if np.abs(step).max() < TOLERANCE:
            break
    return np.exp(rho)


def likelier_strength(c: float, counts: Double, expected: Double) -> float:
    """One Newton step in log c to where ``counts`` are likeliest: negative binomial, of the means ``expected``."""
    slope = digamma(c + counts) - digamma(c) + np.log(c / (c + expected)) + (expected - counts) / (c + expected)
    bend = polygamma(1, c + counts) - polygamma(1, c) + 1 / c - 1 / (c + expected)
    bend -= (expected - counts) / (c + expected) ** 2
    first, second = c * slope.sum(), c * (c * bend.sum() + slope.sum())
    step = -first / second if second < 0 else np.sign(first)
    return float(np.clip(c * np.exp(np.clip(step, -LONGEST, LONGEST)), WEAKEST, STRONGEST))


def bound(factors: Double, counts: Double, c: float) -> float:
    """What factors add to the bound besides the sums that signatures have: Laplace's value of their integral."""
    logs = np.log(factors)
    return float((counts * logs + c * (logs - factors + 1) - np.log1p(counts / c) / 2).sum())
