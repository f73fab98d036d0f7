"""What all models share: a posterior, its fit and its names."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from mtopic._counts import read_counts
from mtopic._graph import Graph
from mtopic._slots import Data, look_up
from mtopic.inference import schedule as schedules
from mtopic.inference.execution import Threads
from mtopic.inference.spatial import Correction
from mtopic.inference.variational import initial, stochastic_epoch

ETA = 0.01
DTYPES: Mapping[str, type[np.floating]] = {"float32": np.float32, "float64": np.float64}


class Model:
    """A topic model of all modalities of one data set; `MTM` and `sMTM` say what kind."""

    graph: Graph | None = None
    _correction: Correction | None = None

    def __init__(
        self,
        data: Data,
        n_topics: int,
        seed: int | np.random.Generator,
        n_jobs: int,
        verbose: bool,
        dtype: Literal["float32", "float64"],
        raw: bool,
    ) -> None:
        if not isinstance(n_topics, int | np.integer) or n_topics < 2:
            raise ValueError(f"n_topics={n_topics}: a topic model has 2 topics or more")
        if n_jobs == 0:
            raise ValueError("n_jobs=0: give a number of threads, or -1 for all cores")
        self._dtype = np.dtype(look_up(DTYPES, np.dtype(dtype).name, "dtype", "the supported precisions"))
        counts = read_counts(data, raw=raw, dtype=self._dtype)
        self.n_topics = int(n_topics)
        self.seed = seed
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.modalities = list(counts.features)
        self.features = counts.features
        self.barcodes = counts.obs_names
        self.elbo: list[float] = []
        self.converged = False
        self.n_counts = float(counts.corpus.rows.sum(dtype=np.float64))
        self._raw = raw
        self._iterations = 0
        self._refined = 0
        self._schedule = "none"
        self._rng = np.random.default_rng(seed)
        self._order_seed = self._rng.spawn(1)[0].integers(2**63)
        self._posterior = initial(counts.corpus, self.n_topics, self._rng, 1 / self.n_topics, ETA, Threads())

    @property
    def alpha(self) -> float:
        """Prior of the topic proportions, 1 / n_topics."""
        return self._posterior.alpha

    @property
    def eta(self) -> float:
        """Prior of the signatures."""
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
    def fitted(self) -> bool:
        """Whether the posterior has seen the data."""
        return self._iterations > 0

    def VI(
        self,
        n_iter: int = 20,
        max_iter_d: int = 100,
        *,
        schedule: Literal["fast", "original"] = "fast",
        tol: float | Literal["auto"] | None = "auto",
    ) -> None:
        """Fit by coordinate ascent; called again, the fit goes on where it was.

        Every iteration is one pass over all observations (E-step) and one update of the signatures (M-step), after which
        the evidence lower bound is appended to ``elbo``. An interrupted call leaves the model as its last whole iteration
        made it; ``VI(a)`` and then ``VI(b)`` give the same bits as ``VI(a + b)``.

        Parameters
        ----------
        n_iter
            Number of iterations, at most.
        max_iter_d
            Cap on the rounds that an observation's topics are iterated for in one E-step.
        schedule
            ``"fast"``: after one pass of stochastic updates, 20 iterations that begin every observation anew explore; then few
            rounds from the last state refine.
            ``"original"``: the trajectory of the original program, in double precision (of counts read at ``dtype``), which
            never stops early.
        tol
            ``"fast"`` stops when the bound has changed by less than this share of itself over ten iterations;
            ``"auto"`` is 1e-5, None runs all ``n_iter``.

        Raises
        ------
        ValueError
            If ``n_iter`` or ``max_iter_d`` is less than 1, or ``tol`` negative.
        KeyError
            If there is no such schedule.

        Examples
        --------
        >>> import mtopic as mt
        >>> model = mt.tl.MTM(mt.datasets.simulate(n_obs=200), n_topics=5, verbose=False)
        >>> model.VI(n_iter=10)
        >>> len(model.elbo)
        10
        """
        for name, value in (("n_iter", n_iter), ("max_iter_d", max_iter_d)):
            if value < 1:
                raise ValueError(f"{name}={value}: it must be at least 1")
        chosen = look_up(schedules.SCHEDULES, schedule, "schedule", "the schedules")
        tolerance = schedules.tolerance(tol) if chosen.stops else None
        self._begin(chosen.dtype or self._dtype)
        self._schedule = schedule
        with self._posterior.threads, self._progress(n_iter, "iteration") as bar:
            for _ in range(n_iter):
                self.converged = schedules.has_converged(self.elbo, self._refined, tolerance)
                if self.converged:
                    break
                self._iterate(chosen.plan(self._iterations, max_iter_d))
                bar.set_postfix({"ELBO per count": f"{self.elbo[-1] / self.n_counts:.5f}"}, refresh=False)
                bar.update()

    def _iterate(self, plan: schedules.Plan) -> None:
        now = self._posterior
        begun = stochastic_epoch(now, self._epoch_order(), plan.rounds) if plan.epoch and not self.fitted else now
        start = np.ones_like(now.gamma) if plan.cold else now.gamma
        gamma, _ = begun.e_step(start, plan.rounds, atol=plan.atol, rtol=plan.rtol)
        if self._correction is not None:
            gamma = self._correction(gamma, now.gamma, now.threads, isolated=plan.isolated)
        after = replace(now, gamma=gamma, lam=begun.m_step(gamma))
        bound = after.elbo()
        self._posterior = after
        self.elbo.append(bound)
        self._iterations += 1
        self._refined = 0 if plan.cold else self._refined + 1

    def _epoch_order(self) -> NDArray[np.int64]:
        """Observations in random order, the same at each call; the generator that SVI draws from is left alone."""
        return np.random.default_rng(self._order_seed).permutation(len(self.barcodes))

    def _progress(self, total: int, unit: str) -> tqdm:
        return tqdm(total=total, disable=not self.verbose, desc=type(self).__name__, unit=unit)

    def _begin(self, dtype: np.dtype) -> None:
        """Bring the posterior to the precision and the threads of the fit that follows."""
        posterior = self._posterior
        posterior.threads = Threads(self.n_jobs)
        posterior.corpus = posterior.corpus.astype(dtype)
        posterior.update(posterior.gamma.astype(dtype, copy=False), posterior.lam.astype(dtype, copy=False))

    def params(self) -> dict[str, Any]:
        """What the fit was made with, in types that HDF5 can hold."""
        known = {
            "model": type(self).__name__,
            "n_topics": self.n_topics,
            "alpha": self.alpha,
            "eta": self.eta,
            "schedule": self._schedule,
            "n_iter": self._iterations,
            "converged": self.converged,
            "dtype": self._posterior.corpus.dtype.name,
            "n_counts": self.n_counts,
            "raw": self._raw,
        }
        if isinstance(self.seed, int | np.integer):
            known["seed"] = int(self.seed)
        return known

    def __repr__(self) -> str:
        sizes = ", ".join(f"{mod} {len(names)}" for mod, names in self.features.items())
        state = f"{self._iterations} iterations" if self.fitted else "not fitted"
        if self.elbo:
            state += f", ELBO per count {self.elbo[-1] / self.n_counts:.5f}"
        if self.converged:
            state += ", converged"
        return f"{type(self).__name__}({len(self.barcodes)} observations × [{sizes}], {self.n_topics} topics; {state})"
