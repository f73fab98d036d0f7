"""The collapsed family of signatures: β is integrated out and its expected counts λ − η stand for it.

This is zero-order collapsed inference (Asuncion, Welling, Smyth and Teh 2009) for the signatures; a count's own share
of λ, one among a feature's counts in all observations, is left in, as in its stochastic form (Foulds et al. 2013). θ,
on which an observation has few counts, keeps its Dirichlet posterior. Up to a constant the updates climb
log p(x | β = λ / Σλ), bounded below by q(θ), + η Σ log β.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from . import priors
from .backend import Array, Backend


def bound_of_signatures(lam: Array, eta: priors.Prior, backend: Backend) -> float:
    """What λ of one modality adds to the bound: its counts and the prior at β = λ / Σλ."""
    n_features, n_topics = lam.shape
    total = backend.column_sums(lam)
    prior = n_topics * priors.log_normaliser(eta + 1, n_features)
    return float(backend.sum("v_log_v", lam) - (total * np.log(total)).sum() + prior)


def expected_log(lam: Array) -> Array:
    """The logarithm of λ, up to a constant the logarithm of the mean β."""
    return np.asarray(np.log(lam))


def learned_eta(lam: list[Array], weights: NDArray[np.float64], eta: float, backend: Backend) -> float:
    """One fixed-point step to the η under which the expected counts are most likely with β integrated out (Minka 2000).

    The digamma function is strongly curved where counts are small: its mean over a count, not its value at the mean,
    is taken.
    """
    seen, expected = 0.0, 0.0
    for one, weight in zip(lam, weights, strict=True):
        prior_total = eta * len(one)
        seen += weight * backend.sum_increments(one, eta)
        expected += weight * len(one) * float((digamma(backend.column_sums(one)) - digamma(prior_total)).sum())
    return priors.clipped(eta * seen / expected)
