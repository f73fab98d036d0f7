"""The likelihood that counts of two topics have together."""

import math

import numpy as np

from . import special
from .jit import jit, kernel

CHUNK, ROUNDS = 256, 10


@kernel
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
            special.log_double(logs[: a.size])
            out[p] += special.dot(a, logs) + special.dot(b, logs)


@kernel
def merged_in_sets(start, stop, pairs, by_feature, by_set, features, ends, out):
    """Write, for each pair of topics, the likelihood of their counts under the signature that explains them best.

    Of one modality: ``by_feature`` has the counts of topics, V × K, ``by_set`` their sums over each set, whose features
    are ``features[ends[p] : ends[p + 1]]``. The signature is that of `Gathered.most_likely` without a prior.
    """
    counts, share, exposure = np.empty((3, by_feature.shape[0]))
    seen, measured = np.empty((2, by_set.shape[0]))
    for n in range(start, stop):
        i, j = pairs[n]
        for v in range(counts.size):
            counts[v] = by_feature[v, i] + by_feature[v, j]
        for p in range(seen.size):
            seen[p] = by_set[p, i] + by_set[p, j]
        special.copy(counts, share)
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


@jit
def _measured(share, features, ends, out):
    """Write the sums of ``share`` over the features of each set."""
    for p in range(out.size):
        out[p] = 0
        for c in range(ends[p], ends[p + 1]):
            out[p] += share[features[c]]
