"""Guides as they are given, and as the inference has them."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import count
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from mtopic._data.names import alike_but_for, look_up, require_in_common, require_key, topic_name, unique
from mtopic._data.slots import ANNDATA_MODALITY
from mtopic._warn import warn
from mtopic.inference import Corpus, Double, Guide, by_frequency

Given: TypeAlias = Mapping[Any, Any] | pd.DataFrame
"""What is known of topics of one modality, or this by modality."""
Strength: TypeAlias = float | Mapping[str, float]

STRENGTH = 0.03
"""Counts that a guide stands for, for each that is expected of its features. Chosen by `benchmarks/guides.py`."""
NET = ["source", "target"]
FORMS = "give lists of features by topic, a table of features × topics, or a net with columns 'source' and 'target'"
NEARLY_NONE = 1e-9
"""Share of a feature that a table of signatures has and a topic has not."""


def read_guide(
    given: Given | None, strength: Strength, features: Mapping[str, pd.Index], corpus: Corpus, n_topics: int
) -> tuple[list[str], Guide | None]:
    """Names of all topics, and what is known of the first."""
    if given is None:
        return [topic_name(k) for k in range(n_topics)], None
    by_modality = _by_modality(given, features)
    weights = {mod: _weights(of, features[mod], mod) for mod, of in by_modality.items()}
    guided = [*dict.fromkeys(topic for of in weights.values() for topic in of)]
    names = guided + _free_names(guided, n_topics)
    strengths, mean = _strengths(strength, guided), by_frequency(corpus, np.ones(len(features)), n_topics)
    tables, lifts = [], []
    for (mod, index), block in zip(features.items(), corpus.blocks, strict=True):
        tables.append(_table(weights.get(mod, {}), guided, index))
        if _has_shares(by_modality.get(mod)):
            lifts.append(_lifts_of_shares(tables[-1], mean[block], n_topics))
        else:
            _require_finite(strengths, tables[-1], guided, mod)
            lifts.append(_lifts_of_markers(tables[-1], n_topics))
    return names, Guide(np.concatenate(tables), np.concatenate(lifts), strengths, mean)


def with_guide(options: str, topics: list[str], guide: Guide | None) -> str:
    """A digest of options and of a guide as it was read."""
    if guide is None:
        return options
    digest = sha256(repr((options, topics)).encode())
    for values in (guide.weights, guide.lifts, guide.strengths):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _lifts_of_markers(weights: Double, n_topics: int) -> Double:
    """K of the features of largest weight: nearly all counts of these are of the topic, if topics have as many."""
    largest = weights.max(axis=0)
    known = largest > 0
    return (1 + (n_topics - 1) * weights / np.where(known, largest, 1)) * known


def _lifts_of_shares(shares: Double, mean: Double, n_topics: int) -> Double:
    """Shares beside those of all counts; of features that the table lacks, nothing is known."""
    in_table = shares.any(axis=1)
    lifts = np.clip(shares * (mean[in_table].sum() / mean[:, None]), 1 / n_topics, n_topics)
    lifts[~in_table] = 1
    return lifts * shares.any(axis=0)


def _is_net(given: Any) -> bool:
    """Whether it is a net, of which sources may have no features here."""
    return isinstance(given, pd.DataFrame) and set(NET) <= set(given)


def _has_shares(given: Any) -> bool:
    """Whether it is a table of signatures, and neither lists of features nor a net."""
    return isinstance(given, pd.DataFrame) and not _is_net(given)


def _require_finite(strengths: Double, weights: Double, guided: list[str], mod: str) -> None:
    for k in np.flatnonzero(np.isinf(strengths) & weights.any(axis=0)):
        raise ValueError(
            f"guide_strength=inf of {guided[k]!r}: guide[{mod!r}] names features and has no shares that could stay as "
            "they are; give a table of features × topics, or a finite strength"
        )


def _by_modality(given: Given, features: Mapping[str, pd.Index]) -> Mapping[str, Any]:
    named = isinstance(given, Mapping) and len(given) > 0 and all(map(_may_be_of_a_modality, given.values()))
    if len(features) == 1 and not named:
        return dict.fromkeys(features, given)
    if not isinstance(given, Mapping):
        example = f"{{{next(iter(features))!r}: …}}"
        raise TypeError(f"guide is {type(given).__name__}: give a mapping by modality, such as {example}")
    if len(given) == 1 and list(features) == [ANNDATA_MODALITY]:  # a name that the user does not know
        return dict.fromkeys(features, next(iter(given.values())))
    for mod in given:
        look_up(features, str(mod), "modality", "modalities (guide)")
    return given


def _may_be_of_a_modality(given: Any) -> bool:
    """Whether it knows of several topics, and is not features with weights."""
    return isinstance(given, pd.DataFrame) or (
        isinstance(given, Mapping) and not all(isinstance(value, Real) for value in given.values())
    )


def _weights(given: Any, features: pd.Index, mod: str) -> dict[str, pd.Series]:
    """By topic: weights of features that are there, which sum to 1."""
    name = f"guide[{mod!r}]"
    topics = _by_topic(given, name)
    if not topics:
        raise ValueError(f"{name} guides no topic: {FORMS}")
    theirs = pd.Index([feature for of in topics.values() for feature in of.index])
    require_in_common(theirs, features, f"features of {name}", f"modality {mod!r}")
    found = {topic: of[of.index.isin(features)] for topic, of in topics.items()}
    for topic, of in found.items():
        absent = topics[topic].index.difference(of.index, sort=False)
        if of.empty and not _is_net(given):
            raise ValueError(
                f"{name}[{topic!r}]: none of its {len(absent)} features is in modality {mod!r}"
                f"{alike_but_for(absent, features)}: give others, or leave it out"
            )
        if len(absent) and not _has_shares(given):
            warn(f"{name}[{topic!r}]: {len(absent)} of {len(topics[topic])} features are not there: {absent[0]!r}, …")
    return {topic: of / of.sum() for topic, of in found.items() if not of.empty}


def _by_topic(given: Any, name: str) -> dict[str, pd.Series]:
    """Weights of features, as they are given."""
    if isinstance(given, pd.DataFrame):
        topics = _of_shares(given, name) if _has_shares(given) else _of_net(given, name)
    elif isinstance(given, Mapping):
        topics = {topic: _numbers(of, f"{name}[{topic!r}]") for topic, of in given.items()}
    else:
        raise TypeError(f"{name} is {type(given).__name__}: {FORMS}")
    unique(pd.Index([str(topic) for topic in topics]), f"topics of {name}", "other names")
    return {str(topic): of for topic, of in topics.items()}


def _of_net(net: pd.DataFrame, name: str) -> dict[Any, pd.Series]:
    if net[NET].isna().any(axis=None):
        raise ValueError(f"{name} has rows without source or target: net.dropna(subset={NET})")
    weights = pd.Series(net["weight"] if "weight" in net else 1.0, net.index).set_axis(net["target"].astype(str))
    sources = net["source"].astype(str).to_numpy()
    return {of: _numbers(weights[sources == of], f"{name}[{of!r}]") for of in dict.fromkeys(sources)}


def _of_shares(table: pd.DataFrame, name: str) -> dict[Any, pd.Series]:
    words = [column for column in table if not is_numeric_dtype(table[column])] if table.columns.is_unique else []
    unique(table.columns.astype(str), f"topics of {name}", "other names")
    if words:
        raise ValueError(
            f"{name} is a table whose column {words[0]!r} has no numbers: of a net, rename its columns to 'source' and "
            "'target'; else give features × topics"
        )
    found = {}
    for topic in table:
        shares = _numbers(table[topic], f"{name}[{topic!r}]")
        found[topic] = shares.reindex(table.index.astype(str), fill_value=NEARLY_NONE * shares.sum())
    return found


def _numbers(given: Any, name: str) -> pd.Series:
    """Positive weights by feature."""
    if not isinstance(given, pd.Series | Mapping):
        given = dict.fromkeys(_listed(given, name), 1.0)
    values = pd.to_numeric(pd.Series(given), errors="coerce").astype(np.float64)
    values.index = unique(values.index.astype(str), f"features of {name}", "one weight for each")
    if not np.isfinite(values).all():
        bad = values.index[~np.isfinite(values)][0]
        raise ValueError(f"{name} has no finite weight for {bad!r}: give it one, such as 0")
    if (values < 0).any():
        warn(f"{name}: {(values < 0).sum()} weights are negative, and these features left out: they cannot guide")
    if not (values > 0).any():
        raise ValueError(f"{name} has no feature of positive weight: leave it out")
    return values[values > 0]


def _listed(given: Any, name: str) -> list[str]:
    listed = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
    if any(not isinstance(feature, str) for feature in listed):
        raise TypeError(f"{name}={given!r}: give a list of names of features, or weights by name")
    return listed


def _free_names(guided: list[str], n_topics: int) -> list[str]:
    """Those of free topics, which have the first numbers that no guided topic has."""
    if len(guided) > n_topics:
        raise ValueError(
            f"guide has {len(guided)} topics and n_topics={n_topics}: give as many topics, or more, or choose some of "
            "the guide"
        )
    for topic in guided:
        require_key(topic, f"guide names a topic {topic!r}")
    free = (name for name in map(topic_name, count()) if name not in guided)
    return [next(free) for _ in range(n_topics - len(guided))]


def _strengths(given: Strength, guided: list[str]) -> Double:
    pairs = given.items() if isinstance(given, Mapping) else ((topic, given) for topic in guided)
    of = {str(topic): value for topic, value in pairs}
    for topic, value in of.items():
        look_up(dict.fromkeys(guided), topic, "topic", "the guide (guide_strength)")
        if not isinstance(value, Real) or not value > 0:
            raise ValueError(
                f"guide_strength={value!r} of {topic!r}: give a number above 0, or infinity to keep it as it is"
            )
    return np.array([of.get(topic, STRENGTH) for topic in guided], np.float64)


def _table(weights: Mapping[str, pd.Series], guided: list[str], features: pd.Index) -> NDArray[np.float64]:
    """Features × topics."""
    columns = {topic: weights[topic].reindex(features) if topic in weights else np.nan for topic in guided}
    return pd.DataFrame(columns, features).fillna(0.0).to_numpy(np.float64)
