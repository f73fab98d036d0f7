"""What a fit of counts on disk costs, beside the same fit of counts in memory.

python benchmarks/large.py --folder FOLDER                   (makes counts_N.h5ad there, and has its scratch there)
python benchmarks/large.py --folder FOLDER --n-obs 1000000 --only scratch

Counts of 2,000 features, some 1,000 of them in an observation, drawn from 20 known topics. Each fit has a process of
its own. Its peak of memory is what the process takes beyond that of a small fit, in bytes a non-zero.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from scipy.sparse import csr_matrix

import mtopic as mt

N_FEATURES, DEPTH, N_TOPICS = 2000, 2600, 20
ROWS = 5000


def make(path: Path, n_obs: int) -> None:
    """Write the counts, some rows at a time."""
    rng = np.random.default_rng(0)
    beta = rng.dirichlet(np.full(N_FEATURES, 0.5), N_TOPICS)
    names = [f"cell_{d}" for d in range(n_obs)], [f"gene_{v}" for v in range(N_FEATURES)]
    AnnData(obs=pd.DataFrame(index=names[0]), var=pd.DataFrame(index=names[1])).write_h5ad(path)
    with h5py.File(path, "a") as file:
        for start in range(0, n_obs, ROWS):
            theta = rng.dirichlet(np.full(N_TOPICS, 0.2), min(ROWS, n_obs - start))
            rows = csr_matrix(rng.poisson(DEPTH * theta @ beta).astype(np.float32))
            if start:
                sparse_dataset(file["X"]).append(rows)
            else:
                write_elem(file, "X", rows)


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 0 if found is None else int(found[1]) * 1024


def fit(path: Path, how: str, n_iter: int | None) -> dict[str, float]:
    """Read and fit in this process."""
    scratch = path.parent if how == "scratch" else None
    options = {"n_jobs": -1, "verbose": False, "scratch": scratch}
    mt.tl.topic_model(mt.datasets.simulate(n_obs=500, modalities={"rna": 60}, rng=0), N_TOPICS, n_iter=3, **options)
    before, began = peak(), time.perf_counter()
    adata = anndata.read_h5ad(path, backed="r")
    prior = {"raw": True, "inference": "collapsed", "alpha": "auto", "eta": "auto"}
    model = mt.tl.MTM(adata, N_TOPICS, **prior, **options)
    read = time.perf_counter()
    model.VI(500 if n_iter is None else n_iter, tol="auto" if n_iter is None else None)
    ended = time.perf_counter()
    nnz = model._run.fit.posterior.corpus.nnz
    return {
        "nnz": nnz,
        "reading": read - began,
        "fitting": ended - read,
        "iterations": len(model.elbo),
        "passes": model.passes,
        "bytes a non-zero": (peak() - before) / nnz,
        "GB": peak() / 1e9,
        "ELBO a count": model.elbo[-1] / model.n_counts,
    }


def main() -> None:
    """Print a row for each way, and what the disk costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--n-obs", type=int, default=100_000)
    parser.add_argument("--n-iter", type=int, help="that many iterations; else to the end")
    parser.add_argument("--only", choices=["memory", "scratch"])
    parser.add_argument("--here", choices=["memory", "scratch"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    path = arguments.folder / f"counts_{arguments.n_obs}.h5ad"
    if arguments.here:
        print(json.dumps(fit(path, arguments.here, arguments.n_iter)))
        return
    if not path.exists():
        make(path, arguments.n_obs)
    rows = {}
    for how in ["memory", "scratch"] if arguments.only is None else [arguments.only]:
        command = [sys.executable, __file__, *sys.argv[1:], "--here", how]
        rows[how] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    table = pd.DataFrame(rows).T
    print(table.to_string())
    if len(table) == 2:
        seconds = table["reading"] + table["fitting"]
        print(f"\nreading and fitting, scratch over memory: {seconds['scratch'] / seconds['memory']:.2f}")


if __name__ == "__main__":
    main()
