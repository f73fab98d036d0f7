import os
from collections.abc import Iterator
from itertools import islice
from typing import Literal

import numpy as np

from mtopic._warn import warn
from mtopic.inference import schedule as schedules
from mtopic.inference.batches import batches
from mtopic.inference.spatial import NeighbourPrior, SpatialTerm
from mtopic.inference.stochastic import svi_step

from .model import Model
from .monitor import Callback, Monitor


class Stochastic(Model):
    """A model that is fitted by batches too; `MTM` and `sMTM` are."""

    def SVI(
        self,
        n_batches: int = 100,
        batch_size: int = 100,
        tau: float = 1.0,
        kappa: float = 0.75,
        max_iter_d: int = 100,
        *,
        schedule: Literal["fast", "original"] = "fast",
        tol: float | Literal["auto"] | None = "auto",
        callback: Callback | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 100,
    ) -> None:
        """Fit by stochastic updates from batches of observations, for data of which `VI` takes too long; called again, it goes on.

        Step t moves λ by the rate ρ = (tau + t)^−kappa towards what a batch, taken for the whole data, says. ``"fast"`` begins where `VI`
        does, with signatures found from batches (of twice the topics, which are then merged), unless there are some already; an epoch, in which
        each observation is in one batch, stands for an iteration of `VI`, the first for the ten that explore. At the end an iteration over all
        observations brings ``gamma`` and ``lambda_`` up to date and adds an entry to ``elbo``; where neighbours are the prior, as many as
        the strength needs to come down. Before these they speak from the second epoch on, by the γ that they had last. `VI` goes on where `SVI`
        ends and the other way round. A fit that was cut between two steps and is loaded from its checkpoint ends in the same bits.

        Parameters
        ----------
        n_batches
            Number of steps, at most; an epoch has n_obs / ``batch_size``.
        batch_size
            Observations in a batch; all, if there are fewer.
        tau, kappa
            Delay (0 or more) and exponent (above 0.5, at most 1, for convergence) of the learning rate. In ``"fast"`` the start counts as the
            128 batches that it has, or as those of an epoch if there are fewer, and an iteration of `VI` as those of an epoch.
        max_iter_d
            Cap on the rounds that an observation's topics are iterated for.
        schedule
            ``"fast"``: as above. ``"original"``: the trajectory of the original program, in double precision: batches are drawn with
            replacement and begin anew from random signatures; there is no last iteration, and ``gamma`` of an observation
            is what its last batch gave, 1/K if there was none. For variational inference with fixed priors, without neighbours.
        tol
            ``"fast"`` stops when an epoch's mean log-likelihood of the batches, each by the signatures before its step, differs by less than
            this share of itself from the epoch's before; ``"auto"`` is 1e-4, None runs all ``n_batches``.
        callback
            Called with the model after each step; if it returns True, there is no other.
        checkpoint
            File to `save` the model to, during the fit and at its end; `load_model` reads it. What was there is replaced.
        checkpoint_every
            Number of steps, counted over all calls, from one checkpoint to the next.

        Raises
        ------
        ValueError
            If a parameter is out of range; if the model was loaded without its data; if there are several starts to be made, which `VI` does; if
            ``schedule="original"`` meets what it has not.
        KeyError
            If there is no such schedule.
        OSError
            If the model cannot be saved.

        Warns
        -----
        UserWarning
            If ``kappa`` is 0.5 or less: steps then never become small enough for signatures to settle. After Ctrl-C, which ends the steps; the
            last iteration is still made. A second one is Python's KeyboardInterrupt.

        References
        ----------
        :cite:t:`hoffman2013`

        Examples
        --------
        >>> import mtopic as mt
        >>> model = mt.tl.MTM(mt.datasets.simulate(n_obs=1000), n_topics=5, verbose=False)
        >>> model.SVI(n_batches=20, batch_size=100)
        >>> model.gamma.shape, len(model.elbo)
        ((1000, 5), 1)
        """
        self._check_sizes(
            n_batches=n_batches, batch_size=batch_size, max_iter_d=max_iter_d, checkpoint_every=checkpoint_every
        )
        chosen = self._checked_schedule(schedule)
        if schedule == "original" and self.graph is not None:
            raise ValueError("schedule='original': the original has no SVI with neighbours, fit with schedule='fast'")
        _check_rate(tau, kappa)
        if self._starts is not None:
            raise ValueError(
                f"n_init={self.n_init}: VI makes several starts and SVI has one; call VI first, or fit models with n_init=1 and different seeds"
            )
        schedules.tolerance(tol, "batches")
        watch = Monitor(self, callback, checkpoint, checkpoint_every, "steps")
        spatial = self._begin(schedule, watch)
        with watch, self._posterior.backend, self._progress(n_batches, "batch") as bar:
            if schedule == "original":
                steps = self._steps_of_the_original(batch_size, tau, kappa, max_iter_d)
            else:
                steps = self._steps(chosen, spatial, min(batch_size, len(self.barcodes)), tau, kappa, max_iter_d, tol)
            for _ in islice(steps, n_batches):
                bar.update()
                if watch.ends_after(self._fit.steps):
                    break
            if schedule != "original":
                self._finish(chosen, spatial, max_iter_d)

    def _steps(
        self,
        chosen: schedules.Schedule,
        spatial: SpatialTerm | None,
        size: int,
        tau: float,
        kappa: float,
        max_rounds: int,
        tol: float | str | None,
    ) -> Iterator[None]:
        """Steps from batches without replacement, until what they estimate has settled."""
        fit = self._fit
        fit.begin_batches(size)
        for batch in batches(len(self.barcodes), size, fit.drawn, fit.start_seed):
            self.converged = fit.batches_have_settled(size, tol)
            if self.converged:
                return
            fit.step(chosen.plan(fit.position, max_rounds), batch, fit.rate(size, tau, kappa), spatial)
            yield

    def _finish(self, chosen: schedules.Schedule, spatial: SpatialTerm | None, max_rounds: int) -> None:
        """Iterate over all observations, once, or until neighbours have come down to their strength."""
        self._fit.position = max(schedules.EXPLORE, self._fit.position)
        while True:
            plan = chosen.plan(self._fit.position, max_rounds)
            self._fit.iterate(plan, spatial)
            if plan.descent == 0 or not isinstance(spatial, NeighbourPrior):
                return

    def _steps_of_the_original(self, size: int, tau: float, kappa: float, max_rounds: int) -> Iterator[None]:
        """Steps from batches with replacement."""
        fit = self._fit
        while True:
            batch = self._rng.choice(len(self.barcodes), size)
            rate = (tau + fit.steps + 1) ** -kappa
            gamma, lam, passes = svi_step(fit.posterior, batch, rate, max_rounds, atol=1e-4)
            fit.set_batch(batch, gamma, lam, passes)
            yield


def _check_rate(tau: float, kappa: float) -> None:
    if not 0 <= tau < np.inf or not 0 < kappa <= 1:
        raise ValueError(f"tau={tau}, kappa={kappa}: the rate (tau + t)^-kappa needs tau ≥ 0 and 0 < kappa ≤ 1")
    if kappa <= 0.5:
        warn(f"kappa={kappa}: steps stay too large for signatures ever to settle; take more than 0.5")
