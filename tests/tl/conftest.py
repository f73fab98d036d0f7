import os
import signal
import time
import warnings

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


@pytest.fixture
def killed():
    """Do something in a copy of this process, which has imported and compiled all, until it kills itself."""

    def run(do, *arguments, timeout=300):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which only the parent needs
            child = os.fork()
        if child == 0:
            try:
                do(*arguments)
            finally:
                os._exit(1)
        end, ended = time.monotonic() + timeout, 0
        while not ended:
            ended, status = os.waitpid(child, os.WNOHANG)
            if time.monotonic() > end:
                os.kill(child, signal.SIGTERM)
                end += timeout
            time.sleep(0.01)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

    return run
