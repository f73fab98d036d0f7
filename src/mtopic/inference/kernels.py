"""Compiled loops over a block of rows; they hold no lock and write only the rows ``start`` to ``stop`` of their output.

Every row's result depends on that row alone, so that any partition into blocks gives the same bits.

Expectations are stored scaled: topics ``t[d]`` by their row's maximum, signatures ``b[v]`` by their feature's maximum.
The ratios of the updates do not feel these scales, and single precision does not underflow: ``t[d]`` has an entry 1 and
no entry is less than the smallest normal number × `HEADROOM`, so their product is never zero.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

HEADROOM = 2.0**26

_jit: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(nogil=True, cache=True)
_jit_reassociate: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(
    nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"}
)


@_jit
def digamma(x):
    """ψ(x) for x > 0: six steps of the recurrence, then the asymptotic series (relative error below 1e-12)."""
    steps = 1 / x + 1 / (x + 1) + 1 / (x + 2) + 1 / (x + 3) + 1 / (x + 4) + 1 / (x + 5)
    y = x + 6
    z = 1 / (y * y)
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132 - z * 691 / 32760)))))
    return math.log(y) - 0.5 / y - series - steps


@_jit
def _scaled_expectation(values, out):
    """Write exp(ψ(values)) divided by its maximum; return the logarithm of that maximum."""
    top = -np.inf
    for k in range(values.size):
        top = max(top, values[k])
    top = digamma(float(top))
    floor = np.finfo(out.dtype).tiny * HEADROOM
    for k in range(values.size):
        out[k] = max(math.exp(digamma(float(values[k])) - top), floor)
    return top


@_jit
def expected_topics(start, stop, gamma, t, shift):
    """Write t[d] ∝ exp(E log θ_d), scaled, and the logarithm of its scale."""
    for d in range(start, stop):
        total = 0.0
        for k in range(gamma.shape[1]):
            total += gamma[d, k]
        shift[d] = _scaled_expectation(gamma[d], t[d]) - digamma(total)


@_jit
def expected_signatures(start, stop, lam, log_total, b, shift):
    """Write b[v] ∝ exp(E log β_·v), scaled, and the logarithm of its scale.

    ``log_total`` holds ψ(Σ_w λ_kw) for the modality that the rows belong to.
    """
    n_topics = lam.shape[1]
    logs = np.empty(n_topics)
    floor = np.finfo(b.dtype).tiny * HEADROOM
    for v in range(start, stop):
        top = -np.inf
        for k in range(n_topics):
            logs[k] = digamma(float(lam[v, k])) - log_total[k]
            top = max(top, logs[k])
        for k in range(n_topics):
            b[v, k] = max(math.exp(logs[k] - top), floor)
        shift[v] = top


@_jit_reassociate
def _responsibilities(x, rows, index, own, total):
    """Write Σ_i x_i r_i / (r_i · own), with r_i = rows[index_i]: both products of a round in one loop, four rows at a time."""
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
        share_a, share_b = x[i] / share_a, x[i + 1] / share_b
        share_c, share_d = x[i + 2] / share_c, x[i + 3] / share_d
        for k in range(n_topics):
            total[k] += share_a * rows[a, k] + share_b * rows[b, k] + share_c * rows[c, k] + share_d * rows[d, k]
    for i in range(whole, n):
        a, share_a = index[i], zero
        for k in range(n_topics):
            share_a += rows[a, k] * own[k]
        share_a = x[i] / share_a
        for k in range(n_topics):
            total[k] += share_a * rows[a, k]


@_jit
def _gather(b, features, buffer):
    """Copy the rows of the features into the buffer; return it as a features × topics table."""
    n, n_topics = features.size, b.shape[1]
    rows = buffer[: n * n_topics].reshape(n, n_topics)
    for i in range(n):
        v = features[i]
        for k in range(n_topics):
            rows[i, k] = b[v, k]
    return rows


@_jit
def _compact(rows, keep, buffer):
    """Move the columns ``keep`` of the table at the head of the buffer together; return the narrower table."""
    n, width = rows.shape[0], keep.size
    narrow = buffer[: n * width].reshape(n, width)
    for i in range(n):
        for j in range(width):
            narrow[i, j] = rows[i, keep[j]]
    return narrow


@_jit
def _round(x, rows, index, live, prior, gamma, t, total):
    """One E-step round over the live topics of one observation; return Σ|Δγ|."""
    for j in range(live.size):
        t[j] = gamma[live[j]]
    _scaled_expectation(t, t)
    _responsibilities(x, rows, index, t, total)
    change = 0.0
    for j in range(live.size):
        k = live[j]
        total[j] *= t[j]
        updated = prior[k] + total[j]
        change += abs(updated - gamma[k])
        gamma[k] = updated
    return change


@_jit
def _fixed_point(x, rows, prior, gamma, work, max_rounds, atol, rtol):
    """Iterate one observation's γ to its fixed point; return the number of rounds.

    ``rows`` holds b of the observation's features. Topics that receive no more than is lost in the rounding of their prior
    are dropped for the rest of the E-step, once a quarter of them is to go.
    """
    buffer, positions, live, keep, t, total = work
    width = gamma.size
    for k in range(width):
        live[k] = k
    index = positions[: x.size]
    limit = width * atol + rtol * x.sum()
    epsilon = np.finfo(gamma.dtype).eps
    for done in range(max_rounds):
        change = _round(x, rows, index, live[:width], prior, gamma, t[:width], total[:width])
        if change < limit:
            return done + 1
        n_keep = 0
        for j in range(width):
            if total[j] > epsilon * prior[live[j]]:
                keep[n_keep] = j
                n_keep += 1
        if n_keep == 0:
            return done + 1
        if n_keep < width - width // 4:
            rows = _compact(rows, keep[:n_keep], buffer)
            for j in range(n_keep):
                live[j] = live[keep[j]]
            width = n_keep
    return max_rounds


@_jit
def e_step(start, stop, indptr, indices, data, b, prior, gamma, rounds, max_rounds, atol, rtol):
    """Update γ of the rows in place from the values it holds; write the number of rounds each row took.

    ``prior`` has one row for all observations or a row each. A row stops when Σ_k|Δγ| < K·atol + rtol·(its counts).
    """
    n_topics = b.shape[1]
    longest = 0
    for d in range(start, stop):
        longest = max(longest, indptr[d + 1] - indptr[d])
    work = (
        np.empty(longest * n_topics, b.dtype),
        np.arange(longest).astype(indices.dtype),
        np.empty(n_topics, np.int64),
        np.empty(n_topics, np.int64),
        np.empty(n_topics, b.dtype),
        np.empty(n_topics, b.dtype),
    )
    for d in range(start, stop):
        row_prior = prior[min(d, prior.shape[0] - 1)]
        low, high = indptr[d], indptr[d + 1]
        if low == high:
            gamma[d] = row_prior
            rounds[d] = 0
        else:
            rows = _gather(b, indices[low:high], work[0])
            rounds[d] = _fixed_point(data[low:high], rows, row_prior, gamma[d], work, max_rounds, atol, rtol)


@_jit
def sufficient_statistics(start, stop, indptr, indices, data, t, b, out):
    """Write Σ_d x_dv t_dk b_vk / Σ_j t_dj b_vj for the features ``start`` to ``stop`` of a CSC matrix."""
    for v in range(start, stop):
        low, high = indptr[v], indptr[v + 1]
        _responsibilities(data[low:high], t, indices[low:high], b[v], out[v])
        for k in range(b.shape[1]):
            out[v, k] *= b[v, k]


@_jit_reassociate
def log_likelihood(start, stop, indptr, indices, data, t, t_shift, b, b_shift, out):
    """Write Σ_v x_dv log Σ_k exp(E log θ_dk + E log β_kv) for each row."""
    for d in range(start, stop):
        total = 0.0
        for i in range(indptr[d], indptr[d + 1]):
            v = indices[i]
            mixture = t.dtype.type(0)
            for k in range(b.shape[1]):
                mixture += t[d, k] * b[v, k]
            total += data[i] * (math.log(mixture) + t_shift[d] + b_shift[v])
        out[d] = total


@_jit
def dirichlet_divergence(start, stop, values, prior, out):
    """Write, for each row, the part of KL(Dir(values) ‖ Dir(prior)) that is a sum over its entries.

    Σ_k (v_k − p_k) ψ(v_k) − ln Γ(v_k) + ln Γ(p_k); what depends on the totals is added by the caller.
    """
    for row in range(start, stop):
        row_prior = prior[min(row, prior.shape[0] - 1)]
        total = 0.0
        for k in range(values.shape[1]):
            value, p = float(values[row, k]), float(row_prior[k])
            total += (value - p) * digamma(value) - math.lgamma(value) + math.lgamma(p)
        out[row] = total


@_jit
def correct_by_neighbours(start, stop, indptr, indices, weights, gamma, previous, isolated, out):
    """Write γ ⊙ (1 + s), rescaled to its sum, with s the similarity-weighted mean direction of the neighbours.

    The graph holds no self edges: an observation counts itself with weight 1 and its γ as it is now. One that has no
    neighbour keeps its γ unless ``isolated`` says that it be corrected by itself.
    """
    n_topics = gamma.shape[1]
    s = np.empty(n_topics)
    for d in range(start, stop):
        if indptr[d] == indptr[d + 1] and not isolated:
            out[d] = gamma[d]
            continue
        norm = math.sqrt(_dot(gamma[d], gamma[d]))
        for k in range(n_topics):
            s[k] = gamma[d, k] / norm
        for i in range(indptr[d], indptr[d + 1]):
            other = previous[indices[i]]
            other_norm = math.sqrt(_dot(other, other))
            weight = weights[i] * _dot(gamma[d], other) / (norm * other_norm * other_norm)
            for k in range(n_topics):
                s[k] += weight * other[k]
        s /= math.sqrt(_dot(s, s))
        before, after = 0.0, 0.0
        for k in range(n_topics):
            s[k] = gamma[d, k] * (1 + s[k])
            before += gamma[d, k]
            after += s[k]
        for k in range(n_topics):
            out[d, k] = s[k] * (before / after)


@_jit
def _dot(a, b):
    total = 0.0
    for k in range(a.size):
        total += float(a[k]) * float(b[k])
    return total


@_jit
def place_rows(indptr, indices, data, order, column, out_start, out_indices, out_data):
    """Copy the rows ``order`` (−1: none) of one CSR matrix into a wider one, its columns shifted by ``column``.

    ``out_start[d]`` is where row d goes; it is moved on by what was written.
    """
    for d in range(order.size):
        if order[d] < 0:
            continue
        for i in range(indptr[order[d]], indptr[order[d] + 1]):
            out_indices[out_start[d]] = indices[i] + column
            out_data[out_start[d]] = data[i]
            out_start[d] += 1
