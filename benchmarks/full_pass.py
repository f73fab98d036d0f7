"""How near to the machine's limits the kernels are: seconds of a full pass, against a roofline measured beside it.

python benchmarks/full_pass.py --shape p22

A *full pass* is a plain loop over all non-zeros and all topics with both products of an E-step round: the unit of work
that does not change when the package does. Roofs: a copy of arrays that no cache holds, of arrays that the second-level
cache holds, and multiply-adds that stay in registers. Kernels run on nearly flat signatures, which keep every topic
alive; one line is of an E-step on signatures that have parted, per full pass of the work that it counts itself.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
from numba import njit
from scipy.sparse import csr_array, csr_matrix
from shapes import SHAPES, prepared, side_by_side, table

from mtopic.inference.backend import Backend
from mtopic.inference.corpus import Corpus
from mtopic.inference.posterior import Posterior, initial

# about so many operations in single precision (twice those in double): ψ and exp; ln Γ; ln
EXPECTATION, LOG_GAMMA, LOGARITHM = 240, 160, 50

KERNELS = ["E-step, a round", "E-step, all but rounds", "E-step, a pass as topics die", "sufficient statistics"]
KERNELS += ["expected signatures", "bound, what λ adds"]


def full_pass_seconds(rows: csr_matrix, n_topics: int, threads: int = 2, repeats: int = 3) -> float:
    """Seconds of the plain reference loop in single precision, rows split over threads by equal non-zeros."""
    rng = np.random.default_rng(0)
    t, b = (rng.random((size, n_topics), dtype=np.float32) + 1 for size in rows.shape)
    arguments = (rows.indptr, rows.indices, rows.data.astype(np.float32, copy=False), t, b, np.empty_like(t))
    _pass(0, 0, *arguments)
    edges = np.searchsorted(rows.indptr, np.linspace(0, rows.nnz, threads + 1))
    edges[-1] = rows.shape[0]
    return fastest([lambda i=i: _pass(edges[i], edges[i + 1], *arguments) for i in range(threads)], repeats)


@njit(nogil=True, fastmath=True)
def _pass(start, stop, indptr, indices, counts, t, b, out):
    for d in range(start, stop):
        out[d] = 0
        for i in range(indptr[d], indptr[d + 1]):
            v = indices[i]
            mixture = np.float32(0)
            for k in range(t.shape[1]):
                mixture += t[d, k] * b[v, k]
            share = counts[i] / mixture
            for k in range(t.shape[1]):
                out[d, k] += share * b[v, k]


def fastest(tasks: Sequence[Callable[[], object]], repeats: int = 3) -> float:
    """Seconds in which a thread for each task is done with them, the least of several times."""
    seconds = []
    with ThreadPoolExecutor(len(tasks)) as pool:
        for _ in range(repeats):
            start = perf_counter()
            for done in [pool.submit(task) for task in tasks]:
                done.result()
            seconds.append(perf_counter() - start)
    return min(seconds)


@njit(nogil=True)
def _copy(source, target, times):
    for _ in range(times):
        for i in range(source.size):
            target[i] = source[i]


@njit(nogil=True, fastmath={"contract"})
def _multiply_add(x, y, times):
    for _ in range(times):
        for i in range(x.size):
            value = y[i]
            for _step in range(64):
                value = value * x[i] + np.float32(0.5)
            y[i] = value


def roofs(threads: int) -> np.ndarray:
    """Bytes a second from memory and from the second-level cache, operations a second in registers."""

    def rate(kernel: Callable, size: int, times: int, amount: int) -> float:
        arrays = [(np.full(size, 0.5, np.float32), np.zeros(size, np.float32)) for _ in range(threads)]
        kernel(*arrays[0], 1)
        return threads * size * times * amount / fastest([lambda a=a: kernel(*a, times) for a in arrays], 5)

    return np.array([rate(_copy, 2**26, 1, 8), rate(_copy, 2**16, 2000, 8), rate(_multiply_add, 2**11, 2000, 128)])


def kernels(corpus: Corpus, n_topics: int, threads: int) -> dict[str, float]:
    """Seconds of each kernel; of an E-step in which topics die, for the work of one full pass."""
    model = _posterior(corpus, n_topics, threads)
    start = np.ones_like(model.gamma)
    with model.backend:
        gamma = model.e_step(start, 1)[0]
        lam, observed, _ = model.m_step(gamma)
        one, eleven = (fastest([lambda n=n: model.e_step(start, n)]) for n in (1, 11))
        statistics = fastest([lambda: model.m_step(gamma)])
        signatures = fastest([lambda: (model.update(gamma, lam), model.signatures())])
        bound = fastest([lambda: model.bound(observed)])
        for _ in range(10):
            gamma = model.e_step(gamma, 5)[0]
            model.update(gamma, model.m_step(gamma)[0])
        passes = model.e_step(start, 20)[1]
        dying = fastest([lambda: model.e_step(start, 20)])
    a_round = (eleven - one) / 10
    seconds = [a_round, one - a_round, dying / passes, statistics, signatures, bound]
    return dict(zip(KERNELS, seconds, strict=True))


def _posterior(corpus: Corpus, n_topics: int, threads: int) -> Posterior:
    rng = np.random.default_rng(0)
    model = initial(corpus, n_topics, rng, 1 / n_topics, 0.01)
    model.backend = Backend(threads)
    model.update(model.gamma.astype(np.float32), model.lam.astype(np.float32))
    return model


def amounts(N: int, D: int, V: int, K: int) -> dict[str, tuple[int, int, int]]:
    """Bytes from memory (every array once), bytes from a cache (a row of K for each non-zero), and operations."""
    both = 4 * N * K  # dot and axpy: two multiply-adds
    a_round = 4 * N * K + 8 * N, both + EXPECTATION * D * K
    logs = LOGARITHM * (N + V * K) + (EXPECTATION + LOG_GAMMA) * D * K
    of_kernels = [
        (0, *a_round),
        (8 * N + 4 * V * K + 8 * D * K, 0, 0),
        (0, *a_round),
        (8 * N + 8 * V * K + 8 * D * K, 4 * N * K, both + logs),
        (8 * V * K, 0, EXPECTATION * V * K),
        (4 * V * K, 0, LOG_GAMMA * V * K),
    ]
    full_pass = {"full pass": (8 * N + 4 * V * K + 8 * D * K, 4 * N * K, both)}
    return full_pass | dict(zip(KERNELS, of_kernels, strict=True))


def measured(shape: str, small: bool) -> Iterator[list[object]]:
    """Lines of the table."""
    mdata, K = prepared(shape, small)
    rows = side_by_side(mdata)
    corpus = Corpus(csr_array(rows), np.cumsum([0, *(mdata[mod].n_vars for mod in mdata.mod)]))
    alone, together = roofs(1), roofs(2)
    names = ["copy beyond the caches, GB/s", "copy in the second-level cache, GB/s", "multiply-adds, GFlop/s"]
    for name, *rates in zip(names, alone / 1e9, together / 1e9, strict=True):
        yield [name, *rates, rates[1] / rates[0], "", "", "", "", ""]
    one, two = ({"full pass": full_pass_seconds(rows, K, n)} | kernels(corpus, K, n) for n in (1, 2))
    for name, amount in amounts(rows.nnz, *rows.shape, K).items():
        least = np.array(amount) / together
        roof = ["memory", "cache", "multiply-adds"][least.argmax()]
        share = f"{least.max() / two[name]:.0%}"
        yield [f"{name}, s", one[name], two[name], one[name] / two[name], *(x / 1e9 for x in amount), roof, share]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="p22")
    parser.add_argument("--small", action="store_true", help="a twentieth of the observations")
    arguments = parser.parse_args()
    head = [arguments.shape, "1 thread", "2 threads", "2 threads ÷ 1", "GB of memory", "GB of cache", "GFlop"]
    print(table([*head, "binding roof", "share of it"], list(measured(arguments.shape, arguments.small))))


if __name__ == "__main__":
    main()
