"""Sums over the entries of a row, for bounds and priors; one number a row, or a row a chunk."""

import math

import numpy as np

from . import special
from .jit import kernel

CHUNK = 256


@kernel
def column_sums(start, stop, values, out):
    """Write the sums over the rows of chunk after chunk of a table."""
    for chunk in range(start, stop):
        out[chunk] = 0
        for row in range(chunk * CHUNK, min((chunk + 1) * CHUNK, values.shape[0])):
            for k in range(values.shape[1]):
                out[chunk, k] += values[row, k]


@kernel
def sum_log_gamma(start, stop, values, out):
    """Write Σ_k ln Γ(v_k) of each row."""
    work, logs, scratch = np.empty(values.shape[1]), np.empty(values.shape[1]), np.empty(values.shape[1])
    for row in range(start, stop):
        special.copy(values[row], work)
        out[row] = special.sum_log_gamma(work, logs, scratch)


@kernel
def sum_v_log_v(start, stop, values, out):
    """Write Σ_k v_k ln v_k of each row."""
    logs = np.empty(values.shape[1])
    for row in range(start, stop):
        special.copy(values[row], logs)
        special.log_double(logs)
        out[row] = special.dot(values[row], logs)


@kernel
def sum_digamma(start, stop, values, out):
    """Write Σ_k ψ(v_k) of each row."""
    work, logs = np.empty(values.shape[1]), np.empty(values.shape[1])
    for row in range(start, stop):
        special.copy(values[row], work)
        special.digamma(work, logs)
        out[row] = special.total(logs)


@kernel
def sum_increments(start, stop, values, prior, out):
    """Write, for each row, Σ_k E[ψ(n + prior) − ψ(prior)] of counts n of which only the means v − prior are known.

    n is taken as zero with the probability that a Poisson variable of that mean has, else as its mean given that it is
    not.
    """
    work, logs, present = np.empty(values.shape[1] + 1), np.empty(values.shape[1] + 1), np.empty(values.shape[1])
    n = present.size
    for row in range(start, stop):
        work[n] = prior
        for k in range(n):
            mean = max(values[row, k] - prior, 1e-12)
            present[k] = -math.expm1(-mean)
            work[k] = mean / present[k] + prior
        special.digamma(work, logs)
        out[row] = 0
        for k in range(n):
            out[row] += present[k] * (logs[k] - logs[n])


@kernel
def total_variation(start, stop, values, others, out):
    """Write half the sum of the differences between the shares of the entries in two rows."""
    for row in range(start, stop):
        total, other_total, out[row] = 0.0, 0.0, 0.0
        for k in range(values.shape[1]):
            total += values[row, k]
            other_total += others[row, k]
        for k in range(values.shape[1]):
            out[row] += abs(values[row, k] / total - others[row, k] / other_total) / 2
