"""What a count of each modality is worth: the updates with weights, and what the weights are learned from."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from mtopic.inference.corpus import Corpus
from mtopic.inference.learn import weights
from mtopic.inference.posterior import initial
from mtopic.inference.stochastic import merged

K = 4
OFFSETS = np.array([0, 20, 33])


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    theta = rng.dirichlet(np.full(K, 0.3), 30)
    parts = [rng.poisson(theta @ rng.dirichlet(np.full(v, 0.1), K) * n) for v, n in ((20, 150), (13, 60))]
    return np.hstack(parts).astype(float)


def posterior(counts, worth=None, family="variational", times=1.0):
    corpus = Corpus(csr_array(counts * times), OFFSETS, worth)
    return initial(corpus, K, np.random.default_rng(1), 1 / K, 0.01, family)


FAMILIES = pytest.mark.parametrize("family", ["variational", "collapsed"])


@FAMILIES
def test_the_e_step_is_that_of_counts_times_their_weights(counts, family):
    worth = np.array([1.0, 0.25])
    by_feature = np.repeat(worth, np.diff(OFFSETS))
    weighted, multiplied = posterior(counts, worth, family), posterior(counts, None, family, by_feature)
    start = np.ones((30, K))
    gamma, _ = weighted.e_step(start, 50)
    np.testing.assert_array_equal(gamma, multiplied.e_step(start, 50)[0])
    np.testing.assert_allclose(gamma.sum(axis=1) - 1, (counts * by_feature).sum(axis=1))
    np.testing.assert_allclose(weighted.corpus.totals, (counts * by_feature).sum(axis=1))
    assert weighted.corpus.total == counts.sum()


@FAMILIES
def test_signatures_are_of_all_counts_at_any_weight(counts, family):
    gamma = np.random.default_rng(2).gamma(2, 1, (30, K))
    lam, *_ = posterior(counts, np.array([1.0, 0.0]), family).m_step(gamma)
    np.testing.assert_array_equal(lam, posterior(counts, None, family).m_step(gamma)[0])
    np.testing.assert_allclose((lam - 0.01).sum(axis=1), counts.sum(axis=0))


@FAMILIES
@pytest.mark.parametrize("worth", [(1.0, 0.25), (0.1, 1.0), (1.0, 0.0)])
def test_the_bound_never_falls(counts, family, worth):
    model, bounds = posterior(counts, np.array(worth), family), []
    for _ in range(25):
        gamma, _ = model.e_step(model.gamma if bounds else np.ones((30, K)), 20)
        lam, observed, _ = model.m_step(gamma)
        model.update(gamma, lam)
        bounds.append(model.bound(observed))
    assert np.diff(bounds).min() > -1e-9 * abs(bounds[-1])
    assert bounds[-1] > bounds[0]


@FAMILIES
def test_the_bound_is_a_weighted_sum_over_modalities(counts, family):
    """Without a prior of θ to share, the bound is linear in the weights."""
    gamma = np.random.default_rng(2).gamma(2, 1, (30, K))

    def bound(worth):
        model = posterior(counts, np.array(worth), family)
        lam, observed, _ = model.m_step(gamma)
        model.update(gamma, lam)
        return model.bound(observed)

    nothing, first, second = bound((0.0, 0.0)), bound((1.0, 0.0)), bound((0.0, 1.0))
    assert bound((0.5, 0.2)) == pytest.approx(nothing + 0.5 * (first - nothing) + 0.2 * (second - nothing))


@FAMILIES
def test_equal_weights_are_no_weights(counts, family):
    gamma = np.random.default_rng(2).gamma(2, 1, (30, K))
    for model in (plain := posterior(counts, None, family), ones := posterior(counts, np.ones(2), family)):
        model.update(*(lambda g, m: (g, m.m_step(g)[0]))(gamma, model))
    assert plain.learned_eta() == ones.learned_eta()


@FAMILIES
def test_a_modality_without_weight_has_no_say_in_the_prior_of_signatures(counts, family):
    alone = initial(Corpus(csr_array(counts[:, :20]), OFFSETS[:2]), K, np.random.default_rng(1), 1 / K, 0.01, family)
    both = posterior(counts, np.array([1.0, 0.0]), family)
    alone.lam = both.lam[:20].copy()
    assert both.learned_eta() == pytest.approx(alone.learned_eta())


@pytest.mark.parametrize(("worth", "together"), [((1.0, 0.0), [0, 1]), ((0.0, 1.0), [1, 2]), ((1.0, 0.01), [0, 1])])
def test_topics_are_merged_by_the_evidence(counts, worth, together):
    """Topics 0 and 1 are the same in the first modality, topics 1 and 2 in the second."""
    lam = np.full((33, 3), 0.01)
    lam[:10, [0, 1]] += 10
    lam[10:20, 2] += 20
    lam[20:26, 0] += 30
    lam[26:, [1, 2]] += 40
    model = posterior(counts, np.array(worth))
    model.update(model.gamma, lam.copy())
    found, sums = merged(model, 2) - 0.01, (lam - 0.01).sum(axis=0)
    (other,) = {0, 1, 2} - set(together)
    np.testing.assert_allclose(sorted(found.sum(axis=0)), sorted([sums[together].sum(), sums[other]]))


def test_thinned_counts_are_a_random_fifth():
    rng = np.random.default_rng(0)
    x = rng.poisson(3.0, (200, 40)).astype(np.float32)
    shown, hidden = weights.thinned(Corpus(csr_array(x), np.array([0, 30, 40])), rng)
    np.testing.assert_array_equal((shown.rows + hidden.rows).toarray(), x)
    assert shown.dtype == hidden.dtype == np.float32
    assert hidden.rows.sum() == pytest.approx(0.2 * x.sum(), rel=0.03)
    assert (hidden.rows.data > 0).all()
    assert (shown.rows.data > 0).all()


def test_thinning_counts_that_are_not_whole():
    rng = np.random.default_rng(0)
    x = rng.gamma(1.0, 1.5, (300, 40))
    shown, hidden = weights.thinned(Corpus(csr_array(x), np.array([0, 40])), rng)
    assert min(shown.rows.data.min(), hidden.rows.data.min()) > 0
    np.testing.assert_allclose((shown.rows + hidden.rows).toarray(), x)
    assert 0.15 * x.sum() < hidden.rows.sum() < 0.25 * x.sum()


def test_dispersion_is_the_ratio_of_variances(counts):
    model = posterior(counts * np.array([3.0] * 20 + [0.1] * 13))
    gamma, _ = model.e_step(np.ones((30, K)), 20)
    model.update(gamma, model.m_step(gamma)[0])
    theta = gamma / gamma.sum(axis=1, keepdims=True)
    expected = []
    for block in model.corpus.blocks:
        x, beta = model.corpus.rows[:, block].toarray(), model.lam[block] / model.lam[block].sum(axis=0)
        p, n = theta @ beta.T, x.sum(axis=1, keepdims=True)
        expected.append(((x - n * p) ** 2).sum() / (n * p * (1 - p)).sum())
    assert expected[0] > 1 > expected[1]
    np.testing.assert_allclose(weights.dispersion(model), [expected[0], 1.0])


def paraboloid(*top, noise=0.0):
    signs = np.array([1.0, -1.0, 1.0, -1.0])

    def score(rungs):
        return -sum((r - t) ** 2 for r, t in zip(rungs, top, strict=True)) + noise * sum(rungs) * signs

    return score


@pytest.mark.parametrize(
    ("top", "best"),
    [((0, 0), (0, 0)), ((0, -2.2), (0, -2)), ((-3.4, 0), (-3, 0)), ((0.3, -9), (0, -4)), ((0, -1, -3), (0, -1, -3))],
)
def test_the_descent_ends_at_the_best_weights(top, best):
    assert weights._descend(paraboloid(*top), len(top)) == best


def test_one_modality_keeps_its_weight():
    assert max(weights._descend(paraboloid(-3, -3), 2)) == 0


@pytest.mark.parametrize(("noise", "up"), [(0.0, 0.0), (0.125, 0.25), (0.5, 0.5), (2.0, 1.0), (50.0, 1.0)])
def test_of_weights_as_good_as_the_best_the_largest_is_taken(noise, up):
    assert weights._highest(paraboloid(0, -2.2, noise=noise), (0, -2), 1) == pytest.approx(-2.2 + up)
    assert weights._highest(paraboloid(0, -0.6, noise=noise), (0, -1), 1) == pytest.approx(min(0.0, -0.6 + up))


def test_the_ends_of_the_ladder_are_what_they_are():
    assert weights._highest(paraboloid(0, -9), (0, -4), 1) == -4
    assert weights._highest(paraboloid(0, 0), (0, 0), 1) == 0


def test_weighted_corpora_share_their_counts(counts):
    corpus = Corpus(csr_array(counts), OFFSETS)
    columns = corpus.columns
    weighted = corpus.with_weights(np.array([1.0, 0.5]))
    assert weighted.columns is columns
    assert np.shares_memory(weighted.rows.data, corpus.rows.data)
    assert np.shares_memory(weighted.weighted_counts.indices, corpus.rows.indices)
    assert corpus.weighted_counts is corpus.rows
    for other in (weighted.part(np.array([3, 1])), weighted.scaled(2.0), weighted.astype(np.dtype(np.float32))):
        np.testing.assert_array_equal(other.modality_weights, [1.0, 0.5])
    assert replace(corpus).weights is None
