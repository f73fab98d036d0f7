import warnings
from collections.abc import Iterable
from itertools import combinations
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from tqdm import tqdm

from mtopic._api import public
from mtopic._cross_validation import verdict
from mtopic._data import Data, DataLike
from mtopic._data.graph import Method
from mtopic._data.in_rows import warn_if_loaded
from mtopic._data.measured import warn_if_ignored
from mtopic._data.slots import modalities
from mtopic.model.stability import of_matched

from ._folds import BATCH, Fold, in_folds, whole_counts
from ._mtm import MTM
from ._smtm import sMTM
from ._topic_model import model_of_raw_counts

RESULTS, INFO, SPLIT = "CV_results", "CV_fit_info", "CV_split"


@public
def select_n_topics(
    mdata: DataLike,
    Ks: Iterable[int] = (5, 20, 40, 60, 80, 100),
    *,
    n_folds: int = 5,
    n_iter: int = 50,
    n_jobs: int = 10,
    is_spatial: bool = False,
    spatial_key: str = "coords",
    seed: int = 2291,
    radius: float | None = None,
    n_neighbors: int | None = None,
    neighbors_key: str | None = None,
    neighbors_method: Method | None = None,
    library_key: str | None = None,
    batch_key: str | None = None,
    prepare: bool = False,
    plateau_threshold: float = 0.05,
    verbose: bool = True,
) -> None:
    """Cross-validate the number of topics by how well they predict counts that were not part of any fit.

    Observations are divided into folds. For each fold and each K, the model that `mtopic.tl.topic_model` makes of the
    same options is fitted to the other folds. The counts of each held-out observation are divided at random into
    halves: topics are inferred from one with the fitted signatures, and the other is scored by the logarithm of the
    probability that these topics give it (document completion).

    Parameters
    ----------
    mdata
        MuData or AnnData with raw, whole-numbered counts in ``layers["counts"]`` where it is present, else in ``X``.
    Ks
        Numbers of topics.
    n_folds
        Number of folds.
    n_iter
        Largest number of iterations of a fit, which stops when topics move little.
    {n_jobs}
    is_spatial
        Fit topics that neighbours share. Any of the next six options, given, does so too. Topics of held-out
        observations are inferred without neighbours, whose counts may be in the training data.
    {spatial_key}
        The default also finds ``spatial``.
    {radius n_neighbors neighbors_key neighbors_method}
        If none of ``radius``, ``n_neighbors``, ``neighbors_key`` and this is given, neighbours are the 6 nearest
        observations; with ``prepare``, those within a radius of 0.05.
    {library_key batch_key:model}
    seed
        Seed of folds, halves and fits.
    prepare
        Score what the original program's scripts fit: `MTM` or `sMTM` on prepared counts. Preparation is clr for a
        modality named ``prot`` and tfidf for others, with the weights of the training data, then the same mean total
        for all. It gives much weight to each count where counts are few, and then favours few topics.
    {plateau_threshold verbose}

    Returns
    -------
    None. Sets

    ``uns["CV_results"]`` : DataFrame
        A row for each K and fold, and for each K the means over folds (``CV`` is ``"total"``); columns ``K``, ``CV``,
        ``train_time_sec``, ``total`` and one for each modality: mean log-likelihood of a count, in nats.
    ``uns["CV_fit_info"]`` : dict
        ``recommended``, the smallest K that is not worse than the best by more than a standard error of the difference
        over folds. ``plateau``, the first K tried where the curve ``top - rise · exp(-(K - first) / scale)`` through
        the means is flat, among those not worse than the recommended one by more than such an error; ``params`` (top,
        rise, scale, first) and ``r2`` are of the curve. Where it misses the means (``r2`` below 0.9) there is none, and
        the plateau is the recommended K. ``scores``, a DataFrame of means, standard errors and the ``stability`` of
        topics by K: the cosine of signatures of two folds, matched one to one, mean over topics and pairs of folds. The
        ``settings``. ``one_se_K`` and ``best_K`` are older names of the first two.
    ``obs["CV_split"]`` : int
        The fold in which an observation was held out.

    Results are written after every fit. A call with the settings of an interrupted one goes on after the last K with
    all folds.

    Raises
    ------
    ValueError
        If a number is out of range, counts are not whole, or a fold would be empty.
    KeyError
        If there are no such coordinates, graph, batches or sections.

    References
    ----------
    :cite:t:`wallach2009`

    {Examples:data}
    >>> mt.tl.select_n_topics(mdata, Ks=(2, 4, 6), n_folds=2, verbose=False)
    >>> mdata.uns["CV_results"].shape, mdata.uns["CV_fit_info"]["recommended"] in (2, 4, 6)
    ((9, 6), True)
    """
    numbers = _numbers(Ks, n_folds, n_iter, plateau_threshold, mdata.n_obs)
    warn_if_ignored(modalities(mdata), batch_key)
    warn_if_loaded(mdata, "select_n_topics")
    asked = {
        "radius": radius,
        "n_neighbors": n_neighbors,
        "neighbors_key": neighbors_key,
        "neighbors_method": neighbors_method,
        "library_key": library_key,
    }
    where = {name: value for name, value in asked.items() if value is not None}
    if is_spatial or where or spatial_key != "coords":
        where["spatial_key"] = spatial_key
    counts = whole_counts(mdata, where, batch_key)
    fits: dict[str, Any] = {"n_iter": n_iter, "prepare": prepare, "where": in_folds(counts, where)}
    fits["options"] = {"n_jobs": n_jobs, "seed": seed, "batch_key": None if batch_key is None else BATCH}
    split = np.random.default_rng(seed).permutation(mdata.n_obs) % n_folds
    how = {"n_folds": n_folds, "n_iter": n_iter, "seed": seed, "prepare": prepare, "batch_key": batch_key}
    settings = _settings(counts, **how, **where)
    rows, stability = _finished(mdata, settings, numbers, n_folds)
    folds = [Fold.of(counts, split == fold, fold, seed, prepare=prepare) for fold in range(n_folds)]
    mdata.obs[SPLIT] = split
    mdata.uns[INFO] = {"settings": settings}
    if stability:
        mdata.uns[INFO] |= verdict(pd.DataFrame(rows), stability, plateau_threshold)
    with tqdm(total=len(numbers) * n_folds, initial=len(stability) * n_folds, disable=not verbose, unit="fit") as bar:
        for K in [K for K in numbers if K not in stability]:
            signatures = []
            for fold, held_out in enumerate(folds):
                bar.set_description(f"{K} topics")
                start = perf_counter()
                model = _fit(held_out.training(counts), K, **fits, quiet=bool(rows))
                row = {"K": K, "CV": str(fold), "train_time_sec": perf_counter() - start}
                rows.append(row | held_out.score(model))
                signatures.append(np.hstack([lam / lam.sum(axis=1, keepdims=True) for lam in model.lambda_.values()]))
                mdata.uns[RESULTS] = pd.DataFrame(rows)
                bar.update()
            stability[K] = _stability(signatures)
            rows.append(_total(pd.DataFrame(rows), K))
            mdata.uns[RESULTS] = pd.DataFrame(rows)
            mdata.uns[INFO] = verdict(mdata.uns[RESULTS], stability, plateau_threshold) | {"settings": settings}


