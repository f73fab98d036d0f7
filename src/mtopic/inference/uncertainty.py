"""How sure an observation's proportions are, given that nobody knows which topic a count is of.

q(θ_d) is as sure as if the topics of all counts had been seen. Here the logarithm of the posterior, in the logarithms
of θ, is expanded to second order about its maximum, with what is missing taken off by Louis' identity (1982).
Signatures are those of the other observations' counts, for one that an observation's own counts have made tells them
back, and are themselves uncertain.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .backend import Array, Backend, Double
from .corpus import Corpus
from .posterior import Posterior


def moments(fitted: Posterior) -> tuple[Double, Double]:
    """Mean and variance of θ, D × K each."""
    fitted = fitted.one_modality_per_set()
    corpus, lam = fitted.corpus, fitted.lam_as_read().astype(np.float64)
    gamma = fitted.gamma.astype(np.float64)
    modality = np.repeat(np.arange(len(corpus.blocks)), np.diff(corpus.offsets))
    totals = np.array([lam[block].sum(axis=0) for block in corpus.blocks])
    weights, prior = corpus.modality_weights[modality], fitted.prior().astype(np.float64)
    theta = gamma / gamma.sum(axis=1, keepdims=True)
    eta = np.broadcast_to(fitted.eta, len(lam)).astype(np.float64)
    with fitted.backend as backend:
        of_blocks = backend.of_blocks(corpus, _rows, _moments, (prior, theta), weights, modality, lam, totals, eta)
        mean, variance = map(np.concatenate, zip(*of_blocks, strict=True))
    return mean, variance


def _rows(block: Corpus) -> csr_array:
    return csr_array(block.rows, dtype=np.float64)


def _moments(
    backend: Backend,
    rows: csr_array,
    prior: Double,
    theta: Double,
    weights: Double,
    modality: NDArray[np.int64],
    lam: Double,
    totals: Double,
    eta: Double,
) -> tuple[Double, Double]:
    return backend.moments(rows, weights, modality, lam, totals, eta, prior, theta)


def signature_variance(fitted: Posterior, weights: Double) -> Double:
    """Variance of each feature's share in each topic, V × K, with θ known; ``weights`` of counts by modality."""
    beta, sets = _means(fitted.lam, fitted.corpus.blocks), fitted.corpus.measured_sets
    relative = _relative_variance(fitted.one_modality_per_set(), sets.of_modalities(weights))
    variance, eta = beta**2 * sets.pooled(relative, len(beta)), np.broadcast_to(fitted.eta, len(beta))
    for block in fitted.corpus.blocks:
        most = beta[block] * (1 - beta[block]) / (1 + eta[block].sum(dtype=np.float64))
        variance[block] = np.minimum(variance[block] * (1 - beta[block]), most)
    return variance


def _means(lam: Array, blocks: list[slice]) -> Double:
    """Mean signatures, V × K."""
    beta = np.empty(lam.shape)
    for block in blocks:
        beta[block] = lam[block] / lam[block].sum(axis=0, dtype=np.float64)
    return beta


def _relative_variance(fitted: Posterior, modality_weights: Double) -> Double:
    """Variance of each feature's share over its square, V × K, without that the shares sum to 1."""
    beta, variance = _means(fitted.lam_as_read(), fitted.corpus.blocks), np.empty(fitted.lam.shape)
    theta = fitted.gamma / fitted.gamma.sum(axis=1, keepdims=True, dtype=np.float64)
    weights = np.repeat(modality_weights, np.diff(fitted.corpus.offsets))
    eta = np.broadcast_to(fitted.eta, len(beta)).astype(np.float64)
    with fitted.backend as backend:
        for of, columns in fitted.corpus.in_columns():
            variance[of] = backend.inverse_information(columns, weights[of], theta, beta[of], eta[of])
    return variance
