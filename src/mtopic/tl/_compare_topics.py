from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._check import level_given, n_jobs_given
from mtopic._data import Data, DataLike, record
from mtopic._data.in_rows import warn_if_loaded
from mtopic._data.measured import batches, measured
from mtopic._data.proportions import proportions
from mtopic._data.slots import find_signatures, modalities, modality
from mtopic._data.writable import writable
from mtopic._progress import progress
from mtopic.inference.backend import Backend
from mtopic.model.expected import known_features

from ._confounded import warn_if_confounded
from ._sample_signatures import counts_by_topic
from ._sample_topics import Scale, comparable, relative, sample_means
from ._samples import Samples, samples
from ._t_tests import adjusted, compared

Features = Mapping[str, Sequence[str]] | Sequence[str] | None

PRIOR_COUNT = 0.5


@public
def compare_topics(
    data: DataLike,
    groupby: str,
    group: str,
    *,
    sample_key: str,
    reference: str | None = None,
    paired_by: str | None = None,
    scale: Scale = "median",
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
    samples are compared by Welch's test :cite:p:`welch1947`, which allows for unequal variances, or pairs by Student's.
    With few samples a variance is hardly known. So the variances of all topics, and of all features of a modality, are
    drawn towards what they have in common, which adds degrees of freedom :cite:p:`smyth2004`; those of features go by
    their counts. False discoveries are controlled by :cite:t:`benjamini1995`.

    *Topics.* The value is :math:`\log_2` of the sample's mean proportion of the topic, because proportions are
    compared by their ratios :cite:p:`aitchison1986`. The prior adds to a proportion, the more the fewer counts
    there are. What it adds on average is replaced by the most that it adds in any sample, so that depth makes less
    of a difference of a topic that is absent. A topic whose share grows reduces all others, and ``scale`` says what
    topics are compared with. ``"median"``: with the median topic. The median over the topics of the groups' differences
    is taken off, and from each sample the pseudomedian of its deviations from its group's means
    :cite:p:`hodges1963`; squared errors are multiplied by K/(K - 1) for the deviations' own part in these. So a topic
    does not differ because others do, if fewer than half of the topics do.
    ``"clr"``: with the geometric mean of all topics in the sample, of which a topic that grows is one K-th.
    ``"log"``: with the whole, so that the difference is that of shares.

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
    paired_by
        Column of ``obs`` with what has samples in both groups, such as the donor before and after a treatment.
        Differences within each are tested. Several samples of one group are averaged, and those with one group only are
        left out. It may be ``sample_key``, if groups are parts of samples.
    scale
        What topics are compared with, see above.
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
        limits of its interval; ``t``, ``df`` (moderated), ``p``, and ``q``, p adjusted over the topics.
    ``"signatures"`` : dict of DataFrames by modality
        A row for each topic and feature, named by the columns ``topic`` and ``feature``, with the same columns;
        ``group`` and ``reference`` are shares of the topic's counts in the modality, and q is adjusted over all
        modalities. NaN where less than two samples of a group have a value.
    ``"params"`` : dict
        ``groupby``, ``group``, ``reference`` (``"rest"`` if None), ``sample_key``, ``scale``, ``level``, and the
        numbers of samples, ``n_group`` and ``n_reference``; of pairs also ``paired_by`` and ``n_pairs``.

    Proportions come from the signatures of all samples. A change in many features at once may therefore appear as
    another mixture of topics, and not as a change of signatures. A topic that a sample lacks has the share there that
    the prior gives it; this share is larger for observations with fewer counts. So, between groups of different depth,
    do not trust differences of topics that both groups hardly have (``group`` and ``reference`` near ``alpha`` over the
    counts of an observation). The groups may have taken part in the fit: the test compares values that were all made in
    the same way. But choosing the groups by the topics invalidates it.

    Effects of batches that the fit has learned are no part of proportions. Signatures are compared by the counts as
    they are, with what batches do to them. So let each batch have samples of both groups.

    Raises
    ------
    KeyError
        If there are no such topics, columns, groups, modalities, signatures or features.
    ValueError
        If a group has fewer than two samples, a sample is in both groups or of several pairs, fewer than two pairs are
        complete, signatures of batches that measured different features are to be compared, a sample has nothing of a
        topic, a number or ``scale`` is out of range, signatures and proportions are of different topics, or
        proportions, signatures or counts are not valid.

    Warns
    -----
    UserWarning
        If pairs are left out, the counts are not those of the fit, or the fit has learned effects of batches of which
        none has samples of both groups, and a group is a single batch or observations of a sample have a topic nearly
        alike (standard deviation below .1).

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
    fit = record.params_if_any(data, head)
    _require_same_features(data, fit.batch_key, chosen)
    present = theta.notna().all(axis=1).to_numpy()
    design = samples(data, groupby, group, reference, sample_key, paired_by, present)
    warn_if_confounded(data, fit, theta, design, groupby, group, reference)
    means = sample_means(theta.to_numpy(), design)
    shares = comparable(data, head, theta, design)
    topics = _topics(means, shares, design, theta.columns, scale, sample_key, level)
    signatures = {}
    n_steps = len(chosen) * len(design.names)
    with Backend(n_jobs) as backend, progress(n_steps, "signatures", "sample", verbose=verbose) as bar:
        for mod, names in chosen.items():
            counts = counts_by_topic(data, mod, f"{head}signatures", theta, design, names, backend, bar)
            signatures[mod] = _signatures(*counts, design, theta.columns, names, min_counts, level)
    _adjust_together(signatures)
    params = {
        "groupby": str(groupby),
        "group": str(group),
        "reference": "rest" if reference is None else str(reference),
        "sample_key": str(sample_key),
        "scale": scale,
        "level": float(level),
        **design.numbers(),
    }
    if paired_by is not None:
        params["paired_by"] = str(paired_by)

    target = writable(data, copy=copy)
    comparison = {"topics": topics, "signatures": signatures, "params": params}
    record.add(target, head, comparison=comparison)
    return target if copy else None


def _check(scale: str, n_top: int, min_counts: float, level: float, n_jobs: int) -> None:
    if scale not in get_args(Scale):
        raise ValueError(f"scale={scale!r}: choose 'median', 'clr' or 'log'")
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


def _topics(
    means: NDArray[np.float64],
    shares: NDArray[np.float64],
    design: Samples,
    topics: pd.Index,
    scale: str,
    sample_key: str,
    level: float,
) -> pd.DataFrame:
    if not (shares > 0).all():
        sample, topic = np.argwhere(shares == 0)[0]
        raise ValueError(
            f"sample {design.names[sample]!r} of obs[{sample_key!r}] has nothing of {topics[topic]!r}, and ratios to "
            "nothing do not exist: leave the topic or the sample out"
        )
    group, reference = design.sides(np.log2(shares))
    group, reference = relative(group, reference, scale, paired=design.paired)
    n = len(topics)
    widened = n / (n - 1) if scale == "median" and n > 2 else 1.0
    table = compared(group, reference, level, paired=design.paired, widened=widened)
    return _with_means(table, *design.sides(means)).set_index(topics)


def _with_means(table: pd.DataFrame, group: NDArray[np.float64], reference: NDArray[np.float64]) -> pd.DataFrame:
    """The table with the means of both groups before it."""
    with np.errstate(invalid="ignore"):
        for place, (name, part) in enumerate((("group", group), ("reference", reference))):
            table.insert(place, name, np.nansum(part, axis=0) / np.isfinite(part).sum(axis=0))
    return table


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
    values, plain, counts = (part.transpose(0, 2, 1).reshape(shape) for part in (values, plain, of_features))
    table = compared(*design.sides(values), level, paired=design.paired, counts=counts.mean(axis=0))
    table = _with_means(table, *design.sides(plain))
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
