"""Batches of observations, updates from them, and a start made of these."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from . import priors
from .backend import Array, Double
from .measured_sets import MeasuredSets
from .posterior import Posterior
from .random_streams import Stream, generator

STEPS = 128
"""Batches of the start."""
SMALLEST_BATCH = 50
"""Observations in one, on average: with fewer, steps follow noise. Few observations are seen more than once."""
ROUNDS = 10
"""Of the E-step of a batch, by signatures that the step is about to move."""
EXCESS = 2
"""Times the topics that are wanted; the more there are before merging, the fewer hold two that belong apart."""


def batches(n_obs: int, size: int, drawn: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Batches without end, in which each observation comes once before any comes again; ``drawn`` have come already.

    An epoch, in which all come once, has an order of its own. A batch may hold the end of one and the beginning of the
    next.
    """
    size = min(size, n_obs)
    epoch, begun = divmod(drawn, n_obs)
    order = generator(seed, Stream.BATCHES, epoch).permutation(n_obs)[begun:]
    while True:
        if order.size < size:
            epoch += 1
            order = np.concatenate([order, generator(seed, Stream.BATCHES, epoch).permutation(n_obs)])
        yield order[:size]
        order = order[size:]


def svi_step(
    posterior: Posterior,
    batch: NDArray[np.integer],
    rate: float,
    max_rounds: int,
    *,
    atol: float = 0.0,
    rtol: float = 0.0,
    out: Array | None = None,
) -> tuple[Array, Array, float]:
    """γ of a batch, λ moved by ``rate`` towards the batch's optimum, and the work in passes over all observations.

    The batch stands for all. An observation that is in it more than once counts as often. λ is put into ``out``, which
    may be the posterior's own, if that is given.
    """
    corpus, start = posterior.corpus, np.ones((batch.size, posterior.n_topics), posterior.lam.dtype)
    sample = replace(posterior, corpus=corpus.part(batch), gamma=start)
    sample.gamma, passes = sample.e_step(start, max_rounds, atol=atol, rtol=rtol)
    lam = natural_gradient_step(sample, rate, corpus.n_obs, out)
    return sample.gamma, lam, (passes + 1) * sample.corpus.nnz / max(1, corpus.nnz)


def natural_gradient_step(sample: Posterior, rate: float, n_obs: int, out: Array | None = None) -> Array:
    """λ of ``sample`` moved by ``rate`` towards λ of ``n_obs`` such observations."""
    t, _ = sample.topics(sample.gamma)
    corpus, sets, real = sample.corpus, sample.corpus.measured_sets, sample.lam.dtype.type
    keep, scale = real(1 - rate), real(rate * n_obs / corpus.n_obs)
    if isinstance(sets, MeasuredSets):
        counts, _ = sample.statistics(t)
        moved = np.empty_like(sample.lam) if out is None else out
        for m, block in enumerate(corpus.blocks):
            expected = sets.gathered(m, block, counts, sample.effects).expected(sample.lam[block])
            added = rate * priors.by_row(priors.part(sample.eta, block), real)
            moved[block] = keep * sample.lam[block] + (scale * expected + added)
    else:
        amounts = float(keep), float(scale), rate * sample.eta
        moved = sample.backend.gradient_step(corpus.columns, t, sample.signatures(), sample.lam, *amounts, out)
    if sample.guide is not None:
        moved += (rate * sample.guide.pseudocounts(sample.n_topics)).astype(real)
        sample.guide.hold_all(moved, corpus.blocks)
    return moved


