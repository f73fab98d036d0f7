"""Points in groups: by a mixture or by Leiden, and how stable a number of groups is."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import combinations
from typing import TypeAlias

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from mtopic._progress import progress

Points: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.intp]
Partitions: TypeAlias = dict[int, Labels]
"""The group of each point, by number of groups."""

Partition: TypeAlias = Callable[[Points, Sequence[int], int], Partitions]
"""Of points, into each of some numbers of groups, with a seed."""

FLOOR = 0.1
"""Added to the variance of each dimension, in units of the mean variance."""

RESAMPLED = 0.8
"""Share of the points in a resample."""

N_NEIGHBORS = 15
"""Neighbours of a point in the graph for Leiden, scanpy's default."""

RESOLUTIONS, STEPS = (1e-3, 1e2), 40
"""Where Leiden's resolution is searched, and how often at most."""


def partition(method: str, n_init: int) -> Partition:
    """The way to groups that goes by this name."""
    if method == "mixture":
        return partial(mixture, n_init=n_init)
    if method != "leiden":
        raise ValueError(f"method={method!r}: choose 'mixture' or 'leiden'")
    if find_spec("igraph") is None:
        raise ImportError("method='leiden' needs igraph: pip install 'mtopic[leiden]', or use method='mixture'")
    return leiden


def mixture(points: Points, numbers: Sequence[int], seed: int, *, n_init: int) -> Partitions:
    """What ``n_init`` Gaussian mixtures of one covariance agree on: k-means on all their memberships side by side.

    The likeliest of several mixtures is often a poor one, and jumps when the points move a little.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    options = {"covariance_type": "tied", "reg_covar": max(FLOOR * float(points.var(axis=0).mean()), 1e-12)}
    seeds = np.random.default_rng(seed).integers(2**31, size=n_init).tolist()

    def agreed(number: int) -> Labels:
        starts = [GaussianMixture(number, random_state=start, **options).fit(points) for start in seeds]
        memberships = np.hstack([start.predict_proba(points) for start in starts])
        return KMeans(number, n_init=10, random_state=seed).fit_predict(memberships).astype(np.intp)

    with warnings.catch_warnings(), threadpool_limits(1):  # small matrices: threads cost more than they give
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {number: agreed(number) for number in numbers}


def leiden(points: Points, numbers: Sequence[int], seed: int) -> Partitions:
    """Communities of the graph of nearest points, at a resolution that gives as many as asked for, or nearly."""
    import scanpy as sc
    from anndata import AnnData

    private = AnnData(points.astype(np.float32))
    n_neighbors = min(N_NEIGHBORS, len(points) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.neighbors(private, n_neighbors, use_rep="X", random_state=seed)

    def communities(resolution: float) -> Labels:
        options = {"flavor": "igraph", "directed": False, "n_iterations": 2, "random_state": seed}
        sc.tl.leiden(private, resolution, key_added="group", **options)
        return private.obs["group"].cat.codes.to_numpy().astype(np.intp)

    return {number: _search(communities, number) for number in numbers}


def _search(communities: Callable[[float], Labels], number: int) -> Labels:
    """Bisect the resolution until there are ``number`` communities; else those nearest in number."""
    low, high = np.log(RESOLUTIONS)
    found: Partitions = {}
    for _ in range(STEPS):
        middle = (low + high) / 2
        labels = communities(float(np.exp(middle)))
        n_found = int(labels.max()) + 1
        found[n_found] = labels
        if n_found == number:
            break
        low, high = (middle, high) if n_found < number else (low, middle)
    return found[min(found, key=lambda n_found: abs(n_found - number))]


def stability(
    points: Points,
    numbers: Sequence[int],
    cut: Partition,
    *,
    n_runs: int,
    rng: np.random.Generator,
    n_jobs: int,
    verbose: bool,
) -> pd.DataFrame:
    """Of each number of groups: mean adjusted Rand index between resamples on the points that two of them share.

    Its standard error counts the resamples, not their pairs, which are not independent.
    """
    size = max(int(RESAMPLED * len(points)), max(numbers))
    samples = [np.sort(rng.choice(len(points), size, replace=False)) for _ in range(n_runs)]
    seeds = rng.integers(2**31, size=n_runs).tolist()
    jobs = zip(samples, seeds, strict=True)
    calls = (delayed(cut)(points[sample], numbers, seed) for sample, seed in jobs)
    runs = []
    with progress(n_runs, "stability", "resample", verbose=verbose) as bar:
        for run in Parallel(n_jobs, return_as="generator")(calls):
            runs.append(run)
            bar.update()
    scores = pd.DataFrame(_likeness(samples, runs, number) for number in numbers)
    table = pd.DataFrame({"n_domains": numbers, "stability": scores.mean(axis=1)})
    table["standard_error"] = scores.std(axis=1, ddof=0) / np.sqrt(n_runs)
    return table


def _likeness(samples: list[Labels], runs: list[Partitions], number: int) -> list[float]:
    """Of each two resamples, on the points that both have."""
    from sklearn.metrics import adjusted_rand_score

    scores = []
    for i, j in combinations(range(len(runs)), 2):
        _, here, there = np.intersect1d(samples[i], samples[j], assume_unique=True, return_indices=True)
        scores.append(float(adjusted_rand_score(runs[i][number][here], runs[j][number][there])))
    return scores
