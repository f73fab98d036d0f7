"""What all models share: a posterior, its fit and its names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from mtopic import __version__
from mtopic._counts import Counts, fingerprint, has_raw_layer, in_order, read_counts, warn_empty
from mtopic._graph import Graph
from mtopic._modality_shares import modality_shares, modality_totals
from mtopic._model_file import State, write
from mtopic._slots import Data, look_up
from mtopic.inference import schedule as schedules
from mtopic.inference.corpus import Corpus
from mtopic.inference.fit import Fit
from mtopic.inference.posterior import FAMILIES, Posterior, initial
from mtopic.inference.spatial import SpatialTerm
from mtopic.inference.weights import learned_weights

from ._watch import Callback, Watch

ETA = 0.01
DTYPES: Mapping[str, type[np.floating]] = {"float32": np.float32, "float64": np.float64}

BIT_GENERATORS: Mapping[str, type[np.random.BitGenerator]] = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


@dataclass(frozen=True)
class Options:
    """What a model is made with besides its data and size; `MTM` documents each."""

    dtype: Literal["float32", "float64"]
    raw: bool
    inference: Literal["variational", "collapsed"]
    alpha: float | Literal["auto"] | None
    eta: float | Literal["auto"]
    modality_weights: Mapping[str, float] | Literal["auto", "equal"] = "equal"


class Model:
    """A topic model of all modalities of one data set; `MTM` and `sMTM` say what kind."""

    graph: Graph | None = None

    def __init__(
        self,
        data: Data,
        n_topics: int,
        seed: int | np.random.Generator,
        n_jobs: int,
        verbose: bool,
        options: "Options",
    ) -> None:
        if not isinstance(n_topics, int | np.integer) or n_topics < 2:
            raise ValueError(f"n_topics={n_topics}: a topic model has 2 topics or more")
        if n_jobs == 0:
            raise ValueError("n_jobs=0: give a number of threads, or -1 for all cores")
        self._dtype = np.dtype(look_up(DTYPES, np.dtype(options.dtype).name, "dtype", "the supported precisions"))
        look_up(FAMILIES, options.inference, "inference", "the families of updates")
        alpha, learns_alpha = _prior("alpha", options.alpha, 1 / n_topics)
        eta, learns_eta = _prior("eta", options.eta, ETA)
        counts = read_counts(data, raw=options.raw, dtype=self._dtype)
        warn_empty(counts)
        self.n_topics = int(n_topics)
        self.seed = seed
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.modalities = list(counts.features)
        self.features = counts.features
        self.barcodes = counts.obs_names
        self.inference = options.inference
        self.converged = False
        self.interrupted = False
        self._raw = options.raw
        self._schedule = "none"
        self._rng = np.random.default_rng(seed)
        start_seed = int(self._rng.spawn(1)[0].integers(2**63))
        self.modality_weights = _weights(options.modality_weights, self.modalities)
        self._fingerprint: str | None = None
        self._raw_fingerprint: str | None = None
        self._has_counts = True
        self._counts = self._weighted(counts.corpus)
        posterior = initial(self._counts, self.n_topics, self._rng, alpha, eta, self.inference)
        self._fit = Fit(posterior, start_seed, learns_alpha, learns_eta)
        if self.modality_weights is None:
            self._read_raw(data)

    @property
    def alpha(self) -> float:
        """Prior of the topic proportions: as given, or as learned so far."""
        return self._posterior.alpha

    @property
    def eta(self) -> float:
        """Prior of the signatures: as given, or as learned so far."""
        return self._posterior.eta

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
        """What the fit climbs, in nats, after each iteration of `VI`."""
        return self._fit.elbo

    @property
    def passes(self) -> float:
        """Work so far: non-zeros × rounds × share of the topics alive, over non-zeros × topics."""
        return self._fit.passes

    @property
    def fitted(self) -> bool:
        """Whether the posterior has seen the data."""
        return self._fit.iterations > 0

    @property
    def _posterior(self) -> Posterior:
        return self._fit.posterior

    def VI(
        self,
        n_iter: int = 20,
        max_iter_d: int = 100,
        *,
        schedule: Literal["fast", "original"] = "fast",
        tol: float | Literal["auto"] | None = "auto",
        callback: Callback | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 10,
    ) -> None:
        """Fit by coordinate ascent; called again, the fit goes on where it was.

        Every iteration is one pass over all observations (E-step) and one update of the signatures (M-step), after which
        the objective is appended to ``elbo``. ``VI(a)`` and then ``VI(b)`` give the same bits as ``VI(a + b)``, and so they do if the
        model is saved after the first and loaded before the second. Ctrl-C ends a fit after the running iteration, with a warning; a second
        one at once, with KeyboardInterrupt. Either way the model is as its last whole iteration made it.

        Parameters
        ----------
        n_iter
            Number of iterations, at most.
        max_iter_d
            Cap on the rounds that an observation's topics are iterated for in one E-step.
        schedule
            ``"fast"``: signatures are found from batches of observations with twice the topics, which are then merged; 10
            iterations of collapsed updates explore; from there on the updates are the model's own, few rounds from the last state.
            ``"original"``: the trajectory of the original program, in double precision (of counts read at ``dtype``), which
            never stops early. For variational inference with fixed priors.
        tol
            ``"fast"`` stops when the bound has changed by less than this share of itself over ten iterations, or, with neighbours as
            the prior (`sMTM`), when one iteration has moved less than this share of an observation's topics, on average;
            ``"auto"`` is 1e-5 of the bound and 5e-3 of the topics, None runs all ``n_iter``.
        callback
            Called with the model after each iteration; if it returns True, there is no other.
        checkpoint
            File to `save` the model to, during the fit and at its end; `load_model` reads it. What was there is replaced.
        checkpoint_every
            Number of iterations, counted over all calls, from one checkpoint to the next.

        Raises
        ------
        ValueError
            If ``n_iter``, ``max_iter_d`` or ``checkpoint_every`` is less than 1, or ``tol`` negative; if the model was loaded without its data;
            if ``schedule="original"`` meets collapsed inference,
            a prior that is to be learned, or ``smoothing="prior"``.
        KeyError
            If there is no such schedule.
        OSError
            If the model cannot be saved.

        Examples
        --------
        >>> import mtopic as mt
        >>> model = mt.tl.MTM(mt.datasets.simulate(n_obs=200), n_topics=5, verbose=False)
        >>> model.VI(n_iter=10)
        >>> len(model.elbo)
        10
        """
        self._check_sizes(n_iter=n_iter, max_iter_d=max_iter_d)
        chosen = self._checked_schedule(schedule)
        schedules.tolerance(tol, "bound")
        watch = Watch(self, callback, checkpoint, checkpoint_every, "iterations")
        evidence = self._evidence(schedule)
        if evidence != self._fit.evidence:
            self._note_counts()
        self._fit.begin(chosen.dtype or self._dtype, self.n_jobs, evidence)
        self._schedule = schedule
        learns = self._learns_from_raw()
        with self._posterior.threads:
            self._learn_weights()
            spatial = self._spatial_term(schedule)
        if learns:
            watch.save()
        with watch, self._posterior.threads, self._progress(n_iter, "iteration") as bar:
            for _ in range(n_iter):
                self.converged = chosen.stops and self._fit.has_settled(tol, spatial)
                if self.converged:
                    break
                self._fit.iterate(chosen.plan(self._fit.iterations, max_iter_d), spatial)
                bar.set_postfix({"ELBO per count": f"{self.elbo[-1] / self.n_counts:.5f}"}, refresh=False)
                bar.update()
                if watch.ends_after(self._fit.iterations):
                    break

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

    def _check_sizes(self, **sizes: int) -> None:
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name}={value}: it must be at least 1")
        if not self._has_counts:
            raise ValueError(
                "the model was loaded without its data: mtopic.tl.load_model(path, data) goes on with a fit"
            )

    def _checked_schedule(self, name: str) -> schedules.Schedule:
        chosen = look_up(schedules.SCHEDULES, name, "schedule", "the schedules")
        if name == "original" and self.modality_weights != dict.fromkeys(self.modalities, 1.0):
            raise ValueError(
                "schedule='original' takes counts as they are: make the model with modality_weights='equal', or fit with "
                "schedule='fast'"
            )
        if name == "original" and (self.inference != "variational" or self._fit.learns_alpha or self._fit.learns_eta):
            raise ValueError(
                "schedule='original' is variational with fixed priors: make the model with inference='variational' "
                "and without 'auto', or fit with schedule='fast'"
            )
        return chosen

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
        }
        return State(settings, {**arrays, **totals, **names, "barcodes": self.barcodes})

    @classmethod
    def _from_state(cls, state: State) -> Self:
        """The model with this state, without its counts."""
        model = cls.__new__(cls)
        model._restore(state)
        return model

    def _restore(self, state: State) -> None:
        settings, arrays = state.settings, state.arrays
        for name in ("n_topics", "n_jobs", "verbose", "modalities", "inference", "converged", "modality_weights"):
            setattr(self, name, settings[name])
        for name in ("raw", "schedule", "fingerprint", "raw_fingerprint"):
            setattr(self, f"_{name}", settings[name])
        self._dtype = np.dtype(DTYPES[settings["dtype"]])
        self._rng = _generator(settings["rng"])
        self.seed = self._rng if settings["seed"] is None else settings["seed"]
        self.barcodes = pd.Index(arrays["barcodes"])
        self.features = {mod: pd.Index(arrays[f"features/{m}"]) for m, mod in enumerate(self.modalities)}
        self.interrupted, self._has_counts = False, False
        corpus = Corpus.without_counts(
            np.dtype(DTYPES[settings["precision"]]),
            np.cumsum([0, *map(len, self.features.values())]),
            self._modality_worth(),
            arrays["evidence"],
            arrays["totals"],
        )
        self._counts = corpus
        self._fit = Fit.from_state(corpus, settings["fit"], arrays)
        sizes = self.gamma.shape, self._posterior.lam.shape
        if sizes != ((len(self.barcodes), self.n_topics), (corpus.rows.shape[1], self.n_topics)):
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
        self._posterior.corpus = given.astype(precision).scaled(self._fit.evidence)
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

    def _learn_weights(self) -> None:
        """Settle what a count of each modality is worth, if that has still to be learned."""
        if self.modality_weights is None:
            learned, passes = learned_weights(self._fit, self._counts, np.random.default_rng((self._fit.start_seed, 2)))
            self._fit.passes += passes
            self.modality_weights = dict(zip(self.modalities, learned.tolist(), strict=True))
            self._counts, self._posterior.corpus = map(self._weighted, (self._counts, self._posterior.corpus))

    def _read_raw(self, data: Data) -> None:
        """Have the counts at hand as they were observed, for what is learned from them."""
        if not self._raw and has_raw_layer(data) and self._counts is self._posterior.corpus:
            self._counts = self._weighted(self._read(data, raw=True))

    def _read(self, data: Data, raw: bool) -> Corpus:
        return in_order(read_counts(data, raw=raw, dtype=self._dtype), self.barcodes, self.features).corpus

    def _weighted(self, corpus: Corpus) -> Corpus:
        weights = self._modality_worth()
        return corpus if weights is None else corpus.weighted(weights)

    def _modality_worth(self) -> NDArray[np.float64] | None:
        """The weights as an array; None where counts are worth the same, or it is not known what."""
        weights = np.array(list((self.modality_weights or {}).values()))
        return None if (weights == 1).all() else weights

    def _spatial_term(self, schedule: str) -> SpatialTerm | None:
        """What neighbours have to do with it: here nothing."""
        return None

    def _evidence(self, schedule: str) -> float:
        """What a unit of the data counts for."""
        return 1.0

    def _progress(self, total: int, unit: str) -> tqdm:
        return tqdm(total=total, disable=not self.verbose, desc=type(self).__name__, unit=unit)

    def modality_shares(self) -> pd.DataFrame:
        """Share of each modality in the evidence on each observation, observations × modalities; NaN where there is none."""
        counts = Counts(self._posterior.corpus, self.barcodes, self.features)
        return modality_shares(modality_totals(counts), self.modality_weights or {})

    def params(self) -> dict[str, Any]:
        """What the fit was made with, in types that HDF5 can hold."""
        known = {
            "model": type(self).__name__,
            "n_topics": self.n_topics,
            "alpha": self.alpha,
            "eta": self.eta,
            "schedule": self._schedule,
            "inference": self.inference,
            "n_iter": self._fit.iterations,
            "converged": self.converged,
            "dtype": self._posterior.corpus.dtype.name,
            "n_counts": self.n_counts,
            "raw": self._raw,
            "modality_weights": dict(self.modality_weights or {}),
        }
        if isinstance(self.seed, int | np.integer):
            known["seed"] = int(self.seed)
        return known

    def __repr__(self) -> str:
        sizes = ", ".join(f"{mod} {len(names)}" for mod, names in self.features.items())
        state = f"{self._fit.iterations} iterations" if self.fitted else "not fitted"
        if self.elbo:
            state += f", ELBO per count {self.elbo[-1] / self.n_counts:.5f}"
        if self.converged:
            state += ", converged"
        return f"{type(self).__name__}({len(self.barcodes)} observations × [{sizes}], {self.n_topics} topics; {state})"


def _generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator in this state."""
    bits = look_up(BIT_GENERATORS, state["bit_generator"], "generator", "NumPy")()
    bits.state = state
    return np.random.Generator(bits)


def _weights(given: Mapping[str, float] | str, modalities: list[str]) -> dict[str, float] | None:
    """The weight of each modality; None where they are to be learned."""
    if isinstance(given, str) and given not in ("auto", "equal"):
        raise ValueError(f"modality_weights={given!r}: give 'auto', 'equal', or a weight by modality")
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
    return weights


def _prior(name: str, given: float | str | None, default: float) -> tuple[float, bool]:
    """The concentration to begin with, and whether it is to be learned."""
    if given is None or given == "auto":
        return default, given == "auto"
    if isinstance(given, str) or not 0 < given < np.inf:
        raise ValueError(f"{name}={given!r}: give a positive number, or 'auto' to learn it")
    return float(given), False
