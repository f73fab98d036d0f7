import numpy as np
import pytest

from mtopic.tl._moderated import moderated


def test_numbers_are_those_of_smyth():
    """Logarithms of variance 2 trigamma(1), at 2 degrees of freedom: the prior has 2, too, and scale 1."""
    apart = np.sqrt(np.pi**2 / 3 * 7 / 8)
    s2 = np.exp(np.repeat([-apart, apart], 4))
    variances, df = moderated(s2, np.full(8, 2.0))
    np.testing.assert_allclose(variances, (s2 + 1) / 2)
    np.testing.assert_allclose(df, 4)


@pytest.mark.parametrize("d", [2.0, 4.0])
def test_a_prior_is_found(d):
    rng, n, d0, s02 = np.random.default_rng(0), 20_000, 6.0, 0.5
    true = d0 * s02 / rng.chisquare(d0, n)
    s2 = true * rng.chisquare(d, n) / d
    variances, df = moderated(s2, np.full(n, d))
    np.testing.assert_allclose(df, d0 + d, rtol=0.1)
    np.testing.assert_allclose(variances, (d0 * s02 + d * s2) / (d0 + d), rtol=0.1)


def test_equal_variances_become_one_with_half_of_all_degrees_of_freedom():
    rng, d = np.random.default_rng(1), np.array([1.0, 2.0, 2.0, 3.0])
    s2 = np.exp(rng.normal(0, 0.01, 4))
    variances, df = moderated(s2, d)
    np.testing.assert_allclose(variances, np.average(s2, weights=d), rtol=1e-2)
    np.testing.assert_allclose(df, 4)


def test_a_trend_is_followed():
    """What depends on counts is no reason to distrust the prior, and no variance is drawn to the mean of all."""
    rng, n, d = np.random.default_rng(2), 500, 2.0
    counts = np.geomspace(1, 1000, n)
    true = 0.05 + 1 / counts
    s2 = true * rng.chisquare(d, n) / d
    with_trend, df = moderated(s2, np.full(n, d), np.log(counts))
    without, fewer = moderated(s2, np.full(n, d))
    assert (df > 20).all() and (fewer < 10).all()
    assert np.abs(np.log(with_trend / true)).mean() < 0.3 < np.abs(np.log(without / true)).mean()


def test_what_is_not_telling_is_moderated_and_moderates_nothing():
    rng, d = np.random.default_rng(3), np.full(40, 3.0)
    s2, telling = rng.chisquare(3, 40) / 3, np.arange(40) >= 10
    trend = np.maximum(np.linspace(-1, 2, 40), 0)
    s2[:10] = 1e-6
    every, of_telling = moderated(s2, d, trend, telling), moderated(s2[10:], d[10:], trend[10:])
    np.testing.assert_allclose(every[0][10:], of_telling[0])
    assert (every[0][:10] > 0.1).all() and (every[1] > 20).all()
    np.testing.assert_array_equal(moderated(s2, d, trend, np.zeros(40, bool)), [s2, d])


def test_few_and_missing_variances():
    d = np.full(3, 2.0)
    np.testing.assert_array_equal(moderated(np.array([0.3]), d[:1]), [[0.3], [2.0]])
    assert np.isnan(moderated(np.zeros(3), d)).all()
    s2 = np.array([0.2, np.nan, 0.4])
    np.testing.assert_array_equal([part[[0, 2]] for part in moderated(s2, d)], moderated(s2[[0, 2]], d[:2]))
    assert np.isnan(moderated(s2, d)[0][1]) and np.isnan(moderated(s2, d)[1][1])
    assert (moderated(np.array([0.2, 0.0, 0.4]), d)[0] > 0).all()
