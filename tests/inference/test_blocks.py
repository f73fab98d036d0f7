"""Sums over blocks."""

import numpy as np
import pytest

from mtopic.inference.blocks import added, sum_in_pairs


@pytest.mark.parametrize("n", range(1, 12))
def test_sums_are_taken_in_pairs(n):
    rng = np.random.default_rng(0)
    results = [(rng.normal(size=3).astype(np.float32), rng.normal(size=2)) for _ in range(n)]
    found, level = sum_in_pairs(iter(results), added), results
    while len(level) > 1:
        sums = [added(*pair) for pair in zip(level[::2], level[1::2], strict=False)]
        level = sums + level[2 * len(sums) :]
    for one, known in zip(found, level[0], strict=True):
        np.testing.assert_array_equal(one, known)
