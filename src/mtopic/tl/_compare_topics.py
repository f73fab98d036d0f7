from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csc_array
from tqdm import tqdm

from mtopic._api import public
from mtopic._check import level_given, n_jobs_given
from mtopic._data import Data, DataLike, record
from mtopic._data.count_matrix import Summary, raw_counts
from mtopic._data.in_rows import warn_if_loaded
from mtopic._data.measured import batches, measured
from mtopic._data.proportions import proportions
from mtopic._data.slots import find_signatures, modalities, modality
from mtopic._data.writable import writable
from mtopic._progress import progress
from mtopic._warn import warn
from mtopic.inference.backend import Backend
from mtopic.model.expected import known_features
from mtopic.model.fitted import shares_of_prior

from ._samples import Samples, samples
from ._welch import adjusted, welch

Features = Mapping[str, Sequence[str]] | Sequence[str] | None

LEAST_SHARE = np.float32(1e-12)
PRIOR_COUNT = 0.5

ROUNDS, PRIOR_COUNTS = 30, 100
"""Steps from the signatures of all samples to those of one, and how many counts the former stand for there."""


@public
def compare_topics(
    data: DataLike,
    groupby: str,
    group: str,
    *,
    sample_key: str,
    reference: str | None = None,
    scale: Literal["log", "clr"] = "log",
    features: Features = None,
    n_top: int = 10,
    min_counts: float = 50,
    level: float = 0.95,
    prefix: str | None = None,
    n_jobs: int = -1,
    verbose: bool = True,
    copy: bool = False,
) -> Data | None:
    r"""Compare the topics of two groups of observations, with samples as the replicates.

    Observations of one sample resemble each other more than those of others. A test that takes them for independent
    finds differences between any two sets of samples :cite:p:`squair2021`. So each sample has one value, and groups of
    samples are compared by Welch's test :cite:p:`welch1947`, which allows for unequal variances. False discoveries are
    controlled by :cite:t:`benjamini1995`.

    *Topics.* The value is :math:`\log_2` of the sample's mean proportion of the topic, because proportions are
    compared by their ratios :cite:p:`aitchison1986`. The prior adds to a proportion, the more the fewer counts
    there are. What it adds on average is replaced by the most that it adds in any sample, so that depth makes less
    of a difference of a topic that is absent. A topic whose share grows reduces all others. With ``scale="clr"``,
    centred log-ratios, topics are compared with the geometric mean of all topics in the sample, and a topic that
    grows reduces each of the others by 1/K of it only. But a rare topic that some samples lack then disturbs all.

    *Signatures.* Of the counts of feature v in a sample, :math:`n_{kv} = \sum_d x_{dv} r_{dvk}` are expected to be of
    topic k, with the responsibilities :math:`r_{dvk} = \theta_{dk} \beta_{kv} / \sum_j \theta_{dj} \beta_{jv}`. With
    the signatures of all samples, the counts of a feature that changes in one topic would also be assigned to others.
    So :math:`\beta` becomes the sample's own: :math:`n_{kv}` and 100 counts by the signature of all, scaled to sum 1,
    in 30 rounds of expectation and maximisation. The value is :math:`\log_2` of the share among all features,
    :math:`(n_{kv} + c) / (n_k + 2c)`, where c is half a count in a sample with the mean :math:`n_k` and proportional to
    :math:`n_k` in others.

    Parameters
    ----------
    data
        MuData or AnnData with topics; to compare signatures, also with signatures and counts.
    groupby
        Column of ``obs`` with the groups, or ``"mod:column"`` for a column of a modality. Observations without a group
        or a sample are left out.
    group
        The group to compare.
    sample_key
        Column of ``obs`` with the samples: donors, animals, sections, whatever would be new in another experiment.
    reference
        The group to compare it with; all others together if None.
    scale
        Of the topics' values, see above.
    features
        Features whose signatures are compared: names by modality, or names where there is one modality. None takes the
        first ``n_top`` of each topic in each modality with signatures, an empty dict none.
    n_top
        Number of features of each topic where ``features`` is None.
    min_counts
        A sample with fewer expected counts of a topic in a modality has no value for its signature.
    level
        Confidence of the intervals, between 0 and 1.
    {prefix n_jobs verbose copy}

    Returns
    -------
    None, or the copy. Sets ``uns["mtopic"]["comparison"]`` to a dict of

    ``"topics"`` : DataFrame
        A row for each topic: ``group`` and ``reference``, means of the samples' mean proportions; ``difference`` of the
        means of the values, group minus reference, which is the :math:`\log_2` fold change; ``low`` and ``high``,
        limits of its interval; ``t``, ``df``, ``p``, and ``q``, p adjusted over the topics.
    ``"signatures"`` : dict of DataFrames by modality
        A row for each topic and feature, named by the columns ``topic`` and ``feature``, with the same columns;
        ``group`` and ``reference`` are shares of the topic's counts in the modality, and q is adjusted over all
        modalities. NaN where less than two samples of a group have a value.
    ``"params"`` : dict
        ``groupby``, ``group``, ``reference`` (``"rest"`` if None), ``sample_key``, ``scale``, ``level``, and the
        numbers of samples, ``n_group`` and ``n_reference``.

    Proportions come from the signatures of all samples. A change in many features at once may therefore appear as
    another mixture of topics, and not as a change of signatures. A topic that a sample lacks has the share there that
    the prior gives it; this share is larger for observations with fewer counts. So, between groups of different depth,
    do not trust differences of topics that both groups hardly have (``group`` and ``reference`` near ``alpha`` over the
    counts of an observation). The groups may have taken part in the fit: the test compares values that were all made in
    the same way. But choosing the groups by the topics invalidates it.

    Raises
    ------
    KeyError
        If there are no such topics, columns, groups, modalities, signatures or features.
    ValueError
        If a group has fewer than two samples, a sample is in both groups, signatures of batches that measured different
        features are to be compared, a sample has nothing of a topic, a number or ``scale`` is out of range, signatures
        and proportions are of different topics, or proportions, signatures or counts are not valid.

    {Examples:fit}
    >>> mdata.obs["donor"] = [f"donor_{d % 8}" for d in range(200)]
    >>> mdata.obs["state"] = ["ill" if d % 8 < 4 else "well" for d in range(200)]
    >>> mt.tl.compare_topics(mdata, "state", "ill", sample_key="donor")
    >>> found = mdata.uns["mtopic"]["comparison"]
    >>> found["topics"].shape, list(found["signatures"])
    ((3, 9), ['rna', 'atac'])
    """
    warn_if_loaded(data, "compare_topics")
    head = record.head(prefix)
    _check(scale, n_top, min_counts, level, n_jobs)
    record.require_writable(data, head, "prefix", prefix)
    theta = proportions(data, f"{head}topics")
    chosen = _chosen(data, f"{head}signatures", theta.columns, features, n_top)
    _require_same_features(data, record.params_if_any(data, head).batch_key, chosen)
    design = samples(data, groupby, group, reference, sample_key, theta.notna().all(axis=1).to_numpy())
    means = _means(theta.to_numpy(), design)
    values = _comparable(data, head, theta, design)
    topics = _topics(means, values, design, theta.columns, scale, sample_key, level)
    signatures = {}
    n_steps = len(chosen) * len(design.names)
    with Backend(n_jobs) as backend, progress(n_steps, "signatures", "sample", verbose=verbose) as bar:
        for mod, names in chosen.items():
            counts = _counts_by_topic(data, mod, f"{head}signatures", theta, design, names, backend, bar)
            signatures[mod] = _signatures(*counts, design, theta.columns, names, min_counts, level)
    _adjust_together(signatures)
    sides = {"group": str(group), "reference": "rest" if reference is None else str(reference)}
    n_group = int(design.in_group.sum())
    numbers = {"n_group": n_group, "n_reference": len(design.names) - n_group, "level": float(level)}
    params = {"groupby": str(groupby), **sides, "sample_key": str(sample_key), "scale": scale, **numbers}

    target = writable(data, copy=copy)
    comparison = {"topics": topics, "signatures": signatures, "params": params}
    record.add(target, head, comparison=comparison)
    return target if copy else None


