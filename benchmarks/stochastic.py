"""What do stochastic updates save on many cells? Held-out score, work, time and memory of SVI at several budgets.

python benchmarks/stochastic.py

Each fit has a process of its own. VI runs to its stopping rule and is scored on the way; SVI is scored at its end,
budget by budget. Held-out cells are scored by document completion (`held_out.py`), while the clock stands still.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from anndata import AnnData
from growth import draw
from held_out import Trajectory, halves
from memory import resident
from scipy.sparse import csr_matrix, load_npz, save_npz
from shapes import table

import mtopic as mt

LATEST = 10**6
VI_STEPS = (1, 4, 5, 10, 20, 500)
HEAD = ["fit", "passes", "s", "held-out score", "% below VI", "ELBO per count", "peak growth, MB"]


def simulated(kind: str, n_obs: int, n_features: int, n_topics: int, depth: float) -> csr_matrix:
    """Counts of cells: from the topic model itself, or in the bands of `growth.py`."""
    if kind == "bands":
        return draw(n_obs, n_features, round(depth))
    cells = mt.datasets.simulate(n_obs, n_topics, modalities={"rna": n_features}, depth=depth, spatial=False)
    return csr_matrix(cells["rna"].X)


def model_of(x: csr_matrix, n_topics: int, family: str) -> mt.tl.MTM:
    """A model as `mtopic.tl.topic_model` makes it of cells, or with variational signatures and fixed priors."""
    adata = AnnData(x, obs=pd.DataFrame(index=np.arange(x.shape[0]).astype(str)))
    learned = {"alpha": "auto", "eta": "auto"} if family == "collapsed" else {}
    return mt.tl.MTM(adata, n_topics, n_jobs=-1, verbose=False, inference=family, **learned)


def fit(folder: Path, n_topics: int, family: str, size: int, budget: float) -> Iterator[list]:
    """A line for each score of a fit: VI without a batch size, else SVI with a budget in epochs (0: until it stops)."""
    model_of(load_npz(folder / "train.npz")[:500], n_topics, family).SVI(10, 100)  # compiles
    model = model_of(load_npz(folder / "train.npz"), n_topics, family)
    given, scored = halves(load_npz(folder / "test.npz"))
    run = Trajectory("", given, scored)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
    before = resident("VmRSS")
    run.start()

    def line(name: str) -> list:
        run.report(lambda: (model.lambda_["X"], model.alpha))
        seconds, score = run.points[-1]
        return [
            name,
            model.passes,
            seconds,
            score,
            np.nan,
            model.elbo[-1] / model.n_counts,
            (resident("VmHWM") - before) / 1e6,
        ]

    if not size:
        for n_iter in VI_STEPS:
            model.VI(n_iter, tol="auto" if n_iter == VI_STEPS[-1] else None)
            yield line(f"VI, {len(model.elbo)} iteration{'s' * (len(model.elbo) > 1)}")
        return
    n_batches = round(budget * model.gamma.shape[0] / size) if budget else LATEST
    model.SVI(n_batches, size, tol=None if budget else "auto")
    n_seen = model.params()["n_batches"] * size
    yield line(
        f"SVI, {size:,} a batch, {n_seen / model.gamma.shape[0]:.3g} epochs" + (" (stopped)" if not budget else "")
    )


def in_process(folder: Path, *case: object) -> list[list]:
    """The lines of a fit, from a process of its own."""
    command = [sys.executable, __file__, "--case", str(folder), *map(str, case)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    print(*output, sep="\n", file=sys.stderr, flush=True)
    return [[name, *map(float, numbers)] for name, *numbers in (each.split(";") for each in output)]


def main() -> None:
    """Print one table for each family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=int, default=300_000)
    parser.add_argument("--features", type=int, default=2000)
    parser.add_argument("--topics", type=int, default=20)
    parser.add_argument("--depth", type=float, default=200)
    parser.add_argument("--simulation", choices=["topics", "bands"], default="topics")
    parser.add_argument("--family", nargs="+", default=["collapsed", "variational"])
    parser.add_argument("--size", type=int, nargs="+", default=[1000])
    parser.add_argument("--epochs", type=float, nargs="+", default=[0.1, 0.3, 1, 2, 0], help="0: until it stops")
    parser.add_argument("--held-out", type=int, default=5000)
    parser.add_argument("--case", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        folder, n_topics, family, size, budget = given.case
        for line in fit(Path(folder), int(n_topics), family, int(size), float(budget)):
            print(*line, sep=";", flush=True)
        return
    with TemporaryDirectory() as folder:
        sizes = (given.features, given.topics, given.depth)
        counts = simulated(given.simulation, given.observations + given.held_out, *sizes)
        order = np.random.default_rng(0).permutation(counts.shape[0])
        for name, rows in (("test", order[: given.held_out]), ("train", order[given.held_out :])):
            save_npz(Path(folder) / f"{name}.npz", counts[np.sort(rows)], compressed=False)
        del counts
        for family in given.family:
            lines = in_process(Path(folder), given.topics, family, 0, 0)
            reference = lines[-1][3]
            for size in given.size:
                for budget in given.epochs:
                    lines += in_process(Path(folder), given.topics, family, size, budget)
            for line in lines:
                line[3:6] = f"{line[3]:.5f}", f"{100 * (line[3] / reference - 1):.4f}", f"{line[5]:.5f}"
            print(f"\n{family}:\n\n{table(HEAD, lines)}", flush=True)


if __name__ == "__main__":
    main()