def _numbers(Ks: Iterable[int], n_folds: int, n_iter: int, threshold: float, n_obs: int) -> list[int]:
    numbers = sorted({int(K) for K in Ks})
    if not numbers or numbers[0] < 2:
        raise ValueError(f"Ks={tuple(numbers)}: give numbers of topics, at least 2 each")
    if not 2 <= n_folds <= n_obs:
        raise ValueError(f"n_folds={n_folds}: with {n_obs} observations choose 2 to {n_obs}")
    if n_iter < 1:
        raise ValueError(f"n_iter={n_iter}: it must be at least 1")
    if not 0 < threshold < 1:
        raise ValueError(f"plateau_threshold={threshold}: it is a share, between 0 and 1")
    return numbers


def _settings(counts: MuData, **given: Any) -> dict[str, Any]:
    """What results depend on, in types that HDF5 can hold."""
    sizes = {f"{mod}_counts": float(adata.X.sum(dtype=np.float64)) for mod, adata in counts.mod.items()}
    shapes = {f"{mod}_features": adata.n_vars for mod, adata in counts.mod.items()}
    return {
        "n_obs": counts.n_obs,
        **sizes,
        **shapes,
        **{key: value for key, value in given.items() if value is not None},
    }


def _finished(
    mdata: Data, settings: dict[str, Any], numbers: list[int], n_folds: int
) -> tuple[list[dict[str, Any]], dict[int, float]]:
    """Rows and stability of those K that an earlier call with these settings has finished."""
    info, known = mdata.uns.get(INFO, {}), mdata.uns.get(RESULTS)
    if known is None or "scores" not in info or dict(info.get("settings", {})) != settings:
        return [], {}
    done = {int(K): float(value) for K, value in info["scores"]["stability"].items() if int(K) in numbers}
    rows = known[known["K"].astype(int).isin(done)]
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")], done


def _fit(
    training: MuData, K: int, *, n_iter: int, prepare: bool, where: dict[str, Any], options: dict[str, Any], quiet: bool
) -> MTM | sMTM:
    """A fit; what it warns of is of all of them, and said once."""
    with warnings.catch_warnings():
        if quiet:
            warnings.simplefilter("ignore", UserWarning)
        model: MTM | sMTM
        if not prepare:
            model = model_of_raw_counts(training, K, where, verbose=False, **options)
        elif where:
            model = sMTM(training, K, verbose=False, **where, **options)
        else:
            model = MTM(training, K, verbose=False, **options)
    model.VI(n_iter=n_iter)
    if model.interrupted:
        raise KeyboardInterrupt
    return model


def _stability(signatures: list[NDArray[np.floating]]) -> float:
    """Mean cosine of the signatures (topics × features) of two folds, matched one to one."""
    units = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in signatures]
    return float(np.mean([of_matched(a @ b.T).mean() for a, b in combinations(units, 2)]))


def _total(rows: pd.DataFrame, K: int) -> dict[str, Any]:
    """The row of means over the folds of one K."""
    means = rows[rows["K"] == K].drop(columns=["K", "CV"]).mean()
    return {"K": K, "CV": "total", **{str(name): float(value) for name, value in means.items()}}