def initial_signatures(
    posterior: Posterior, rng: np.random.Generator, steps: int = STEPS, largest: int | None = None
) -> tuple[Array, float]:
    """λ from batches, by the collapsed family, with twice the topics, the most alike of which are merged; and the work.

    Topics that are found from few observations at a time part early, before any observation has committed itself.
    Every observation is seen once, or more often if there are few, in ``steps`` batches, at rates (1 + t)^−0.6,
    t = 0, 1, …; or fewer are seen, in batches of ``largest``. The prior of their proportions is symmetric; where the
    posterior's is not, the merged topics are put `in_order` of it. The work is in full passes over K topics.
    """
    corpus, dtype, n_topics = posterior.corpus, posterior.lam.dtype, EXCESS * posterior.n_topics
    many = replace(
        posterior,
        gamma=np.empty((0, n_topics), dtype=dtype),
        lam=np.empty((len(posterior.lam), n_topics), dtype=dtype),
        alpha=priors.symmetric(posterior.alpha) / EXCESS,
        family="collapsed",
    )
    for part in np.array_split(many.lam, STEPS):
        part[:] = rng.gamma(100, 1 / 100, part.shape)
    if many.guide is not None:
        many.guide.begin(many.lam, corpus.blocks)
    n_seen = max(corpus.n_obs if largest is None else min(corpus.n_obs, steps * largest), steps * SMALLEST_BATCH)
    order = np.concatenate([rng.permutation(corpus.n_obs) for _ in range(-(-n_seen // corpus.n_obs))])[:n_seen]
    passes = 0.0
    for step, batch in enumerate(np.array_split(order, steps)):
        _, _, done = svi_step(many, batch, (1 + step) ** -0.6, ROUNDS, rtol=1e-2, out=many.lam)
        many.update(many.gamma, many.lam)
        passes += EXCESS * done
    sets = corpus.measured_sets
    if not isinstance(sets, MeasuredSets) or sets.is_complete:
        return in_order(posterior, merged(many, posterior.n_topics)), passes
    gamma, done = many.e_step(np.ones((corpus.n_obs, n_topics), dtype), ROUNDS, rtol=1e-2)
    counts, _ = many.statistics(many.topics(gamma)[0])
    if many.effects is not None:
        counts /= many.effects.factors[:, None].astype(dtype)
    lam = merged_in_sets(many, sets, posterior.n_topics, counts)
    return in_order(posterior, lam), passes + EXCESS * (done + 1)


def in_order(posterior: Posterior, lam: Array) -> Array:
    """λ with guided topics first; of the others, the more counts one has, the larger is the posterior's α of its place.

    Where α is a number, these stay in their order.
    """
    guide, blocks, n_guided = posterior.guide, posterior.corpus.blocks, 0
    if guide is not None:
        lam, n_guided = np.ascontiguousarray(lam[:, guide.order(lam, blocks)]), guide.n_topics
    if isinstance(posterior.alpha, np.ndarray):
        counts = (lam - priors.by_row(posterior.eta, lam.dtype)) * posterior.corpus.by_feature()[:, None]
        totals = posterior.backend.column_sums(counts)[n_guided:]
        order = np.arange(lam.shape[1])
        by_alpha = np.argsort(posterior.alpha[n_guided:], kind="stable")
        order[n_guided + by_alpha] = n_guided + np.argsort(totals, kind="stable")
        lam = np.ascontiguousarray(lam[:, order])
    if guide is not None:
        lam += guide.pseudocounts(posterior.n_topics).astype(lam.dtype)
        guide.hold_all(lam, blocks)
    return lam


def merged(posterior: Posterior, n_topics: int) -> Array:
    """λ of ``n_topics`` topics: again and again the two are added that lose the least likelihood by it.

    What two topics lose is the likelihood of their counts under signatures of their own, less that under a common one.
    Pseudocounts of a guide are counts here, and not in λ.
    """
    counts = np.array(posterior.lam.T, order="C")
    counts -= np.asarray(posterior.eta, counts.dtype)
    guide = posterior.guide
    known = None if guide is None else guide.pseudocounts(len(counts)).T.astype(counts.dtype)
    weighted = counts if posterior.corpus.weights is None else counts * posterior.corpus.by_feature()
    for values in (counts, weighted):
        np.maximum(values, np.finfo(values.dtype).tiny, out=values)
    totals = np.stack([weighted[:, block].sum(axis=1, dtype=np.float64) for block in posterior.corpus.blocks])

    def likelihood(pairs: NDArray[np.int64]) -> Double:
        total = totals[:, pairs].sum(axis=2)
        together = posterior.backend.merged(pairs, weighted)
        return np.asarray(together - (total * np.log(total)).sum(axis=0))

    def add(i: int, j: int) -> None:
        counts[i] += counts[j]
        if known is not None:
            known[i] += known[j]
        if weighted is not counts:
            weighted[i] += weighted[j]
        totals[:, i] += totals[:, j]

    alive = _left_over(len(counts), n_topics, likelihood, add)
    if known is not None:
        counts[alive] = np.maximum(counts[alive] - known[alive], 0)
    lam = np.ascontiguousarray(counts[alive].T)
    lam += priors.by_row(posterior.eta, lam.dtype)
    return lam


def merged_in_sets(posterior: Posterior, sets: MeasuredSets, n_topics: int, counts: Array) -> Array:
    """As `merged`, by the ``counts`` of each column, columns × topics, as they were seen.

    A topic of one measured set has in the features of others only what was expected, which must not keep it apart from
    similar ones.
    """
    corpus = posterior.corpus
    parts = [sets.gathered(m, block, counts) for m, block in enumerate(corpus.blocks)]
    lam = np.array(posterior.lam)

    def likelihood(pairs: NDArray[np.int64]) -> Double:
        total = np.zeros(len(pairs))
        for part, weight in zip(parts, corpus.modality_weights, strict=True):
            total += weight * posterior.backend.merged_in_sets(pairs, part.by_feature, part.by_set, part.read)
        return total

    def add(i: int, j: int) -> None:
        for values in (lam, *(values for part in parts for values in (part.by_feature, part.by_set))):
            values[:, i] += values[:, j]

    alive = _left_over(lam.shape[1], n_topics, likelihood, add)
    found = np.ascontiguousarray(lam[:, alive])
    for block, part in zip(corpus.blocks, parts, strict=True):
        found[block] = part.of(alive).most_likely(found[block], priors.part(posterior.eta, block))
    return found


def _left_over(
    n: int, n_topics: int, likelihood: Callable[[NDArray[np.int64]], Double], add: Callable[[int, int], None]
) -> list[int]:
    """Which of ``n`` topics are left when ``add`` has added, again and again, the two that lose least."""
    alive = list(range(n))

    def fill(pairs: NDArray[np.int64]) -> None:
        i, j = pairs.T
        loss[i, j] = own[i] + own[j] - likelihood(pairs)

    own = likelihood(np.repeat(alive, 2).reshape(-1, 2)) / 2
    loss = np.full((n, n), np.inf)
    fill(np.stack(np.triu_indices(n, 1), axis=1))
    while len(alive) > n_topics:
        i, j = (int(topic) for topic in np.unravel_index(np.argmin(loss), loss.shape))
        add(i, j)
        alive.remove(j)
        loss[j], loss[:, j] = np.inf, np.inf
        own[i] = likelihood(np.array([[i, i]]))[0] / 2
        fill(np.array([sorted((i, k)) for k in alive if k != i]))
    return alive
