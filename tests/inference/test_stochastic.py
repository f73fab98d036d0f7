import itertools
from itertools import islice

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from mtopic.inference.backend import Backend
from mtopic.inference.corpus import Corpus
from mtopic.inference.families import FAMILIES
from mtopic.inference.posterior import Posterior, initial
from mtopic.inference.stochastic import batches, initial_signatures, merged, svi_step

from .test_posterior import SAME, UNEVEN, posterior


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_at_full_rate_from_all_observations_is_the_batch_update(family):
    model = posterior(family)
    gamma, out, passes = svi_step(model, np.arange(30), 1.0, 100, atol=1e-4)
    expected, rounds = model.e_step(np.ones_like(model.gamma), 100, atol=1e-4)
    np.testing.assert_allclose(gamma, expected, rtol=1e-12)
    np.testing.assert_allclose(out, model.m_step(expected)[0], rtol=1e-10)
    assert passes == pytest.approx(rounds + 1)


@pytest.mark.parametrize("given", [SAME, UNEVEN])
def test_a_step_moves_by_the_rate_and_counts_repeated_observations(given):
    model = posterior("variational", **given)
    gamma, lam = model.gamma.copy(), model.lam.copy()
    _, out, _ = svi_step(model, np.array([3, 3, 7]), 0.25, 100, atol=1e-4)
    moved = (out - 0.75 * lam) / 0.25 - np.reshape(model.eta, (-1, 1))
    expected = (2 * model.corpus.rows[[3]].sum() + model.corpus.rows[[7]].sum()) * 30 / 3
    assert moved.sum() == pytest.approx(expected, rel=1e-9)
    np.testing.assert_array_equal(model.gamma, gamma)
    np.testing.assert_array_equal(model.lam, lam)
    svi_step(model, np.array([3, 3, 7]), 0.25, 100, atol=1e-4, out=model.lam)
    np.testing.assert_allclose(model.lam, out, rtol=1e-15 * 4)


