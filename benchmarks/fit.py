"""Time to a good fit: the default schedule to its stopping rule beside the original's updates, on simulated data.

python benchmarks/fit.py --shape p22 tonsil pbmc

Both run on the same compiled kernels and the same cores, one after the other. The bound is that of the model at
α = 1/K and η = 0.01, computed here in double precision from γ and λ, per count unit; the clock stands still meanwhile.
Building the model and compiling are not timed. Trajectories go to standard error, comma-separated.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import pandas as pd
from anndata import AnnData
from full_pass import full_pass_seconds
from held_out import steps
from mudata import MuData
from numba import njit
from numpy.typing import NDArray
from scipy.special import digamma, gammaln
from shapes import SHAPES, prepare, prepared, side_by_side, table

import mtopic as mt

ETA = 0.01
HEAD = ["shape", "K", "seed", "non-zeros", "full pass, s", "original: iterations", "ELBO per count", "s", "recovery"]
HEAD += ["default: s to that ELBO", "times sooner", "ELBO per count", "s", "full passes in that time", "work, passes"]
HEAD += ["iterations", "converged", "recovery"]


def elbo_per_count(mdata: MuData, model: mt.tl.MTM) -> float:
    """The bound of the model's γ and λ, whatever family made them, in nats a count unit."""
    gamma = model.gamma.astype(np.float64)
    t = np.exp(_expected_logs(gamma))
    bound, counts = -_divergence(gamma, 1 / gamma.shape[1]), 0.0
    for mod, lam in model.lambda_.items():
        x, lam = mdata[mod].X, lam.astype(np.float64)
        b = np.ascontiguousarray(np.exp(_expected_logs(lam)).T)
        order = mdata.obs_names.get_indexer(mdata[mod].obs_names)
        bound += _log_likelihood(x.indptr, x.indices, x.data, t[order], b) - _divergence(lam, ETA)
        counts += x.data.sum(dtype=np.float64)
    return bound / counts


def _expected_logs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return digamma(values) - digamma(values.sum(axis=1, keepdims=True))


def _divergence(values: NDArray[np.float64], prior: float) -> float:
    """Σ KL(Dirichlet(row) ‖ Dirichlet(prior, …, prior))."""
    size = values.shape[1]
    own = gammaln(values.sum(axis=1)) - gammaln(values).sum(axis=1)
    constant = gammaln(size * prior) - size * gammaln(prior)
    return float((own - constant).sum() + ((values - prior) * _expected_logs(values)).sum())


@njit(nogil=True, fastmath={"reassoc", "contract"})
def _log_likelihood(indptr, indices, counts, t, b):
    total = 0.0
    for d in range(t.shape[0]):
        for i in range(indptr[d], indptr[d + 1]):
            mixture = 0.0
            for k in range(t.shape[1]):
                mixture += t[d, k] * b[indices[i], k]
            total += counts[i] * np.log(mixture)
    return total


@dataclass
class Run:
    """A fit with its trajectory: seconds in VI, passes of work if the model counts them (else NaN), ELBO per count."""

    model: mt.tl.MTM
    points: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def iterations(self) -> int:
        return int(self.model.params()["n_iter"])

    def seconds_to(self, bound: float) -> float:
        """Seconds to a bound, by straight lines between the points; infinite if it is not reached."""
        seconds, _, reached = np.array(self.points).T
        first = int(np.argmax(reached >= bound))
        if reached[first] < bound:
            return np.inf
        if first == 0:
            return float(seconds[0])
        return float(np.interp(bound, reached[first - 1 : first + 1], seconds[first - 1 : first + 1]))


def fit(mdata: MuData, n_topics: int, most: int, label: str = "", *, seed: int, schedule: str, family: str) -> Run:
    """Fit in growing steps to the stopping rule, or for ``most`` iterations."""
    options = {} if family == "variational" else {"inference": family}
    run, seconds = Run(mt.tl.MTM(mdata, n_topics, seed=seed, n_jobs=-1, verbose=False, **options)), 0.0
    for step in steps(most):
        start = perf_counter()
        run.model.VI(step, schedule=schedule)
        seconds += perf_counter() - start
        run.points.append((seconds, getattr(run.model, "passes", np.nan), elbo_per_count(mdata, run.model)))
        if label:
            print(label, schedule, run.iterations, *run.points[-1], sep=",", file=sys.stderr, flush=True)
        if run.model.converged:
            break
    return run


def recovery(mdata: MuData, model: mt.tl.MTM) -> float:
    """Mean correlation of the known topics with the found ones that match them best, one to one."""
    known = mdata.obsm["true_topics"]
    found = pd.DataFrame(model.gamma / model.gamma.sum(axis=1, keepdims=True), index=known.index)
    both = AnnData(obs=pd.DataFrame(index=known.index), obsm={"topics": found, "true_topics": known})
    pairs = mt.datasets.recovery(both)
    return float(pairs["correlation"].mean())


def warm_up(n_topics: int, family: str) -> None:
    """Compile."""
    few = prepare(mt.datasets.simulate(200, n_topics))
    for schedule, which in (("original", "variational"), ("fast", family)):
        fit(few, n_topics, 40, seed=0, schedule=schedule, family=which)


def lines(shape: str, arguments: argparse.Namespace) -> Iterator[list[object]]:
    """A line for each seed."""
    mdata, n_topics = prepared(shape, arguments.small)
    rows = side_by_side(mdata)
    warm_up(n_topics, arguments.family)
    for seed in arguments.seeds:
        label = f"{shape},{seed}"
        plain = {"seed": seed, "schedule": "original", "family": "variational"}
        original = fit(mdata, n_topics, arguments.original, label, **plain)
        full_pass = full_pass_seconds(rows, n_topics)
        run = fit(mdata, n_topics, arguments.most, label, seed=seed, schedule="fast", family=arguments.family)
        before, _, bound = original.points[-1]
        seconds, work, final = run.points[-1]
        to_bound = run.seconds_to(bound)
        line = [shape, n_topics, seed, rows.nnz, full_pass, arguments.original, f"{bound:.5f}", before]
        line += [recovery(mdata, original.model), to_bound, before / to_bound or np.nan, f"{final:.5f}", seconds]
        line += [seconds / full_pass, work, run.iterations, run.model.converged, recovery(mdata, run.model)]
        yield line


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--family", choices=["variational", "collapsed"], default="variational")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2291])
    parser.add_argument("--original", type=int, default=60, metavar="N", help="iterations of the original's schedule")
    parser.add_argument("--most", type=int, default=1000, help="iterations of the default, at most")
    parser.add_argument("--small", action="store_true", help="a twentieth of the observations")
    arguments = parser.parse_args()
    print(table(HEAD, [line for shape in arguments.shape for line in lines(shape, arguments)]))


if __name__ == "__main__":
    main()
