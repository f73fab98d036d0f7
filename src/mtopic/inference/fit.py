"""A fit under way: the posterior, its spatial term, and what an iteration makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import reductions, schedule
from .corpus import Corpus
from .execution import Array, Threads
from .posterior import Posterior
from .spatial import Correction, NeighbourPrior, SpatialTerm
from .stochastic import overcomplete_start

ROUNDS_BESIDE_NEIGHBOURS = 3
NUMBERS = ("start_seed", "learns_alpha", "learns_eta", "passes", "iterations", "refined", "started", "evidence")
OF_THE_POSTERIOR = ("alpha", "eta", "family")


@dataclass
class Fit:
    """A posterior and the trace of the iterations that made it; the whole state of a fit, so that it can go on at any time.

    Parameters
    ----------
    posterior
        Where the fit stands.
    start_seed
        Seed of the start from batches.
    learns_alpha, learns_eta
        Whether the priors are learned; α is not where neighbours are the prior.
    elbo
        The bound after each iteration, under the prior that its E-step had.
    changes
        Mean total variation between θ of an iteration and of the one before.
    passes
        Work so far, in passes over all non-zeros and topics.
    iterations
        Their number.
    refined
        Number of iterations since the last that began anew.
    started
        Whether the posterior has seen the data.
    evidence
        What a unit of the data given counts for in the posterior's corpus.
    """

    posterior: Posterior
    start_seed: int
    learns_alpha: bool
    learns_eta: bool
    elbo: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    passes: float = 0.0
    iterations: int = 0
    refined: int = 0
    started: bool = False
    evidence: float = 1.0

    def __post_init__(self) -> None:
        self._uncorrected = self.posterior.gamma

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """All but the counts: numbers and names, and arrays."""
        of = self.posterior
        plain = {name: getattr(self, name) for name in NUMBERS} | {name: getattr(of, name) for name in OF_THE_POSTERIOR}
        arrays = {"gamma": of.gamma, "lambda": of.lam, "elbo": np.array(self.elbo), "changes": np.array(self.changes)}
        arrays |= {name: plain.pop(name) for name in ("alpha", "eta") if isinstance(plain[name], np.ndarray)}
        if self._uncorrected is not of.gamma:
            arrays["gamma_uncorrected"] = self._uncorrected
        return plain, arrays

    @classmethod
    def from_state(cls, corpus: Corpus, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The fit with this `state`."""
        gamma, lam = arrays["gamma"], arrays["lambda"]
        of: dict[str, Any] = {name: plain[name] if name in plain else arrays[name] for name in OF_THE_POSTERIOR}
        posterior = Posterior(corpus, gamma, lam, **of)
        traces = {name: arrays[name].tolist() for name in ("elbo", "changes")}
        fit = cls(posterior, **{name: plain[name] for name in NUMBERS}, **traces)
        fit._uncorrected = arrays.get("gamma_uncorrected", gamma)
        return fit

    def begin(self, dtype: np.dtype, n_jobs: int, evidence: float = 1.0) -> None:
        """Bring the posterior to the precision, the threads and the scale of the counts of the iterations that follow."""
        posterior = self.posterior
        posterior.threads = Threads(n_jobs)
        posterior.corpus = posterior.corpus.astype(dtype).scaled(evidence / self.evidence)
        posterior.update(posterior.gamma.astype(dtype, copy=False), posterior.lam.astype(dtype, copy=False))
        self._uncorrected = self._uncorrected.astype(dtype, copy=False)
        self.evidence = evidence

    def take_start(self, lam: Array | None, passes: float) -> None:
        """Take λ that was found elsewhere as the start, unless there is none or the posterior has seen the data; and note the work."""
        self.passes += passes
        if lam is not None and not self.started:
            self.posterior.update(self.posterior.gamma, lam)
            self.started = True

    def iterate(self, plan: schedule.Plan, spatial: SpatialTerm | None) -> None:
        """One E-step and one M-step; what they find is taken all at once at the end."""
        now, passes = replace(self.posterior, pseudocounts=None), 0.0
        if plan.start and not self.started:
            lam, passes = overcomplete_start(now, np.random.default_rng(self.start_seed))
            now = replace(now, lam=lam)
        if isinstance(spatial, NeighbourPrior) and not plan.explore:
            now = replace(now, pseudocounts=spatial(now.gamma, now.corpus.totals, now.threads, descent=plan.descent))
        explorer = replace(now, family="collapsed") if plan.explore else now
        start = np.ones_like(now.gamma) if plan.cold else self._uncorrected
        few = now.pseudocounts is not None and not plan.cold
        most = min(plan.rounds, ROUNDS_BESIDE_NEIGHBOURS) if few else plan.rounds
        uncorrected, rounds = explorer.e_step(start, most, atol=plan.atol, rtol=plan.rtol)
        gamma = uncorrected
        if isinstance(spatial, Correction):
            known = gamma if plan.start else now.gamma  # nothing is known of the neighbours before the first E-step
            gamma = spatial(gamma, known, now.threads, isolated=plan.isolated)
        lam, observed = explorer.m_step(gamma, now.family)
        after = replace(now, gamma=gamma, lam=lam)
        bound = after.bound(observed)
        change = after.threads.sum(reductions.total_variation, gamma, now.gamma) / len(gamma)
        if self.learns_alpha and not isinstance(spatial, NeighbourPrior):
            after.alpha = after.learned_alpha()
        if self.learns_eta:
            after.eta = after.learned_eta()
        self._take(plan, after, uncorrected, bound, change, passes + rounds + 1)

    def has_settled(self, tol: float | str | None, spatial: SpatialTerm | None) -> bool:
        """Whether more iterations would change little: of the proportions under a prior from neighbours, else of the bound."""
        if isinstance(spatial, NeighbourPrior):
            return schedule.proportions_have_settled(self.changes, self.refined, schedule.tolerance(tol, "proportions"))
        return schedule.bound_has_settled(self.elbo, self.refined, schedule.tolerance(tol, "bound"))

    def _take(
        self, plan: schedule.Plan, after: Posterior, uncorrected: Array, bound: float, change: float, passes: float
    ) -> None:
        self.posterior, self._uncorrected = after, uncorrected
        self.elbo.append(bound)
        self.changes.append(change)
        self.passes += passes
        self.started = True
        self.iterations += 1
        self.refined = 0 if plan.cold or plan.explore else self.refined + 1
