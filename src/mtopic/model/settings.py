"""The options of a model, each with its default and its check."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._check import folder_given, n_jobs_given
from mtopic._data.graph import Method
from mtopic._data.names import look_up
from mtopic.inference.families import FAMILIES

from .guide import STRENGTH, Given, Strength
from .priors import ETA, Alpha, Eta

DTYPES: Mapping[str, type[np.floating]] = {"float32": np.float32, "float64": np.float64}

KEPT = ("n_topics", "n_jobs", "verbose", "inference", "batch_key", "batch_effects", "raw", "dtype", "n_init")
"""What files hold under these names; priors and weights are kept as they were learned."""

NOT_IN_DIGEST = "n_jobs", "verbose", "scratch", "keep_scratch", "guide", "guide_strength"
"""They change nothing that is found, or are digested in another place."""

Weights = Mapping[str, float] | Literal["auto", "equal"]


@dataclass(frozen=True)
class SpatialSettings:
    """Who is a neighbour, and what follows from it; `sMTM` documents each."""

    radius: float = 0.05
    n_neighbors: int | None = None
    spatial_key: str = "coords"
    neighbors_key: str | None = None
    neighbors_method: Method | None = None
    library_key: str | None = None
    bandwidth: float | Literal["auto"] = "auto"
    smoothing: Literal["prior", "original"] | None = None
    strength: float | Literal["auto"] = "auto"

    def neighbours(self) -> dict[str, Any]:
        """What says who is a neighbour, and how much each weighs."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if name not in ("smoothing", "strength")}

    def check(self) -> None:
        """Refuse values that no data could make right."""
        if self.smoothing not in (None, "prior", "original"):
            raise ValueError(f"smoothing={self.smoothing!r}: it is 'prior', 'original', or None to go by the schedule")
        if self.strength == "auto":
            return
        if not isinstance(self.strength, int | float | np.number) or not 0 <= self.strength < np.inf:
            raise ValueError(f"strength={self.strength!r}: give a number from 0 on, or 'auto' to learn it")
        if self.smoothing == "original":
            raise ValueError(
                f"strength={self.strength}: the original's smoothing has none, leave it out or choose smoothing='prior'"
            )


@dataclass(frozen=True)
class Settings:
    """What a model is made with besides its data; `MTM` documents each option."""

    n_topics: int = 20
    seed: int | np.random.Generator = 2291
    n_jobs: int = 10
    verbose: bool = True
    dtype: Literal["float32", "float64"] = "float32"
    raw: bool = False
    inference: Literal["variational", "collapsed"] = "variational"
    alpha: Alpha = None
    eta: Eta = ETA
    modality_weights: Weights = "equal"
    n_init: int = 1
    batch_key: str | None = None
    batch_effects: bool = True
    guide: Given | None = None
    guide_strength: Strength = STRENGTH
    scratch: str | os.PathLike[str] | None = None
    keep_scratch: bool = False
    spatial: SpatialSettings | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From the arguments of `MTM` or `sMTM` by name; those of `SpatialSettings` make the model spatial."""
        of_space = {one.name: given[one.name] for one in fields(SpatialSettings) if one.name in given}
        own = {one.name: given[one.name] for one in fields(cls) if one.name in given}
        return cls(**own, spatial=SpatialSettings(**of_space) if of_space else None)

    def check(self) -> None:
        """Refuse values that no data could make right."""
        if self.n_topics < 2:
            raise ValueError(f"n_topics={self.n_topics}: a topic model has 2 topics or more")
        n_jobs_given(self.n_jobs)
        if self.spatial is not None:
            self.spatial.check()
        look_up(DTYPES, np.dtype(self.dtype).name, "dtype", "the supported precisions")
        look_up(FAMILIES, self.inference, "inference", "the families of updates")
        folder_given(scratch=self.scratch)
        if self.scratch is None and self.keep_scratch:
            raise ValueError("keep_scratch=True: there is no working copy to keep; name a folder for it with scratch")
        if self.n_init < 1:
            raise ValueError(f"n_init={self.n_init!r}: give a number of starts, 1 or more")
        if self.modality_weights not in ("auto", "equal") and not isinstance(self.modality_weights, Mapping):
            raise ValueError(
                f"modality_weights={self.modality_weights!r}: give 'auto', 'equal', or a weight by modality"
            )

    @property
    def smooths_by_prior(self) -> bool:
        """Whether neighbours may be the prior, which weighs against raw counts."""
        return self.spatial is not None and self.spatial.smoothing != "original"

    @property
    def eta_by_frequency(self) -> bool:
        """Whether η goes by the frequencies of the features."""
        return isinstance(self.eta, str) and self.eta == "frequency"

    @property
    def precision(self) -> np.dtype:
        """The precision of the fit."""
        return np.dtype(self.dtype)

    def as_dict(self) -> dict[str, Any]:
        """What is kept in files."""
        seed = int(self.seed) if isinstance(self.seed, int | np.integer) else None
        return {name: getattr(self, name) for name in KEPT} | {"dtype": self.precision.name, "seed": seed}

    def digest(self) -> str:
        """The same for options that give the same fit, another for others; a guide is read beside the data first."""
        values = {name: value for name, value in asdict(replace(self, guide=None)).items() if name not in NOT_IN_DIGEST}
        return hashlib.sha256(json.dumps(values, default=_plain, sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any], rng: np.random.Generator) -> Self:
        """The settings that a file holds; a generator that was the seed is the one that the fit goes on with."""
        seed, known = rng if kept["seed"] is None else kept["seed"], {"batch_effects": False, **kept}
        return cls(**{name: known[name] for name in KEPT}, seed=seed)


def _plain(value: Any) -> Any:
    """What JSON has no form for, in one that has the same bits."""
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, pd.Series):
        return value.to_dict()
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def recipe(spatial: bool) -> dict[str, Any]:
    """How `topic_model` fits raw counts, in cells and in tissue.

    Collapsed updates and learned priors predict held-out counts best. In tissue, variational updates leave what
    distinguishes single spots less of a say.
    """
    common = {"raw": True, "alpha": "auto", "modality_weights": "auto"}
    return common | (
        {"inference": "variational", "eta": "frequency"} if spatial else {"inference": "collapsed", "eta": "auto"}
    )


def weights_by_modality(given: Weights, modalities: list[str]) -> NDArray[np.float64] | None:
    """The weight of each modality; None where they are to be learned."""
    if given == "auto" and len(modalities) > 1:
        return None
    weights = dict.fromkeys(modalities, 1.0)
    for mod, weight in ({} if isinstance(given, str) else given).items():
        look_up(weights, mod, "modality", "modalities (modality_weights)")
        if not 0 <= weight < np.inf:
            raise ValueError(f"modality_weights[{mod!r}] is {weight}: give a number from 0 on")
        weights[mod] = float(weight)
    if not any(weights.values()):
        raise ValueError("modality_weights are all 0: nothing would be left to fit")
    return np.array(list(weights.values()))
