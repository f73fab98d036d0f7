"""The compiled kernels against plain NumPy."""

import itertools

import numpy as np
import pytest
from scipy.sparse import csc_array, csr_array
from scipy.special import digamma, gammaln

from mtopic.inference import kernels, neighbours, reductions

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
    """γ, λ and their scaled expectations, padded."""
    gamma = rng.gamma(1, 3, (D, K)).astype(dtype) + dtype(0.01)
    lam = rng.gamma(0.5, 3, (V, K)).astype(dtype) + dtype(0.01)
    t, b = (np.full((n, kernels.padded(K)), np.nan, dtype) for n in (D, V))
    kernels.expected_topics(0, D, np.ones(D), np.full((1, K), 0.2), gamma, t, np.empty(D))
    kernels.expected_signatures(0, V, lam, digamma(lam.sum(axis=0, dtype=float)), b)
    return gamma.astype(float), lam.astype(float), t, b


@pytest.mark.parametrize(("n_topics", "width"), [(2, 8), (8, 8), (50, 56)])
def test_padding(n_topics, width):
    assert kernels.padded(n_topics) == width


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
    b = np.full((V, kernels.padded(K)), np.nan, dtype)
    kernels.mean_signatures(0, V, lam, lam.sum(axis=0, dtype=float), b)
    expected = lam / lam.sum(axis=0, dtype=float)
    np.testing.assert_allclose(b[:, :K], expected / expected.max(axis=1, keepdims=True), rtol=tolerance)
    assert (b[:, K:] == 0).all()


def test_what_topics_add_to_the_bound(rng):
    gamma, prior, counts = rng.gamma(1, 3, (D, K)) + 0.01, rng.gamma(1, 1, (D, K)) + 0.1, rng.random(D)
    t, bound = np.empty((D, kernels.padded(K))), np.empty(D)
    kernels.expected_topics(0, D, counts, prior, gamma, t, bound)
    logs = np.log(expectation(gamma, 1))
    divergence = gammaln(gamma.sum(axis=1)) - gammaln(gamma).sum(axis=1) + ((gamma - prior) * logs).sum(axis=1)
    np.testing.assert_allclose(bound, counts * logs.max(axis=1) - divergence, rtol=1e-10)


def test_scaled_expectations_do_not_underflow():
    gamma = np.array([[1e-3, 1e-3, 5000.0]], dtype=np.float32)
    t = np.empty((1, 8), np.float32)
    kernels.expected_topics(0, 1, np.ones(1), np.full((1, 3), 1e-3), gamma, t, np.empty(1))
    assert (t[0, :3] > 0).all()
    assert t[0, 2] == 1


def plain_e_step(x, b, prior, gamma, rounds):
    for _ in range(rounds):
        t = np.exp(digamma(gamma))
        gamma = prior + t * ((x / (t @ b.T)) @ b)
    return gamma


