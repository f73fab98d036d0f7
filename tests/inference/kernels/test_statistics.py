"""The compiled statistics against plain NumPy."""

import numpy as np
import pytest
from scipy.sparse import csc_array, csr_array

from mtopic.inference.kernels import statistics

from .plain import PRECISION, K, V, topics_and_signatures


def plain_statistics(x, t, b):
    return b * ((x / (t @ b.T)).T @ t)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_sufficient_statistics(rng, x, dtype, tolerance):
    _, _, t, b = topics_and_signatures(rng, dtype)
    columns = csc_array(x.astype(dtype))
    out, bound = np.full((V, K), np.nan, dtype), np.full(V, np.nan)
    statistics.sufficient_statistics(0, 11, columns.indptr, columns.indices, columns.data, t, b, out, bound)
    assert np.isnan(out[11:]).all()
    assert np.isnan(bound[11:]).all()
    statistics.sufficient_statistics(11, V, columns.indptr, columns.indices, columns.data, t, b, out, bound)
    td, bd = t[:, :K].astype(float), b[:, :K].astype(float)
    np.testing.assert_allclose(out, plain_statistics(x, td, bd), rtol=tolerance * 10, atol=tolerance)
    np.testing.assert_allclose(out.sum(), x.sum(), rtol=tolerance)
    expected = (x * np.log(td @ bd.T)).sum(axis=0) - (plain_statistics(x, td, bd) * np.log(bd)).sum(axis=1)
    np.testing.assert_allclose(bound, expected, rtol=tolerance * 10, atol=tolerance * 10)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
@pytest.mark.parametrize("shift", [[0.2], np.linspace(0.1, 3, V)])
def test_blended_statistics(rng, x, dtype, tolerance, shift):
    _, lam, t, b = topics_and_signatures(rng, dtype)
    columns, lam = csc_array(x.astype(dtype)), lam.astype(dtype)
    expected = 0.75 * lam + 3 * plain_statistics(x, t[:, :K].astype(float), b[:, :K].astype(float))
    expected += np.asarray(shift)[:, None]
    for out in (np.empty_like(lam), lam):
        amounts = (dtype(0.75), dtype(3), np.asarray(shift, dtype))
        statistics.gradient_step(0, V, columns.indptr, columns.indices, columns.data, t, b, *amounts, lam, out)
        np.testing.assert_allclose(out, expected, rtol=tolerance * 10, atol=tolerance * 10)


def test_what_topics_explain_against_plain_numpy():
    rng = np.random.default_rng(0)
    x = csr_array(rng.poisson(0.5, (6, 9)).astype(np.float64))
    theta, beta = rng.dirichlet(np.ones(3), 6), rng.dirichlet(np.ones(9), 3).T.copy()
    mean = rng.dirichlet(np.ones(9))
    out = np.full((6, 3), np.nan)
    statistics.explained(0, 6, x.indptr, x.indices, x.data, theta, beta, mean, out)
    mixture = theta @ beta.T
    shares = theta[:, None, :] * beta[None, :, :] / mixture[:, :, None]
    gains = x.toarray() * np.log(mixture / mean)
    np.testing.assert_allclose(out, (gains[:, :, None] * shares).sum(axis=1))
