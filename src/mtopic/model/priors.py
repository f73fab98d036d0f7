"""Priors as they are given, as the inference has them, and as slots hold them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mtopic._data.names import alike_but_for, look_up
from mtopic._data.record import Params
from mtopic.inference.priors import Prior

ETA = 0.01

Alpha: TypeAlias = float | Sequence[float] | NDArray[np.floating] | Literal["auto"] | None
OfModality: TypeAlias = float | Sequence[float] | NDArray[np.floating] | pd.Series
Eta: TypeAlias = float | Mapping[str, OfModality] | Literal["auto", "frequency"]


def read_alpha(given: Alpha, topics: list[str]) -> tuple[Prior, bool]:
    """α to begin with, and whether it is to be learned."""
    if given is None or isinstance(given, str) or np.ndim(given) == 0:
        return _number("alpha", given, 1 / len(topics), "an array of one for each topic, or 'auto' to learn it")
    names = pd.Index(topics)
    if isinstance(given, pd.Series) and names.isin(given.index).any():
        given = _by_name(given, names, "alpha", "topics")
    return _positive(given, len(topics), "alpha", "topics"), False


def read_eta(given: Eta, features: Mapping[str, pd.Index]) -> tuple[Prior, bool]:
    """η to begin with, by features of all modalities where they differ, and whether it is to be learned on the way."""
    if isinstance(given, str) and given == "frequency":
        return ETA, False
    if not isinstance(given, Mapping):
        if not isinstance(given, str) and np.ndim(given):
            raise ValueError(
                "eta has no number for all features: give a mapping by modality, such as "
                f"{{{next(iter(features))!r}: …}}"
            )
        return _number("eta", given, ETA, "a mapping by modality, or 'auto' or 'frequency' to learn it")
    for mod in given:
        look_up(features, mod, "modality", "modalities (eta)")
    return np.concatenate([_of_modality(given.get(mod, ETA), names, mod) for mod, names in features.items()]), False


def alpha_by_topic(alpha: Prior, topics: pd.Index) -> float | dict[str, float]:
    """α in types that HDF5 can hold."""
    return dict(zip(topics, alpha.tolist(), strict=True)) if isinstance(alpha, np.ndarray) else alpha


def eta_by_modality(eta: Prior, features: Mapping[str, pd.Index]) -> float | dict[str, float | NDArray[np.float64]]:
    """η of each modality, a number where its features have the same."""
    if not isinstance(eta, np.ndarray):
        return eta
    parts = np.split(eta, np.cumsum([len(names) for names in features.values()])[:-1])
    return {mod: float(part[0]) if (part == part[0]).all() else part for mod, part in zip(features, parts, strict=True)}


def eta_by_feature(eta: Prior, features: Mapping[str, pd.Index]) -> float | dict[str, float | pd.DataFrame]:
    """η in types that HDF5 can hold, with the names of the features, whose order may change."""
    found = eta_by_modality(eta, features)
    if not isinstance(found, dict):
        return found
    return {
        mod: pd.DataFrame({"eta": part}, index=features[mod]) if isinstance(part, np.ndarray) else part
        for mod, part in found.items()
    }


def alpha_of_topics(params: Params, topics: pd.Index) -> Prior:
    """α of some topics of an exported fit."""
    alpha = params.alpha
    if isinstance(alpha, Mapping):
        return np.array([float(look_up(alpha, topic, "topic", "the fit's params['alpha']")) for topic in topics])
    return 1 / len(topics) if alpha is None else float(alpha)


def eta_of_features(params: Params, features: Mapping[str, pd.Index]) -> Prior:
    """η of some features of an exported fit; what it does not know has the default."""
    eta = params.eta
    if not isinstance(eta, Mapping):
        return ETA if eta is None else float(eta)
    parts = []
    for mod, names in features.items():
        part = eta.get(mod, ETA)
        known = part["eta"].reindex(names).fillna(ETA) if isinstance(part, pd.DataFrame) else float(part)
        parts.append(np.broadcast_to(np.asarray(known, np.float64), len(names)))
    return np.concatenate(parts)


def _number(name: str, given: Any, default: float, forms: str) -> tuple[float, bool]:
    if given is None or given == "auto":
        return default, given == "auto"
    if isinstance(given, str | Mapping) or not 0 < given < np.inf:
        raise ValueError(f"{name}={given!r}: give a positive number, {forms}")
    return float(given), False


def _of_modality(given: Any, features: pd.Index, mod: str) -> NDArray[np.float64]:
    name = f"eta[{mod!r}]"
    if isinstance(given, pd.Series):
        given = _by_name(given, features, name, "features")
    if not isinstance(given, str) and np.ndim(given) == 0:
        given = np.broadcast_to(given, len(features))
    return _positive(given, len(features), name, f"features of modality {mod!r}")


def _by_name(given: pd.Series, features: pd.Index, name: str, what: str) -> NDArray[np.float64]:
    """The values in the order of the features; a Series may have more than these."""
    if given.index.has_duplicates:
        twice = given.index[given.index.duplicated()][0]
        raise ValueError(f"{name} has {twice!r} more than once: give one number for each of the {what}")
    missing = features.difference(given.index, sort=False)
    if len(missing):
        raise ValueError(
            f"{name} has no number for {len(missing)} of {len(features)} {what}, the first is {missing[0]!r}"
            f"{alike_but_for(features, given.index)}: index the Series by var_names, or give an array in their order"
        )
    return given.loc[features].to_numpy()


def _positive(given: ArrayLike, size: int, name: str, what: str) -> NDArray[np.float64]:
    """An array with one positive number for each of ``size`` things, its own memory."""
    try:
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}={given!r}: give positive numbers, one for each of the {size} {what}") from error
    if values.shape != (size,):
        raise ValueError(f"{name} has shape {values.shape}: there are {size} {what}, give one number for each")
    bad = np.flatnonzero(~((values > 0) & (values < np.inf)))
    if bad.size:
        raise ValueError(
            f"{name} is {values[bad[0]]} at position {bad[0]}: the {size} numbers, for the {what}, have to be positive"
        )
    return values
