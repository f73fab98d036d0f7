"""Elementary functions against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.special

from mtopic.inference import special

SIZES = [1, 7, 8, 33, 1000]


def positive(size):
    return 10 ** np.random.default_rng(size).uniform(-4, 8, size)


@pytest.mark.parametrize("size", SIZES)
def test_log(size):
    x = positive(size)
    expected = np.log(x)
    special.log(x)
    np.testing.assert_allclose(x, expected, rtol=1e-13, atol=1e-14)


def test_log_of_very_small_and_large_numbers():
    x = np.array([np.finfo(np.float32).tiny, np.finfo(float).tiny, 1.0, 0.5**0.5, np.finfo(float).max])
    expected = np.log(x)
    special.log(x)
    np.testing.assert_allclose(x, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("size", SIZES)
def test_exp(size):
    x = -positive(size) / 1e6
    x[0] = 0
    expected = np.exp(np.maximum(x, special.EXP_FLOOR))
    special.exp(x, np.empty(size))
    np.testing.assert_allclose(x, expected, rtol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_digamma(size):
    x, out = positive(size), np.empty(size)
    special.digamma(x, out)
    np.testing.assert_allclose(out, scipy.special.digamma(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_log_gamma(size):
    x, out = positive(size), np.empty(size)
    special.log_gamma(x, out, np.empty(size))
    np.testing.assert_allclose(out, scipy.special.gammaln(x), rtol=1e-11, atol=1e-10)
