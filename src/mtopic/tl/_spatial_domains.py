from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import Data, DataLike, graph, record
from mtopic._data.category import write_category
from mtopic._data.proportions import proportions
from mtopic._warn import warn

from ._partitions import partition, stability
from ._ring_means import ring_means

VARIANCE_KEPT = 0.99
"""By the principal components: neighbouring rings are alike, and a mixture's time is quadratic in the dimensions."""


@public
def spatial_domains(
    data: DataLike,
    n_domains: int | None = None,
    *,
    topics: str = "topics",
    neighbors_key: str = "spatial",
    n_rings: int = 2,
    method: Literal["mixture", "leiden"] = "mixture",
    candidates: Sequence[int] = range(2, 16),
    n_runs: int = 6,
    n_init: int = 5,
    key_added: str = "domain",
    rng: int | np.random.Generator = 0,
    n_jobs: int = 1,
    verbose: bool = True,
) -> None:
    """Divide a tissue into domains: regions whose observations have similar topics, and similar topics around them.

    An observation is described by how far its topic proportions are above their medians over the tissue, 0 where they
    are below, and by the means of that over the 1st, …, ``n_rings``-th ring of neighbours, side by side, as in
    CellCharter :cite:p:`varrone2024`. What all observations have in common is left out thereby. All are square roots,
    so that rare topics count beside large ones. These descriptions are grouped by the principal components that hold
    99% of their variance. Several sections in one graph, without links between them, share their domains.

    {Parameters data:graph}
    n_domains
        Number of domains, 2 or more. None chooses a stable one of ``candidates``, as below.
    {topics}
        Rows need not sum to 1.
    {neighbors_key:graph}
        Weights do not matter.
    n_rings
        Number of rings: the l-th are the observations that are l steps away. More rings give larger and smoother
        domains; 0 ignores the surroundings.
    method
        ``"mixture"``: what ``n_init`` mixtures of Gaussian distributions agree on, by k-means of their memberships, a
        consensus :cite:p:`strehl2002`. The distributions of a mixture share one covariance, whose diagonal is raised by
        10% of the mean variance. ``"leiden"``: communities of a graph of the 15 nearest descriptions, at the resolution
        that gives ``n_domains``; needs igraph (``pip install 'mtopic[leiden]'``).
    candidates
        Numbers to choose from.
    n_runs
        Number of resamples on which stability is measured.
    n_init
        Number of mixtures, each from its own start.
    key_added
        Key of the domains in ``obs``.
    {rng}
    n_jobs
        Number of processes for the resamples; it does not change the result.
    {verbose}

    Returns
    -------
    None. Sets

    ``obs[key_added]`` : categorical
        ``"1"``, ``"2"``, …, the largest domain first. Observations whose proportions are missing have none, and do not
        count in rings. Where a ring is empty, the next inner one stands for it, so that an isolated observation is
        described by itself.
    ``uns[f"{key_added}_colors"]`` : list of str
        A colour for each domain: scanpy's default, unless there are as many already.
    ``uns[key_added]`` : dict
        ``"params"`` and, if the number was chosen, ``"stability"``: DataFrame with a row for each candidate, its
        ``n_domains``, ``stability`` and ``standard_error``.

    {Raises KeyError:graph}
    ValueError
        If the proportions are not valid or all the same, the graph lacks observations, or a number or ``method`` is out
        of range.
    ImportError
        If ``method="leiden"`` and igraph is not installed.

    Warns
    -----
    UserWarning
        If observations have no neighbour, or the number of domains found is not the one asked for.

    Notes
    -----
    Stability. The observations are resampled ``n_runs`` times, 80% each without replacement, and each resample is
    divided into each candidate number of domains. Two resamples are compared on the observations that both have, by
    the adjusted Rand index; ``stability`` is the mean over pairs of resamples. Chosen is the largest number whose
    stability is not below the best by more than its standard error: two domains are stable in many tissues that have
    finer ones as well.

    {Examples:tissue}
    >>> mt.tl.spatial_domains(mdata, 4)
    >>> list(mdata.obs["domain"].cat.categories)
    ['1', '2', '3', '4']
    """
    cut = partition(method, n_init)
    theta = proportions(data, topics)
    known = theta.notna().all(axis=1).to_numpy()
    numbers = _numbers(n_domains, candidates, int(known.sum()))
    _check(n_rings, n_runs, n_init)
    neighbours = graph.find(data, neighbors_key).neighbours()
    graph.warn_isolated(neighbours)
    points = ring_means(_above_the_median(theta.to_numpy()), neighbours, n_rings)[known]
    if np.ptp(points, axis=0).max() == 0:
        raise ValueError(f"obsm[{topics!r}]: all observations have the same topics, there are no domains")
    points = _principal(points)
    generator = np.random.default_rng(rng)
    seed = int(generator.integers(2**31))
    params: dict[str, Any] = {"topics": topics, "neighbors_key": neighbors_key, "n_rings": n_rings, "method": method}
    result: dict[str, Any] = {"params": params}
    if n_domains is None:
        options: dict[str, Any] = {"n_runs": n_runs, "rng": generator, "n_jobs": n_jobs, "verbose": verbose}
        result["stability"] = stability(points, numbers, cut, **options)
        n_domains = _most_stable(result["stability"])
    else:
        (n_domains,) = numbers
    params["n_domains"] = n_domains
    labels = cut(points, [n_domains], seed)[n_domains]
    _write(data, key_added, labels, known, result)
    record.note(data, record.head_of(topics), f"obs:{key_added}", f"uns:{key_added}")


