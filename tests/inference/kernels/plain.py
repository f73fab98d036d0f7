"""What the tests of the kernels share: sizes, random tables, and the updates in plain NumPy."""

import numpy as np
from scipy.special import digamma

from mtopic.inference.kernels import expectations

D, V, K = 13, 29, 5
PRECISION = [(np.float32, 2e-5), (np.float64, 1e-10)]


def expectation(values, axis):
    return np.exp(digamma(values) - digamma(values.sum(axis=axis, keepdims=True)))


def topics_and_signatures(rng, dtype):
    """γ, λ and their scaled expectations, padded."""
    gamma = rng.gamma(1, 3, (D, K)).astype(dtype) + dtype(0.01)
    lam = rng.gamma(0.5, 3, (V, K)).astype(dtype) + dtype(0.01)
    t, b = (np.full((n, expectations.padded(K)), np.nan, dtype) for n in (D, V))
    expectations.expected_topics(0, D, np.ones(D), np.full((1, K), 0.2), gamma, t, np.empty(D))
    expectations.expected_signatures(0, V, lam, digamma(lam.sum(axis=0, dtype=float)), b)
    return gamma.astype(float), lam.astype(float), t, b
