"""The two families of signatures, which differ in what λ stands for.

Variational: q(β_k) = Dirichlet(λ_k), a distribution of its own for each modality. With q(θ_d) = Dirichlet(γ_d) these
are the coordinate updates and the evidence lower bound of latent Dirichlet allocation (Blei, Ng and Jordan 2003).

Collapsed: β is integrated out and its expected counts λ − η stand for it. This is zero-order collapsed inference
(Asuncion, Welling, Smyth and Teh 2009) for the signatures; a count's own share of λ, one among a feature's counts in
all observations, is left in, as in its stochastic form (Foulds et al. 2013). θ, on which an observation has few counts,
keeps its Dirichlet posterior. Up to a constant the updates climb log p(x | β = λ / Σλ), bounded below by q(θ), +
η Σ log β.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln

from . import priors
from .backend import Array, Backend, Double
from .priors import Prior


def _variational_bound(lam: Array, eta: Prior, backend: Backend) -> float:
    """The logarithm of a Dirichlet-multinomial likelihood, topics summed."""
    prior = priors.log_normalisers(eta, *lam.shape)
    return float(backend.sum("log_gamma", lam) - gammaln(backend.column_sums(lam)).sum() + prior)


def _collapsed_bound(lam: Array, eta: Prior, backend: Backend) -> float:
    """The counts and the prior at β = λ / Σλ."""
    total, prior = backend.column_sums(lam), priors.log_normalisers(eta + 1, *lam.shape)
    return float(backend.sum("v_log_v", lam) - (total * np.log(total)).sum() + prior)


def _variational_eta(lam: list[Array], weights: Double, eta: float, backend: Backend) -> float:
    """The η under which E log β of all modalities is most likely."""
    mean_log = 0.0
    for one, weight in zip(lam, weights, strict=True):
        total = backend.column_sums(one)
        mean_log += weight * (backend.sum("digamma", one) - len(one) * float(digamma(total).sum()))
    shapes = [(weight * one.shape[1], one.shape[0]) for one, weight in zip(lam, weights, strict=True)]
    return priors.concentration(eta, shapes, mean_log)


def _collapsed_eta(lam: list[Array], weights: Double, eta: float, backend: Backend) -> float:
    """One fixed-point step to the η under which the expected counts are most likely with β integrated out (Minka 2000).

    The digamma function is strongly curved where counts are small: its mean over a count, not its value at the mean,
    is taken.
    """
    seen, expected = 0.0, 0.0
    for one, weight in zip(lam, weights, strict=True):
        seen += weight * backend.sum_increments(one, eta)
        expected += weight * len(one) * float((digamma(backend.column_sums(one)) - digamma(eta * len(one))).sum())
    return priors.clipped(eta * seen / expected)


@dataclass(frozen=True)
class Family:
    """How signatures are inferred from λ of each modality, V × K."""

    bound_of_signatures: Callable[[Array, Prior, Backend], float]
    """What λ of one modality adds to the bound."""
    expected_log: Callable[[Array], Array]
    """Up to a constant, E log β, or the logarithm of the mean β."""
    learned_eta: Callable[[list[Array], Double, float, Backend], float]
    """The most likely η, from λ and the weights of all modalities and the η so far."""


FAMILIES = {
    "variational": Family(_variational_bound, digamma, _variational_eta),
    "collapsed": Family(_collapsed_bound, np.log, _collapsed_eta),
}
