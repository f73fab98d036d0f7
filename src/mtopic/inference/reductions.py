"""Compiled sums over the entries of a row, for bounds and priors; they hold no lock and write one number a row or chunk."""

import math

import numpy as np

from . import special

CHUNK, ROUNDS = 256, 10

_jit, _jit_reassociate = special.jit, special.jit_reassociate


@_jit
def column_sums(start, stop, values, out):
    """Write the sums over the rows of chunk after chunk of a table."""
    for chunk in range(start, stop):
        out[chunk] = 0
        for row in range(chunk * CHUNK, min((chunk + 1) * CHUNK, values.shape[0])):
            for k in range(values.shape[1]):
                out[chunk, k] += values[row, k]


@_jit
def sum_log_gamma(start, stop, values, out):
    """Write Σ_k ln Γ(v_k) of each row."""
    work, logs, scratch = np.empty(values.shape[1]), np.empty(values.shape[1]), np.empty(values.shape[1])
    for row in range(start, stop):
        for k in range(work.size):
            work[k] = values[row, k]
        out[row] = special.sum_log_gamma(work, logs, scratch)


@_jit
def sum_v_log_v(start, stop, values, out):
    """Write Σ_k v_k ln v_k of each row."""
    logs = np.empty(values.shape[1])
    for row in range(start, stop):
        for k in range(logs.size):
            logs[k] = values[row, k]
        special.log(logs)
        out[row] = special.dot(values[row], logs)


@_jit
def sum_digamma(start, stop, values, out):
    """Write Σ_k ψ(v_k) of each row."""
    work, logs = np.empty(values.shape[1]), np.empty(values.shape[1])
    for row in range(start, stop):
        for k in range(work.size):
            work[k] = values[row, k]
        special.digamma(work, logs)
        out[row] = logs.sum()


@_jit
def sum_increments(start, stop, values, prior, out):
    """Write, for each row, Σ_k E[ψ(n + prior) − ψ(prior)] of counts n of which only the means v − prior are known.

    n is taken as zero with the probability that a Poisson variable of that mean has, else as its mean given that it is not.
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


@_jit
def merged_v_log_v(start, stop, pairs, topics, out):
    """Write Σ_v w_v ln w_v, w = topics[i] + topics[j], for each pair (i, j)."""
    logs = np.empty(CHUNK)
    for p in range(start, stop):
        out[p] = 0
        for chunk in range(-(-topics.shape[1] // CHUNK)):
            a = topics[pairs[p, 0], chunk * CHUNK : (chunk + 1) * CHUNK]
            b = topics[pairs[p, 1], chunk * CHUNK : (chunk + 1) * CHUNK]
            for v in range(a.size):
                logs[v] = a[v] + b[v]
            special.log(logs[: a.size])
            out[p] += special.dot(a, logs) + special.dot(b, logs)


@_jit
def merged_in_sets(start, stop, pairs, by_feature, by_panel, features, ends, out):
    """Write, for each pair of topics, the likelihood of their counts together under the signature that explains them best.

    Of one modality: ``by_feature`` has the counts of topics, V × K, ``by_panel`` their sums over each panel, whose features are
    ``features[ends[p] : ends[p + 1]]``. The signature is that of `panels.Gathered.most_likely` without a prior.
    """
    counts, share, exposure = np.empty((3, by_feature.shape[0]))
    seen, measured = np.empty((2, by_panel.shape[0]))
    for n in range(start, stop):
        i, j = pairs[n]
        for v in range(counts.size):
            counts[v] = by_feature[v, i] + by_feature[v, j]
        for p in range(seen.size):
            seen[p] = by_panel[p, i] + by_panel[p, j]
        share[:] = counts
        for _ in range(ROUNDS):
            _measured(share, features, ends, measured)
            exposure[:] = 0
            for p in range(seen.size):
                there = seen[p] / measured[p] if measured[p] > 0 else 0.0
                for c in range(ends[p], ends[p + 1]):
                    exposure[features[c]] += there
            for v in range(counts.size):
                share[v] = counts[v] / exposure[v] if counts[v] > 0 else 0.0
        _measured(share, features, ends, measured)
        out[n] = 0
        for v in range(counts.size):
            if counts[v] > 0:
                out[n] += counts[v] * math.log(share[v])
        for p in range(seen.size):
            if seen[p] > 0:
                out[n] -= seen[p] * math.log(measured[p])


@_jit
def _measured(share, features, ends, out):
    """Write the sums of ``share`` over the features of each panel."""
    for p in range(out.size):
        out[p] = 0
        for c in range(ends[p], ends[p + 1]):
            out[p] += share[features[c]]


@_jit
def total_variation(start, stop, values, others, out):
    """Write half the sum of the differences between the shares of the entries in a row of ``values`` and of ``others``."""
    for row in range(start, stop):
        total, other_total, out[row] = 0.0, 0.0, 0.0
        for k in range(values.shape[1]):
            total += values[row, k]
            other_total += others[row, k]
        for k in range(values.shape[1]):
            out[row] += abs(values[row, k] / total - others[row, k] / other_total) / 2
