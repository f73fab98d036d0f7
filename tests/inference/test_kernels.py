"""The compiled kernels against plain NumPy."""

import numpy as np
import pytest
from scipy.sparse import csc_array, csr_array
from scipy.special import digamma, gammaln

from mtopic.inference import kernels

D, V, K = 13, 29, 5
PRECISION = [(np.float32, 2e-5), (np.float64, 1e-10)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def x(rng):
    counts = rng.poisson(0.7, (D, V)).astype(float) * rng.lognormal(0, 1, (D, V))
    counts[3] = 0
    return counts


def expectation(values, axis):
    return np.exp(digamma(values) - digamma(values.sum(axis=axis, keepdims=True)))


def topics_and_signatures(rng, dtype):
    gamma = rng.gamma(1, 3, (D, K)).astype(dtype) + 0.01
    lam = rng.gamma(0.5, 3, (V, K)).astype(dtype) + 0.01
    t, t_shift = np.empty_like(gamma), np.empty(D)
    kernels.expected_topics(0, D, gamma, t, t_shift)
    b, b_shift = np.empty_like(lam), np.empty(V)
    kernels.expected_signatures(0, V, lam, digamma(lam.sum(axis=0, dtype=float)), b, b_shift)
    return gamma.astype(float), lam.astype(float), t, t_shift, b, b_shift


@pytest.mark.parametrize("x", [1e-3, 0.01, 0.05, 0.3, 1.0, 1.4616, 2.5, 7.0, 100.0, 1e6])
def test_digamma(x):
    assert kernels.digamma(x) == pytest.approx(float(digamma(x)), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_expectations_carry_their_scales(rng, dtype, tolerance):
    gamma, lam, t, t_shift, b, b_shift = topics_and_signatures(rng, dtype)
    np.testing.assert_allclose(t * np.exp(t_shift)[:, None], expectation(gamma, 1), rtol=tolerance, atol=1e-28)
    np.testing.assert_allclose(b * np.exp(b_shift)[:, None], expectation(lam, 0), rtol=tolerance, atol=1e-28)
    np.testing.assert_allclose(t.max(axis=1), 1, rtol=tolerance)
    np.testing.assert_allclose(b.max(axis=1), 1, rtol=tolerance)


def test_scaled_expectations_do_not_underflow():
    gamma = np.array([[1e-3, 1e-3, 5000.0]], dtype=np.float32)
    t, shift = np.empty_like(gamma), np.empty(1)
    kernels.expected_topics(0, 1, gamma, t, shift)
    assert (t > 0).all()
    assert t[0, 2] == 1


def plain_e_step(x, b, prior, gamma, rounds):
    for _ in range(rounds):
        t = np.exp(digamma(gamma))
        gamma = prior + t * ((x / (t @ b.T)) @ b)
    return gamma


def run_e_step(x, b, prior, start, max_rounds, atol=0.0, rtol=0.0):
    rows = csr_array(x.astype(b.dtype))
    gamma, rounds = start.astype(b.dtype), np.empty(D, np.int32)
    kernels.e_step(
        0, D, rows.indptr, rows.indices, rows.data, b, prior.astype(b.dtype), gamma, rounds, max_rounds, atol, rtol
    )
    return gamma, rounds


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
@pytest.mark.parametrize("rounds", [1, 2, 7, 40])
@pytest.mark.parametrize("by_row", [False, True], ids=["one prior", "a prior a row"])
def test_e_step(rng, x, dtype, tolerance, rounds, by_row):
    *_, b, _ = topics_and_signatures(rng, dtype)
    prior = rng.gamma(2, 0.1, (D if by_row else 1, K)) + 0.05
    gamma, taken = run_e_step(x, b, prior, np.ones((D, K)), rounds)
    expected = plain_e_step(x, b.astype(float), prior, np.ones((D, K)), rounds)
    np.testing.assert_allclose(gamma, expected, rtol=tolerance * 10, atol=tolerance)
    np.testing.assert_allclose(gamma[3], prior[3 if by_row else 0], rtol=1e-6)
    assert taken[3] == 0
    assert (np.delete(taken, 3) == rounds).all()


def test_e_step_finds_the_fixed_point_when_topics_die(rng):
    """Deep observations and a small prior: most topics are dropped on the way, and nothing else changes."""
    b = rng.dirichlet(np.full(V, 0.3), K).T + 1e-12
    x = rng.poisson(500 * b[:, np.arange(D) % K].T).astype(float)
    b /= b.max(axis=1, keepdims=True)
    prior = np.full((1, K), 0.01)
    gamma, rounds = run_e_step(x, b, prior, np.ones((D, K)), 20_000, rtol=1e-14)
    assert (gamma < 0.0101).any()
    assert (rounds < 20_000).all()
    np.testing.assert_allclose(plain_e_step(x, b, prior, gamma, 1), gamma, rtol=1e-8)
    np.testing.assert_allclose(gamma.sum(axis=1), x.sum(axis=1) + K * 0.01, rtol=1e-10)


def test_e_step_stops_by_absolute_and_by_relative_tolerance(rng, x):
    *_, b, _ = topics_and_signatures(rng, np.float64)
    prior, start = np.full((1, K), 0.2), np.ones((D, K))
    _, loose = run_e_step(x, b, prior, start, 1000, rtol=1e-2)
    _, tight = run_e_step(x, b, prior, start, 1000, rtol=1e-6)
    _, absolute = run_e_step(x, b, prior, start, 1000, atol=1e-4)
    assert loose.sum() < tight.sum() < 1000 * D
    last = plain_e_step(x, b, prior, start, int(absolute[0])) - plain_e_step(x, b, prior, start, int(absolute[0]) - 1)
    assert abs(last[0]).mean() < 1e-4
    before = plain_e_step(x, b, prior, start, int(absolute[0]) - 1) - plain_e_step(
        x, b, prior, start, int(absolute[0]) - 2
    )
    assert abs(before[0]).mean() >= 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_sufficient_statistics(rng, x, dtype, tolerance):
    _, _, t, _, b, _ = topics_and_signatures(rng, dtype)
    columns = csc_array(x.astype(dtype))
    out = np.full((V, K), np.nan, dtype)
    kernels.sufficient_statistics(0, 11, columns.indptr, columns.indices, columns.data, t, b, out)
    assert np.isnan(out[11:]).all()
    kernels.sufficient_statistics(11, V, columns.indptr, columns.indices, columns.data, t, b, out)
    td, bd = t.astype(float), b.astype(float)
    np.testing.assert_allclose(out, bd * ((x / (td @ bd.T)).T @ td), rtol=tolerance * 10, atol=tolerance)
    np.testing.assert_allclose(out.sum(), x.sum(), rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_log_likelihood(rng, x, dtype, tolerance):
    gamma, lam, t, t_shift, b, b_shift = topics_and_signatures(rng, dtype)
    rows = csr_array(x.astype(dtype))
    out = np.empty(D)
    kernels.log_likelihood(0, D, rows.indptr, rows.indices, rows.data, t, t_shift, b, b_shift, out)
    expected = (x * np.log(expectation(gamma, 1) @ expectation(lam, 0).T)).sum(axis=1)
    np.testing.assert_allclose(out, expected, rtol=tolerance)


def test_dirichlet_divergence(rng):
    values, prior = rng.gamma(1, 2, (7, K)) + 0.01, rng.gamma(1, 1, (7, K)) + 0.01
    out = np.empty(7)
    kernels.dirichlet_divergence(0, 7, values, prior, out)
    expected = ((values - prior) * digamma(values) - gammaln(values) + gammaln(prior)).sum(axis=1)
    np.testing.assert_allclose(out, expected, rtol=1e-10)


def test_correction_by_neighbours(rng):
    gamma, previous = rng.gamma(1, 2, (D, K)), rng.gamma(1, 2, (D, K))
    weights = rng.random((D, D)) * (rng.random((D, D)) < 0.3)
    np.fill_diagonal(weights, 0)
    weights[4] = 0
    graph = csr_array(weights)
    out = np.empty_like(gamma)
    kernels.correct_by_neighbours(0, D, graph.indptr, graph.indices, graph.data, gamma, previous, True, out)
    for d in range(D):
        own = gamma[d] / np.linalg.norm(gamma[d])
        s = own.copy()
        for j in np.flatnonzero(weights[d]):
            u = previous[j] / np.linalg.norm(previous[j])
            s += weights[d, j] * (own @ u) * u
        raised = gamma[d] * (1 + s / np.linalg.norm(s))
        np.testing.assert_allclose(out[d], raised * gamma[d].sum() / raised.sum(), rtol=1e-12)
    kernels.correct_by_neighbours(0, D, graph.indptr, graph.indices, graph.data, gamma, previous, False, out)
    np.testing.assert_array_equal(out[4], gamma[4])
    assert (out[5] != gamma[5]).any()


def test_place_rows_aligns_and_leaves_gaps(rng):
    x = csr_array(rng.poisson(1, (4, 6)).astype(np.int64))
    order = np.array([2, -1, 0, 3, 1])
    indptr = np.concatenate([[0], np.cumsum(np.where(order < 0, 0, np.diff(x.indptr)[order]))])
    indices, values = np.empty(x.nnz, np.int32), np.empty(x.nnz, np.float32)
    kernels.place_rows(x.indptr, x.indices, x.data, order, 10, indptr[:-1].copy(), indices, values)
    placed = csr_array((values, indices, indptr), shape=(5, 16)).toarray()
    expected = np.zeros((5, 16))
    expected[order >= 0, 10:] = x.toarray()[order[order >= 0]]
    np.testing.assert_array_equal(placed, expected)
