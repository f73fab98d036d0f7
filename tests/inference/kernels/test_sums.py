"""The compiled sums against plain NumPy."""

import numpy as np
import pytest
from scipy.special import digamma, gammaln

from mtopic.inference.kernels import sums

from .plain import PRECISION, D, K


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_over_rows_and_columns(rng, dtype):
    """They are made in double precision, whatever the table's."""
    values = (rng.gamma(0.5, 3, (600, K)) + 0.01).astype(dtype)
    columns = np.full((3, K), np.nan)
    sums.column_sums(0, 2, values, columns)
    assert np.isnan(columns[2]).all()
    sums.column_sums(2, 3, values, columns)
    values = values.astype(float)
    chunks = np.split(values, [sums.CHUNK, 2 * sums.CHUNK])
    np.testing.assert_allclose(columns, [chunk.sum(axis=0) for chunk in chunks], rtol=1e-12)
    values = values.astype(dtype)
    out = np.empty(600)
    for kernel, expected in (
        (sums.sum_log_gamma, gammaln(values.astype(float))),
        (sums.sum_digamma, digamma(values.astype(float))),
        (sums.sum_v_log_v, values * np.log(values.astype(float))),
    ):
        kernel(0, 600, values, out)
        np.testing.assert_allclose(out, expected.sum(axis=1), rtol=1e-9, atol=1e-9)


def test_expected_increments(rng):
    mean, prior, out = rng.gamma(0.3, 2, (9, K)) + 1e-9, 0.3, np.empty(9)
    sums.sum_increments(0, 9, mean + prior, prior, out)
    present = -np.expm1(-mean)
    expected = (present * (digamma(mean / present + prior) - digamma(prior))).sum(axis=1)
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    sums.sum_increments(0, 1, np.full((1, 1), 1e-7) + prior, prior, out)
    assert out[0] == pytest.approx(1e-7 / prior, rel=1e-3)  # a rare count adds 1/prior whenever it is there


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_total_variation(rng, dtype, tolerance):
    values, others = ((rng.gamma(0.5, 3, (D, K)) * rng.lognormal(0, 4, (D, 1))).astype(dtype) for _ in range(2))
    others[3], others[5] = 7 * values[3], 0
    values[5, 1:], others[5, 1] = 0, 2
    out = np.full(D, np.nan)
    sums.total_variation(2, D, values, others, out)
    one, two = (v.astype(float) / v.sum(axis=1, keepdims=True, dtype=float) for v in (values, others))
    np.testing.assert_allclose(out[2:], abs(one - two).sum(axis=1)[2:] / 2, rtol=1e-10, atol=tolerance)
    assert out[3] == pytest.approx(0, abs=tolerance)
    assert out[5] == 1
    assert np.isnan(out[:2]).all()
