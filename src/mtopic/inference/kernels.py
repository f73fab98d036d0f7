"""Compiled loops over a block of rows; they hold no lock and write only the rows ``start`` to ``stop`` of their output.

Every row's result depends on that row alone, so that any partition into blocks gives the same bits.

Expectations are stored scaled, topics ``t[d]`` by their row's maximum, signatures ``b[v]`` by their feature's maximum, and
padded with zeros to whole vectors. The ratios of the updates do not feel these scales, and single precision does not
underflow: ``t[d]`` has an entry 1 and no entry is less than the smallest normal number × `HEADROOM`, so their product is never
zero.
"""

import math

import numpy as np

from . import special

HEADROOM = 2.0**26
LANES = 8
CHUNK = 256

_jit, _jit_reassociate = special.jit, special.jit_reassociate


def padded(n_topics: int) -> int:
    """Width of a table of expectations: the number of topics, rounded up to whole vectors."""
    return -(-n_topics // LANES) * LANES


@_jit
def _scaled_exp(logs, scratch, out):
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


@_jit
def expected_topics(start, stop, counts, prior, gamma, t, bound):
    """Write t[d] ∝ exp(E log θ_d), scaled, and what γ_d adds to the bound besides Σ x log(t·b) and constants of the prior.

    That is ``counts[d]`` × the logarithm of the scale − KL(Dir(γ_d) ‖ Dir(prior)) without ln Γ of the prior.
    """
    n_topics = gamma.shape[1]
    values, logs, scratch = np.empty(n_topics + 1), np.empty(n_topics + 1), np.empty(n_topics + 1)
    for d in range(start, stop):
        values[n_topics] = 0
        for k in range(n_topics):
            values[k] = gamma[d, k]
            values[n_topics] += values[k]
        bound[d] = special.sum_log_gamma(values[:n_topics], logs, scratch) - math.lgamma(values[n_topics])
        special.digamma(values, logs)
        row_prior = prior[min(d, prior.shape[0] - 1)]
        for k in range(n_topics):
            bound[d] -= (values[k] - row_prior[k]) * (logs[k] - logs[n_topics])
        t[d, n_topics:] = 0
        bound[d] += counts[d] * (_scaled_exp(logs[:n_topics], scratch, t[d, :n_topics]) - logs[n_topics])


@_jit
def expected_signatures(start, stop, lam, log_total, b):
    """Write b[v] ∝ exp(E log β_·v), scaled; ``log_total`` holds ψ(Σ_w λ_kw) of the modality that the rows belong to."""
    n_topics = lam.shape[1]
    values, logs, scratch = np.empty(n_topics), np.empty(n_topics), np.empty(n_topics)
    for v in range(start, stop):
        for k in range(n_topics):
            values[k] = lam[v, k]
        special.digamma(values, logs)
        for k in range(n_topics):
            logs[k] -= log_total[k]
        b[v, n_topics:] = 0
        _scaled_exp(logs, scratch, b[v, :n_topics])


@_jit
def mean_signatures(start, stop, lam, total, b):
    """Write b[v] ∝ λ_kv / Σ_w λ_kw, scaled; ``total`` holds the sums of the modality that the rows belong to."""
    n_topics = lam.shape[1]
    share = (1 / total).astype(b.dtype)
    for v in range(start, stop):
        for k in range(n_topics):
            b[v, k] = lam[v, k] * share[k]
        scale = 1 / b[v, :n_topics].max()
        for k in range(n_topics):
            b[v, k] *= scale
        b[v, n_topics:] = 0


@_jit_reassociate
def _by_feature(x, rows, index, own, mixture, total):
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


@_jit_reassociate
def _by_topic(x, table, slot, own, mixture, total):
    """As `_by_feature`, over the topics ``slot`` of a table chunks × topics × non-zeros of a chunk, four topics at a time."""
    zero = total.dtype.type(0)
    whole = slot.size - slot.size % 4
    total[: slot.size] = zero
    for chunk in range(-(-x.size // CHUNK)):
        counts = x[chunk * CHUNK : (chunk + 1) * CHUNK]
        share = mixture[: counts.size]
        share[:] = zero
        for j in range(0, whole, 4):
            a, b, c, d = slot[j], slot[j + 1], slot[j + 2], slot[j + 3]
            own_a, own_b, own_c, own_d = own[j], own[j + 1], own[j + 2], own[j + 3]
            for i in range(share.size):
                share[i] += (own_a * table[chunk, a, i] + own_b * table[chunk, b, i]) + (
                    own_c * table[chunk, c, i] + own_d * table[chunk, d, i]
                )
        for j in range(whole, slot.size):
            a, own_a = slot[j], own[j]
            for i in range(share.size):
                share[i] += own_a * table[chunk, a, i]
        for i in range(share.size):
            share[i] = counts[i] / share[i]
        for j in range(0, whole, 4):
            a, b, c, d = slot[j], slot[j + 1], slot[j + 2], slot[j + 3]
            sum_a, sum_b, sum_c, sum_d = zero, zero, zero, zero
            for i in range(share.size):
                sum_a += share[i] * table[chunk, a, i]
                sum_b += share[i] * table[chunk, b, i]
                sum_c += share[i] * table[chunk, c, i]
                sum_d += share[i] * table[chunk, d, i]
            total[j] += sum_a
            total[j + 1] += sum_b
            total[j + 2] += sum_c
            total[j + 3] += sum_d
        for j in range(whole, slot.size):
            a, sum_a = slot[j], zero
            for i in range(share.size):
                sum_a += share[i] * table[chunk, a, i]
            total[j] += sum_a


@_jit
def _gather(b, features, live, table):
    """Copy the columns ``live`` of the features' rows into the table, topic by topic."""
    for chunk in range(-(-features.size // CHUNK)):
        names = features[chunk * CHUNK : (chunk + 1) * CHUNK]
        for i in range(names.size):
            v = names[i]
            for j in range(live.size):
                table[chunk, j, i] = b[v, live[j]]


@_jit
def _expectation(gamma, live, work, t):
    """Write exp(ψ(γ)) of the live topics, scaled."""
    values, logs, scratch = work
    n = live.size
    for j in range(n):
        values[j] = gamma[live[j]]
    special.digamma(values[:n], logs[:n])
    _scaled_exp(logs[:n], scratch[:n], t[:n])


@_jit
def _take(prior, live, t, total, gamma):
    """γ of the live topics becomes prior + t·total; ``total`` becomes what was received. Return Σ|Δγ|."""
    change = 0.0
    for j in range(live.size):
        k = live[j]
        total[j] *= t[j]
        updated = prior[k] + total[j]
        change += abs(updated - gamma[k])
        gamma[k] = updated
    return change


@_jit
def _fixed_point(x, features, b, prior, gamma, work, max_rounds, atol, rtol):
    """Iterate one observation's γ to its fixed point; return the rounds, each counted as its share of topics.

    The first rounds are over all topics, on the rows of b where they lie. Topics that receive no more than is lost in the
    rounding of their prior are dropped for the rest of the E-step once that is half of them: the others' columns are then
    gathered into a table.
    """
    table, live, slot, t, total, mixture, doubles = work
    width, gathered, rounds = gamma.size, False, 0.0
    for k in range(width):
        live[k] = k
    t[:] = 0
    limit = width * atol + rtol * x.sum()
    epsilon = np.finfo(gamma.dtype).eps
    for done in range(max_rounds):
        _expectation(gamma, live[:width], doubles, t)
        if gathered:
            _by_topic(x, table, slot[:width], t, mixture, total)
        else:
            _by_feature(x, b, features, t, mixture, total)
        rounds += width / gamma.size
        if _take(prior, live[:width], t, total, gamma) < limit or done + 1 == max_rounds:
            break
        n_keep = 0
        for j in range(width):
            if total[j] > epsilon * prior[live[j]]:
                n_keep += 1
        if n_keep == 0:
            break
        if gathered or 2 * n_keep <= width:
            n_keep = 0
            for j in range(width):
                if total[j] > epsilon * prior[live[j]]:
                    live[n_keep] = live[j]
                    slot[n_keep] = slot[j]
                    n_keep += 1
            width = n_keep
            if not gathered:
                _gather(b, features, live[:width], table)
                for j in range(width):
                    slot[j] = j
                gathered = True
    return rounds


@_jit
def _longest(start, stop, indptr):
    longest = 0
    for row in range(start, stop):
        longest = max(longest, indptr[row + 1] - indptr[row])
    return longest


@_jit
def e_step(start, stop, indptr, indices, data, b, prior, gamma, rounds, max_rounds, atol, rtol):
    """Update γ of the rows in place from the values it holds; write each row's rounds, counted by the topics alive in them.

    ``prior`` has one row for all observations or a row each. A row stops when Σ_k|Δγ| < K·atol + rtol·(its counts).
    """
    n_topics, width, longest = gamma.shape[1], b.shape[1], _longest(start, stop, indptr)
    work = (
        np.empty((-(-longest // CHUNK), n_topics // 2, CHUNK), b.dtype),
        np.empty(n_topics, np.int64),
        np.empty(n_topics, np.int64),
        np.empty(width, b.dtype),
        np.empty(width, b.dtype),
        np.empty(max(longest, CHUNK), b.dtype),
        (np.empty(n_topics), np.empty(n_topics), np.empty(n_topics)),
    )
    for d in range(start, stop):
        row_prior = prior[min(d, prior.shape[0] - 1)]
        low, high = indptr[d], indptr[d + 1]
        if low == high:
            gamma[d] = row_prior
            rounds[d] = 0
        else:
            x, features = data[low:high], indices[low:high]
            rounds[d] = _fixed_point(x, features, b, row_prior, gamma[d], work, max_rounds, atol, rtol)


@_jit
def sufficient_statistics(start, stop, indptr, indices, data, t, b, out, bound):
    """Write s_v = Σ_d x_dv t_dk b_vk / (t_d · b_v) for the features ``start`` to ``stop`` of a CSC matrix.

    And what they add to the bound besides a function of λ: Σ_d x_dv log(t_d · b_v) − Σ_k s_vk log b_vk.
    """
    n_topics, longest = out.shape[1], max(_longest(start, stop, indptr), b.shape[1])
    mixture, total = np.empty(longest, b.dtype), np.empty(b.shape[1], b.dtype)
    for v in range(start, stop):
        row = slice(indptr[v], indptr[v + 1])
        x = data[row]
        _by_feature(x, t, indices[row], b[v], mixture, total)
        special.log(mixture[: x.size])
        bound[v] = special.dot(x, mixture)
        for k in range(n_topics):
            out[v, k] = total[k] * b[v, k]
            mixture[k] = b[v, k]
        special.log(mixture[:n_topics])
        bound[v] -= special.dot(out[v], mixture)


@_jit
def gradient_step(start, stop, indptr, indices, data, t, b, keep, scale, shift, lam, out):
    """Write keep · λ_v + scale · s_v + shift_v, with s_v as in `sufficient_statistics`; ``out`` may be ``lam``.

    ``shift`` has one entry for all features or one each.
    """
    mixture, total = np.empty(_longest(start, stop, indptr), b.dtype), np.empty(b.shape[1], b.dtype)
    for v in range(start, stop):
        row = slice(indptr[v], indptr[v + 1])
        own_shift = shift[min(v, shift.size - 1)]
        _by_feature(data[row], t, indices[row], b[v], mixture, total)
        for k in range(lam.shape[1]):
            out[v, k] = keep * lam[v, k] + (scale * (total[k] * b[v, k]) + own_shift)


@_jit
def log_likelihood(start, stop, indptr, indices, data, t, b, out):
    """Write Σ_v x_dv log(t_d · b_v) of each row."""
    mixture, total = np.empty(_longest(start, stop, indptr), b.dtype), np.empty(b.shape[1], b.dtype)
    for d in range(start, stop):
        row = slice(indptr[d], indptr[d + 1])
        x = data[row]
        _by_feature(x, b, indices[row], t[d], mixture, total)
        special.log(mixture[: x.size])
        out[d] = special.dot(x, mixture)


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
