"""Stochastic variational inference: steps from batches of observations."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mtopic._warn import warn
from mtopic.inference import Fit, SpatialTerm
from mtopic.inference import schedule as schedules
from mtopic.inference.stochastic import batches, svi_step

from .run import Run


@dataclass(frozen=True)
class Rate:
    """The learning rate (tau + t)^−kappa."""

    tau: float
    kappa: float

    def check(self) -> None:
        """Refuse a rate that does not fall, and say where it falls too slowly."""
        if not 0 <= self.tau < np.inf or not 0 < self.kappa <= 1:
            raise ValueError(
                f"tau={self.tau}, kappa={self.kappa}: the rate (tau + t)^-kappa needs tau ≥ 0 and 0 < kappa ≤ 1"
            )
        if self.kappa <= 0.5:
            warn(f"kappa={self.kappa}: steps stay too large for signatures ever to settle; take more than 0.5")


def checked_schedule(run: Run, name: str) -> schedules.Schedule:
    """The schedule of this name, if steps can be made by it."""
    chosen = run.checked_schedule(name)
    if name == "original" and run.smoothing.graph is not None:
        raise ValueError("schedule='original': the original has no SVI with neighbours, fit with schedule='fast'")
    if run.starts is not None:
        raise ValueError(
            f"n_init={len(run.starts.seeds)}: VI makes several starts and SVI has one; call VI first, or fit models "
            "with n_init=1 and different seeds"
        )
    return chosen


def steps(
    run: Run,
    chosen: schedules.Schedule,
    spatial: SpatialTerm | None,
    batch_size: int,
    rate: Rate,
    max_rounds: int,
    tol: float | str | None,
) -> Iterator[bool]:
    """Steps from batches; True, and no more, when what they estimate has settled.

    Batches are drawn without replacement, but for the original.
    """
    fit = run.fit
    if run.schedule == "original":
        yield from _of_the_original(fit, run.rng, batch_size, rate, max_rounds)
        return
    n_obs = fit.posterior.corpus.n_obs
    size = min(batch_size, n_obs)
    fit.begin_batches(size)
    for batch in batches(n_obs, size, fit.drawn, fit.start_seed):
        if fit.batches_have_settled(size, tol):
            yield True
            return
        fit.step(chosen.plan(fit.position, max_rounds), batch, fit.rate(size, rate.tau, rate.kappa), spatial)
        yield False


def finish(run: Run, chosen: schedules.Schedule, spatial: SpatialTerm | None, max_rounds: int) -> None:
    """Iterate once over all observations, without momentum, which is of several; the original does not."""
    if run.schedule != "original":
        run.fit.position = max(schedules.EXPLORE, run.fit.position)
        run.fit.iterate(replace(chosen.plan(run.fit.position, max_rounds), momentum=False), spatial)
        run.smooth(spatial)


def _of_the_original(
    fit: Fit, rng: np.random.Generator, batch_size: int, rate: Rate, max_rounds: int
) -> Iterator[bool]:
    """Steps from batches with replacement."""
    n_obs = fit.posterior.corpus.n_obs
    while True:
        batch = rng.choice(n_obs, batch_size)
        step = (rate.tau + fit.steps + 1) ** -rate.kappa
        gamma, lam, passes = svi_step(fit.posterior, batch, step, max_rounds, atol=1e-4)
        fit.set_batch(batch, gamma, lam, passes)
        yield False