def _check(scale: str, n_top: int, min_counts: float, level: float, n_jobs: int) -> None:
    if scale not in ("log", "clr"):
        raise ValueError(f"scale={scale!r}: choose 'log' or 'clr'")
    if n_top < 1:
        raise ValueError(f"n_top={n_top}: compare at least 1 feature of each topic, or none with features={{}}")
    if not min_counts > 0:
        raise ValueError(f"min_counts={min_counts}: it must be positive, as a signature takes some counts")
    level_given(level)
    n_jobs_given(n_jobs)


def _require_same_features(data: Data, key: str | None, chosen: Mapping[str, list[str]]) -> None:
    parts = modalities(data)
    for mod in () if key is None else chosen:
        table = measured(parts[mod], mod, batches(data, key))
        if table is not None and not table.to_numpy().all():
            raise ValueError(
                f"batches of obs[{key!r}] have not measured the same features of modality {mod!r}, and shares of "
                "different wholes are not compared: compare modalities that all have measured alike, or, if every "
                "batch has both groups, proportions alone with features={}"
            )


def _chosen(data: Data, key: str, topics: pd.Index, features: Features, n_top: int) -> dict[str, list[str]]:
    """The features to be compared by modality."""
    if isinstance(features, str):
        raise TypeError(
            f"features={features!r}: give names by modality, or a list of names where there is one modality"
        )
    if features is not None and not isinstance(features, Mapping):
        features = {modality(data, None)[0]: features}
    wanted = [mod for mod, adata in modalities(data).items() if key in adata.varm] if features is None else features
    chosen = {}
    for mod in wanted:
        _, adata, table = find_signatures(data, mod, key)
        slot = f"varm[{key!r}] of modality {mod!r}"
        if not table.columns.equals(topics):
            raise ValueError(f"{slot} has other topics than the proportions: export both from one fit")
        weights = table.to_numpy(dtype=np.float64)
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise ValueError(
                f"{slot} holds values that are not positive and finite: export the fit again with "
                "mtopic.tl.export_params"
            )
        if features is None:
            first = np.unique(np.argsort(-weights / weights.sum(axis=0), axis=0, kind="stable")[:n_top])
            chosen[mod] = list(adata.var_names[first])
        else:
            chosen[mod] = known_features(features[mod], adata.var_names, mod)
    return chosen


