"""The influence of neighbours on an observation's topics."""

import math

import numpy as np

from . import special
from .jit import kernel, kernel_reassociate


@kernel
def unit_rows(start, stop, values, out):
    """Write each row divided by its Euclidean norm."""
    for row in range(start, stop):
        norm = math.sqrt(special.dot(values[row], values[row]))
        for k in range(values.shape[1]):
            out[row, k] = values[row, k] / norm


@kernel_reassociate
def correct_by_neighbours(start, stop, indptr, indices, weights, gamma, units, isolated, out):
    """Write γ ⊙ (1 + s), rescaled to its sum, with s the similarity-weighted mean direction of the neighbours.

    ``units`` holds the neighbours' γ as unit vectors. The graph holds no self edges: an observation counts itself with
    weight 1 and its γ as it is now. One that has no neighbour keeps its γ unless ``isolated`` says that it be
    corrected by itself.
    """
    n_topics = gamma.shape[1]
    own, s = np.empty(n_topics, gamma.dtype), np.empty(n_topics, gamma.dtype)
    for d in range(start, stop):
        if indptr[d] == indptr[d + 1] and not isolated:
            special.copy(gamma[d], out[d])
            continue
        norm = math.sqrt(special.dot(gamma[d], gamma[d]))
        for k in range(n_topics):
            own[k] = gamma[d, k] / norm
            s[k] = own[k]
        for i in range(indptr[d], indptr[d + 1]):
            other, weight = indices[i], gamma.dtype.type(0)
            for k in range(n_topics):
                weight += own[k] * units[other, k]
            weight *= gamma.dtype.type(weights[i])
            for k in range(n_topics):
                s[k] += weight * units[other, k]
        norm = math.sqrt(special.dot(s, s))
        before, after = 0.0, 0.0
        for k in range(n_topics):
            s[k] = gamma[d, k] * (1 + s[k] / norm)
            before += gamma[d, k]
            after += s[k]
        for k in range(n_topics):
            out[d, k] = s[k] * (before / after)
