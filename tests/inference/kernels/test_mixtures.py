"""Mixtures on the simplex against SciPy and against the conditions of a minimum."""

import numpy as np
import pytest
from scipy.optimize import minimize

from mtopic.inference.execution import Threads
from mtopic.inference.kernels import mixtures as kernels

EPSILON = 1e-6


def columns(n_topics, n, seed):
    drawn = np.random.default_rng(seed).gamma(0.5, 1, (n_topics, n)) + 1e-3
    return drawn / drawn.sum(axis=0)


def objective(a, b, w, sparsity, spread):
    entropy = np.sum(w * np.log(np.where(w > 0, w, 1)))
    penalty = np.sum((w + EPSILON) ** 0.1 + np.log(w + EPSILON))
    return np.sum(a * np.log((a + EPSILON) / (b @ w + EPSILON))) + sparsity * penalty + spread * entropy


def mixtures(a, b, sparsity=1e-4, spread=0.049, allowed=None, n_jobs=1, max_steps=10_000):
    n_topics, n = b.shape
    allowed = np.arange(n) if allowed is None else allowed
    indptr = np.arange(a.shape[1] + 1) * len(allowed)
    indices = np.tile(allowed, a.shape[1])
    out, reached = np.full(indices.size, np.nan), np.full(a.shape[1], np.nan)
    with Threads(n_jobs) as threads:
        args = (np.ascontiguousarray(a.T), b, indptr, indices, sparsity, spread, max_steps, 1e-13, out, reached)
        threads.run(kernels.mixtures, indptr, *args)
    weights = np.zeros((n, a.shape[1]))
    weights[allowed] = out.reshape(a.shape[1], -1).T
    return weights, reached


@pytest.mark.parametrize(("sparsity", "spread"), [(0.0, 0.049), (0.0, 1e-3), (1e-4, 0.049), (1e-4, 0.0), (1e-4, -0.01)])
def test_on_the_simplex_with_the_objective_it_says(sparsity, spread):
    a, b = columns(6, 5, 0), columns(6, 30, 1)
    weights, reached = mixtures(a, b, sparsity, spread)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=1e-12)
    expected = [objective(a[:, g], b, weights[:, g], sparsity, spread) for g in range(5)]
    np.testing.assert_allclose(reached, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("spread", [0.049, 1e-3])
def test_convex_case_is_solved_as_scipy_solves_it(spread):
    a, b = columns(6, 3, 2), columns(6, 8, 3)
    weights, reached = mixtures(a, b, 0.0, spread)
    for g in range(3):
        found = minimize(
            lambda w, g=g: objective(a[:, g], b, np.clip(w, 0, None), 0.0, spread), np.full(8, 1 / 8), bounds=[(0, 1)]
            * 8, constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, method="SLSQP", options={"ftol": 1e-14,
            "maxiter": 500},
        )  # fmt: skip
        assert reached[g] <= found.fun + 1e-8
        np.testing.assert_allclose(weights[:, g], found.x, atol=2e-3)


def test_slopes_of_what_is_left_are_equal():
    """At a minimum on the simplex the objective's slope is the same for all weights that are not at zero."""
    a, b = columns(8, 4, 4), columns(8, 60, 5)
    weights, _ = mixtures(a, b)
    for g in range(4):
        w = weights[:, g]
        left = w > 0
        slope = -b.T @ (a[:, g] / (b @ w + EPSILON))
        slope += 1e-4 * (0.1 * (w + EPSILON) ** -0.9 + 1 / (w + EPSILON))
        slope[left] += 0.049 * (1 + np.log(w[left]))
        assert np.ptp(slope[left]) < 2e-3
        assert (slope[~left] > slope[left].max() + 10).all()


def test_equal_weights_are_where_it_starts_and_nothing_is_worse():
    a, b = columns(5, 6, 6), columns(5, 40, 7)
    _, reached = mixtures(a, b)
    equal = np.full(40, 1 / 40)
    assert all(reached[g] < objective(a[:, g], b, equal, 1e-4, 0.049) for g in range(6))
    _, after_one = mixtures(a, b, max_steps=1)
    assert (reached <= after_one).all()


def test_only_allowed_columns_are_mixed():
    a, b = columns(5, 4, 8), columns(5, 20, 9)
    allowed = np.array([3, 4, 11])
    weights, _ = mixtures(a, b, allowed=allowed)
    assert (np.delete(weights, allowed, axis=0) == 0).all()
    alone, _ = mixtures(a, np.ascontiguousarray(b[:, allowed]))
    np.testing.assert_array_equal(weights[allowed], alone)


def test_threads_change_no_bit():
    a, b = columns(6, 40, 10), columns(6, 25, 11)
    one, two = (mixtures(a, b, n_jobs=n_jobs)[0] for n_jobs in (1, 2))
    np.testing.assert_array_equal(one, two)