def _means(values: NDArray[np.float64], design: Samples) -> NDArray[np.float64]:
    """Means over the observations of each sample."""
    return np.array([values[rows].mean(axis=0) for rows in design.rows])


def _comparable(data: Data, head: str, theta: pd.DataFrame, design: Samples) -> NDArray[np.float64]:
    """Mean proportions of each sample, with the same share of the prior in all."""
    if "params" not in record.read(data, head):
        return _means(theta.to_numpy(), design)
    try:
        of_prior = shares_of_prior(data, head, theta.columns)
    except ValueError as error:
        warn(f"topics that are absent may differ by depth, as the counts of the fit cannot be read: {error}")
        return _means(theta.to_numpy(), design)
    told = _means(np.maximum(theta.to_numpy() - of_prior, 0), design)
    return told + _means(of_prior, design).max(axis=0)


def _topics(
    means: NDArray[np.float64],
    comparable: NDArray[np.float64],
    design: Samples,
    topics: pd.Index,
    scale: str,
    sample_key: str,
    level: float,
) -> pd.DataFrame:
    if not (comparable > 0).all():
        sample, topic = np.argwhere(comparable == 0)[0]
        raise ValueError(
            f"sample {design.names[sample]!r} of obs[{sample_key!r}] has nothing of {topics[topic]!r}, and ratios to "
            "nothing do not exist: leave the topic or the sample out"
        )
    values = np.log2(comparable)
    if scale == "clr":
        values -= values.mean(axis=1, keepdims=True)
    table = _with_means(welch(values, design.in_group, level), means, design)
    return table.set_index(topics)


