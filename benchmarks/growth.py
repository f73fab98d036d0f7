"""Does an iteration cost the same for each non-zero whatever the size? Observations, topics, and the spatial term.

python benchmarks/growth.py

Counts of 2,000 features with about 100 non-zeros an observation. Forty iterations are timed, after twelve that are not,
by which a fit has left its first phase; the models of a block take turns of ten. The spatial term: sMTM beside MTM, and
by itself.
"""

import argparse
from collections.abc import Iterator
from time import perf_counter

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix
from shapes import table

import mtopic as mt
from mtopic.inference.backend import Backend

N_FEATURES, N_UNITS, N_GROUPS = 2000, 130, 20
FIRST, TURN, TURNS = 12, 10, 4
HEAD = ["model", "observations", "K", "non-zeros", "s an iteration", "ns a non-zero and iteration", "÷ the first line"]
HEAD += ["… and topic", "passes an iteration", "s to build", "of which graph"]


def draw(n_obs: int, n_features: int = N_FEATURES, n_units: int = N_UNITS, rng: int = 0) -> csr_matrix:
    """Counts in groups of observations, one after another: each has features of its own, and some of other groups."""
    generator = np.random.default_rng(rng)
    group = (np.arange(n_obs) * N_GROUPS // n_obs).repeat(n_units)
    strays = generator.random(group.size) < 0.3
    group[strays] = generator.integers(N_GROUPS, size=int(strays.sum()))
    near = generator.exponential(0.05, group.size)
    features = ((group / N_GROUPS + near) * n_features).astype(np.int32) % n_features
    rows = np.arange(n_obs, dtype=np.int32).repeat(n_units)
    return csr_matrix((np.ones(rows.size, np.float32), (rows, features)), shape=(n_obs, n_features))


def tissue(n_obs: int) -> AnnData:
    """The counts on a square grid, groups in bands."""
    side = int(np.ceil(np.sqrt(n_obs)))
    grid = np.column_stack([np.arange(n_obs) // side, np.arange(n_obs) % side]).astype(np.float64)
    return AnnData(draw(n_obs), obs=pd.DataFrame(index=np.arange(n_obs).astype(str)), obsm={"spatial": grid})


def build(adata: AnnData, n_topics: int, spatial: bool = False) -> tuple[mt.tl.MTM | mt.tl.sMTM, float]:
    """A model past its first iterations, and the seconds in which it was built."""
    start = perf_counter()
    common = {"n_topics": n_topics, "n_jobs": -1, "verbose": False}
    if spatial:
        model = mt.tl.sMTM(adata, n_neighbors=10, spatial_key="spatial", smoothing="original", **common)
    else:
        model = mt.tl.MTM(adata, **common)
    seconds = perf_counter() - start
    model.VI(FIRST, tol=None)
    return model, seconds


def an_iteration(*models: mt.tl.MTM | mt.tl.sMTM) -> list[tuple[float, float]]:
    """Mean seconds and passes of each model, which take turns: a slow moment of the machine hits all of them."""
    seconds, before = [0.0 for _ in models], [model.passes for model in models]
    for _ in range(TURNS):
        for i, model in enumerate(models):
            start = perf_counter()
            model.VI(TURN, tol=None)
            seconds[i] += perf_counter() - start
    timed = TURNS * TURN
    return [
        (each / timed, (model.passes - earlier) / timed)
        for model, each, earlier in zip(models, seconds, before, strict=True)
    ]


def seconds_of_correction(model: mt.tl.sMTM, repeats: int = 20) -> float:
    """What the spatial term adds to an iteration by itself; the least over repeats."""
    backend, seconds = Backend(-1), []
    with backend:
        for _ in range(repeats):
            start = perf_counter()
            model._run.smoothing.correction(model.gamma, model.gamma, backend, isolated=False)
            seconds.append(perf_counter() - start)
    return min(seconds)


def line(name: str, adata: AnnData, n_topics: int, seconds: float) -> list:
    """What all lines of the table begin with."""
    each = 1e9 * seconds / adata.X.nnz
    return [name, adata.n_obs, n_topics, adata.X.nnz, seconds, each]


def growth(cases: list[tuple[int, int]]) -> Iterator[list]:
    """A line for each number of observations and topics."""
    data = [tissue(n_obs) for n_obs, _ in cases]
    models, built = zip(*(build(adata, k) for adata, (_, k) in zip(data, cases, strict=True)), strict=True)
    first = None
    for adata, (_, k), seconds, (each, passes) in zip(data, cases, built, an_iteration(*models), strict=True):
        begun = line("MTM", adata, k, each)
        first = first or begun[-1]
        yield [*begun, begun[-1] / first, begun[-1] / k, passes, seconds, ""]


def spatial_share(n_obs: int, n_topics: int) -> Iterator[list]:
    """Without and with the spatial term, and that term alone."""
    adata = tissue(n_obs)
    (model, smooth), built = zip(*(build(adata, n_topics, spatial) for spatial in (False, True)), strict=True)
    without, with_term = an_iteration(model, smooth)
    cases = [("MTM", *without, built[0], ""), ("sMTM", *with_term, built[1], built[1] - built[0])]
    for name, seconds, passes, building, graph in [*cases, ("spatial term", seconds_of_correction(smooth), "", "", "")]:
        begun = line(name, adata, n_topics, seconds)
        yield [*begun, seconds / without[0], begun[-1] / n_topics, passes, building, graph]


def main() -> None:
    """Print one table: observations, topics, spatial term; each block begins with what it is compared to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000])
    parser.add_argument("--topics", type=int, nargs="+", default=[10, 20, 50, 100, 200])
    parser.add_argument("--spots", type=int, default=100_000)
    parser.add_argument("--small", action="store_true", help="a twentieth of the observations")
    arguments = parser.parse_args()
    scale = 20 if arguments.small else 1
    sizes = [n_obs // scale for n_obs in arguments.observations]
    build(tissue(500), 20, spatial=True)  # compiles and imports
    lines = [*growth([(n_obs, 20) for n_obs in sizes]), *growth([(sizes[0], k) for k in arguments.topics])]
    print(table(HEAD, [*lines, *spatial_share(arguments.spots // scale, 20)]))


if __name__ == "__main__":
    main()
