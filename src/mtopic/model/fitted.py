"""What is known of a model, and how it is kept: names, counts, a posterior, and what the fit was made with."""

import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic import __version__
from mtopic._data.counts import Counts, fingerprint, has_raw_layer, in_order, read_counts
from mtopic._data.graph import Graph
from mtopic._data.measured import batches, by_batch
from mtopic._data.modality_shares import modality_shares, modality_totals
from mtopic._data.preparation import Preparation
from mtopic._data.slots import Data, look_up, modalities
from mtopic.inference.corpus import Corpus
from mtopic.inference.fit import Fit
from mtopic.inference.measured_sets import EVERYTHING, MeasuredSets
from mtopic.inference.posterior import Posterior

from . import repr as _summary
from .file import State, write
from .priors import alpha_by_topic, eta_by_feature, eta_by_modality
from .stability import by_topic
from .starts import Starts

DTYPES: Mapping[str, type[np.floating]] = {"float32": np.float32, "float64": np.float64}

BIT_GENERATORS: Mapping[str, type[np.random.BitGenerator]] = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


PANELS = ("features", "offsets", "modality")


class Fitted:
    """A model as far as it has come; `Model` says how it gets further."""

    n_topics: int
    seed: int | np.random.Generator
    n_jobs: int
    verbose: bool
    inference: str
    batch_key: str | None
    converged: bool
    interrupted: bool
    modalities: list[str]
    features: dict[str, pd.Index]
    barcodes: pd.Index
    preparation: dict[str, Preparation]
    modality_weights: dict[str, float] | None
    n_init: int
    stability: pd.Series | None
    graph: Graph | None = None
    _dtype: np.dtype
    _raw: bool
    _schedule: str
    _rng: np.random.Generator
    _fit: Fit
    _starts: Starts | None
    _counts: Corpus
    _has_counts: bool
    _fingerprint: str | None
    _raw_fingerprint: str | None

    @property
    def alpha(self) -> float | NDArray[np.float64]:
        """Prior of the topic proportions, a number or one for each topic: as given, or as learned so far."""
        return self._posterior.alpha

    @property
    def eta(self) -> float | dict[str, float | NDArray[np.float64]]:
        """Prior of the signatures, a number or by modality: as given, or as learned so far."""
        return eta_by_modality(self._posterior.eta, self.features)

    @property
    def gamma(self) -> NDArray[np.floating]:
        """γ, observations × topics: Dirichlet parameters of the topic proportions."""
        return self._posterior.gamma

    @property
    def lambda_(self) -> dict[str, NDArray[np.floating]]:
        """λ, topics × features of each modality: Dirichlet parameters of the signatures."""
        blocks = self._posterior.corpus.blocks
        return {mod: self._posterior.lam[block].T for mod, block in zip(self.modalities, blocks, strict=True)}

    @property
    def n_counts(self) -> float:
        """Count units that the model is fitted to."""
        return float(self._posterior.corpus.totals.sum())

    @property
    def elbo(self) -> list[float]:
        """What the fit climbs, in nats, after each iteration of `VI` and at the end of each `SVI`."""
        return self._fit.elbo

    @property
    def passes(self) -> float:
        """Work so far: non-zeros × rounds × share of the topics alive, over non-zeros × topics."""
        return self._fit.passes

    @property
    def fitted(self) -> bool:
        """Whether the posterior has seen the data."""
        return self._fit.iterations > 0 or self._fit.steps > 0

    @property
    def _posterior(self) -> Posterior:
        return self._fit.posterior

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the model to an HDF5 file, from which `load_model` makes it again, to the bit.

        The file holds all but the counts, and a digest by which these are known again. It is written beside its target and then
        put in its place: a save that fails, or is killed, leaves a file that was there before as it was.

        Parameters
        ----------
        path
            The file. What was there is replaced.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        ValueError
            If ``path`` is a folder.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import mtopic as mt
        >>> model = mt.tl.MTM(mt.datasets.simulate(n_obs=200), n_topics=5, verbose=False)
        >>> model.VI(n_iter=5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(Path(folder) / "model.h5")
        ...     len(mt.tl.load_model(Path(folder) / "model.h5").elbo)
        5
        """
        write(path, self._state())

    def _state(self) -> State:
        """All but the counts."""
        self._note_counts()
        fit, arrays = self._fit.state()
        corpus = self._posterior.corpus
        names = {f"features/{m}": self.features[mod] for m, mod in enumerate(self.modalities)}
        totals = {"evidence": corpus.totals, "totals": corpus.by_modality}
        settings = {
            "model": type(self).__name__,
            "version": __version__,
            "n_topics": self.n_topics,
            "seed": int(self.seed) if isinstance(self.seed, int | np.integer) else None,
            "n_jobs": self.n_jobs,
            "verbose": self.verbose,
            "modalities": self.modalities,
            "inference": self.inference,
            "batch_key": self.batch_key,
            "converged": self.converged,
            "raw": self._raw,
            "schedule": self._schedule,
            "dtype": self._dtype.name,
            "precision": corpus.dtype.name,
            "rng": self._rng.bit_generator.state,
            "modality_weights": self.modality_weights,
            "fingerprint": self._fingerprint,
            "raw_fingerprint": self._raw_fingerprint,
            "fit": fit,
            "n_init": self.n_init,
        }
        if self._starts is not None:
            settings["starts"], others = self._starts.state()
            arrays |= others
        if self.stability is not None:
            arrays["stability"] = self.stability.to_numpy()
        prepared = {f"preparation/{m}": self.preparation[mod] for m, mod in enumerate(self.modalities)}
        settings["preparation"] = [{"steps": p.steps, "scale": p.scale} for p in prepared.values()]
        weights = {name: p.idf.to_numpy() for name, p in prepared.items() if p.idf is not None}
        sets = corpus.measured_sets
        known = PANELS if isinstance(sets, MeasuredSets) else ()
        panels = {f"panels/{name}": getattr(sets, name) for name in known}
        return State(settings, {**arrays, **totals, **names, **weights, **panels, "barcodes": self.barcodes})

    @classmethod
    def _from_state(cls, state: State) -> Self:
        """The model with this state, without its counts."""
        model = cls.__new__(cls)
        model._restore(state)
        return model

    def _restore(self, state: State) -> None:
        settings, arrays = state.settings, state.arrays
        for name in (
            "n_topics",
            "n_jobs",
            "verbose",
            "modalities",
            "inference",
            "converged",
            "modality_weights",
            "batch_key",
        ):
            setattr(self, name, settings[name])
        for name in ("raw", "schedule", "fingerprint", "raw_fingerprint"):
            setattr(self, f"_{name}", settings[name])
        self._dtype = np.dtype(DTYPES[settings["dtype"]])
        self._rng = _generator(settings["rng"])
        self.seed = self._rng if settings["seed"] is None else settings["seed"]
        self.barcodes = pd.Index(arrays["barcodes"])
        self.features = {mod: pd.Index(arrays[f"features/{m}"]) for m, mod in enumerate(self.modalities)}
        self.preparation = {
            mod: _preparation(known, arrays.get(f"preparation/{m}"), self.features[mod])
            for m, (mod, known) in enumerate(zip(self.modalities, settings["preparation"], strict=True))
        }
        self.interrupted, self._has_counts = False, False
        corpus = Corpus.without_counts(
            np.dtype(DTYPES[settings["precision"]]),
            np.cumsum([0, *map(len, self.features.values())]),
            self._modality_worth(),
            arrays["evidence"],
            arrays["totals"],
            MeasuredSets(*(arrays[f"panels/{name}"] for name in PANELS)) if "panels/features" in arrays else EVERYTHING,
        )
        self._counts = corpus
        self._fit = Fit.from_state(corpus, settings["fit"], arrays)
        self.n_init, waiting, steady = settings["n_init"], settings.get("starts"), arrays.get("stability")
        self._starts = None if waiting is None else Starts.from_state(corpus, waiting, arrays)
        self.stability = None if steady is None else by_topic(steady)
        sizes = self.gamma.shape, self._posterior.lam.shape
        if sizes != ((len(self.barcodes), self.n_topics), (corpus.n_features, self.n_topics)):
            raise ValueError(f"tables of {sizes}")

    def _take_data(self, data: Data) -> None:
        """Have the counts of the fit again, so that it can go on."""
        given = self._read(data, raw=self._raw)
        if fingerprint(given) != self._fingerprint:
            raise ValueError(
                f"the counts ({'raw ones where there are' if self._raw else 'X of the modalities'}) are not those that the model was fitted to: "
                "give the data as they were then, or load the model without data"
            )
        precision = self._posterior.corpus.dtype
        self._counts = self._posterior.corpus = given = self._weighted(given)
        if self._learns_from_raw():
            self._read_raw(data)
            if fingerprint(self._counts) != self._raw_fingerprint:
                raise ValueError(
                    "layers['counts'] does not hold the counts that it held when the model was made, and something is still to be learned "
                    "from them: give the data as they were then, or load the model without data"
                )
        self._posterior.corpus = given.astype(precision).scaled(self._fit.count_scale)
        self._has_counts = True

    def _note_counts(self) -> None:
        """Remember by what the counts can be known again: as they were given, before their scale changes."""
        if self._has_counts and self._fingerprint is None:
            self._fingerprint = fingerprint(self._posterior.corpus.astype(self._dtype))
        if self._has_counts and self._raw_fingerprint is None and self._learns_from_raw():
            self._raw_fingerprint = fingerprint(self._counts)

    def _learns_from_raw(self) -> bool:
        """Whether something is still to be learned from the counts as they were observed."""
        return self.modality_weights is None

    def _read_raw(self, data: Data) -> None:
        """Have the counts at hand as they were observed, for what is learned from them."""
        if not self._raw and has_raw_layer(data) and self._counts is self._posterior.corpus:
            self._counts = self._weighted(self._read(data, raw=True))

    def _read(self, data: Data, raw: bool) -> Corpus:
        counts = in_order(read_counts(data, raw=raw, dtype=self._dtype), self.barcodes, self.features)
        return by_batch(counts, modalities(data), batches(data, self.batch_key)).corpus

    def _weighted(self, corpus: Corpus) -> Corpus:
        weights = self._modality_worth()
        return corpus if weights is None else corpus.with_weights(weights)

    def _modality_worth(self) -> NDArray[np.float64] | None:
        """The weights as an array; None where counts are worth the same, or it is not known what."""
        weights = np.array(list((self.modality_weights or {}).values()))
        return None if (weights == 1).all() else weights

    def modality_shares(self) -> pd.DataFrame:
        """Share of each modality in the evidence on each observation, observations × modalities; NaN where there is none."""
        counts = Counts(self._posterior.corpus, self.barcodes, self.features)
        return modality_shares(modality_totals(counts), self.modality_weights or {})

    def params(self) -> dict[str, Any]:
        """What the fit was made with, in types that HDF5 can hold."""
        known = {
            "model": type(self).__name__,
            "n_topics": self.n_topics,
            "alpha": alpha_by_topic(self._posterior.alpha),
            "eta": eta_by_feature(self._posterior.eta, self.features),
            "schedule": self._schedule,
            "inference": self.inference,
            "n_iter": self._fit.iterations,
            "converged": self.converged,
            "dtype": self._posterior.corpus.dtype.name,
            "n_counts": self.n_counts,
            "evidence": self._fit.count_scale,
            "raw": self._raw,
            "modality_weights": dict(self.modality_weights or {}),
        }
        if self._fit.steps:
            known["n_batches"] = self._fit.steps
        if isinstance(self.seed, int | np.integer):
            known["seed"] = int(self.seed)
        if self.n_init > 1:
            known["n_init"] = self.n_init
        if self.batch_key is not None:
            known["batch_key"] = self.batch_key
        return known

    def __repr__(self) -> str:
        return _summary.line(self)

    def _repr_html_(self) -> str:
        return _summary.table(self)


def _generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator in this state."""
    bits = look_up(BIT_GENERATORS, state["bit_generator"], "generator", "NumPy")()
    bits.state = state
    return np.random.Generator(bits)


def _preparation(known: Mapping[str, Any], weights: NDArray[np.float64] | None, features: pd.Index) -> Preparation:
    idf = None if weights is None else pd.Series(weights, features)
    return Preparation(tuple(known["steps"]), float(known["scale"]), idf)
