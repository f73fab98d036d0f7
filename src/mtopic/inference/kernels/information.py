"""Observed information of proportions and signatures: what would be known less what is missing (Louis 1982)."""

import math

import numpy as np

from . import special
from .jit import inlined, jit, jit_reassociate, kernel
from .statistics import longest_row

ROUNDS, TOLERANCE = 300, 1e-4


@jit_reassociate
def _responsibilities(theta, weights, out):
    """Write θ_k w_k over their sum."""
    total = 0.0
    for k in range(theta.size):
        out[k] = theta[k] * weights[k]
        total += out[k]
    for k in range(theta.size):
        out[k] /= total


@inlined
def _of_others(x, features, modality, lam, totals, eta, theta, work, others, beta):
    """Write λ of the row's features without its own counts, and the means of the signatures that are left."""
    left, r, b = work
    for m in range(totals.shape[0]):
        special.copy(totals[m], left[m])
    for i in range(x.size):
        v = features[i]
        for k in range(theta.size):
            b[k] = lam[v, k] / totals[modality[v], k]
        _responsibilities(theta, b, r)
        for k in range(theta.size):
            others[i, k] = max(lam[v, k] - x[i] * r[k], eta[v])
            left[modality[v], k] += others[i, k] - lam[v, k]
    for i in range(x.size):
        for k in range(theta.size):
            beta[i, k] = others[i, k] / left[modality[features[i]], k]


@inlined
def _mode(counts, beta, prior, theta, r, gamma):
    """Iterate γ = prior + Σ_v x_v r_v to its fixed point, the maximum in the logarithms of θ = γ / Σγ."""
    for _ in range(ROUNDS):
        special.copy(prior, gamma)
        for i in range(counts.size):
            _responsibilities(theta, beta[i], r)
            for k in range(gamma.size):
                gamma[k] += counts[i] * r[k]
        total, change = special.total(gamma), 0.0
        for k in range(gamma.size):
            change += abs(gamma[k] - theta[k] * total)
            theta[k] = gamma[k] / total
        if change < TOLERANCE:
            break


@jit_reassociate
def _information(counts, beta, others, gamma, theta, r, precision, doubt):
    """Write the precision of log θ, plus 1 in all entries, and the variance of its score by doubt of the signatures."""
    n_topics, total = theta.size, 0.0
    for k in range(n_topics):
        total += gamma[k]
    doubt[:] = 0
    for j in range(n_topics):
        for k in range(n_topics):
            precision[j, k] = 1 - (total + 1) * theta[j] * theta[k]
        precision[j, j] += (total + 1) * theta[j]
    for i in range(counts.size):
        x, known = counts[i], 0.0
        _responsibilities(theta, beta[i], r)
        for k in range(n_topics):
            known += r[k] * r[k] / others[i, k]
        for j in range(n_topics):
            to_j, own = x * r[j], known - r[j] / others[i, j]
            precision[j, j] -= to_j
            doubt[j, j] += to_j * to_j / others[i, j]
            for k in range(n_topics):
                precision[j, k] += to_j * r[k]
                doubt[j, k] += to_j * (x * r[k]) * (own - r[k] / others[i, k])


@jit
def _solve(matrix, right):
    """Overwrite ``right`` with matrix⁻¹ · right by Cholesky's method, which overwrites the lower half of the matrix."""
    n = matrix.shape[0]
    for j in range(n):
        least = 1e-12 * matrix[j, j]
        for i in range(j):
            matrix[j, j] -= matrix[j, i] * matrix[j, i]
        matrix[j, j] = math.sqrt(max(matrix[j, j], least, 1e-12))
        for k in range(j + 1, n):
            for i in range(j):
                matrix[k, j] -= matrix[k, i] * matrix[j, i]
            matrix[k, j] /= matrix[j, j]
    for c in range(right.shape[1]):
        for j in range(n):
            for i in range(j):
                right[j, c] -= matrix[j, i] * right[i, c]
            right[j, c] /= matrix[j, j]
        for j in range(n - 1, -1, -1):
            for i in range(j + 1, n):
                right[j, c] -= matrix[i, j] * right[i, c]
            right[j, c] /= matrix[j, j]


@inlined
def _variance(theta, precision, doubt, slope, out):
    """Write the diagonal of J P⁻¹ (P + doubt) P⁻¹ J, with J = diag(θ) − θθᵀ."""
    n_topics = theta.size
    for j in range(n_topics):
        for k in range(n_topics):
            slope[j, k] = -theta[j] * theta[k]
        slope[j, j] += theta[j]
    _solve(precision, slope)
    for k in range(n_topics):
        along = 0.0
        for j in range(n_topics):
            along += theta[j] * slope[j, k]
        out[k] = theta[k] * (slope[k, k] - along)
        for i in range(n_topics):
            for j in range(n_topics):
                out[k] += slope[i, k] * doubt[i, j] * slope[j, k]


@kernel
def laplace(start, stop, indptr, indices, data, weights, modality, lam, totals, eta, prior, theta, mean, variance):
    """Write mean and variance of θ of each row, K each.

    ``theta`` is that of the fit, ``weights``, ``modality`` and ``eta`` are those of each feature, ``totals`` the sums
    of λ, modalities × K; ``prior`` has one row for all observations or a row each. A variance is at most that of the
    prior's Dirichlet with that mean.
    """
    n_topics, longest = theta.shape[1], longest_row(start, stop, indptr)
    others, beta = np.empty((longest, n_topics)), np.empty((longest, n_topics))
    precision, doubt, slope = np.empty((3, n_topics, n_topics))
    r, gamma = np.empty(n_topics), np.empty(n_topics)
    work = (np.empty_like(totals), r, gamma)
    for d in range(start, stop):
        own, low, high = prior[min(d, prior.shape[0] - 1)], indptr[d], indptr[d + 1]
        x, features = data[low:high], indices[low:high]
        _of_others(x, features, modality, lam, totals, eta, theta[d], work, others, beta)
        counts = x * weights[features]
        special.copy(theta[d], mean[d])
        _mode(counts, beta, own, mean[d], r, gamma)
        _information(counts, beta, others, gamma, mean[d], r, precision, doubt)
        _variance(mean[d], precision, doubt, slope, variance[d])
        prior_total = special.total(own)
        for k in range(n_topics):
            most = mean[d, k] * (1 - mean[d, k]) / (1 + prior_total)
            variance[d, k] = min(max(variance[d, k], 0.0), most)


@kernel
def louis(start, stop, indptr, indices, data, weights, theta, beta, eta, relative):
    """Write the diagonal of (η I + Σ_d x_dv r_dv r_dvᵀ)⁻¹, K for each column v of the counts."""
    n_topics = theta.shape[1]
    precision, inverse, r = np.empty((n_topics, n_topics)), np.empty((n_topics, n_topics)), np.empty(n_topics)
    for v in range(start, stop):
        precision[:] = 0
        inverse[:] = 0
        for k in range(n_topics):
            precision[k, k] = eta[v]
            inverse[k, k] = 1
        for i in range(indptr[v], indptr[v + 1]):
            _responsibilities(theta[indices[i]], beta[v], r)
            for j in range(n_topics):
                to_j = weights[v] * data[i] * r[j]
                for k in range(j + 1):
                    precision[j, k] += to_j * r[k]
        _solve(precision, inverse)
        for k in range(n_topics):
            relative[v, k] = inverse[k, k]
