"""What is expected of logarithms and of signatures, scaled.

Topics ``t[d]`` are scaled by their row's maximum, signatures ``b[v]`` by their feature's maximum, and both are padded
with zeros to whole vectors. The ratios of the updates do not feel these scales, and single precision does not
underflow: ``t[d]`` has an entry 1 and no entry is less than the smallest normal number × `HEADROOM`, so their product
is never zero.
"""

import math

import numpy as np

from . import special
from .jit import inlined, kernel

HEADROOM = 2.0**26
LANES = 8


def padded(n_topics: int) -> int:
    """Width of a table of expectations: the number of topics, rounded up to whole vectors."""
    return -(-n_topics // LANES) * LANES


@inlined
def scaled_exp(logs, scratch, out):
    """Write exp(logs) divided by its maximum, at least the floor; return the maximum. ``logs`` is spent."""
    top = -np.inf
    for k in range(logs.size):
        top = max(top, logs[k])
    for k in range(logs.size):
        logs[k] -= top
    special.exp(logs, scratch)
    floor = np.finfo(out.dtype).tiny * HEADROOM
    for k in range(logs.size):
        out[k] = max(logs[k], floor)
    return top


@kernel
def expected_topics(start, stop, counts, prior, gamma, t, bound):
    """Write t[d] ∝ exp(E log θ_d), scaled, and what γ_d adds to the bound besides Σ x log(t·b) and constants.

    That is ``counts[d]`` × the logarithm of the scale − KL(Dir(γ_d) ‖ Dir(prior)) without ln Γ of the prior.
    """
    n_topics = gamma.shape[1]
    values, logs, scratch = np.empty(n_topics + 1), np.empty(n_topics + 1), np.empty(n_topics + 1)
    for d in range(start, stop):
        special.copy(gamma[d], values[:n_topics])
        values[n_topics] = special.total(values[:n_topics])
        bound[d] = special.sum_log_gamma(values[:n_topics], logs, scratch) - math.lgamma(values[n_topics])
        special.digamma(values, logs)
        row_prior = prior[min(d, prior.shape[0] - 1)]
        for k in range(n_topics):
            bound[d] -= (values[k] - row_prior[k]) * (logs[k] - logs[n_topics])
        t[d, n_topics:] = 0
        bound[d] += counts[d] * (scaled_exp(logs[:n_topics], scratch, t[d, :n_topics]) - logs[n_topics])


@kernel
def expected_signatures(start, stop, lam, log_total, b):
    """Write b[v] ∝ exp(E log β_·v), scaled; ``log_total`` holds ψ(Σ_w λ_kw) of the modality that the rows belong to."""
    n_topics = lam.shape[1]
    values, logs, scratch = np.empty(n_topics), np.empty(n_topics), np.empty(n_topics)
    for v in range(start, stop):
        special.copy(lam[v], values)
        special.digamma(values, logs)
        for k in range(n_topics):
            logs[k] -= log_total[k]
        b[v, n_topics:] = 0
        scaled_exp(logs, scratch, b[v, :n_topics])


@kernel
def mean_signatures(start, stop, lam, total, b):
    """Write b[v] ∝ λ_kv / Σ_w λ_kw, scaled; ``total`` holds the sums of the modality that the rows belong to."""
    n_topics = lam.shape[1]
    share = (1 / total).astype(b.dtype)
    for v in range(start, stop):
        for k in range(n_topics):
            b[v, k] = lam[v, k] * share[k]
        top = b[v, 0]
        for k in range(1, n_topics):
            top = max(top, b[v, k])
        scale = 1 / top
        for k in range(n_topics):
            b[v, k] *= scale
        b[v, n_topics:] = 0