def _with_means(table: pd.DataFrame, values: NDArray[np.float64], design: Samples) -> pd.DataFrame:
    """The table with the means of both groups before it."""
    with np.errstate(invalid="ignore"):
        for place, (name, side) in enumerate((("group", True), ("reference", False))):
            part = values[design.in_group == side]
            table.insert(place, name, np.nansum(part, axis=0) / np.isfinite(part).sum(axis=0))
    return table


def _counts_by_topic(
    data: Data,
    mod: str,
    key: str,
    theta: pd.DataFrame,
    design: Samples,
    names: list[str],
    backend: Backend,
    bar: tqdm,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected counts in each sample: of named features, samples × features × topics; of all, samples × topics."""
    _, adata, table = find_signatures(data, mod, key)
    x, places = raw_counts(adata, mod), adata.obs_names.get_indexer(data.obs_names)
    record.warn_other_raw_counts(data, record.head_of(key, "signatures"), mod, Summary.of(x))
    chosen = adata.var_names.get_indexer(names)
    t = np.maximum(theta.to_numpy(dtype=np.float32), LEAST_SHARE)
    beta = table.to_numpy(dtype=np.float64) / table.to_numpy(dtype=np.float64).sum(axis=0)
    of_features, of_all = [], []
    for rows in design.rows:
        present = rows[places[rows] >= 0]
        counts = _shared_out(csc_array(x[places[present]], dtype=np.float32), t[present], beta, backend)
        of_features.append(counts[chosen])
        of_all.append(counts.sum(axis=0))
        bar.update()
    return np.array(of_features), np.array(of_all)


def _shared_out(
    x: csc_array, t: NDArray[np.float32], beta: NDArray[np.float64], backend: Backend
) -> NDArray[np.float64]:
    """Expected counts, features × topics, by signatures that begin as ``beta`` and become those of these counts."""
    own, n_topics = beta, beta.shape[1]
    for _ in range(ROUNDS):
        b = np.maximum(own / own.max(axis=1, keepdims=True), LEAST_SHARE).astype(np.float32)
        counts, _bound = backend.statistics(x, t, b, n_topics)
        own = counts + PRIOR_COUNTS * beta
        own /= own.sum(axis=0)
    return counts.astype(np.float64)


def _signatures(
    of_features: NDArray[np.float64],
    of_all: NDArray[np.float64],
    design: Samples,
    topics: pd.Index,
    names: list[str],
    min_counts: float,
    level: float,
) -> pd.DataFrame:
    """The comparison of each topic's share of counts in each feature."""
    total = np.where(of_all >= min_counts, of_all, np.nan)[:, None, :]
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(total).sum(axis=0)
        prior = PRIOR_COUNT * total / (np.nansum(total, axis=0) / np.maximum(seen, 1))
    shape = (len(design.names), -1)
    values, plain = np.log2((of_features + prior) / (total + 2 * prior)), of_features / total
    values, plain = (part.transpose(0, 2, 1).reshape(shape) for part in (values, plain))
    table = _with_means(welch(values, design.in_group, level), plain, design)
    table.insert(0, "topic", np.repeat(topics.to_numpy(), len(names)))
    table.insert(1, "feature", np.tile(np.array(names, dtype=object), len(topics)))
    return table


def _adjust_together(tables: dict[str, pd.DataFrame]) -> None:
    if not tables:
        return
    q = adjusted(np.concatenate([table["p"].to_numpy() for table in tables.values()]))
    for table, part in zip(
        tables.values(), np.split(q, np.cumsum([len(table) for table in tables.values()])[:-1]), strict=True
    ):
        table["q"] = part
