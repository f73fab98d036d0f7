"""The E-step: γ of one observation after another at its fixed point, on the topics that are alive in it."""

import numpy as np

from . import special
from .expectations import scaled_exp
from .jit import inlined, jit_reassociate, kernel
from .statistics import longest_row, mix_rows

CHUNK = 256


@jit_reassociate
def _mix_topics(x, table, slot, own, mixture, total):
    """As `mix_rows`, over the topics ``slot`` of a table chunks × topics × non-zeros, four topics at a time."""
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


@inlined
def _gather(b, features, live, table):
    """Copy the columns ``live`` of the features' rows into the table, topic by topic."""
    for chunk in range(-(-features.size // CHUNK)):
        names = features[chunk * CHUNK : (chunk + 1) * CHUNK]
        for i in range(names.size):
            v = names[i]
            for j in range(live.size):
                table[chunk, j, i] = b[v, live[j]]


@inlined
def _expectation(gamma, live, work, t):
    """Write exp(ψ(γ)) of the live topics, scaled."""
    values, logs, scratch = work
    n = live.size
    for j in range(n):
        values[j] = gamma[live[j]]
    special.digamma(values[:n], logs[:n])
    scaled_exp(logs[:n], scratch[:n], t[:n])


@inlined
def _commit(prior, live, t, total, gamma):
    """γ of the live topics becomes prior + t·total; ``total`` becomes what was received. Return Σ|Δγ|."""
    change = 0.0
    for j in range(live.size):
        k = live[j]
        total[j] *= t[j]
        updated = prior[k] + total[j]
        change += abs(updated - gamma[k])
        gamma[k] = updated
    return change


@inlined
def _fixed_point(x, features, b, prior, gamma, work, max_rounds, atol, rtol):
    """Iterate one observation's γ to its fixed point; return the rounds, each counted as its share of topics.

    The first rounds are over all topics, on the rows of b where they lie. Topics that receive no more than is lost in
    the rounding of their prior are dropped for the rest of the E-step once that is half of them: the others' columns
    are then gathered into a table.
    """
    table, live, slot, t, total, mixture, doubles = work
    width, gathered, rounds = gamma.size, False, 0.0
    for k in range(width):
        live[k] = k
    t[:] = 0
    limit = width * atol + rtol * special.total(x)
    epsilon = np.finfo(gamma.dtype).eps
    for done in range(max_rounds):
        _expectation(gamma, live[:width], doubles, t)
        if gathered:
            _mix_topics(x, table, slot[:width], t, mixture, total)
        else:
            mix_rows(x, b, features, t, mixture, total)
        rounds += width / gamma.size
        if _commit(prior, live[:width], t, total, gamma) < limit or done + 1 == max_rounds:
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


@kernel
def e_step(start, stop, indptr, indices, data, b, prior, gamma, rounds, max_rounds, atol, rtol):
    """Update γ of the rows in place; write each row's rounds, each counted as its share of topics alive."""
    n_topics, width, longest = gamma.shape[1], b.shape[1], longest_row(start, stop, indptr)
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
            special.copy(row_prior, gamma[d])
            rounds[d] = 0
        else:
            x, features = data[low:high], indices[low:high]
            rounds[d] = _fixed_point(x, features, b, row_prior, gamma[d], work, max_rounds, atol, rtol)
