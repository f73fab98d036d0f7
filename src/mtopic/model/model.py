"""A topic model of one data set, and how its fit goes on."""

import os
from itertools import islice
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from mtopic._api import public
from mtopic._check import at_least
from mtopic._data import Data
from mtopic._data.counts import Counts
from mtopic._data.graph import Graph
from mtopic._data.modality_shares import modality_shares
from mtopic._data.preparation import Preparation
from mtopic.inference import schedule as schedules

from . import file, state, summary, svi
from .batch_effects import as_tables
from .begin import begin
from .guide import with_guide
from .guided import guided
from .monitor import Callback, Monitor
from .priors import eta_by_modality
from .settings import Settings


class Model:
    """A topic model of all modalities of one data set; `MTM` and `sMTM` are its public faces."""

    def __init__(self, data: Data, settings: Settings) -> None:
        options = settings.digest()  # before a generator is drawn from
        counts, self._run = begin(data, settings)
        self.asked: str | None = with_guide(options, self._run.topics, self._run.fit.posterior.guide)
        self._set(settings, counts)
        self.interrupted = False
        self._digests: dict[str, str | None] = {}

    @property
    def alpha(self) -> float | NDArray[np.float64]:
        """Prior of the topic proportions, a number or one for each topic: as given, or as learned so far."""
        return self._run.fit.posterior.alpha

    @property
    def eta(self) -> float | dict[str, float | NDArray[np.float64]]:
        """Prior of the signatures, a number or by modality: as given, or as learned so far."""
        return eta_by_modality(self._run.fit.posterior.eta, self.features)

    @property
    def gamma(self) -> NDArray[np.floating]:
        """γ, observations × topics: Dirichlet parameters of the topic proportions."""
        return self._run.fit.posterior.gamma

    @property
    def lambda_(self) -> dict[str, NDArray[np.floating]]:
        """λ, topics × features of each modality: Dirichlet parameters of the signatures."""
        of = self._run.fit.posterior
        return {mod: of.lam[block].T for mod, block in zip(self.modalities, of.corpus.blocks, strict=True)}

    @property
    def batch_factors(self) -> dict[str, pd.DataFrame] | None:
        """How much more of each feature a batch reads, features × batches of each modality; None without effects."""
        of = self._run.fit.posterior
        return None if of.effects is None else as_tables(of.effects.factors, of.corpus, self.features, self.batches)

    @property
    def topics(self) -> pd.Index:
        """Names of the topics."""
        return pd.Index(self._run.topics)

    @property
    def guides(self) -> pd.DataFrame | None:
        """How far each guided topic has stayed with its guide; None without a guide, and before the fit."""
        return guided(self._run.fit.posterior, self._run.topics, self.modalities) if self.fitted else None

    @property
    def graph(self) -> Graph | None:
        """The neighbour graph, None without neighbours."""
        return self._run.smoothing.graph

    @property
    def strength(self) -> float | None:
        """Weight of the neighbours, None before it is learned and without neighbours."""
        return self._run.smoothing.strength

    @property
    def n_counts(self) -> float:
        """Count units that the model is fitted to."""
        return float(self._run.fit.posterior.corpus.totals.sum())

    @property
    def modality_weights(self) -> dict[str, float] | None:
        """The weight of each modality, None where they are still to be learned."""
        weights = self._run.modality_weights
        return None if weights is None else dict(zip(self.modalities, weights.tolist(), strict=True))

    @property
    def converged(self) -> bool:
        """Whether the last `VI` or `SVI` ended by its stopping rule, ``tol``."""
        return self._run.converged

    @property
    def stability(self) -> pd.Series | None:
        """How far the topics of other starts are those of this one, None without other starts."""
        values = self._run.stability
        return None if values is None else pd.Series(values, self.topics, name="stability")

    @property
    def elbo(self) -> list[float]:
        """What the fit climbs, in nats, after each iteration of `VI` and at the end of each `SVI`."""
        return self._run.fit.elbo

    @property
    def passes(self) -> float:
        """Work so far: non-zeros × rounds × share of the topics alive, over non-zeros × topics."""
        return self._run.fit.passes

    @property
    def fitted(self) -> bool:
        """Whether the posterior has seen the data."""
        return self._run.fit.iterations > 0 or self._run.fit.steps > 0

    def modality_shares(self) -> pd.DataFrame:
        """Share of each modality in the evidence on each observation, observations × modalities; NaN without any."""
        totals = pd.DataFrame(self._run.fit.posterior.corpus.by_modality, self.barcodes, self.modalities)
        return modality_shares(totals, self.modality_weights or {})

    def params(self) -> dict[str, Any]:
        """What the fit was made with, in types that HDF5 can hold."""
        return summary.params(self).as_dict()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the model to an HDF5 file, from which `load_model` makes it again, to the bit.

        The file holds all but the counts, and a digest by which these are known again. It is written beside its target
        and then put in its place: a save that fails, or is killed, leaves a file that was there before as it was.

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
        file.write(path, state.of(self))

    @public
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

        Every iteration is one pass over all observations (E-step) and one update of the signatures (M-step), after
        which the objective is appended to ``elbo``. ``VI(a)`` and then ``VI(b)`` give the same bits as ``VI(a + b)``,
        also if the model is saved after the first and loaded before the second. Ctrl-C ends a fit after the running
        iteration, with a warning; a second one ends it at once, with KeyboardInterrupt. Either way, the model is as its
        last whole iteration made it. Where neighbours are the prior, ``gamma`` is without them while iterations go on,
        and beside them when the call has ended; the bound is that without.

        With ``n_init`` of the model above 1, the first call makes all starts, one after the other, each of ``n_iter``
        iterations at most, and keeps the one with the highest bound at its end; later calls go on with this one. While
        starts are made, the model is the one that runs. Ctrl-C, or True from ``callback``, ends the running start, and
        there are no others; the best so far is kept, whole or not. After an exception, the next call goes on with the
        running start; so does a model that is loaded from a checkpoint.

        {Parameters n_iter}
            0 leaves a fit as it is, except for starts that are still to be made.
        {max_iter_d}
        schedule
            ``"fast"``: signatures are found from batches of observations with twice the topics, which are then merged;
            10 iterations of collapsed updates explore; from there on the updates are the model's own, few rounds from
            the last state, and with momentum. 30,000 observations or more first go through all of this with a random
            tenth of them, which ``n_iter`` does not count, and refine from there. ``"original"``: the trajectory of
            the original program, in double precision (of counts read at ``dtype``), which never stops early. For
            variational inference with fixed priors.
        {tol:proportions callback checkpoint checkpoint_every}

        {Raises KeyError:schedule OSError:save}
        ValueError
            If ``max_iter_d`` or ``checkpoint_every`` is less than 1, ``n_iter`` too if there was no iteration yet, or
            ``tol`` is negative; if the model was loaded without its data; if ``schedule="original"`` meets collapsed
            inference, a prior that is to be learned, or ``smoothing="prior"``.
        TypeError
            If these are no whole numbers.

        {Examples:data}
        >>> model = mt.tl.MTM(mdata, n_topics=3, verbose=False)
        >>> model.VI(n_iter=10)
        >>> len(model.elbo)
        10
        """
        at_least(0 if self._run.fit.iterations else 1, n_iter=n_iter)
        at_least(1, max_iter_d=max_iter_d, checkpoint_every=checkpoint_every)
        chosen = self._run.checked_schedule(schedule)
        schedules.tolerance(tol, "proportions")
        monitor = Monitor(self, callback, checkpoint, checkpoint_every, "iterations")
        spatial = self._run.prepare(schedule, self._settings.precision, self.n_jobs, monitor.save, verbose=self.verbose)
        last = self._run.fit.iterations + n_iter

        def climb() -> bool:
            how = chosen, max_iter_d, spatial
            if self._run.begin_from_part(*how, lambda: self.interrupted, verbose=self.verbose):
                monitor.save()
            with self._progress(last - self._run.fit.iterations, "iteration") as bar:

                def after() -> bool:
                    bar.set_postfix({"ELBO per count": f"{self.elbo[-1] / self.n_counts:.5f}"}, refresh=False)
                    bar.update()
                    return monitor.ends_after(self._run.fit.iterations)

                return self._run.climb(chosen, max_iter_d, tol, spatial, last, after)

        with monitor, self._run.fit.posterior.backend:
            while self._run.next_start(climb()):
                pass
            self._run.smooth(spatial)

    @public
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
        """Fit by stochastic updates from batches of observations, where `VI` takes too long; called again, it goes on.

        Step t moves λ by the rate ρ = (tau + t)^−kappa towards its estimate from a batch, taken for the whole data
        :cite:p:`hoffman2013`. ``"fast"`` begins where `VI` does, with signatures found from batches (of twice the
        topics, which are then merged), unless there are some already. An epoch, in which each observation is in one
        batch, stands for an iteration of `VI`, the first for the ten that explore. At the end, an iteration over all
        observations brings ``gamma`` and ``lambda_`` up to date and adds an entry to ``elbo``; where neighbours are the
        prior, they take part after it. `VI` goes on where `SVI` ends and the other way round. A fit that was cut
        between two steps and is loaded from its checkpoint ends in the same bits.

        Parameters
        ----------
        n_batches
            Number of steps, at most; an epoch has n_obs / ``batch_size``.
        batch_size
            Observations in a batch; all, if there are fewer.
        tau, kappa
            Delay (0 or more) and exponent (above 0.5, at most 1, for convergence) of the learning rate. In ``"fast"``
            the start counts as the 128 batches that it has, or as those of an epoch if there are fewer, and an
            iteration of `VI` as those of an epoch.
        {max_iter_d}
        schedule
            ``"fast"``: as above. ``"original"``: the trajectory of the original program, in double precision: batches
            are drawn with replacement and begin anew from random signatures; there is no last iteration, and ``gamma``
            of an observation is what its last batch gave, 1/K if there was none. For variational inference with fixed
            priors, without neighbours.
        tol
            ``"fast"`` stops when an epoch's mean log-likelihood of the batches, each by the signatures before its step,
            differs by less than this share of itself from that of the epoch before; ``"auto"`` is 1e-4, None runs all
            ``n_batches``.
        {callback checkpoint checkpoint_every}

        {Raises KeyError:schedule OSError:save}
        ValueError
            If a parameter is out of range; if the model was loaded without its data; if several starts are to be made,
            which `VI` does; if ``schedule="original"`` is combined with options that it lacks.

        Warns
        -----
        UserWarning
            If ``kappa`` is 0.5 or less: steps then never become small enough for signatures to settle. After Ctrl-C,
            which ends the steps; the last iteration is still made. A second one is Python's KeyboardInterrupt.

        Examples
        --------
        >>> import mtopic as mt
        >>> model = mt.tl.MTM(mt.datasets.simulate(n_obs=1000), n_topics=5, verbose=False)
        >>> model.SVI(n_batches=20, batch_size=100)
        >>> model.gamma.shape, len(model.elbo)
        ((1000, 5), 1)
        """
        at_least(1, n_batches=n_batches, batch_size=batch_size)
        at_least(1, max_iter_d=max_iter_d, checkpoint_every=checkpoint_every)
        run, rate, chosen = self._run, svi.Rate(tau, kappa), svi.checked_schedule(self._run, schedule)
        rate.check()
        schedules.tolerance(tol, "batches")
        monitor = Monitor(self, callback, checkpoint, checkpoint_every, "steps")
        spatial = run.prepare(schedule, self._settings.precision, self.n_jobs, monitor.save, verbose=self.verbose)
        with monitor, run.fit.posterior.backend, self._progress(n_batches, "batch") as bar:
            steps = svi.steps(run, chosen, spatial, batch_size, rate, max_iter_d, tol)
            for run.converged in islice(steps, n_batches):
                if run.converged:
                    break
                bar.update()
                if monitor.ends_after(run.fit.steps):
                    break
            svi.finish(run, chosen, spatial, max_iter_d)

    def _set(self, settings: Settings, counts: Counts) -> None:
        """Take over what was asked for, and the names of what is counted."""
        self._settings = settings
        self.n_topics, self.n_init, self.inference = settings.n_topics, settings.n_init, settings.inference
        self.seed, self.n_jobs, self.verbose = settings.seed, settings.n_jobs, settings.verbose
        self.modalities, self.features, self.barcodes = list(counts.features), counts.features, counts.obs_names
        self.preparation: dict[str, Preparation] = counts.preparation
        self.batch_key, self.batches, self.counts_summary = settings.batch_key, counts.batches, counts.summary

    def _progress(self, total: int, unit: str) -> tqdm:
        starts = self._run.starts
        which = "" if starts is None else f", start {starts.number + 1} of {self.n_init}"
        return tqdm(total=total, disable=not self.verbose, desc=type(self).__name__ + which, unit=unit)

    def __repr__(self) -> str:
        return summary.line(self)

    def _repr_html_(self) -> str:
        return summary.table(self)
