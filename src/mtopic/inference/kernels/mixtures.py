"""Mixtures of given columns on the probability simplex: a feature's signature from those of others.

For a target a (K) and columns b (K × n), weights w on the simplex descend

    Σ_k a_k ln((a_k + ε) / ((bw)_k + ε)) + sparsity · Σ_p [(w_p + ε)^0.1 + ln(w_p + ε)] + spread · Σ_p w_p ln w_p.

The sparsity term is concave and replaced by its tangent, as is the spread where it is negative; what is left is
convex. Each step is exact for the spread and the tangents and goes along the gradient of the first term in the
geometry of the simplex (exponentiated gradient: Kivinen and Warmuth 1997), as far as the whole objective falls.
Weights far below ε, which the sparsity holds at zero, are dropped.
"""

import math

import numpy as np

from . import special
from .jit import jit, jit_reassociate, kernel
from .statistics import longest_row

EPSILON = 1e-6
POWER = 0.1
NEGLIGIBLE = 1e-9
"""Weights below it are dropped, if the sparsity's slope at zero outweighs the spread's there."""
PATIENCE = 5
"""Steps without a notable gain after which the descent ends."""


@jit_reassociate
def _mix(b, n, w, out):
    """Write b w over the first n columns."""
    for k in range(b.shape[0]):
        total = 0.0
        for p in range(n):
            total += b[k, p] * w[p]
        out[k] = total


@jit_reassociate
def _objective(a, mix, n, w, log_w, sparsity, spread, work):
    """The objective of n weights; ``work[0]`` becomes ln(w + ε) and ``work[1]`` (w + ε)^0.1."""
    near, power, scratch = work
    for p in range(n):
        near[p] = w[p] + EPSILON
    special.log_double(near[:n])
    for p in range(n):
        power[p] = min(POWER * near[p], 0.0)
    special.exp(power[:n], scratch[:n])
    total = 0.0
    for p in range(n):
        total += sparsity * (power[p] + near[p]) + spread * w[p] * log_w[p]
    for k in range(a.size):
        total += a[k] * (math.log(a[k] + EPSILON) - math.log(mix[k] + EPSILON))
    return total


@jit_reassociate
def _gradient(a, b, mix, n, w, log_w, sparsity, spread, power, out):
    """Slopes of the first term and of the tangents."""
    for p in range(n):
        near = w[p] + EPSILON
        out[p] = sparsity * (POWER * power[p] + 1) / near + min(spread, 0.0) * (1 + log_w[p])
    for k in range(a.size):
        share = a[k] / (mix[k] + EPSILON)
        for p in range(n):
            out[p] -= share * b[k, p]


@jit
def _step(n, log_w, slope, rate, spread, scratch, w, out):
    """Write logarithms of new weights, and the weights: ln w − rate · slope, tempered by the spread, normalised."""
    top = -np.inf
    for p in range(n):
        out[p] = (log_w[p] - rate * slope[p]) / (1 + rate * max(spread, 0.0))
        top = max(top, out[p])
    for p in range(n):
        out[p] -= top
        w[p] = out[p]
    special.exp(w[:n], scratch[:n])
    total = special.total(w[:n])
    for p in range(n):
        w[p] /= total
        out[p] -= math.log(total)


@jit
def _drop(n, b, w, log_w, place):
    """Move the weights that count to the front, with their columns and places; return how many they are."""
    kept, total = 0, 0.0
    for p in range(n):
        if w[p] > NEGLIGIBLE:
            place[kept], w[kept], log_w[kept] = place[p], w[p], log_w[p]
            for k in range(b.shape[0]):
                b[k, kept] = b[k, p]
            total += w[p]
            kept += 1
    for p in range(kept):
        w[p] /= total
        log_w[p] -= math.log(total)
    return kept


@jit
def _descend(a, b, sparsity, spread, max_steps, tolerance, work, place):
    """Weights of the columns of ``b``, overwritten; return how many are left in ``work[0]``, and the objective."""
    w, log_w, new_w, new_log, slope, terms, mix = work
    size = b.shape[1]
    n, rate, idle = size, 1.0, 0
    w[:n] = 1 / n
    log_w[:n] = -math.log(n)
    nothing = sparsity * (EPSILON**POWER + math.log(EPSILON))
    droppable = sparsity / EPSILON > -2 * spread * math.log(NEGLIGIBLE)
    _mix(b, n, w, mix)
    value = _objective(a, mix, n, w, log_w, sparsity, spread, terms)
    for _ in range(max_steps):
        _gradient(a, b, mix, n, w, log_w, sparsity, spread, terms[1], slope)
        gain = 0.0
        for _halving in range(60):
            _step(n, log_w, slope, rate, spread, terms[2], new_w, new_log)
            _mix(b, n, new_w, mix)
            new = _objective(a, mix, n, new_w, new_log, sparsity, spread, terms) + (size - n) * nothing
            if new <= value:
                gain, value = value - new, new
                special.copy(new_w[:n], w[:n])
                special.copy(new_log[:n], log_w[:n])
                break
            rate /= 2
        rate *= 1.5
        if droppable:
            kept = _drop(n, b, w, log_w, place)
            if kept < n:
                n = kept
                _mix(b, n, w, mix)
                value = _objective(a, mix, n, w, log_w, sparsity, spread, terms) + (size - n) * nothing
        idle = idle + 1 if gain <= tolerance * (1 + abs(value)) else 0
        if idle == PATIENCE or n == 1:
            break
    return n, value


@kernel
def mixtures(start, stop, targets, columns, indptr, indices, sparsity, spread, max_steps, tolerance, out, objective):
    """Write the weights of each target (rows of ``targets``) over its allowed columns, and the objective reached.

    Target g may mix the columns ``indices[indptr[g] : indptr[g + 1]]``; ``out`` is laid out as ``indices``.
    """
    n_topics, longest = columns.shape[0], longest_row(start, stop, indptr)
    buffer, place = np.empty(n_topics * longest), np.empty(longest, np.int64)
    rows = np.empty((8, longest))
    mix = np.empty(n_topics)
    work = (rows[0], rows[1], rows[2], rows[3], rows[4], (rows[5], rows[6], rows[7]), mix)
    for g in range(start, stop):
        allowed = indices[indptr[g] : indptr[g + 1]]
        result = out[indptr[g] : indptr[g + 1]]
        result[:] = 0
        objective[g] = 0
        if allowed.size == 0:
            continue
        b = buffer[: n_topics * allowed.size].reshape(n_topics, allowed.size)
        for k in range(n_topics):
            for p in range(allowed.size):
                b[k, p] = columns[k, allowed[p]]
        for p in range(allowed.size):
            place[p] = p
        n, objective[g] = _descend(targets[g], b, sparsity, spread, max_steps, tolerance, work, place)
        for p in range(n):
            result[place[p]] = work[0][p]
