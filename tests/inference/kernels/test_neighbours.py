"""The compiled neighbours against plain NumPy."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from mtopic.inference.kernels import neighbours

from .plain import PRECISION, D, K


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
