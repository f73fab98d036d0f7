import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from mtopic._model_file import State
from mtopic._slots import Data
from mtopic.inference.stochastic import stochastic_step

from ._model import Model, Options
from ._watch import Callback, Watch


class MTM(Model):
    """Multimodal topic model: proportions of topics shared by all modalities, a signature of each topic per modality.

    Observation d has topic proportions θ_d ~ Dirichlet(α); each topic has in each modality a distribution over its
    features, β_k ~ Dirichlet(η). A count of a modality picks a topic by θ_d and a feature by that topic's β. The posterior
    is approximated by q(θ_d) = Dirichlet(γ_d) and q(β_k) = Dirichlet(λ_k).

    Parameters
    ----------
    mdata
        MuData, or AnnData as one modality named "X". ``X`` of every modality holds counts, or non-negative transforms such as
        `mtopic.pp.tfidf` makes: CSR, CSC or dense, integer or real. It is read, never changed. The matrix of a single modality is
        used in place if it is CSR of ``dtype``: do not change its values while you go on fitting.
    n_topics
        Number of topics K, 2 or more.
    seed
        Seed, or generator, of the signatures' initial values and of the batches of `SVI`.
    n_jobs
        Threads; -1 for all cores. It changes no bit of the result.
    verbose
        Show progress.
    dtype
        Precision of the fit, ``"float32"`` or ``"float64"``.
    raw
        Fit ``layers["counts"]`` of the modalities that have it, and ``X`` of the others.
    inference
        How signatures are inferred: ``"variational"``, each with a Dirichlet posterior of its own, or ``"collapsed"``, integrated
        out, with their expected counts in their place. The latter predicts held-out counts better, the more so the fewer there are.
    alpha
        Prior of the proportions: a number, None for 1/K, or ``"auto"`` to learn it with the fit, from 1/K.
    eta
        Prior of the signatures, of all features and modalities alike: a number, or ``"auto"`` to learn it, from 0.01.
    modality_weights
        What a count of each modality is worth as evidence on topics: ``"equal"`` for 1 each, numbers by modality (1 where not
        given), or ``"auto"`` to learn them from the raw counts when the model is first fitted. Signatures are of all counts at any weight.

    Attributes
    ----------
    alpha, eta
        Dirichlet priors of the proportions and of the signatures, as given or as learned so far.
    gamma
        γ, observations × topics.
    lambda_
        Modality → λ, topics × features.
    elbo
        What the fit climbs, in nats, after each iteration of `VI`. ``"variational"``: the evidence lower bound, with the
        responsibilities of which the signatures were made. ``"collapsed"``: the same bound for the observations, given the mean
        signatures, plus the logarithm of a Dirichlet(η + 1) prior of these.
    passes
        Work so far: non-zeros × rounds × share of the topics alive, over non-zeros × topics.
    converged
        Whether the last `VI` ended because the bound had settled.
    interrupted
        Whether the last `VI` or `SVI` was ended by Ctrl-C.
    modality_weights
        As given, or as learned; None before the first fit.
    modalities, features, barcodes
        Names of modalities, of each modality's features, and of observations.
    preparation
        Modality → what `mtopic.pp` had made of its ``X``, with idf and factor, for `transform`.

    Raises
    ------
    ValueError
        If counts are negative or not finite, a modality has no features or no counts, names occur twice, or a parameter is
        out of range.

    References
    ----------
    :cite:t:`blei2003`, :cite:t:`hoffman2013`; collapsed updates: :cite:t:`asuncion2009`, :cite:t:`foulds2013`; learned priors:
    :cite:t:`minka2000`

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200, spatial=False)
    >>> model = mt.tl.MTM(mdata, n_topics=5, verbose=False)
    >>> model.VI(n_iter=10)
    >>> mt.tl.export_params(model, mdata)
    >>> mdata.obsm["topics"].shape
    (200, 5)
    """

    def __init__(
        self,
        mdata: Data,
        n_topics: int = 20,
        seed: int | np.random.Generator = 2291,
        n_jobs: int = 10,
        verbose: bool = True,
        *,
        dtype: Literal["float32", "float64"] = "float32",
        raw: bool = False,
        inference: Literal["variational", "collapsed"] = "variational",
        alpha: float | Literal["auto"] | None = None,
        eta: float | Literal["auto"] = 0.01,
        modality_weights: Mapping[str, float] | Literal["auto", "equal"] = "equal",
    ) -> None:
        super().__init__(
            mdata, n_topics, seed, n_jobs, verbose, Options(dtype, raw, inference, alpha, eta, modality_weights)
        )
        self._svi_steps = 0

    def SVI(
        self,
        n_batches: int = 100,
        batch_size: int = 100,
        tau: float = 1.0,
        kappa: float = 0.75,
        max_iter_d: int = 100,
        *,
        callback: Callback | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 100,
    ) -> None:
        """Fit by stochastic updates from random batches of observations, drawn with replacement; called again, it goes on where it was.

        Step t moves λ by the rate ρ = (tau + t)^−kappa towards what the batch, taken for the whole data, says. ``gamma`` of an
        observation is what its last batch gave, 1/K if there was none. ``elbo`` traces `VI` only.

        Parameters
        ----------
        n_batches
            Number of steps.
        batch_size
            Observations in a batch.
        tau, kappa
            Delay (0 or more) and exponent (above 0.5, at most 1, for convergence) of the learning rate.
        max_iter_d
            Cap on the rounds that an observation's topics are iterated for.
        callback
            Called with the model after each step; if it returns True, there is no other.
        checkpoint
            File to `save` the model to, during the fit and at its end; `load_model` reads it. What was there is replaced.
        checkpoint_every
            Number of steps, counted over all calls, from one checkpoint to the next.

        Raises
        ------
        ValueError
            If a parameter is out of range, or the model was loaded without its data.
        OSError
            If the model cannot be saved.

        References
        ----------
        :cite:t:`hoffman2013`

        Examples
        --------
        >>> import mtopic as mt
        >>> model = mt.tl.MTM(mt.datasets.simulate(n_obs=200), n_topics=5, verbose=False)
        >>> model.SVI(n_batches=20, batch_size=50)
        >>> model.gamma.shape
        (200, 5)
        """
        self._check_sizes(n_batches=n_batches, batch_size=batch_size, max_iter_d=max_iter_d)
        if not (0 <= tau < np.inf and 0 < kappa <= 1):
            raise ValueError(f"tau={tau}, kappa={kappa}: the rate (tau + t)^-kappa needs tau ≥ 0 and 0 < kappa ≤ 1")
        watch = Watch(self, callback, checkpoint, checkpoint_every, "steps")
        self._fit.begin(self._dtype, self.n_jobs)
        with self._posterior.threads:
            self._learn_weights()
        with watch, self._posterior.threads, self._progress(n_batches, "batch") as bar:
            for _ in range(n_batches):
                batch = self._rng.choice(len(self.barcodes), batch_size)
                rate = float((tau + self._svi_steps + 1) ** -kappa)
                now = self._posterior
                gamma, lam = now.gamma.copy(), np.empty_like(now.lam)
                gamma[batch], passes = stochastic_step(now, batch, rate, max_iter_d, lam, atol=1e-4)
                now.update(gamma, lam)
                self._fit.passes += passes
                self._fit.started = True
                self._svi_steps += 1
                bar.update()
                if watch.ends_after(self._svi_steps):
                    break

    @property
    def fitted(self) -> bool:
        """Whether the posterior has seen the data."""
        return super().fitted or self._svi_steps > 0

    def params(self) -> dict[str, Any]:
        """What the fit was made with, in types that HDF5 can hold."""
        return {**super().params(), **({"n_batches": self._svi_steps} if self._svi_steps else {})}

    def _state(self) -> State:
        state = super()._state()
        state.settings["svi_steps"] = self._svi_steps
        return state

    def _restore(self, state: State) -> None:
        super()._restore(state)
        self._svi_steps = state.settings["svi_steps"]
