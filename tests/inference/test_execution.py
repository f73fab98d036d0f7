import numpy as np
import pytest

from mtopic.inference.execution import Threads, balanced_edges


def test_blocks_cover_all_rows_once_with_balanced_work():
    depth = np.random.default_rng(0).lognormal(5, 2, 1000).astype(int)
    work = np.concatenate([[0], np.cumsum(depth)])
    edges = balanced_edges(work, 16)
    assert edges[0] == 0
    assert edges[-1] == 1000
    assert edges == sorted(set(edges))
    shares = np.diff(work[edges])
    assert shares.max() <= work[-1] / 16 + depth.max() + 1000


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_few_rows(n_rows):
    edges = balanced_edges(np.arange(n_rows + 1), 16)
    assert edges[0] == 0
    assert edges[-1] == n_rows


@pytest.mark.parametrize("n_jobs", [1, 2, 5, 100, -1])
def test_every_row_is_done_once(n_jobs):
    done = np.zeros(500, int)

    def kernel(start, stop, out):
        out[start:stop] += 1

    with Threads(n_jobs) as threads:
        for _ in range(20):
            threads.run(kernel, np.arange(501), done)
    assert (done == 20).all()
    threads.run(kernel, np.arange(501), done)
    assert (done == 21).all()


def test_threads_go_away_and_come_back():
    import threading

    before = threading.active_count()
    threads = Threads(2)
    for _ in range(2):
        with threads:
            threads.run(lambda start, stop: None, np.arange(5))
        assert threading.active_count() == before


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_in_a_block_reaches_the_caller(n_jobs):
    def kernel(start, stop):
        raise ValueError("no such row")

    with Threads(n_jobs) as threads, pytest.raises(ValueError, match="no such row"):
        threads.run(kernel, np.arange(100))
