import signal

import pytest

import mtopic as mt


@pytest.fixture(autouse=True)
def _pythons_own_handler():
    """In a background process Ctrl-C may be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def tissue():
    """A small tissue with known topics, made anew for each test."""
    return mt.datasets.simulate(150, 4, modalities={"rna": 60, "atac": 90}, depth=300)


@pytest.fixture(scope="session")
def large_tissue():
    """A tissue on which topics can be found well; not to be changed."""
    return mt.datasets.simulate(1000, 8)
