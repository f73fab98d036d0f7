"""The compiled expectations against plain NumPy."""

import numpy as np
import pytest
from scipy.special import gammaln

from mtopic.inference.kernels import expectations

from .plain import PRECISION, D, K, V, expectation, topics_and_signatures


@pytest.mark.parametrize(("n_topics", "width"), [(2, 8), (8, 8), (50, 56)])
def test_padding(n_topics, width):
    assert expectations.padded(n_topics) == width


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_expectations_are_scaled_by_their_largest_entry(rng, dtype, tolerance):
    gamma, lam, t, b = topics_and_signatures(rng, dtype)
    for table, values, axis in ((t, gamma, 1), (b, lam, 0)):
        expected = expectation(values, axis)
        expected /= expected.max(axis=1, keepdims=True)
        np.testing.assert_allclose(table[:, :K], expected, rtol=tolerance, atol=1e-28)
        assert (table[:, K:] == 0).all()


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_mean_signatures(rng, dtype, tolerance):
    lam = rng.gamma(0.5, 3, (V, K)).astype(dtype) + dtype(0.01)
    b = np.full((V, expectations.padded(K)), np.nan, dtype)
    expectations.mean_signatures(0, V, lam, lam.sum(axis=0, dtype=float), b)
    expected = lam / lam.sum(axis=0, dtype=float)
    np.testing.assert_allclose(b[:, :K], expected / expected.max(axis=1, keepdims=True), rtol=tolerance)
    assert (b[:, K:] == 0).all()


def test_what_topics_add_to_the_bound(rng):
    gamma, prior, counts = rng.gamma(1, 3, (D, K)) + 0.01, rng.gamma(1, 1, (D, K)) + 0.1, rng.random(D)
    t, bound = np.empty((D, expectations.padded(K))), np.empty(D)
    expectations.expected_topics(0, D, counts, prior, gamma, t, bound)
    logs = np.log(expectation(gamma, 1))
    divergence = gammaln(gamma.sum(axis=1)) - gammaln(gamma).sum(axis=1) + ((gamma - prior) * logs).sum(axis=1)
    np.testing.assert_allclose(bound, counts * logs.max(axis=1) - divergence, rtol=1e-10)


def test_scaled_expectations_do_not_underflow():
    gamma = np.array([[1e-3, 1e-3, 5000.0]], dtype=np.float32)
    t = np.empty((1, 8), np.float32)
    expectations.expected_topics(0, 1, np.ones(1), np.full((1, 3), 1e-3), gamma, t, np.empty(1))
    assert (t[0, :3] > 0).all()
    assert t[0, 2] == 1
