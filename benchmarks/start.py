"""How many batches does the start of a fit to few observations need? Simulated tissues and cells of known topics.

python benchmarks/start.py --seeds 12

Default fits, to their stopping rule, from starts of several numbers of batches. Each is compared with the fit of the
same data from 128 batches, which is what the package does: the mean difference of the bound per count, and of the error
of the proportions (mean absolute, topics matched), each with its standard error over seeds, kinds of data and numbers
of topics.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from time import process_time

import numpy as np
from mudata import MuData
from shapes import table

import mtopic as mt
from mtopic.inference import fit

BATCHES = (8, 16, 32, 64, 128)
HEAD = [
    "observations",
    "batches",
    "fits",
    "ΔELBO per count, 1e-4",
    "± se",
    "error of θ",
    "Δerror, 1e-3",
    "± se",
    "CPU, ms",
]
KINDS = {
    "tissue": {},
    "cells": {"spatial": False, "depth": 300},
    "deep cells": {"spatial": False, "depth": 3000},
}


def error(mdata: MuData) -> float:
    """Mean absolute difference of the found proportions from the known ones, topics matched one to one."""
    pairs = mt.datasets.recovery(mdata)
    found, known = (
        mdata.obsm[key][pairs[name]].to_numpy() for key, name in (("topics", "topic"), ("true_topics", "truth"))
    )
    return float(np.abs(found - known).sum(axis=1).mean() / 2)


def fitted(mdata: MuData, n_topics: int, seed: int, batches: int) -> tuple[float, float, float]:
    """Bound per count, error and CPU seconds of a fit whose start has so many batches."""
    own = fit.initial_signatures
    try:
        fit.initial_signatures = partial(own, steps=batches)
        begun = process_time()
        model = mt.tl.MTM(mdata, n_topics, seed=seed, n_jobs=1, verbose=False)
        model.VI(200)
        seconds = process_time() - begun
    finally:
        fit.initial_signatures = own
    mt.tl.export_params(model, mdata, filter_topics=False)
    return model.elbo[-1] / model.n_counts, error(mdata), seconds


def lines(n_obs: int, seeds: int, topics: list[int]) -> Iterator[list[object]]:
    """A line for each number of batches."""
    found = []
    for seed in range(seeds):
        for n_topics in topics:
            for options in KINDS.values():
                mdata = mt.datasets.simulate(n_obs, n_topics, rng=seed, **options)
                found.append([fitted(mdata, n_topics, seed, batches) for batches in BATCHES])
    bound, errors, seconds = np.moveaxis(np.array(found), 2, 0)
    for i, batches in enumerate(BATCHES):
        gains = [1e4 * (bound[:, i] - bound[:, -1]), 1e3 * (errors[:, i] - errors[:, -1])]
        of = [[float(gain.mean()), float(gain.std() / np.sqrt(len(found)))] for gain in gains]
        median = float(1e3 * np.median(seconds[:, i]))
        yield [n_obs, batches, len(found), *of[0], float(errors[:, i].mean()), *of[1], median]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=int, nargs="+", default=[60, 100, 150, 200, 240, 400])
    parser.add_argument("--topics", type=int, nargs="+", default=[3, 6, 10])
    parser.add_argument("--seeds", type=int, default=12)
    arguments = parser.parse_args()
    sizes = arguments.observations
    print(table(HEAD, [line for n_obs in sizes for line in lines(n_obs, arguments.seeds, arguments.topics)]))


if __name__ == "__main__":
    main()
