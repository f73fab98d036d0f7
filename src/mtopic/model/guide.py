"""Guides as they are given, and as the inference has them."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._data.names import look_up, require_in_common, topic_name
from mtopic._warn import warn
from mtopic.inference import Corpus, Double, Guide, by_frequency

Given: TypeAlias = Mapping[str, Any] | pd.DataFrame
"""What is known of topics of one modality, or this by modality."""
Strength: TypeAlias = float | Mapping[str, float]

STRENGTH = 0.03
"""Of the counts that a topic has, if all have as many. Chosen by `benchmarks/guides.py`."""
NET = ("source", "target")
FORMS = "give lists of features by topic, a table of features × topics, or a net with columns 'source' and 'target'"


def read_guide(
    given: Given | None, strength: Strength, features: Mapping[str, pd.Index], corpus: Corpus, n_topics: int
) -> tuple[list[str], Guide | None]:
    """Names of all topics, and what is known of the first."""
    names = [topic_name(k) for k in range(n_topics)]
    if given is None:
        return names, None
    by_modality = _by_modality(given, features)
    weights = {mod: _weights(of, features[mod], mod) for mod, of in by_modality.items()}
    guided = list(dict.fromkeys(topic for of in weights.values() for topic in of))
    _require_free(guided, names)
    names[: len(guided)] = guided
    strengths, mean = _strengths(strength, guided), by_frequency(corpus, np.ones(len(features)), n_topics)
    tables, lifts = [], []
    for (mod, index), block in zip(features.items(), corpus.blocks, strict=True):
        tables.append(_table(weights.get(mod, {}), guided, index))
        if _has_shares(by_modality.get(mod)):
            lifts.append(_lifts_of_shares(tables[-1], index.isin(by_modality[mod].index), mean[block], n_topics))
        else:
            _require_finite(strengths, tables[-1], guided, mod)
            lifts.append(_lifts_of_markers(tables[-1], n_topics))
    return names, Guide(np.concatenate(tables), np.concatenate(lifts), strengths, mean)


def _lifts_of_markers(weights: Double, n_topics: int) -> Double:
    """K of the features of largest weight: nearly all counts of these are of the topic, if topics have as many."""
    largest = weights.max(axis=0)
    known = largest > 0
    return (1 + (n_topics - 1) * weights / np.where(known, largest, 1)) * known


def _lifts_of_shares(shares: Double, in_table: NDArray[np.bool_], mean: Double, n_topics: int) -> Double:
    """Shares beside those of all counts; of features that the table lacks, nothing is known."""
    lifts = np.maximum(shares * (mean[in_table].sum() / mean[:, None]), 1 / n_topics)
    lifts[~in_table] = 1
    return lifts * shares.any(axis=0)


def _has_shares(given: Any) -> bool:
    """Whether it is a table of signatures, and neither lists of features nor a net."""
    return isinstance(given, pd.DataFrame) and not set(NET) <= set(given)


def _require_finite(strengths: Double, weights: Double, guided: list[str], mod: str) -> None:
    for k in np.flatnonzero(np.isinf(strengths) & weights.any(axis=0)):
        raise ValueError(
            f"guide_strength=inf of {guided[k]!r}: guide[{mod!r}] names features and has no shares that could stay as "
            "they are; give a table of features × topics, or a finite strength"
        )


def _by_modality(given: Given, features: Mapping[str, pd.Index]) -> Mapping[str, Any]:
    if len(features) == 1 and not (isinstance(given, Mapping) and features.keys() & given.keys()):
        return dict.fromkeys(features, given)
    if not isinstance(given, Mapping):
        raise TypeError(
            f"guide is {type(given).__name__}: give a mapping by modality, such as {{{next(iter(features))!r}: …}}"
        )
    for mod in given:
        look_up(features, mod, "modality", "modalities (guide)")
    return given


def _weights(given: Given, features: pd.Index, mod: str) -> dict[str, pd.Series]:
    """By topic: weights of features that are there, all positive, which sum to 1."""
    name = f"guide[{mod!r}]"
    topics = {str(topic): _numbers(of, f"{name}[{str(topic)!r}]") for topic, of in _as_mapping(given, name).items()}
    if not topics:
        raise ValueError(f"{name} guides no topic: {FORMS}")
    theirs = pd.Index([feature for of in topics.values() for feature in of.index])
    require_in_common(theirs, features, f"features of {name}", f"modality {mod!r}")
    found = {topic: of[of.index.isin(features)] for topic, of in topics.items()}
    for topic, of in found.items():
        if of.empty:
            raise ValueError(
                f"{name}[{topic!r}]: none of its {len(topics[topic])} features is in modality {mod!r}: give others, or "
                "leave it out"
            )
        if not isinstance(given, pd.DataFrame) and len(of) < len(topics[topic]):
            absent = topics[topic].index.difference(of.index, sort=False)
            warn(f"{name}[{topic!r}]: {len(absent)} of {len(topics[topic])} features are not there: {absent[0]!r}, …")
    return {topic: of / of.sum() for topic, of in found.items()}


def _as_mapping(given: Given, name: str) -> Mapping[Any, Any]:
    """What is known by topic."""
    if isinstance(given, pd.DataFrame) and not _has_shares(given):
        weights = given["weight"] if "weight" in given else pd.Series(1.0, given.index)
        by_target = weights.set_axis(given["target"])
        return {topic: by_target[np.asarray(given["source"] == topic)] for topic in given["source"].unique()}
    if isinstance(given, pd.DataFrame | Mapping):
        return {topic: given[topic] for topic in given}
    raise TypeError(f"{name} is {type(given).__name__}: {FORMS}")


def _numbers(given: Any, name: str) -> pd.Series:
    """Positive weights by feature."""
    if not isinstance(given, pd.Series | Mapping):
        listed = [given] if isinstance(given, str) else list(given)
        given = dict.fromkeys(listed, 1.0)
    values = pd.to_numeric(pd.Series(given), errors="coerce").astype(np.float64)
    values.index = values.index.astype(str)
    if values.index.has_duplicates:
        raise ValueError(
            f"{name} has {values.index[values.index.duplicated()][0]!r} more than once: give it one weight"
        )
    if not np.isfinite(values).all():
        bad = values.index[~np.isfinite(values)][0]
        raise ValueError(f"{name} has no finite weight for {bad!r}: give it one, or leave it out")
    if (values < 0).any():
        warn(f"{name}: {(values < 0).sum()} weights are negative, and these features left out: they cannot guide")
    if not (values > 0).any():
        raise ValueError(f"{name} has no feature of positive weight: leave it out")
    return values[values > 0]


def _require_free(guided: list[str], names: list[str]) -> None:
    if len(guided) > len(names):
        raise ValueError(f"guide has {len(guided)} topics and n_topics={len(names)}: give as many topics, or more")
    taken = set(guided) & set(names[len(guided) :])
    if taken or "" in guided:
        raise ValueError(f"guide names a topic {min(taken, default='')!r}: a free topic has that name, choose another")


def _strengths(given: Strength, guided: list[str]) -> Double:
    of = given if isinstance(given, Mapping) else dict.fromkeys(guided, given)
    for topic, value in of.items():
        look_up(dict.fromkeys(guided), topic, "topic", "the guide (guide_strength)")
        if isinstance(value, str) or not value > 0:
            raise ValueError(
                f"guide_strength={value!r} of {topic!r}: give a number above 0, or infinity to keep it as it is"
            )
    return np.array([of.get(topic, STRENGTH) for topic in guided], np.float64)


def _table(weights: Mapping[str, pd.Series], guided: list[str], features: pd.Index) -> Double:
    return np.stack(
        [
            weights[topic].reindex(features, fill_value=0.0) if topic in weights else np.zeros(len(features))
            for topic in guided
        ],
        axis=1,
    )