def run_e_step(x, b, prior, start, max_rounds, atol=0.0, rtol=0.0):
    rows = csr_array(x.astype(b.dtype))
    gamma, rounds = start.astype(b.dtype), np.empty(len(x))
    kernels.e_step(
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
    b = np.zeros((n_features, kernels.padded(n_topics)), dtype)
    b[:, :n_topics] = beta / beta.max(axis=1, keepdims=True)
    assert ((x > 0).sum(axis=1) > 2 * kernels.CHUNK).all()
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
    e_steps, statistics = [], []
    for edges in ([0, D], [0, 1, 5, 6, D]):
        gamma, rounds = np.ones((D, 9), dtype), np.empty(D)
        prior = np.full((1, 9), 0.05, dtype)
        args = (rows.indptr, rows.indices, rows.data, b, prior, gamma, rounds, 30, 0.0, 1e-4)
        for start, stop in itertools.pairwise(edges):
            kernels.e_step(start, stop, *args)
        e_steps.append(np.column_stack([gamma, rounds]))
        t = np.zeros((D, 16), dtype)
        t[:, :9] = e_steps[0][:, :9]
        out, bound = np.empty((300, 9), dtype), np.empty(300)
        for start, stop in itertools.pairwise([20 * edge for edge in edges[:-1]] + [300]):
            args = (columns.indptr, columns.indices, columns.data, t, b, out, bound)
            kernels.sufficient_statistics(start, stop, *args)
        statistics.append(np.column_stack([out, bound]))
    np.testing.assert_array_equal(*e_steps)
    np.testing.assert_array_equal(*statistics)


@pytest.mark.parametrize(("n_topics", "n_features"), [(5, 29), (11, 300)])
def test_e_step_finds_the_fixed_point_when_topics_die(rng, n_topics, n_features):
    """Deep observations and a small prior: most topics are dropped on the way, and nothing else changes.

    The larger case has more features than fit into one chunk of the table of topics that live on.
    """
    beta = rng.dirichlet(np.full(n_features, 0.3), n_topics).T + 1e-12
    x = rng.poisson(5000 * beta[:, np.arange(D) % n_topics].T).astype(float)
    b = np.zeros((n_features, kernels.padded(n_topics)))
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


def plain_statistics(x, t, b):
    return b * ((x / (t @ b.T)).T @ t)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_sufficient_statistics(rng, x, dtype, tolerance):
    _, _, t, b = topics_and_signatures(rng, dtype)
    columns = csc_array(x.astype(dtype))
    out, bound = np.full((V, K), np.nan, dtype), np.full(V, np.nan)
    kernels.sufficient_statistics(0, 11, columns.indptr, columns.indices, columns.data, t, b, out, bound)
    assert np.isnan(out[11:]).all()
    assert np.isnan(bound[11:]).all()
    kernels.sufficient_statistics(11, V, columns.indptr, columns.indices, columns.data, t, b, out, bound)
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
        kernels.gradient_step(0, V, columns.indptr, columns.indices, columns.data, t, b, *amounts, lam, out)
        np.testing.assert_allclose(out, expected, rtol=tolerance * 10, atol=tolerance * 10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_over_rows_and_columns(rng, dtype):
    """They are made in double precision, whatever the table's."""
    values = (rng.gamma(0.5, 3, (600, K)) + 0.01).astype(dtype)
    columns = np.full((3, K), np.nan)
    reductions.column_sums(0, 2, values, columns)
    assert np.isnan(columns[2]).all()
    reductions.column_sums(2, 3, values, columns)
    values = values.astype(float)
    chunks = np.split(values, [reductions.CHUNK, 2 * reductions.CHUNK])
    np.testing.assert_allclose(columns, [chunk.sum(axis=0) for chunk in chunks], rtol=1e-12)
    values = values.astype(dtype)
    out = np.empty(600)
    for kernel, expected in (
        (reductions.sum_log_gamma, gammaln(values.astype(float))),
        (reductions.sum_digamma, digamma(values.astype(float))),
        (reductions.sum_v_log_v, values * np.log(values.astype(float))),
    ):
        kernel(0, 600, values, out)
        np.testing.assert_allclose(out, expected.sum(axis=1), rtol=1e-9, atol=1e-9)


def test_expected_increments(rng):
    mean, prior, out = rng.gamma(0.3, 2, (9, K)) + 1e-9, 0.3, np.empty(9)
    reductions.sum_increments(0, 9, mean + prior, prior, out)
    present = -np.expm1(-mean)
    expected = (present * (digamma(mean / present + prior) - digamma(prior))).sum(axis=1)
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    reductions.sum_increments(0, 1, np.full((1, 1), 1e-7) + prior, prior, out)
    assert out[0] == pytest.approx(1e-7 / prior, rel=1e-3)  # a rare count adds 1/prior whenever it is there


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_merged_v_log_v(rng, dtype, tolerance):
    topics, out = (rng.gamma(0.5, 3, (3, 1000)) + 1e-9).astype(dtype), np.empty(2)
    reductions.merged_v_log_v(0, 2, np.array([[0, 2], [1, 1]]), topics, out)
    merged = np.stack([topics[0] + topics[2], 2 * topics[1]])
    np.testing.assert_allclose(out, (merged * np.log(merged)).sum(axis=1), rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_total_variation(rng, dtype, tolerance):
    values, others = ((rng.gamma(0.5, 3, (D, K)) * rng.lognormal(0, 4, (D, 1))).astype(dtype) for _ in range(2))
    others[3], others[5] = 7 * values[3], 0
    values[5, 1:], others[5, 1] = 0, 2
    out = np.full(D, np.nan)
    reductions.total_variation(2, D, values, others, out)
    one, two = (v.astype(float) / v.sum(axis=1, keepdims=True, dtype=float) for v in (values, others))
    np.testing.assert_allclose(out[2:], abs(one - two).sum(axis=1)[2:] / 2, rtol=1e-10, atol=tolerance)
    assert out[3] == pytest.approx(0, abs=tolerance)
    assert out[5] == 1
    assert np.isnan(out[:2]).all()


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_root_shares(rng, dtype, tolerance):
    values, out = (rng.gamma(1, 2, (D, K)) * rng.lognormal(0, 4, (D, 1))).astype(dtype), np.full((D, K), np.nan, dtype)
    values[4, 2] = 0
    neighbours.root_shares(2, D, values, out)
    expected = np.sqrt(values / values.sum(axis=1, keepdims=True, dtype=float))
    np.testing.assert_allclose(out[2:], expected[2:], rtol=tolerance)
    assert np.isnan(out[:2]).all()


@pytest.mark.parametrize("sharpness", [0.0, 2.4, 8.0])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_what_neighbours_lend(rng, dtype, tolerance, sharpness):
    roots, weights, scale = rng.dirichlet(np.full(K, 0.4), D), rng.random((D, D)), rng.lognormal(3, 1, D)
    weights *= rng.random((D, D)) < 0.3
    np.fill_diagonal(weights, 0)
    weights[4], weights[:, 6] = 0, 0
    roots = np.sqrt(roots).astype(dtype)
    graph, out = csr_array(weights), np.full((D, K), np.nan, dtype)
    args = (graph.indptr, graph.indices, graph.data, roots, sharpness, scale, out)
    neighbours.neighbour_pseudocounts(3, D, *args)
    assert np.isnan(out[:3]).all()
    neighbours.neighbour_pseudocounts(0, 3, *args)
    roots = roots.astype(float)
    for d in range(D):
        lent = sum(
            (weights[d, j] * (roots[d] @ roots[j]) ** sharpness * roots[j] ** 2 for j in np.flatnonzero(weights[d])),
            start=np.zeros(K),
        )
        expected = scale[d] * lent / weights[d].sum() if weights[d].any() else np.zeros(K)
        np.testing.assert_allclose(out[d], expected, rtol=tolerance, atol=tolerance)
    assert (out[4] == 0).all()


def test_neighbours_of_no_weight_lend_nothing(rng):
    """Entries that are stored as zero do not make a mean of nothing."""
    roots, graph = np.sqrt(rng.dirichlet(np.ones(K), 3)), csr_array(np.ones((3, 3)))
    graph.data[:3] = 0
    out = np.full((3, K), np.nan)
    neighbours.neighbour_pseudocounts(0, 3, graph.indptr, graph.indices, graph.data, roots, 8.0, np.full(3, 100.0), out)
    assert (out[0] == 0).all()
    assert (out[1:] > 0).all()


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_unit_rows(rng, dtype, tolerance):
    values, out = (rng.gamma(1, 2, (D, K)) * rng.lognormal(0, 4, (D, 1))).astype(dtype), np.full((D, K), np.nan, dtype)
    neighbours.unit_rows(2, D, values, out)
    values = values.astype(float)
    np.testing.assert_allclose(out[2:], (values / np.linalg.norm(values, axis=1, keepdims=True))[2:], rtol=tolerance)
    assert np.isnan(out[:2]).all()


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_correction_by_neighbours(rng, dtype, tolerance):
    gamma, previous = rng.gamma(1, 2, (D, K)).astype(dtype), rng.gamma(1, 2, (D, K)).astype(dtype)
    weights = rng.random((D, D)) * (rng.random((D, D)) < 0.3)
    np.fill_diagonal(weights, 0)
    weights[4] = 0
    graph = csr_array(weights)
    out = np.empty_like(gamma)
    units = np.empty_like(gamma)
    neighbours.unit_rows(0, D, previous, units)
    args = (graph.indptr, graph.indices, graph.data, gamma, units)
    neighbours.correct_by_neighbours(0, D, *args, True, out)
    for d in range(D):
        own = gamma[d] / np.linalg.norm(gamma[d])
        s = own.copy()
        for j in np.flatnonzero(weights[d]):
            u = previous[j] / np.linalg.norm(previous[j])
            s += weights[d, j] * (own @ u) * u
        raised = gamma[d] * (1 + s / np.linalg.norm(s))
        np.testing.assert_allclose(out[d], raised * gamma[d].sum() / raised.sum(), rtol=tolerance)
    neighbours.correct_by_neighbours(0, D, *args, False, out)
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
