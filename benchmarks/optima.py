"""Which optimum a fit ends in: the default beside 200 iterations of the original's updates, over several seeds.

python benchmarks/optima.py --data FOLDER      (FOLDER holds snareseq_small.h5mu, cells of GSE126074 with labels in
                                                obs["cell_type"], and cite_pbmc1k_small.h5mu, PBMC CITE-seq of 10x)

The bound is that of `fit.py`, per count unit. Known topics are matched one to one with found ones. Cell types: k-means
and the 15 nearest neighbours on the square roots of the proportions.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from cell_types import NOT_SCORED
from fit import Run, fit, recovery, warm_up
from mudata import MuData
from numpy.typing import NDArray
from shapes import prepare, table
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from sklearn.neighbors import NearestNeighbors

import mtopic as mt

ORIGINAL = 200
RUNS = {
    "original": {"schedule": "original", "family": "variational"},
    "default": {"schedule": "fast", "family": "variational"},
    "collapsed": {"schedule": "fast", "family": "collapsed"},
}
HEAD = ["data", "K", "run", "ELBO per count", "% above the original, by seed", "at least as good", "s", "iterations"]
HEAD += ["recovery", "NMI", "15-NN purity"]


def data_sets(folder: Path) -> Iterator[tuple[str, int, Callable[[], MuData]]]:
    """Name, number of topics, and the counts."""
    yield "SNARE-seq", 20, partial(mt.read.h5mu, folder / "snareseq_small.h5mu")
    yield "CITE-seq", 12, partial(mt.read.h5mu, folder / "cite_pbmc1k_small.h5mu")
    yield "simulated tissue", 8, partial(mt.datasets.simulate, 1000, 8)
    cells = {"modalities": {"rna": 1000, "prot": 30}, "depth": {"rna": 1500, "prot": 300}}
    yield "simulated cells", 15, partial(mt.datasets.simulate, 1500, 15, spatial=False, rng=1, **cells)


def scores(mdata: MuData, model: mt.tl.MTM) -> tuple[float, float, float]:
    """Recovery of known topics, and agreement with cell types; NaN where the data has none."""
    known = recovery(mdata, model) if "true_topics" in mdata.obsm else np.nan
    if "cell_type" not in mdata.obs:
        return known, np.nan, np.nan
    scored = ~mdata.obs["cell_type"].isin(NOT_SCORED).to_numpy()
    labels = mdata.obs["cell_type"].to_numpy().astype(str)[scored]
    return known, *agreement(labels, np.sqrt(model.gamma / model.gamma.sum(axis=1, keepdims=True))[scored])


def agreement(labels: NDArray[np.str_], points: NDArray[np.floating]) -> tuple[float, float]:
    """NMI of labels with as many clusters by k-means; mean share of the 15 nearest neighbours with the own label."""
    clusters = KMeans(np.unique(labels).size, n_init=10, random_state=0).fit_predict(points)
    nearest = NearestNeighbors(n_neighbors=15).fit(points).kneighbors(return_distance=False)
    purity = (labels[nearest] == labels[:, None]).mean()
    return float(normalized_mutual_info_score(labels, clusters)), float(purity)


def line(data: str, n_topics: int, name: str, runs: list[Run], original: list[float], judged: NDArray) -> list[object]:
    """A line of the table: means over the seeds."""
    final = np.array([run.points[-1][2] for run in runs])
    above = 100 * (final - original) / np.abs(original)
    seconds = np.mean([run.points[-1][0] for run in runs])
    iterations = np.mean([run.iterations for run in runs])
    by_seed = " ".join(f"{percent:+.4f}" for percent in above)
    wins = f"{(above >= 0).sum()} of {above.size}"
    return [data, n_topics, name, f"{final.mean():.5f}", by_seed, wins, seconds, iterations, *judged]


def lines(data: str, n_topics: int, mdata: MuData, names: list[str], seeds: list[int]) -> Iterator[list[object]]:
    """A line for each kind of run; the first is the original."""
    original: list[float] = []
    for name in names:
        most = ORIGINAL if name == "original" else 1000
        warm_up(n_topics, RUNS[name]["family"])
        runs, judged = [], []
        for seed in seeds:
            runs.append(fit(mdata, n_topics, most, seed=seed, **RUNS[name]))
            judged.append(scores(mdata, runs[-1].model))
            print(data, name, seed, *runs[-1].points[-1], *judged[-1], sep=",", file=sys.stderr, flush=True)
        original = original or [run.points[-1][2] for run in runs]
        yield line(data, n_topics, name, runs, original, np.mean(judged, axis=0).round(4))


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2291, 1, 2, 3, 4])
    parser.add_argument("--family", nargs="*", choices=["default", "collapsed"], default=["default", "collapsed"])
    parser.add_argument("--small", action="store_true", help="a twentieth of the observations")
    arguments = parser.parse_args()
    rows: list[list[object]] = []
    for name, n_topics, read in data_sets(arguments.data):
        mdata = read()
        if arguments.small:
            mdata = mdata[: mdata.n_obs // 20].copy()
        rows += lines(name, n_topics, prepare(mdata), ["original", *arguments.family], arguments.seeds)
    print(table(HEAD, rows))


if __name__ == "__main__":
    main()
