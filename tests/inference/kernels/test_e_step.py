"""The compiled e step against plain NumPy."""

import itertools

import numpy as np
import pytest
from scipy.sparse import csc_array, csr_array
from scipy.special import digamma

from mtopic.inference.kernels import e_step, expectations, statistics

from .plain import PRECISION, D, K, topics_and_signatures


def plain_e_step(x, b, prior, gamma, rounds):
    for _ in range(rounds):
        t = np.exp(digamma(gamma))
        gamma = prior + t * ((x / (t @ b.T)) @ b)
    return gamma


def run_e_step(x, b, prior, start, max_rounds, atol=0.0, rtol=0.0):
    rows = csr_array(x.astype(b.dtype))
    gamma, rounds = start.astype(b.dtype), np.empty(len(x))
    e_step.e_step(
        0, len(x), rows.indptr, rows.indices, rows.data, b, prior.astype(b.dtype), gamma, rounds, max_rounds, atol, rtol
    )
    return gamma, rounds


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
@pytest.mark.parametrize("rounds", [1, 2, 7, 40])
@pytest.mark.parametrize("by_row", [False, True], ids=["one prior", "a prior a row"])
def test_e_step(rng, x, dtype, tolerance, rounds, by_row):
    *_, b = topics_and_signatures(rng, dtype)
    prior = rng.gamma(2, 0.1, (D if by_row else 1, K)) + 0.05
    gamma, taken = run_e_step(x, b, prior, np.ones((D, K)), rounds)
    expected = plain_e_step(x, b[:, :K].astype(float), prior, np.ones((D, K)), rounds)
    np.testing.assert_allclose(gamma, expected, rtol=tolerance * 10, atol=tolerance)
    np.testing.assert_allclose(gamma[3], prior[3 if by_row else 0], rtol=1e-6)
    assert taken[3] == 0
    assert (np.delete(taken, 3) == rounds).all()


def plain_e_step_with_deaths(x, b, prior, gamma, rounds, epsilon):
    """One observation; also the number of topics alive in each round."""
    live, gamma, widths, dropped = np.arange(gamma.size), gamma.copy(), [], False
    for _ in range(rounds):
        t = np.exp(digamma(gamma[live]))
        received = t * ((x / (b[:, live] @ t)) @ b[:, live])
        gamma[live] = prior + received
        widths.append(live.size)
        keep = received > epsilon * prior
        if dropped or 2 * keep.sum() <= live.size:
            live, dropped = live[keep], True
    return gamma, widths


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_e_step_on_the_table_of_live_topics(rng, dtype, tolerance):
    """Three chunks of features; 13 topics of which ever fewer live on: 5, 4 and 3, whole fours and rests."""
    n_topics, n_features, prior = 13, 600, 0.01
    beta = 0.9 * rng.dirichlet(np.full(n_features, 0.02), n_topics).T + 0.1 / n_features
    mixtures = np.zeros((3, n_topics))
    for d, n in enumerate((1, 2, 5)):
        mixtures[d, rng.permutation(n_topics)[:n]] = 1 / n
    x = rng.poisson(20_000 * mixtures @ beta.T).astype(float)
    b = np.zeros((n_features, expectations.padded(n_topics)), dtype)
    b[:, :n_topics] = beta / beta.max(axis=1, keepdims=True)
    assert ((x > 0).sum(axis=1) > 2 * e_step.CHUNK).all()
    gamma, rounds = run_e_step(x, b, np.full((1, n_topics), prior), np.ones((3, n_topics)), 40)
    seen = set()
    for d in range(3):
        nonzero, epsilon = x[d] > 0, np.finfo(dtype).eps
        plain = b[nonzero, :n_topics].astype(float)
        expected, widths = plain_e_step_with_deaths(x[d, nonzero], plain, prior, np.ones(n_topics), 40, epsilon)
        np.testing.assert_allclose(gamma[d], expected, rtol=tolerance * 50, atol=tolerance)
        assert rounds[d] == pytest.approx(sum(widths) / n_topics, abs=1e-9 if dtype is np.float64 else 1)
        seen |= set(widths)
    assert {3, 4, 5, 13} <= seen


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_change_no_bit(rng, dtype):
    """Neither E-step nor statistics depend on which rows share a block and its work space."""
    b = np.zeros((300, 16), dtype)
    b[:, :9] = rng.gamma(0.1, 1, (300, 9)) + 1e-6
    b /= b.max(axis=1, keepdims=True)
    x = rng.poisson(rng.lognormal(0, 2, (D, 1)) * rng.random((D, 300))).astype(dtype)
    rows, columns = csr_array(x), csc_array(x)
    e_steps, sums = [], []
    for edges in ([0, D], [0, 1, 5, 6, D]):
        gamma, rounds = np.ones((D, 9), dtype), np.empty(D)
        prior = np.full((1, 9), 0.05, dtype)
        args = (rows.indptr, rows.indices, rows.data, b, prior, gamma, rounds, 30, 0.0, 1e-4)
        for start, stop in itertools.pairwise(edges):
            e_step.e_step(start, stop, *args)
        e_steps.append(np.column_stack([gamma, rounds]))
        t = np.zeros((D, 16), dtype)
        t[:, :9] = e_steps[0][:, :9]
        out, bound = np.empty((300, 9), dtype), np.empty(300)
        for start, stop in itertools.pairwise([20 * edge for edge in edges[:-1]] + [300]):
            args = (columns.indptr, columns.indices, columns.data, t, b, out, bound)
            statistics.sufficient_statistics(start, stop, *args)
        sums.append(np.column_stack([out, bound]))
    np.testing.assert_array_equal(*e_steps)
    np.testing.assert_array_equal(*sums)


