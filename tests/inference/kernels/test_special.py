"""Elementary functions against NumPy and SciPy."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special
from numba import njit

from mtopic.inference.kernels import special

compiled = SimpleNamespace(
    log=njit(lambda x: special.log(x)),
    exp=njit(lambda x, scratch: special.exp(x, scratch)),
    digamma=njit(lambda x, out: special.digamma(x, out)),
    sum_log_gamma=njit(lambda x, logs, factors: special.sum_log_gamma(x, logs, factors)),
)
SIZES = [1, 7, 8, 33, 1000]


def positive(size):
    return 10 ** np.random.default_rng(size).uniform(-4, 8, size)


@pytest.mark.parametrize("size", SIZES)
def test_log(size):
    x = positive(size)
    expected = np.log(x)
    compiled.log(x)
    np.testing.assert_allclose(x, expected, rtol=1e-13, atol=1e-14)


def test_log_of_very_small_and_large_numbers():
    x = np.array([np.finfo(np.float32).tiny, np.finfo(float).tiny, 1.0, 0.5**0.5, np.finfo(float).max])
    expected = np.log(x)
    compiled.log(x)
    np.testing.assert_allclose(x, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("size", SIZES)
def test_log_in_single_precision(size):
    x = np.append(positive(size), [np.finfo(np.float32).tiny, 1, 1 + 1e-6, np.finfo(np.float32).max]).astype(np.float32)
    expected = np.log(x.astype(np.float64))
    compiled.log(x)
    np.testing.assert_allclose(x, expected, rtol=3e-7)


@pytest.mark.parametrize("size", SIZES)
def test_exp(size):
    x = -positive(size) / 1e6
    x[0] = 0
    expected = np.exp(np.maximum(x, special.EXP_FLOOR))
    compiled.exp(x, np.empty(size))
    np.testing.assert_allclose(x, expected, rtol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_digamma(size):
    x, out = positive(size), np.empty(size)
    compiled.digamma(x, out)
    np.testing.assert_allclose(out, scipy.special.digamma(x), rtol=1e-12, atol=1e-12)


def test_tiny_and_huge_arguments():
    """As small as a prior may be, next to the root of ψ and the roots of ln Γ, and far beyond any count."""
    x = np.array([1e-300, 1e-30, 1e-4, 1.0, 1.4616321449683623, 2.0, 1e15, 1e30, 1e45])
    out = np.empty(x.size)
    compiled.digamma(x, out)
    np.testing.assert_allclose(out, scipy.special.digamma(x), rtol=1e-12, atol=1e-12)
    for value in x[(x > 1e-150) & (x < 1e25)]:
        one = np.full(2, value)
        total = compiled.sum_log_gamma(one, np.empty(2), np.empty(2))
        np.testing.assert_allclose(total, 2 * scipy.special.gammaln(value), rtol=1e-11, atol=1e-11)


def test_exp_beyond_its_floor_is_positive():
    x = np.array([-1e3, -1e300, special.EXP_FLOOR])
    compiled.exp(x, np.empty(3))
    np.testing.assert_allclose(x, np.exp(special.EXP_FLOOR), rtol=1e-13)


def test_views_are_worked_on_and_nothing_else():
    x = np.full(11, 2.0)
    compiled.log(x[3:8])
    np.testing.assert_allclose(x[3:8], np.log(2))
    assert (np.delete(x, range(3, 8)) == 2).all()


@pytest.mark.parametrize("size", SIZES)
def test_sum_log_gamma(size):
    x = positive(size)
    total = compiled.sum_log_gamma(x, np.empty(size), np.empty(size))
    np.testing.assert_allclose(total, scipy.special.gammaln(x).sum(), rtol=1e-11, atol=1e-10)