def planted(n_obs=300, n_topics=6, n_features=80, depth=100):
    """Counts of two modalities, and the topics that made them."""
    rng = np.random.default_rng(0)
    topics = rng.dirichlet(np.full(n_features, 0.05), n_topics)
    counts = rng.poisson(rng.dirichlet(np.full(n_topics, 0.1), n_obs) @ topics * depth)
    return Corpus(csr_array(counts.astype(np.float32)), np.array([0, n_features // 4, n_features])), topics


def start_of(corpus, n_topics, n_jobs=1):
    begun = initial(corpus, n_topics, np.random.default_rng(0), 1 / n_topics, 0.01)
    begun.update(begun.gamma.astype(np.float32), begun.lam.astype(np.float32))
    begun.backend = Backend(n_jobs)
    with begun.backend:
        return begun, *initial_signatures(begun, np.random.default_rng(1))


def test_a_start_finds_planted_topics():
    corpus, topics = planted()
    begun, lam, passes = start_of(corpus, 6)
    likeness = np.corrcoef(topics, lam.T)[:6, 6:]
    assert lam.dtype == np.float32
    assert likeness[linear_sum_assignment(-likeness)].min() > 0.9
    assert passes > 1
    check_mass(begun, lam)


def check_mass(begun, lam):
    """λ − η sums to about the counts of each modality: to a mean, weighed by rates, of batches."""
    for block in begun.corpus.blocks:
        counts = begun.corpus.rows[:, block].sum(dtype=float)
        assert (lam[block] - begun.eta).sum(dtype=float) == pytest.approx(counts, rel=0.1)


def test_merged_topics_take_their_places_by_their_evidence():
    """Under a prior that is not the same for all, the topics of a start are those of the mean, put in its order."""
    corpus, _ = planted()
    alpha, eta = np.array([0.3, 0.05, 2.0, 0.1, 0.5, 0.05]), np.linspace(0.01, 0.5, 80)
    even, uneven = (initial(corpus, 6, np.random.default_rng(0), a, eta) for a in (alpha.mean(), alpha))
    lam, ordered = (initial_signatures(begun, np.random.default_rng(1))[0] for begun in (even, uneven))
    evidence = (ordered - eta[:, None]).sum(axis=0)
    np.testing.assert_array_equal(np.argsort(evidence), np.argsort(alpha, kind="stable"))
    np.testing.assert_array_equal(ordered[:, ordered[0].argsort()], lam[:, lam[0].argsort()])
    assert (ordered >= eta[:, None]).all()


def test_evidence_is_counted_by_the_weights_of_modalities():
    corpus, _ = planted()
    corpus = corpus.with_weights(np.array([1.0, 0.0]))
    alpha = np.arange(1.0, 7)
    begun = initial(corpus, 6, np.random.default_rng(0), alpha, 0.01)
    lam, _ = initial_signatures(begun, np.random.default_rng(1))
    assert (np.diff(lam[corpus.blocks[0]].sum(axis=0)) > 0).all()


def test_a_start_leaves_the_posterior_alone_and_threads_change_no_bit():
    corpus, _ = planted(60, 5, 40, 20)
    begun, lam, passes = start_of(corpus, 5)
    untouched = initial(corpus, 5, np.random.default_rng(0), 1 / 5, 0.01)
    np.testing.assert_array_equal(begun.lam, untouched.lam.astype(np.float32))
    for n_jobs in (2, 5):
        _, other, work = start_of(corpus, 5, n_jobs)
        np.testing.assert_array_equal(other, lam)
        assert work == passes


def test_a_start_from_fewer_observations_than_a_batch():
    corpus, _ = planted(4, 3, 20, 20)
    _, lam, _ = start_of(corpus, 3)
    assert np.isfinite(lam).all()
    assert (lam > 0).all()


def likelihood(counts, blocks):
    """Of counts, features × topics, each topic and modality under signatures of its own."""
    return sum((counts[b] * np.log(counts[b] / counts[b].sum(axis=0))).sum() for b in blocks)


def test_the_most_alike_are_merged():
    """Six topics are noisy copies of three; what is merged is what costs least, and no count is lost."""
    rng = np.random.default_rng(0)
    three = rng.dirichlet(np.full(33, 0.2), 3).T * 1000 + 0.1
    counts = np.concatenate([three * rng.uniform(0.2, 2, 3), three * rng.uniform(0.9, 1.1, three.shape)], axis=1)
    corpus = posterior("variational").corpus
    six = Posterior(corpus, np.empty((0, 6)), counts[:, [0, 4, 2, 5, 1, 3]] + 0.01, 0.1, 0.01)
    lam = merged(six, 3)
    expected = counts[:, :3] + counts[:, 3:] + 0.01
    order = [int(np.argmin(np.abs(lam - expected[:, [k]]).sum(axis=0))) for k in range(3)]
    np.testing.assert_allclose(lam[:, order], expected, rtol=1e-9)
    five = merged(six, 5) - 0.01
    losses = []
    for i in range(6):
        for j in range(i):
            rest = np.delete(six.lam - 0.01, [i, j], axis=1)
            pair = (six.lam[:, [i]] + six.lam[:, [j]]) - 0.02
            losses.append(likelihood(np.hstack([rest, pair]), corpus.blocks))
    assert likelihood(five, corpus.blocks) == pytest.approx(max(losses), rel=1e-10)


def test_merging_is_greedy_and_keeps_the_counts_of_each_modality():
    """Against brute force: of all pairs, again and again the one after which most likelihood is left."""
    rng = np.random.default_rng(1)
    corpus = posterior("variational").corpus
    counts = rng.gamma(0.3, 20, (33, 7)) + 1e-3
    seven = Posterior(corpus, np.empty((0, 7)), counts + 0.01, 0.1, 0.01)
    before = seven.lam.copy()
    for n_topics in range(6, 1, -1):
        pairs = itertools.combinations(range(counts.shape[1]), 2)
        candidates = [np.column_stack([np.delete(counts, p, axis=1), counts[:, p].sum(axis=1)]) for p in pairs]
        counts = max(candidates, key=lambda c: likelihood(c, corpus.blocks))
        lam = merged(seven, n_topics) - 0.01
        assert lam.shape == (33, n_topics)
        np.testing.assert_allclose(lam[:, lam[0].argsort()], counts[:, counts[0].argsort()], rtol=1e-9, atol=1e-12)
        for block in corpus.blocks:
            assert lam[block].sum() == pytest.approx((before[block] - 0.01).sum(), rel=1e-12)
    np.testing.assert_array_equal(seven.lam, before)


def test_nothing_to_merge():
    model = posterior("collapsed")
    np.testing.assert_allclose(merged(model, model.n_topics), model.lam, rtol=1e-12)


def taken(n_batches, *arguments):
    return np.concatenate(list(islice(batches(*arguments), n_batches)))


def test_each_observation_comes_once_before_any_comes_again():
    epochs = taken(20, 30, 6, 0, 1).reshape(4, 30)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(30), (4, 1)))
    assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize("drawn", [7, 30, 49, 91])
def test_batches_go_on_where_they_were_whatever_their_size(drawn):
    whole = taken(120, 30, 1, 0, 5)
    np.testing.assert_array_equal(taken(3, 30, 7, drawn, 5), whole[drawn : drawn + 21])
    assert not np.array_equal(taken(3, 30, 7, drawn, 6), whole[drawn : drawn + 21])


def test_a_batch_of_more_than_all_is_of_all():
    for batch in islice(batches(4, 100, 0, 0), 3):
        np.testing.assert_array_equal(np.sort(batch), np.arange(4))
