"""Sums over the counts of a row or a column: responsibilities of topics, and likelihoods."""

from math import log

import numpy as np

from . import special
from .jit import inlined, jit_reassociate, kernel


@jit_reassociate
def mix_rows(x, rows, index, own, mixture, total):
    """Write the mixtures r_i · own, with r_i = rows[index_i], and Σ_i x_i r_i / (r_i · own), four rows at a time."""
    n, n_topics = x.size, own.size
    zero = total.dtype.type(0)
    total[:] = zero
    whole = n - n % 4
    for i in range(0, whole, 4):
        a, b, c, d = index[i], index[i + 1], index[i + 2], index[i + 3]
        share_a, share_b, share_c, share_d = zero, zero, zero, zero
        for k in range(n_topics):
            share_a += rows[a, k] * own[k]
            share_b += rows[b, k] * own[k]
            share_c += rows[c, k] * own[k]
            share_d += rows[d, k] * own[k]
        mixture[i], mixture[i + 1], mixture[i + 2], mixture[i + 3] = share_a, share_b, share_c, share_d
        share_a, share_b = x[i] / share_a, x[i + 1] / share_b
        share_c, share_d = x[i + 2] / share_c, x[i + 3] / share_d
        for k in range(n_topics):
            total[k] += share_a * rows[a, k] + share_b * rows[b, k] + share_c * rows[c, k] + share_d * rows[d, k]
    for i in range(whole, n):
        a, share_a = index[i], zero
        for k in range(n_topics):
            share_a += rows[a, k] * own[k]
        mixture[i] = share_a
        share_a = x[i] / share_a
        for k in range(n_topics):
            total[k] += share_a * rows[a, k]


@inlined
def longest_row(start, stop, indptr):
    """The largest number of entries that a row has."""
    longest = 0
    for row in range(start, stop):
        longest = max(longest, indptr[row + 1] - indptr[row])
    return longest


@kernel
def sufficient_statistics(start, stop, indptr, indices, data, t, b, out, bound):
    """Write s_v = Σ_d x_dv t_dk b_vk / (t_d · b_v) for the features ``start`` to ``stop`` of a CSC matrix.

    And what they add to the bound besides a function of λ: Σ_d x_dv log(t_d · b_v) − Σ_k s_vk log b_vk.
    """
    n_topics, longest = out.shape[1], max(longest_row(start, stop, indptr), b.shape[1])
    mixture, total = np.empty(longest, b.dtype), np.empty(b.shape[1], b.dtype)
    for v in range(start, stop):
        row = slice(indptr[v], indptr[v + 1])
        x = data[row]
        mix_rows(x, t, indices[row], b[v], mixture, total)
        special.log(mixture[: x.size])
        bound[v] = special.dot(x, mixture)
        for k in range(n_topics):
            out[v, k] = total[k] * b[v, k]
            mixture[k] = b[v, k]
        special.log(mixture[:n_topics])
        bound[v] -= special.dot(out[v], mixture)


@kernel
def gradient_step(start, stop, indptr, indices, data, t, b, keep, scale, shift, lam, out):
    """Write keep · λ_v + scale · s_v + shift_v, with s_v as in `sufficient_statistics`; ``out`` may be ``lam``."""
    mixture, total = np.empty(longest_row(start, stop, indptr), b.dtype), np.empty(b.shape[1], b.dtype)
    for v in range(start, stop):
        row = slice(indptr[v], indptr[v + 1])
        own_shift = shift[min(v, shift.size - 1)]
        mix_rows(data[row], t, indices[row], b[v], mixture, total)
        for k in range(lam.shape[1]):
            out[v, k] = keep * lam[v, k] + (scale * (total[k] * b[v, k]) + own_shift)


@kernel
def log_likelihood(start, stop, indptr, indices, data, t, b, out):
    """Write Σ_v x_dv log(t_d · b_v) of each row."""
    mixture, total = np.empty(longest_row(start, stop, indptr), b.dtype), np.empty(b.shape[1], b.dtype)
    for d in range(start, stop):
        row = slice(indptr[d], indptr[d + 1])
        x = data[row]
        mix_rows(x, b, indices[row], t[d], mixture, total)
        special.log(mixture[: x.size])
        out[d] = special.dot(x, mixture)


@kernel
def explained(start, stop, indptr, indices, data, theta, beta, mean, out):
    """Write Σ_v x_dv r_dvk log(θ_d · β_v / mean_v) for each topic, where r_dvk = θ_dk β_vk / (θ_d · β_v)."""
    for d in range(start, stop):
        out[d] = 0
        for i in range(indptr[d], indptr[d + 1]):
            v = indices[i]
            mixture = 0.0
            for k in range(theta.shape[1]):
                mixture += theta[d, k] * beta[v, k]
            gain = data[i] * log(mixture / mean[v]) / mixture
            for k in range(theta.shape[1]):
                out[d, k] += gain * theta[d, k] * beta[v, k]