def _above_the_median(proportions: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(proportions - np.nanmedian(proportions, axis=0), 0)


def _principal(points: NDArray[np.float64]) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA

    return PCA(VARIANCE_KEPT, svd_solver="full").fit_transform(points)


def _numbers(n_domains: int | None, candidates: Sequence[int], n_obs: int) -> list[int]:
    """The numbers of domains to try."""
    given, name = (sorted(set(candidates)), "candidates") if n_domains is None else ([n_domains], "n_domains")
    if not given:
        raise ValueError("candidates is empty: name the numbers of domains to choose from, such as range(2, 16)")
    for number in given:
        if int(number) != number or not 2 <= number <= n_obs:
            raise ValueError(
                f"{name}: {number} is no number of domains; it must be whole, 2 or more, and at most the {n_obs} "
                "observations with topics"
            )
    return [int(number) for number in given]


def _check(n_rings: int, n_runs: int, n_init: int) -> None:
    if n_rings < 0:
        raise ValueError(f"n_rings={n_rings}: give 0 or more rings of neighbours")
    if n_runs < 2:
        raise ValueError(f"n_runs={n_runs}: stability compares 2 runs or more")
    if n_init < 1:
        raise ValueError(f"n_init={n_init}: it must be at least 1")


def _write(data: Data, key: str, labels: NDArray[np.intp], known: NDArray[np.bool_], result: dict[str, Any]) -> None:
    """Number the domains by size, the largest first, and write them."""
    present, sizes = np.unique(labels, return_counts=True)
    wanted = result["params"]["n_domains"]
    if len(present) != wanted:
        warn(f"{len(present)} domains in place of {wanted}: no division into just as many was found")
    rank = np.empty(labels.max() + 1, dtype=np.intp)
    rank[present[np.argsort(-sizes, kind="stable")]] = np.arange(len(present))
    codes = np.full(len(known), -1)
    codes[known] = rank[labels]
    write_category(data, key, codes, [str(d + 1) for d in range(len(present))])
    data.uns[key] = result


def _most_stable(scores: pd.DataFrame) -> int:
    """The largest number that is as stable as the best, within a standard error."""
    enough = scores["stability"] + scores["standard_error"] >= scores["stability"].max()
    return int(scores["n_domains"][enough].max())
