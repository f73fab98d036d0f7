"""The compiled merging against plain NumPy."""

import numpy as np
import pytest

from mtopic.inference.kernels import merging

from .plain import PRECISION


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_merged_v_log_v(rng, dtype, tolerance):
    topics, out = (rng.gamma(0.5, 3, (3, 1000)) + 1e-9).astype(dtype), np.empty(2)
    merging.merged_v_log_v(0, 2, np.array([[0, 2], [1, 1]]), topics, out)
    merged = np.stack([topics[0] + topics[2], 2 * topics[1]])
    np.testing.assert_allclose(out, (merged * np.log(merged)).sum(axis=1), rtol=tolerance)
