"""The compiled neighbours against plain NumPy."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from mtopic.inference.kernels import neighbours

from .plain import PRECISION, D, K


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
