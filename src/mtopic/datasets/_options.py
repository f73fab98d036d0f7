"""Options of the simulation: what they mean for each modality, and what is said of bad ones."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtopic._data.names import look_up

from ._tissue import TISSUES

GRADIENT_CONCENTRATION, DEFAULT_DEPTH, DEFAULT_BATCH_EFFECT = 2.0, 500.0, 0.5

ByModality: TypeAlias = float | Mapping[str, float] | None


def check_sizes(n_obs: int, n_topics: int, modalities: dict[str, int], n_sections: int, n_batches: int) -> None:
    if n_topics < 2:
        raise ValueError(f"n_topics={n_topics}: a mixture needs at least 2 topics")
    if n_obs < 1:
        raise ValueError(f"n_obs={n_obs}: simulate at least 1 observation")
    if not 1 <= n_sections <= n_obs:
        raise ValueError(
            f"n_sections={n_sections}: there must be at least 1 section, and an observation ({n_obs}) for each"
        )
    if not 1 <= n_batches <= n_obs:
        raise ValueError(
            f"n_batches={n_batches}: there must be at least 1 batch, and an observation ({n_obs}) for each"
        )
    if not modalities:
        raise ValueError("modalities is empty: name at least one, such as {'rna': 300}")
    for mod, n_features in modalities.items():
        if n_features < 1:
            raise ValueError(f"modality {mod!r} has {n_features} features: simulate at least 1")


def check_tissue(tissue: str, spatial: bool) -> None:
    if tissue not in TISSUES:
        raise ValueError(f"tissue={tissue!r}: choose one of {', '.join(map(repr, TISSUES))}")
    if not spatial and tissue != "smooth":
        raise ValueError(
            f"tissue={tissue!r} with spatial=False: dissociated cells have no tissue, leave one of them out"
        )


def concentration_of(concentration: float | None, n_topics: int, tissue: str) -> float:
    if concentration is None:
        return GRADIENT_CONCENTRATION if tissue == "gradient" else 1 / n_topics
    if not (np.isfinite(concentration) and concentration > 0):
        raise ValueError(f"concentration={concentration}: a Dirichlet distribution needs a positive one, such as 0.2")
    return float(concentration)


def _by_modality(value: ByModality, default: float, modalities: dict[str, int], option: str) -> dict[str, float]:
    given = value if isinstance(value, Mapping) else {} if value is None else dict.fromkeys(modalities, value)
    for mod in given:
        look_up(modalities, mod, "modality", f"modalities ({option})")
    return dict.fromkeys(modalities, default) | dict(given)


def depths_of(depth: ByModality, modalities: dict[str, int]) -> dict[str, float]:
    depths = _by_modality(depth, DEFAULT_DEPTH, modalities, "depth")
    for mod, value in depths.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"depth of modality {mod!r} is {value}: the mean number of counts must be positive")
    return depths


def overdispersions_of(overdispersion: ByModality, modalities: dict[str, int]) -> dict[str, float]:
    factors = _by_modality(overdispersion, 1.0, modalities, "overdispersion")
    for mod, value in factors.items():
        if not (np.isfinite(value) and value >= 1):
            raise ValueError(
                f"overdispersion of modality {mod!r} is {value}: counts vary at least as multinomial ones, which is 1"
            )
    return factors


def batch_effects_of(batch_effects: ByModality, modalities: dict[str, int], n_batches: int) -> dict[str, float]:
    """Standard deviation of the logarithms of factors, by modality."""
    if batch_effects is not None and n_batches == 1:
        raise ValueError(f"batch_effects={batch_effects!r} with one batch: give n_batches, or leave it out")
    spreads = _by_modality(batch_effects, DEFAULT_BATCH_EFFECT, modalities, "batch_effects")
    for mod, value in spreads.items():
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"batch_effects of modality {mod!r} is {value}: a standard deviation is 0 or more")
    return spreads


def unresolved_of(
    resolved: Mapping[str, Sequence[int]], modalities: dict[str, int], n_topics: int
) -> dict[str, NDArray[np.intp]]:
    """Topics that share a signature, by modality."""
    for mod, topics in resolved.items():
        look_up(modalities, mod, "modality", "modalities (resolved)")
        for k in topics:
            if k not in range(n_topics):
                raise ValueError(f"resolved[{mod!r}] names topic {k}: there are topics 0 to {n_topics - 1}")
        if len(set(topics)) < len(topics):
            raise ValueError(f"resolved[{mod!r}] is {list(topics)}: name each topic once")
    every = np.arange(n_topics)
    return {mod: np.setdiff1d(every, resolved.get(mod, every)) for mod in modalities}


def numbers_missing_of(missing: Mapping[str, float], modalities: dict[str, int], n_obs: int) -> dict[str, int]:
    for mod, share in missing.items():
        look_up(modalities, mod, "modality", "modalities (missing)")
        if not 0 <= share < 1:
            raise ValueError(f"missing share of modality {mod!r} is {share}: it must be in [0, 1)")
    if sum(missing.values()) > len(modalities) - 1:
        raise ValueError(
            f"the missing shares sum to {sum(missing.values()):g} over {len(modalities)} modalities, which leaves "
            f"observations with none: let them sum to at most {len(modalities) - 1}"
        )
    return {mod: int(missing.get(mod, 0) * n_obs) for mod in modalities}
