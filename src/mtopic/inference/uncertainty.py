"""How sure an observation's proportions are, given that nobody knows which topic a count is of.

q(θ_d) is as sure as if the topics of all counts had been seen. Here the logarithm of the posterior, in the logarithms
of θ, is expanded to second order about its maximum, with what is missing taken off by Louis' identity (1982).
Signatures are those of the other observations' counts, for one that an observation's own counts have made tells them
back, and are themselves uncertain.
"""

import numpy as np
from scipy.sparse import csr_array

from .backend import Double
from .posterior import Posterior


def moments(fitted: Posterior) -> tuple[Double, Double]:
    """Mean and variance of θ, D × K each."""
    fitted = fitted.one_modality_per_set()
    corpus, lam = fitted.corpus, fitted.lam.astype(np.float64)
    gamma = fitted.gamma.astype(np.float64)
    modality = np.repeat(np.arange(len(corpus.blocks)), np.diff(corpus.offsets))
    totals = np.array([lam[block].sum(axis=0) for block in corpus.blocks])
    weights, prior = corpus.modality_weights[modality], fitted.prior().astype(np.float64)
    theta = gamma / gamma.sum(axis=1, keepdims=True)
    rows = csr_array(corpus.rows, dtype=np.float64)
    eta = np.broadcast_to(fitted.eta, len(lam)).astype(np.float64)
    with fitted.backend:
        return fitted.backend.moments(rows, weights, modality, lam, totals, eta, prior, theta)


def signature_variance(fitted: Posterior, weights: Double) -> Double:
    """Variance of each feature's share in each topic, V × K, with θ known; ``weights`` of counts by modality."""
    beta, sets = _means(fitted), fitted.corpus.measured_sets
    relative = _relative_variance(fitted.one_modality_per_set(), sets.of_modalities(weights))
    variance, eta = beta**2 * sets.pooled(relative, len(beta)), np.broadcast_to(fitted.eta, len(beta))
    for block in fitted.corpus.blocks:
        most = beta[block] * (1 - beta[block]) / (1 + eta[block].sum(dtype=np.float64))
        variance[block] = np.minimum(variance[block] * (1 - beta[block]), most)
    return variance


def _means(fitted: Posterior) -> Double:
    """Mean signatures, V × K."""
    beta = np.empty(fitted.lam.shape)
    for block in fitted.corpus.blocks:
        beta[block] = fitted.lam[block] / fitted.lam[block].sum(axis=0, dtype=np.float64)
    return beta


def _relative_variance(fitted: Posterior, modality_weights: Double) -> Double:
    """Variance of each feature's share over its square, V × K, without that the shares sum to 1."""
    columns, beta = fitted.corpus.columns, _means(fitted)
    theta = fitted.gamma / fitted.gamma.sum(axis=1, keepdims=True, dtype=np.float64)
    weights = np.repeat(modality_weights, np.diff(fitted.corpus.offsets))
    eta = np.broadcast_to(fitted.eta, len(beta)).astype(np.float64)
    with fitted.backend:
        return fitted.backend.inverse_information(columns, weights, theta, beta, eta)
