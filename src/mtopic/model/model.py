"""What all models share: a posterior, its fit and its names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tqdm import tqdm

from mtopic._data.counts import Counts, read_counts, warn_empty, warn_fractions, warn_zero_weight_only
from mtopic._data.measured import batches, by_batch, require_measured, warn_if_ignored
from mtopic._data.preparation import Preparation
from mtopic._data.slots import Data, look_up, modalities
from mtopic._warn import warn
from mtopic.inference import schedule as schedules
from mtopic.inference.fit import Fit
from mtopic.inference.learn.weights import learned_weights
from mtopic.inference.posterior import FAMILIES, initial
from mtopic.inference.random_streams import Stream, generator
from mtopic.inference.spatial import SpatialTerm

from .fitted import DTYPES, Fitted
from .monitor import Callback, Monitor
from .priors import ETA, Alpha, Eta, read_alpha, read_eta
from .stability import by_topic, stability
from .starts import Starts


@dataclass(frozen=True)
class Options:
    """What a model is made with besides its data and size; `MTM` documents each."""

    dtype: Literal["float32", "float64"]
    raw: bool
    inference: Literal["variational", "collapsed"]
    alpha: Alpha
    eta: Eta
    modality_weights: Mapping[str, float] | Literal["auto", "equal"] = "equal"
    n_init: int = 1
    batch_key: str | None = None


class Model(Fitted):
    """A topic model of all modalities of one data set; `MTM` and `sMTM` say what kind."""

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
        alpha, learns_alpha = read_alpha(options.alpha, n_topics)
        batch = batches(data, options.batch_key)
        warn_if_ignored(modalities(data), options.batch_key)
        require_measured(modalities(data), batch)
        given = read_counts(data, raw=options.raw, dtype=self._dtype)
        counts = by_batch(given, modalities(data), batch)
        eta, learns_eta = read_eta(options.eta, counts.features)
        warn_empty(counts)
        self.n_topics = int(n_topics)
        self.seed = seed
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.modalities = list(counts.features)
        self.features = counts.features
        self.barcodes = counts.obs_names
        self.inference = options.inference
        self.batch_key = options.batch_key
        self.converged = False
        self.interrupted = False
        self._raw = options.raw
        self.preparation = {mod: Preparation.of(adata) for mod, adata in modalities(data).items()}
        if options.raw:
            _warn_no_raw_counts(data, self.preparation, given)
        self._schedule = "none"
        self._rng = np.random.default_rng(seed)
        seeds = [int(child.integers(2**63)) for child in self._rng.spawn(_checked_starts(options.n_init))]
        self.n_init = len(seeds)
        self.stability = None
        self._starts = Starts(seeds) if len(seeds) > 1 else None
        self.modality_weights = _weights(options.modality_weights, self.modalities)
        self._fingerprint: str | None = None
        self._raw_fingerprint: str | None = None
        self._has_counts = True
        self._counts = self._weighted(counts.corpus)
        warn_zero_weight_only(self._counts)
        posterior = initial(self._counts, self.n_topics, self._rng, alpha, eta, self.inference)
        self._fit = Fit(posterior, seeds[0], learns_alpha, learns_eta)
        if self.modality_weights is None:
            self._read_raw(data)

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

        With ``n_init`` of the model above 1, the first call makes all starts, one after the other, each of ``n_iter`` iterations at most, and keeps the
        one whose bound is the highest at its end; later calls go on with this one. While starts are made the model is the one that runs. Ctrl-C, or
        True from ``callback``, ends the running start, and there are no others; the best so far is kept, be it whole or not. After an exception the next call goes
        on with the running start, and so it does with a model that is loaded from a checkpoint.

        Parameters
        ----------
        n_iter
            Number of iterations, at most. 0 leaves a fit as it is, but for starts that are still to be made.
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
            If ``max_iter_d`` or ``checkpoint_every`` is less than 1, ``n_iter`` too if there was no iteration yet, or ``tol`` negative; if the model was loaded without its data;
            if ``schedule="original"`` meets collapsed inference,
            a prior that is to be learned, or ``smoothing="prior"``.
        TypeError
            If these are no whole numbers.
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
        self._check_sizes(0 if self._fit.iterations else 1, n_iter=n_iter)
        self._check_sizes(max_iter_d=max_iter_d, checkpoint_every=checkpoint_every)
        chosen = self._checked_schedule(schedule)
        schedules.tolerance(tol, "bound")
        watch = Monitor(self, callback, checkpoint, checkpoint_every, "iterations")
        spatial = self._begin(schedule, watch)
        last = self._fit.iterations + n_iter
        with watch, self._posterior.backend:
            ended = self._climb(chosen, max_iter_d, tol, spatial, watch, last)
            while self._starts is not None and self._next_start(self._starts, ended):
                ended = self._climb(chosen, max_iter_d, tol, spatial, watch, last)

    def _begin(self, schedule: str, watch: Monitor) -> SpatialTerm | None:
        """Have counts, precision, weights and the spatial term as a schedule needs them."""
        evidence = self._evidence(schedule)
        if evidence != self._fit.count_scale:
            self._note_counts()
        self._fit.configure(schedules.SCHEDULES[schedule].dtype or self._dtype, self.n_jobs, evidence)
        self._schedule = schedule
        learns = self._learns_from_raw()
        with self._posterior.backend:
            self._learn_weights()
            spatial = self._spatial_term(schedule)
        if learns:
            watch.save()
        return spatial

    def _climb(
        self,
        chosen: schedules.Schedule,
        max_iter_d: int,
        tol: float | str | None,
        spatial: SpatialTerm | None,
        watch: Monitor,
        last: int,
    ) -> bool:
        """Iterate until the fit has settled or has had its ``last`` iteration; return whether the user ended it before."""
        with self._progress(last - self._fit.iterations, "iteration") as bar:
            while self._fit.iterations < last:
                self.converged = chosen.stops and self._fit.has_settled(tol, spatial)
                if self.converged:
                    break
                self._fit.iterate(chosen.plan(self._fit.position, max_iter_d), spatial)
                bar.set_postfix({"ELBO per count": f"{self.elbo[-1] / self.n_counts:.5f}"}, refresh=False)
                bar.update()
                if watch.ends_after(self._fit.iterations):
                    return True
        return False

    def _next_start(self, starts: Starts, ended: bool) -> bool:
        """Begin the start after one that is over; if there is none, or the user wants none, keep the best and return False."""
        more = not ended and starts.number + 1 < self.n_init
        following = self._begun(starts.seeds[starts.number + 1]) if more else None
        best = starts.over(self._fit, self.converged, cut_short=ended)
        if following is not None:
            self._fit = following
            return True
        best.posterior.corpus, best.passes = self._posterior.corpus, starts.passes
        self._fit, self.converged, self._starts = best, starts.converged, None
        if starts.others:
            self.stability = by_topic(stability(self._posterior.lam, starts.others, self._posterior.corpus))
        return False

    def _begun(self, seed: int) -> Fit:
        """A start with another seed, and all else as the running one had it."""
        of, running = self._posterior, self._fit
        alpha = 1 / self.n_topics if running.learns_alpha else of.alpha
        eta = ETA if running.learns_eta else of.eta
        posterior = initial(of.corpus, self.n_topics, generator(seed, Stream.FURTHER_STARTS), alpha, eta, of.family)
        fit = Fit(posterior, seed, running.learns_alpha, running.learns_eta, count_scale=running.count_scale)
        fit.configure(of.corpus.dtype, 1, running.count_scale)
        posterior.backend = of.backend
        return fit

    def _check_sizes(self, least: int = 1, /, **sizes: int) -> None:
        for name, value in sizes.items():
            if not isinstance(value, int | np.integer):
                raise TypeError(f"{name}={value!r}: give a whole number")
            if value < least:
                raise ValueError(f"{name}={value}: it must be at least {least}")
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

    def _learn_weights(self) -> None:
        """Settle what a count of each modality is worth, if that has still to be learned."""
        if self.modality_weights is None:
            learned, passes = learned_weights(self._fit, self._counts, generator(self._fit.start_seed, Stream.WEIGHTS))
            self._fit.passes += passes
            self.modality_weights = dict(zip(self.modalities, learned.tolist(), strict=True))
            self._counts, self._posterior.corpus = map(self._weighted, (self._counts, self._posterior.corpus))
            warn_zero_weight_only(self._posterior.corpus)

    def _spatial_term(self, schedule: str) -> SpatialTerm | None:
        """What neighbours have to do with it: here nothing."""
        return None

    def _evidence(self, schedule: str) -> float:
        """What a unit of the data counts for."""
        return 1.0

    def _progress(self, total: int, unit: str) -> tqdm:
        name = type(self).__name__
        if self._starts is not None:
            name += f", start {self._starts.number + 1} of {self.n_init}"
        return tqdm(total=total, disable=not self.verbose, desc=name, unit=unit)


def _warn_no_raw_counts(data: Data, preparation: Mapping[str, Preparation], counts: Counts) -> None:
    lost = [mod for mod, adata in modalities(data).items() if preparation[mod].steps and "counts" not in adata.layers]
    for mod in lost:
        warn(
            f"modality {mod!r} was prepared by {', '.join(preparation[mod].steps)} and has no layers['counts']: X is fitted as if it were raw, and "
            "mtopic.tl.transform will not prepare new counts; put the raw counts back, or fit mtopic.tl.MTM with raw=False",
        )
    warn_fractions(counts, lost)


def _checked_starts(n_init: int) -> int:
    if not isinstance(n_init, int | np.integer) or n_init < 1:
        raise ValueError(f"n_init={n_init!r}: give a number of starts, 1 or more")
    return int(n_init)


def _weights(given: Mapping[str, float] | str, modalities: list[str]) -> dict[str, float] | None:
    """The weight of each modality; None where they are to be learned."""
    if given not in ("auto", "equal") and not isinstance(given, Mapping):
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
