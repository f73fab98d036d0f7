"""What tracking the bound costs: its parts, timed at the end of a fit, beside the fit.

python benchmarks/bound.py --shape p22 tonsil

Logarithms of the mixtures are timed as the sufficient statistics with them less the same loop without; the rest is ln Γ
of γ and what λ adds. The least of several times, both cores.
"""

import argparse
from time import perf_counter

import numpy as np
from full_pass import fastest
from shapes import SHAPES, prepared, table

import mtopic as mt
from mtopic.inference.posterior import Posterior

HEAD = ["shape", "non-zeros", "K", "iterations", "s of the fit", "ms of the bound an iteration", "share of the fit"]


def seconds_of_bound(model: Posterior) -> float:
    """Seconds that one evaluation adds to an iteration."""
    gamma, backend, lam = model.gamma, model.backend, np.empty_like(model.lam)
    of_columns = model.corpus.columns, model.topics(gamma)[0], model.signatures()
    tasks = [
        lambda: backend.statistics(*of_columns, model.n_topics),
        lambda: backend.gradient_step(*of_columns, lam, 0.0, 1.0, 0.0, lam),
        lambda: backend.sum("log_gamma", gamma),
        lambda: model.bound(0.0),
    ]
    with backend:
        with_logs, without, of_gamma, of_lam = (fastest([task], 15) for task in tasks)
    return with_logs - without + of_gamma + of_lam


def line(shape: str, small: bool) -> list[object]:
    """A line of the table."""
    mdata, n_topics = prepared(shape, small)
    mt.tl.MTM(mdata[:100].copy(), n_topics=n_topics, n_jobs=-1, verbose=False).VI(12)  # compiles
    model = mt.tl.MTM(mdata, n_topics=n_topics, n_jobs=-1, verbose=False)
    start = perf_counter()
    model.VI(1000)
    seconds = perf_counter() - start
    bound, iterations = seconds_of_bound(model._run.fit.posterior), len(model.elbo)
    nnz = model._run.fit.posterior.corpus.rows.nnz
    return [shape, nnz, n_topics, iterations, seconds, 1e3 * bound, f"{iterations * bound / seconds:.1%}"]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, nargs="+", default=["p22", "tonsil"])
    parser.add_argument("--small", action="store_true", help="a twentieth of the observations")
    arguments = parser.parse_args()
    print(table(HEAD, [line(shape, arguments.small) for shape in arguments.shape]))


if __name__ == "__main__":
    main()
