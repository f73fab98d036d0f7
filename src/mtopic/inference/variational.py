"""The variational family of signatures: q(β_k) = Dirichlet(λ_k), a distribution of its own for each modality.

With q(θ_d) = Dirichlet(γ_d) these are the coordinate updates and the evidence lower bound of latent Dirichlet
allocation (Blei, Ng and Jordan 2003).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from . import priors
from .backend import Array, Backend


def bound_of_signatures(lam: Array, eta: priors.Prior, backend: Backend) -> float:
    """What λ of one modality adds to the bound: the logarithm of a Dirichlet-multinomial likelihood, topics summed."""
    n_features, n_topics = lam.shape
    total = backend.column_sums(lam)
    prior = n_topics * priors.log_normaliser(eta, n_features)
    return float(backend.sum("log_gamma", lam) - gammaln(total).sum() + prior)


def expected_log(lam: Array) -> Array:
    """ψ(λ), up to a constant E log β."""
    return np.asarray(digamma(lam))


def learned_eta(lam: list[Array], weights: NDArray[np.float64], eta: float, backend: Backend) -> float:
    """The η under which E log β of all modalities is most likely."""
    mean_log = 0.0
    for one, weight in zip(lam, weights, strict=True):
        total = backend.column_sums(one)
        mean_log += weight * (backend.sum("digamma", one) - len(one) * float(digamma(total).sum()))
    shapes = [(weight * one.shape[1], one.shape[0]) for one, weight in zip(lam, weights, strict=True)]
    return priors.concentration(eta, shapes, mean_log)
