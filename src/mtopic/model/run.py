"""A fit under way: what is learned before it, its iterations, and its starts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mtopic._data.counts import warn_zero_weight_only
from mtopic._data.names import look_up
from mtopic._progress import progress, watched
from mtopic.inference import Corpus, Correction, Double, Fit, SpatialTerm, by_frequency, initial
from mtopic.inference import schedule as schedules
from mtopic.inference.learn.concentration import learned_shares
from mtopic.inference.learn.weights import learned_weights
from mtopic.inference.part import begin_from_part, begins_from_part
from mtopic.inference.random_streams import Stream, generator

from .priors import ETA
from .smoothing import NoSmoothing
from .stability import stability
from .starts import Starts

BEFORE = "priors, weights and strength"
WITHOUT_DATA = "the model was loaded without its data: mtopic.tl.load_model(path, data) goes on with a fit"


@dataclass
class Run:
    """A fit, and all that it needs to go on."""

    fit: Fit
    rng: np.random.Generator
    topics: list[str]
    """Their names."""
    modality_weights: Double | None
    """What a count of each modality is worth; None where it has still to be learned."""
    smoothing: NoSmoothing
    """What neighbours have to do with it."""
    given: Corpus | None
    """The counts as they were given, None in a model without its data."""
    observed: Corpus | None = None
    """The raw counts where those given were prepared, as long as something has to be learned from them."""
    starts: Starts | None = None
    """Starts that are over and still to come, None where there is one."""
    schedule: str = "none"
    """Of the last call."""
    converged: bool = False
    """Whether the last call ended by its stopping rule."""
    stability: Double | None = None
    """How far the topics of other starts are those of this one."""

    def checked_schedule(self, name: str) -> schedules.Schedule:
        """The schedule of this name, if the model can be fitted by it."""
        if self.given is None:
            raise ValueError(WITHOUT_DATA)
        chosen = look_up(schedules.SCHEDULES, name, "schedule", "the schedules")
        if name != "original":
            return chosen
        if self.modality_weights is None or (self.modality_weights != 1).any():
            raise ValueError(
                "schedule='original' takes counts as they are: make the model with modality_weights='equal', or fit "
                "with schedule='fast'"
            )
        learns = self.fit.learns_alpha, self.fit.learns_eta, self.fit.eta_shares is not None
        if self.fit.posterior.family != "variational" or any(learns):
            raise ValueError(
                "schedule='original' is variational with fixed priors: make the model with inference='variational' "
                "and numbers for alpha and eta, or fit with schedule='fast'"
            )
        if self.fit.posterior.effects is not None:
            raise ValueError(
                "schedule='original' knows no effects of batches: make the model with batch_effects=False, or fit with "
                "schedule='fast'"
            )
        return chosen

    def prepare(
        self, name: str, dtype: np.dtype, n_jobs: int, save: Callable[[], None], *, verbose: bool
    ) -> SpatialTerm | None:
        """Have precision, scale, priors, weights and strength as a schedule needs them; return what neighbours do."""
        scale = self.smoothing.count_scale(name)
        self.fit.configure(schedules.SCHEDULES[name].dtype or dtype, n_jobs, scale)
        self.schedule = name
        unknown = {
            self._learn_eta: self.fit.eta_shares == [],
            self._learn_weights: self.modality_weights is None,
            self._learn_strength: self.smoothing.learns(name),
        }
        shows = verbose and any(unknown.values())
        with self.fit.posterior.backend as backend, watched(backend, None, BEFORE, "row", verbose=shows):
            for learn, is_unknown in unknown.items():
                if is_unknown:
                    learn()
        if any(unknown.values()):
            save()
        if not self.learns_from_observed():
            self.observed = None
        return self.smoothing.term(name)

    def discard_counts(self) -> None:
        """Be as one that was loaded without its data, and remove a working copy of the counts."""
        of = self.fit.posterior.corpus
        sums = of.totals, of.by_modality
        self.fit.posterior.corpus = Corpus.without_counts(of.dtype, of.offsets, of.weights, *sums, of.measured_sets)
        for corpus in (self.given, self.observed):
            if corpus is not None:
                corpus.remove_files()
        self.given = self.observed = None

    def learns_from_observed(self) -> bool:
        """Whether something is still to be learned from the counts as they were observed."""
        return self.fit.eta_shares == [] or self.modality_weights is None or self.smoothing.learns()

    def as_observed(self) -> Corpus:
        """The counts as they were observed."""
        found = self.observed or self.given
        if found is None:
            raise ValueError(WITHOUT_DATA)
        return found

    def climb(
        self,
        chosen: schedules.Schedule,
        max_rounds: int,
        tol: float | str | None,
        spatial: SpatialTerm | None,
        last: int,
        after: Callable[[], bool],
    ) -> bool:
        """Iterate until topics move little, or to the ``last`` iteration; return whether ``after`` ended it."""
        while self.fit.iterations < last:
            self.converged = chosen.stops and self.fit.has_settled(tol)
            if self.converged:
                break
            self.fit.iterate(chosen.plan(self.fit.position, max_rounds), spatial)
            if after():
                return True
        return False

    def begin_from_part(
        self,
        chosen: schedules.Schedule,
        max_rounds: int,
        spatial: SpatialTerm | None,
        ends: Callable[[], bool],
        *,
        verbose: bool,
    ) -> bool:
        """Have the signatures of a fit to part of the observations, if they are many and there are none yet."""
        if not chosen.stops or isinstance(spatial, Correction) or not begins_from_part(self.fit):
            return False
        with progress(None, "part of the observations", "iteration", verbose=verbose) as bar:

            def after() -> bool:
                bar.update()
                return ends()

            begin_from_part(self.fit, max_rounds, spatial, after)
        return True

    def smooth(self, spatial: SpatialTerm | None) -> None:
        """Have topics beside neighbours where these are the prior."""
        if not isinstance(spatial, Correction):
            self.fit.smooth(spatial)

    def next_start(self, ended: bool) -> bool:
        """Begin the start after one that is over; if there is none, or the user wants none, keep the best."""
        starts = self.starts
        if starts is None:
            return False
        more = not ended and starts.number + 1 < len(starts.seeds)
        following = self._begun(starts.seeds[starts.number + 1]) if more else None
        best = starts.over(self.fit, self.converged, cut_short=ended)
        if following is not None:
            self.fit = following
            return True
        corpus = self.fit.posterior.corpus
        best.posterior.corpus, best.passes = corpus, starts.passes
        self.fit, self.converged, self.starts = best, starts.converged, None
        if starts.others:
            self.stability = stability(best.posterior.lam, starts.others, corpus)
        return False

    def _learn_eta(self) -> None:
        of, rng = self.fit.posterior, generator(self.fit.start_seed, Stream.CONCENTRATION)
        shares, passes = learned_shares(self.fit, self.as_observed(), rng)
        of.eta, self.fit.eta_shares = by_frequency(of.corpus, shares, of.n_topics), shares.tolist()
        self.fit.passes += passes

    def _learn_weights(self) -> None:
        of, rng = self.fit.posterior, generator(self.fit.start_seed, Stream.WEIGHTS)
        self.modality_weights, passes = learned_weights(self.fit, self.as_observed(), rng)
        self.fit.passes += passes
        of.corpus = weighted(of.corpus, self.modality_weights)
        self.given = self.given and weighted(self.given, self.modality_weights)
        self.observed = self.observed and weighted(self.observed, self.modality_weights)
        warn_zero_weight_only(of.corpus)

    def _learn_strength(self) -> None:
        rng = generator(self.fit.start_seed, Stream.STRENGTH)
        self.smoothing, lam, passes = self.smoothing.learned(self.fit, self.as_observed(), rng)
        self.fit.set_start(lam, passes)

    def _begun(self, seed: int) -> Fit:
        """A start with another seed, and all else as the running one had it."""
        of, running = self.fit.posterior, self.fit
        alpha = 1 / of.n_topics if running.learns_alpha else of.alpha
        eta = ETA if running.learns_eta else of.eta
        rng, effects = generator(seed, Stream.FURTHER_STARTS), of.effects is not None
        posterior = initial(of.corpus, of.n_topics, rng, alpha, eta, of.family, effects=effects, guide=of.guide)
        learns = running.learns_alpha, running.learns_eta, running.eta_shares
        fit = Fit(posterior, seed, *learns, count_scale=running.count_scale)
        fit.configure(of.corpus.dtype, 1, running.count_scale)
        posterior.backend = of.backend
        return fit


def weighted(corpus: Corpus, weights: Double | None) -> Corpus:
    """The counts with these weights, if they are known and not all the same."""
    return corpus if weights is None or (weights == 1).all() else corpus.with_weights(weights)
