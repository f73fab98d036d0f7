"""Growth of peak resident memory from just before a model is built to the end of its fit. Linux only.

python benchmarks/memory.py

Each case runs in a process of its own, which has compiled and imported everything before. The bound is
2.5 × (8 bytes × non-zeros) + (8 K × V + 6 D × K) × 4 bytes.
"""

import argparse
import ctypes
import gc
import subprocess
import sys
from pathlib import Path

import pandas as pd
from anndata import AnnData
from growth import draw
from mudata import MuData
from shapes import table

import mtopic as mt

N_OBS, N_FEATURES, N_UNITS, N_TOPICS = 10_000, 30_000, 1200, 50
HEAD = ["modalities", "n_jobs", "observations", "features", "K", "non-zeros", "growth, MB", "bound, MB", "of the bound"]


def data(n_modalities: int, n_obs: int) -> MuData:
    """About 1,000 non-zeros an observation, in modalities of equal size, CSR in single precision."""
    names = pd.DataFrame(index=[f"cell_{d}" for d in range(n_obs)])
    sizes = N_FEATURES // n_modalities, N_UNITS // n_modalities
    return MuData({f"view_{m}": AnnData(draw(n_obs, *sizes, rng=m), obs=names) for m in range(n_modalities)})


def fit(mdata: MuData, n_jobs: int, family: str, n_iter: int) -> mt.tl.MTM:
    """Build and fit a model."""
    options = {} if family == "variational" else {"inference": family}
    model = mt.tl.MTM(mdata, n_topics=N_TOPICS, n_jobs=n_jobs, verbose=False, **options)
    model.VI(n_iter, tol=None)
    return model


def resident(line: str) -> int:
    """Bytes: ``VmRSS`` now, ``VmHWM`` at the peak."""
    status = dict(text.split(":", 1) for text in Path("/proc/self/status").read_text().splitlines())
    return int(status[line].split()[0]) * 1024


def case(n_modalities: int, n_jobs: int, n_obs: int, family: str, n_iter: int) -> list[object]:
    """A line of the table, measured in this process."""
    fit(data(n_modalities, 200), n_jobs, family, 40)
    mdata = data(n_modalities, n_obs)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # memory that is free but not given back would hide growth
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    model = fit(mdata, n_jobs, family, n_iter)
    growth = resident("VmHWM") - before
    nnz = sum(mdata[mod].X.nnz for mod in mdata.mod)
    n_features = sum(lam.shape[1] for lam in model.lambda_.values())
    bound = 2.5 * 8 * nnz + (8 * N_TOPICS * n_features + 6 * n_obs * N_TOPICS) * 4
    shape = [n_modalities, n_jobs, n_obs, n_features, N_TOPICS, nnz]
    return [*shape, f"{growth / 1e6:.1f}", f"{bound / 1e6:.1f}", growth / bound]


def main() -> None:
    """Print one table; with ``--case``, one line of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=["variational", "collapsed"], default="variational")
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 100])
    parser.add_argument("--small", action="store_true", help="a twentieth of the observations")
    parser.add_argument("--case", type=int, nargs=2, metavar=("MODALITIES", "JOBS"), help="measure in this process")
    arguments = parser.parse_args()
    if arguments.case is not None:
        n_obs = N_OBS // 20 if arguments.small else N_OBS
        print(table(HEAD, [case(*arguments.case, n_obs, arguments.family, arguments.iterations)]))
        return
    lines = []
    for modalities in (1, 2):
        for n_jobs in arguments.jobs:
            command = [sys.executable, *sys.argv, "--case", str(modalities), str(n_jobs)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
            lines += output if not lines else output[-1:]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
