import pytest

import mtopic as mt


@pytest.fixture
def tissue():
    """A small tissue with known topics, made anew for each test."""
    return mt.datasets.simulate(150, 4, modalities={"rna": 60, "atac": 90}, depth=300)


@pytest.fixture(scope="session")
def large_tissue():
    """A tissue on which topics can be found well; not to be changed."""
    return mt.datasets.simulate(1000, 8)
