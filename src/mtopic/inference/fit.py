"""A fit under way: the posterior, its spatial term, and what an iteration makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import priors, schedule
from .alignment import aligned
from .backend import Array
from .batch_effects import BatchEffects
from .cluster import backend
from .corpus import Corpus
from .frequency_prior import by_frequency, guide_of
from .guide import Guide
from .momentum import Momentum
from .posterior import Posterior, initial
from .spatial import Correction, NeighbourPrior, SpatialTerm
from .stochastic import STEPS, initial_signatures, natural_gradient_step

TRACES, OF_THE_POSTERIOR = ("elbo", "changes", "estimates"), ("alpha", "eta", "family")
ROUNDS_WITH_MOMENTUM = 3
"""Of an E-step, which momentum goes on with in the next; more of them are more work to the same end."""
ROUNDS_OF_ALL, TOLERANCE_OF_ALL = 60, 3e-4
"""Of the E-step under signatures of a part: proportions must fit these before they are updated, or else they blur."""
BEFORE = "gamma_before", "lambda_before"

State: TypeAlias = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""All but the counts: numbers and names, and arrays."""


@dataclass
class Fit:
    """A posterior and the trace of its iterations: the whole state of a fit, so that it can go on at any time."""

    posterior: Posterior
    start_seed: int
    """Of the start from batches."""
    learns_alpha: bool
    """Unless neighbours are the prior."""
    learns_eta: bool
    eta_shares: list[float] | None = None
    """Of modalities, whose η is `by_frequency`; empty before they are learned, None where η is otherwise."""
    elbo: list[float] = field(default_factory=list)
    """The bound after each iteration, under the prior that its E-step had."""
    changes: list[float] = field(default_factory=list)
    """Mean total variation between θ of an iteration and of the one before."""
    estimates: list[float] = field(default_factory=list)
    """Of the log-likelihood of all counts, from each batch."""
    passes: float = 0.0
    """Work so far, in passes over all non-zeros and topics."""
    iterations: int = 0
    position: int = 0
    """Where the fit is in its schedule: iterations, and what epochs of batches have stood in for."""
    steps: int = 0
    """Number of batches."""
    drawn: int = 0
    """Number of observations that have been in batches drawn without replacement."""
    refined: int = 0
    """Number of iterations since the last that began anew, or the last batch."""
    started: bool = False
    """Whether the posterior has seen the data."""
    count_scale: float = 1.0
    """The corpus of the posterior has the counts given times this."""

    def __post_init__(self) -> None:
        self._own = self.posterior.gamma  # before neighbours correct or smooth it
        self._momentum = Momentum()

    def state(self) -> State:
        """All but the counts, for `from_state`."""
        of = self.posterior
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "posterior"}
        plain |= {name: getattr(of, name) for name in OF_THE_POSTERIOR}
        plain |= {"momentum": self._momentum.t, "corrected": self._own is not of.gamma}
        arrays = {"gamma": of.gamma, "lambda": of.lam} | {name: np.array(plain.pop(name)) for name in TRACES}
        arrays |= {name: plain.pop(name) for name in ("alpha", "eta") if isinstance(plain[name], np.ndarray)}
        if of.effects is not None:
            arrays |= {"effects/factors": of.effects.factors, "effects/strengths": of.effects.strengths}
        if of.guide is not None:
            arrays |= {f"guide/{one.name}": getattr(of.guide, one.name) for one in fields(Guide)}
        if plain["corrected"]:
            arrays["gamma_uncorrected"] = self._own
        if self._momentum.before is not None:
            arrays |= dict(zip(BEFORE, self._momentum.before, strict=True))
        return plain, arrays

    @classmethod
    def from_state(cls, corpus: Corpus, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The fit with this `state`."""
        known: dict[str, Any] = {"count_scale": plain.get("evidence"), "eta_shares": None}  # of earlier versions
        known |= {**arrays, **plain}
        known |= {name: arrays[name].tolist() for name in TRACES}
        of = (known[name] for name in ("gamma", "lambda", *OF_THE_POSTERIOR))
        posterior = Posterior(corpus, *of)
        if "effects/factors" in arrays:
            posterior.effects = BatchEffects(arrays["effects/factors"], arrays["effects/strengths"])
        if "guide/mean" in arrays:
            posterior.guide = Guide(*(arrays[f"guide/{one.name}"] for one in fields(Guide)))
        known["posterior"] = posterior
        fit = cls(**{one.name: known[one.name] for one in fields(cls)})
        corrected, t = "gamma_uncorrected" in arrays, plain.get("momentum", 1.0)  # as files of earlier versions have it
        fit._own = arrays["gamma_uncorrected"] if plain.get("corrected", corrected) else fit.posterior.gamma
        fit._momentum = Momentum() if t == 1 else Momentum(t, (arrays[BEFORE[0]], arrays[BEFORE[1]]))
        return fit

    def configure(self, dtype: np.dtype, n_jobs: int, count_scale: float = 1.0) -> None:
        """Bring the posterior to the precision, threads and scale of counts of the iterations that follow."""
        posterior = self.posterior
        posterior.backend = backend(n_jobs)
        posterior.corpus = posterior.corpus.astype(dtype).scaled(count_scale / self.count_scale)
        posterior.guide = posterior.guide and posterior.guide.scaled(count_scale / self.count_scale)
        posterior.update(posterior.gamma.astype(dtype, copy=False), posterior.lam.astype(dtype, copy=False))
        self._own = self._own.astype(dtype, copy=False)
        self._momentum = self._momentum.astype(dtype) if count_scale == self.count_scale else Momentum()
        self.count_scale = count_scale

    def begun(self, counts: Corpus, rng: np.random.Generator) -> Posterior:
        """The posterior of other counts under the same priors, which has not seen them."""
        of, n_topics = self.posterior, self.posterior.n_topics
        eta = by_frequency(counts, self.eta_shares, n_topics) if self.eta_shares else of.eta
        begun = initial(counts, n_topics, rng, of.alpha, eta, of.family, effects=of.effects is not None)
        begun.guide = guide_of(counts, of.guide, n_topics)
        return begun

    def set_start(self, lam: Array | None, passes: float) -> None:
        """Start from λ that was found elsewhere, if any, unless the posterior has seen the data; and note the work."""
        self.passes += passes
        if lam is not None and not self.started:
            self.posterior.update(self.posterior.gamma, lam)
            self.started = True

    def begin_at(self, other: "Fit", share: float, max_rounds: int) -> None:
        """Go on, refining, from the signatures and learned priors of a fit to this share of the counts."""
        now = replace(self.posterior, lam=other.posterior.lam, effects=other.posterior.effects)
        if self.learns_alpha:
            now.alpha = other.posterior.alpha
        if self.learns_eta:
            now.eta = other.posterior.eta
        rounds = min(max_rounds, ROUNDS_OF_ALL)
        now.gamma, passes = now.e_step(np.ones_like(now.gamma), rounds, rtol=TOLERANCE_OF_ALL)
        self.posterior, self._own = now, now.gamma
        self.passes += other.passes * share + passes
        self.position, self.started = schedule.EXPLORE + 1, True

    def iterate(self, plan: schedule.Plan, spatial: SpatialTerm | None) -> None:
        """One E-step and one M-step; the state changes all at once at the end.

        Priors are not learned while topics part: topics that are alike ask for a large α, under which they stay alike.
        A prior from neighbours has no part in it but that α is not learned: it is for `smooth`.
        """
        now, passes = replace(self.posterior), 0.0
        if not isinstance(spatial, Correction):
            now.gamma = self._own
        if plan.start and not self.started:
            lam, passes = initial_signatures(now, np.random.default_rng(self.start_seed))
            now = replace(now, lam=lam)
        if plan.align:
            now, done = aligned(now, self.start_seed)
            passes += done
        moves = plan.momentum and not isinstance(spatial, Correction)
        if moves:
            plan = replace(plan, rounds=min(plan.rounds, ROUNDS_WITH_MOMENTUM))
        momentum = self._momentum if moves else Momentum()
        ahead = momentum.ahead(now)
        after, own, bound, work = self._updated(plan, ahead, spatial)
        passes += work
        if ahead is not now and bound < self.elbo[-1]:
            momentum = Momentum()
            after, own, bound, work = self._updated(plan, now, spatial)
            passes += work
        change = after.backend.total_variation(after.gamma, now.gamma)
        if self.learns_alpha and not plan.explore and not isinstance(spatial, NeighbourPrior):
            after.alpha = after.learned_alpha()
        if self.learns_eta and not plan.explore:
            after.eta = after.learned_eta()
        self._momentum = momentum.after(now) if moves else Momentum()
        self._commit(plan, after, own, bound, change, passes)

    def smooth(self, prior: NeighbourPrior | None) -> None:
        """Have γ beside neighbours, if there are any; `iterate` goes on without."""
        gamma = self._own if prior is None else prior.smoothed(self._own, self.posterior.corpus.totals)
        self.posterior = replace(self.posterior, gamma=gamma)

    def begin_batches(self, size: int) -> None:
        """Have signatures to begin with, found from batches of ``size`` too, and γ that `step` may change in place."""
        self.posterior.gamma = self._own = self._own.copy()
        self._momentum = Momentum()
        if not self.started:
            rng = np.random.default_rng(self.start_seed)
            self.set_start(*initial_signatures(self.posterior, rng, largest=size))

    def step(self, plan: schedule.Plan, batch: NDArray[np.integer], rate: float, spatial: SpatialTerm | None) -> None:
        """Move λ, and priors that are learned, by ``rate`` towards what a batch implies; its γ is changed in place.

        An E-step as that of the iteration that ``plan`` is made for, of the batch alone.
        """
        of = self.posterior
        start = np.ones_like(of.gamma[batch]) if plan.cold else of.gamma[batch]
        family = "collapsed" if plan.explore else of.family
        sample = replace(of, corpus=of.corpus.part(batch), gamma=start, family=family)
        sample.gamma, rounds = sample.e_step(start, plan.rounds, atol=plan.atol, rtol=plan.rtol)
        after = replace(of, lam=natural_gradient_step(sample, rate, of.corpus.n_obs))
        if self.learns_alpha and not plan.explore and not isinstance(spatial, NeighbourPrior):
            after.alpha = float(priors.symmetric(of.alpha) ** (1 - rate) * sample.learned_alpha() ** rate)
        if self.learns_eta and not plan.explore:
            after.eta = after.learned_eta()
        likelihood = float((sample.log_likelihood(sample.corpus) @ sample.corpus.modality_weights).sum())
        share = sample.corpus.nnz / max(1, of.corpus.nnz)
        self._commit_step(batch, after, sample.gamma, likelihood, (rounds + 2) * share)

    def set_batch(self, batch: NDArray[np.integer], gamma: Array, lam: Array, passes: float) -> None:
        """Set γ of a batch and λ that were found elsewhere."""
        known = self.posterior.gamma.copy()
        known[batch] = gamma
        self.posterior.update(known, lam)
        self._own = known
        self.passes += passes
        self.started = True
        self.steps += 1

    def rate(self, size: int, tau: float, kappa: float) -> float:
        """(tau + t)^−kappa for the next batch, where the start and iterations count as batches."""
        per_epoch = self.posterior.corpus.n_obs / size
        return float((tau + min(STEPS, per_epoch) + self.drawn / size + self.iterations * per_epoch + 1) ** -kappa)

    def batches_have_settled(self, size: int, tol: float | str | None) -> bool:
        """Whether another epoch of batches of ``size`` would change little; asked where one ends."""
        n_obs = self.posterior.corpus.n_obs
        at_an_end = self.drawn >= n_obs and self.drawn % n_obs < size
        per_epoch, tolerance = max(1, round(n_obs / size)), schedule.tolerance(tol, "batches")
        return at_an_end and schedule.batches_have_settled(self.estimates, per_epoch, tolerance)

    def has_settled(self, tol: float | str | None) -> bool:
        """Whether more iterations would change the proportions little."""
        return schedule.proportions_have_settled(self.changes, self.refined, schedule.tolerance(tol, "proportions"))

    def _updated(
        self, plan: schedule.Plan, now: Posterior, spatial: SpatialTerm | None
    ) -> tuple[Posterior, Array, float, float]:
        """The posterior one E-step and one M-step after ``now``, its γ uncorrected, the bound, and the work."""
        explorer = replace(now, family="collapsed") if plan.explore else now
        start = now.gamma if not isinstance(spatial, Correction) else self._own
        start = np.ones_like(start) if plan.cold else start
        own, rounds = explorer.e_step(start, plan.rounds, atol=plan.atol, rtol=plan.rtol)
        gamma = own
        if isinstance(spatial, Correction):
            known = own if plan.start else now.gamma  # nothing is known of the neighbours before the first E-step
            gamma = spatial(own, known, now.backend, isolated=plan.isolated)
        lam, observed, effects = explorer.m_step(gamma, now.family)
        after = replace(now, gamma=gamma, lam=lam, effects=effects)
        return after, own, after.bound(observed), rounds + 1

    def _commit(
        self, plan: schedule.Plan, after: Posterior, own: Array, bound: float, change: float, passes: float
    ) -> None:
        self.posterior, self._own = after, own
        self.elbo.append(bound)
        self.changes.append(change)
        self.passes += passes
        self.started = True
        self.iterations += 1
        self.position += 1
        self.refined = 0 if plan.cold or plan.explore else self.refined + 1

    def _commit_step(
        self, batch: NDArray[np.integer], after: Posterior, gamma: Array, likelihood: float, passes: float
    ) -> None:
        n_obs, epoch = after.corpus.n_obs, self.drawn // after.corpus.n_obs
        after.gamma[batch] = gamma
        self.posterior = after
        self.estimates.append(likelihood * n_obs / len(batch))
        self.passes += passes
        self.steps += 1
        self.drawn += len(batch)
        self.refined = 0
        if self.drawn // n_obs > epoch:
            self._end_epoch()

    def _end_epoch(self) -> None:
        """Go on in the schedule; the first two epochs, which stand for exploring, end with topics aligned."""
        if self.position <= schedule.EXPLORE:
            self.posterior, passes = aligned(self.posterior, self.start_seed)
            self._own = self.posterior.gamma
            self.passes += passes
        self.position = max(schedule.EXPLORE, self.position + 1)