@pytest.mark.parametrize(("n_topics", "n_features"), [(5, 29), (11, 300)])
def test_e_step_finds_the_fixed_point_when_topics_die(rng, n_topics, n_features):
    """Deep observations and a small prior: most topics are dropped on the way, and nothing else changes.

    The larger case has more features than fit into one chunk of the table of topics that live on.
    """
    beta = rng.dirichlet(np.full(n_features, 0.3), n_topics).T + 1e-12
    x = rng.poisson(5000 * beta[:, np.arange(D) % n_topics].T).astype(float)
    b = np.zeros((n_features, expectations.padded(n_topics)))
    b[:, :n_topics] = beta / beta.max(axis=1, keepdims=True)
    plain, prior, ones = b[:, :n_topics], np.full((1, n_topics), 0.01), np.ones((D, n_topics))
    gamma, rounds = run_e_step(x, b, prior, ones, 2000, rtol=1e-14)
    assert (gamma < 0.0101).any()
    assert (rounds < 2000).all()
    np.testing.assert_allclose(plain_e_step(x, plain, prior, gamma, 1), gamma, rtol=1e-8)
    np.testing.assert_allclose(gamma.sum(axis=1), x.sum(axis=1) + n_topics * 0.01, rtol=1e-10)
    few, counted = run_e_step(x, b, prior, ones, 60)
    np.testing.assert_allclose(few, plain_e_step(x, plain, prior, ones, 60), rtol=1e-9)
    assert (counted < 60).any()
    assert (counted > 1).all()


def test_e_step_stops_by_absolute_and_by_relative_tolerance(rng, x):
    *_, b = topics_and_signatures(rng, np.float64)
    prior, start = np.full((1, K), 0.2), np.ones((D, K))
    _, loose = run_e_step(x, b, prior, start, 1000, rtol=1e-2)
    _, tight = run_e_step(x, b, prior, start, 1000, rtol=1e-6)
    _, absolute = run_e_step(x, b, prior, start, 1000, atol=1e-4)
    assert loose.sum() < tight.sum() < 1000 * D
    last = plain_e_step(x, b[:, :K], prior, start, int(absolute[0])) - plain_e_step(
        x, b[:, :K], prior, start, int(absolute[0]) - 1
    )
    assert abs(last[0]).mean() < 1e-4
    before = plain_e_step(x, b[:, :K], prior, start, int(absolute[0]) - 1) - plain_e_step(
        x, b[:, :K], prior, start, int(absolute[0]) - 2
    )
    assert abs(before[0]).mean() >= 1e-4
