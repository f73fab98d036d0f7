import numpy as np
import pytest

from .plain import D, V


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def x(rng):
    counts = rng.poisson(0.7, (D, V)).astype(float) * rng.lognormal(0, 1, (D, V))
    counts[3] = 0
    return counts
