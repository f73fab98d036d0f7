"""What a fit of counts on disk costs, beside the same fit of counts in memory, and on workers of dask.

python benchmarks/large.py --folder FOLDER                   (makes cells_N.h5ad there, and has its scratch there)
python benchmarks/large.py --folder FOLDER --n-obs 1000000 --ways scratch
python benchmarks/large.py --folder FOLDER --shape peaks --n-obs 300000 --ways scratch --n-iter 5
python benchmarks/large.py --folder FOLDER --shape tissue --n-obs 500000 --ways scratch
python benchmarks/large.py --folder FOLDER --ways memory --smallest 1000000                    (begins at all)
python benchmarks/large.py --folder FOLDER --ways scratch --block 2097152                      (a quarter)
python benchmarks/large.py --folder FOLDER --n-iter 12 --ways scratch "1 worker" "2 workers"

Counts are drawn from 20 known topics. Cells have 2,000 features, some 1,300 of them in each; peaks are 300,000, some
3,000 in each cell; spots of a tissue have 2,000 features, some 300 in each, and neighbours. Bins and panel are tissues,
too, with the genes and counts of bins of Visium HD and of cells of Xenium. Each fit has a process of its own. Its peak
of memory is what the process takes beyond that of a small fit, in bytes a non-zero. Workers have processes of their
own. The fit goes to its end, or has --n-iter iterations. It begins at a fit to a tenth of the observations, if these
are --smallest or more. Held-out is the mean log-likelihood of half of the counts of 5,000 other cells, whose topics are
told from the other half.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from distributed import Client, LocalCluster
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

import mtopic as mt
from mtopic._data.spatial_graph import SpatialGraph
from mtopic.inference import part, stored

N_TOPICS, ROWS = 20, 5000
SHAPES = {
    "cells": (2000, 2600),
    "peaks": (300_000, 3000),
    "tissue": (2000, 300),
    "bins": (18_000, 300),
    "panel": (400, 150),
}
"""Features, and counts of an observation."""
TISSUES = "tissue", "bins", "panel"
WAYS = "memory", "scratch", "1 worker", "2 workers"


def make(path: Path, shape: str, n_obs: int) -> None:
    """Write the counts, some rows at a time."""
    rng = np.random.default_rng(0)
    n_features, depth = SHAPES[shape]
    beta = rng.dirichlet(np.full(n_features, 0.5), N_TOPICS)
    names = [f"cell_{d}" for d in range(n_obs)], [f"gene_{v}" for v in range(n_features)]
    adata = AnnData(obs=pd.DataFrame(index=names[0]), var=pd.DataFrame(index=names[1]))
    known = None
    if shape in TISSUES:
        tissue = mt.datasets.simulate(n_obs=n_obs, n_topics=N_TOPICS, modalities={"rna": 2}, depth=1, rng=0)
        adata.obsm["spatial"], known = np.asarray(tissue.obsm["spatial"]), tissue.obsm["true_topics"].to_numpy()
    adata.write_h5ad(path)
    with h5py.File(path, "a") as file:
        for start in range(0, n_obs, ROWS):
            n = min(ROWS, n_obs - start)
            theta = rng.dirichlet(np.full(N_TOPICS, 0.2), n) if known is None else known[start : start + n]
            rows = drawn(rng, theta, beta, depth)
            if start:
                sparse_dataset(file["X"]).append(rows)
            else:
                write_elem(file, "X", rows)


def drawn(rng: np.random.Generator, theta: NDArray[np.float64], beta: NDArray[np.float64], depth: int) -> csr_matrix:
    """Counts of some observations: of all features at once, or, where these are many, one count after the other."""
    if beta.shape[1] < 10_000:
        return csr_matrix(rng.poisson(depth * theta @ beta).astype(np.float32))
    of_topics = rng.multinomial(rng.poisson(depth, len(theta)), theta / theta.sum(axis=1, keepdims=True))
    rows = [np.repeat(np.arange(len(theta)), column) for column in of_topics.T]
    columns = [
        np.searchsorted(np.cumsum(signature), rng.random(len(own)) * signature.sum()).clip(max=beta.shape[1] - 1)
        for signature, own in zip(beta, rows, strict=True)
    ]
    places = np.concatenate(rows), np.concatenate(columns)
    return csr_matrix((np.ones(len(places[0]), np.float32), places), shape=(len(theta), beta.shape[1]))


def held_out(shape: str) -> AnnData:
    """Other observations of the same topics."""
    n_features, depth = SHAPES[shape]
    beta = np.random.default_rng(0).dirichlet(np.full(n_features, 0.5), N_TOPICS)
    rng = np.random.default_rng(1)
    x = drawn(rng, rng.dirichlet(np.full(N_TOPICS, 0.2), ROWS), beta, depth)
    return AnnData(x, var=pd.DataFrame(index=[f"gene_{v}" for v in range(n_features)]))


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 0 if found is None else int(found[1]) * 1024


@contextmanager
def workers(how: str) -> Iterator[None]:
    """A client with as many workers of one thread as the way has."""
    if "worker" not in how:
        yield
        return
    with (
        LocalCluster(n_workers=int(how.split()[0]), threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        yield


def fit(path: Path, shape: str, how: str, n_topics: int, n_iter: int | None) -> dict[str, float]:
    """Read and fit in this process."""
    scratch = None if how == "memory" else path.parent
    options: dict[str, Any] = {"n_jobs": -1, "verbose": False, "scratch": scratch}
    mt.tl.topic_model(mt.datasets.simulate(n_obs=500, modalities={"rna": 60}, rng=0), N_TOPICS, n_iter=3, **options)
    before, began = peak(), time.perf_counter()
    adata, opened = mt.read.lazy(path), time.perf_counter()
    options |= {"raw": True, "inference": "collapsed", "alpha": "auto", "eta": "auto"}
    if shape in TISSUES:
        SpatialGraph.of(adata, spatial_key="spatial", n_neighbors=6)
    found = time.perf_counter()
    if shape in TISSUES:
        model: Any = mt.tl.sMTM(adata, n_topics, spatial_key="spatial", n_neighbors=6, **options)
    else:
        model = mt.tl.MTM(adata, n_topics, **options)
    folders = [] if scratch is None else list(scratch.glob("mtopic-*"))
    disk = sum(file.stat().st_size for folder in folders for file in folder.iterdir())
    read = time.perf_counter()
    with workers(how):
        model.VI(500 if n_iter is None else n_iter, tol="auto" if n_iter is None else None)
        ended = time.perf_counter()
    most = peak()
    score = mt.tl.perplexity(model, held_out(shape), n_jobs=-1, verbose=False)
    nnz = model._run.fit.posterior.corpus.nnz
    return {
        "nnz": nnz,
        "neighbours": found - opened,
        "reading": read - found + opened - began,
        "fitting": ended - read,
        "iterations": len(model.elbo),
        "passes": model.passes,
        "s a pass": (ended - read) / model.passes,
        "bytes a non-zero": (most - before) / nnz,
        "GB": most / 1e9,
        "GB on disk": disk / 1e9,
        "ELBO a count": model.elbo[-1] / model.n_counts,
        "held-out": score.loc["total", "log_likelihood"],
    }


def main() -> None:
    """Print a row for each way, and what the disk costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="cells")
    parser.add_argument("--n-obs", type=int, default=100_000)
    parser.add_argument("--smallest", type=int, default=part.SMALLEST, help="observations of a part")
    parser.add_argument("--block", type=int, default=stored.BLOCK, help="non-zeros of a block")
    parser.add_argument("--n-topics", type=int, default=N_TOPICS)
    parser.add_argument("--n-iter", type=int, help="that many iterations; else to the end")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["memory", "scratch"])
    parser.add_argument("--here", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    path = arguments.folder / f"{arguments.shape}_{arguments.n_obs}.h5ad"
    part.SMALLEST, stored.BLOCK = arguments.smallest, arguments.block
    if arguments.here:
        print(json.dumps(fit(path, arguments.shape, arguments.here, arguments.n_topics, arguments.n_iter)))
        return
    if not path.exists():
        make(path, arguments.shape, arguments.n_obs)
    rows = {}
    for how in arguments.ways:
        command = [sys.executable, __file__, *sys.argv[1:], "--here", how]
        rows[how] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    table = pd.DataFrame(rows).T
    print(table.to_string())
    if {"memory", "scratch"} <= {*rows}:
        seconds = table["reading"] + table["fitting"]
        print(f"\nreading and fitting, scratch over memory: {seconds['scratch'] / seconds['memory']:.2f}")


if __name__ == "__main__":
    main()
