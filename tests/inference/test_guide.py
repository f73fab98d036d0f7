"""What a guide adds to the prior and to the bound."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import digamma, gammaln

from mtopic.inference import Corpus, Guide
from mtopic.inference.families import FAMILIES
from mtopic.inference.posterior import initial
from mtopic.inference.stochastic import in_order, merged

BLOCKS = [slice(0, 4), slice(4, 7)]


def guide():
    """One topic that is drawn in the first modality, and one whose shares of some features stay."""
    weights, lifts = np.zeros((7, 2)), np.zeros((7, 2))
    weights[:2, 0], weights[2:4, 1], weights[4:, 1] = [0.4, 0.6], [0.25, 0.75], [0.5, 0.25, 0.25]
    lifts[:4, 0], lifts[:, 1] = [2, 3, 1, 1], 1
    return Guide(weights, lifts, np.array([0.5, np.inf]), np.arange(1.0, 8))


def test_prior_beside_a_number_and_beside_numbers_by_feature():
    of, eta = guide(), np.linspace(0.1, 0.7, 7)
    expected = np.zeros((7, 3))
    expected[:2, 0] = [1, 3]
    np.testing.assert_allclose(of.beside(0.5, 3), expected + 0.5)
    np.testing.assert_allclose(of.beside(eta, 3), expected + eta[:, None])
    np.testing.assert_allclose(of.scaled(2).pseudocounts(3), 2 * expected)


def test_guided_topics_are_those_in_which_their_features_are_most_common():
    lam = np.full((7, 4), 1.0)
    lam[[0, 1], 2], lam[3, 0], lam[4, 0] = 20, 9, 9
    np.testing.assert_array_equal(guide().order(lam, BLOCKS), [2, 0, 1, 3])


@pytest.mark.parametrize("family", FAMILIES)
def test_shares_are_held_and_the_bound_is_that_of_signatures_held(family):
    rng, of = np.random.default_rng(0), guide()
    counts, eta = rng.gamma(1, 5, (7, 3)), 0.3
    lam = counts + eta
    held = lam.copy()
    corrections = [of.hold(held, block, FAMILIES[family].expected_log) for block in BLOCKS]
    np.testing.assert_array_equal(held[:, [0, 2]], lam[:, [0, 2]])
    np.testing.assert_array_equal(held[:2, 1], lam[:2, 1])
    np.testing.assert_allclose(held[2:4, 1], lam[2:4, 1].sum() * np.array([0.25, 0.75]))
    np.testing.assert_allclose(held[4:, 1], lam[4:, 1].sum() * np.array([0.5, 0.25, 0.25]))
    for block, correction in zip(BLOCKS, corrections, strict=True):
        a, n = held[block, 1], counts[block, 1]
        if family == "collapsed":
            expected = ((n + eta) * np.log(a / a.sum())).sum() - (a * np.log(a / a.sum())).sum()
        else:
            log_beta = digamma(a) - digamma(a.sum())
            prior = gammaln(eta * a.size) - a.size * gammaln(eta) + (eta - 1) * log_beta.sum()
            entropy = gammaln(a).sum() - gammaln(a.sum()) - ((a - 1) * log_beta).sum()
            whole = (n * log_beta).sum() + prior + entropy
            expected = whole - (gammaln(a).sum() - gammaln(a.sum()) + gammaln(eta * a.size) - a.size * gammaln(eta))
        assert correction == pytest.approx(expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_updates_climb_the_bound(family):
    rng = np.random.default_rng(1)
    corpus = Corpus(csr_array(rng.poisson(2, (60, 7)).astype(np.float64)), np.array([0, 4, 7]))
    of = initial(corpus, 3, rng, 0.3, 0.2, family, guide=guide())
    bounds = []
    for _ in range(30):
        of.gamma, _ = of.e_step(of.gamma, 50)
        lam, observed, _ = of.m_step(of.gamma)
        of.update(of.gamma, lam)
        bounds.append(of.bound(observed))
    assert np.diff(bounds[1:]).min() > -1e-6 * abs(bounds[-1])
    assert bounds[-1] > bounds[0]


def test_eta_is_learned_from_topics_that_are_free():
    rng = np.random.default_rng(2)
    corpus = Corpus(csr_array(rng.poisson(2, (40, 7)).astype(np.float64)), np.array([0, 4, 7]))
    of = initial(corpus, 3, rng, 0.3, 0.2, guide=guide())
    free = initial(corpus, 1, rng, 0.3, 0.2)
    free.lam = np.ascontiguousarray(of.lam[:, 2:])
    assert of.learned_eta() == pytest.approx(free.learned_eta())
    all_guided = initial(corpus, 2, rng, 0.3, 0.2, guide=guide())
    assert all_guided.learned_eta() == 0.2


def test_free_topics_of_larger_alpha_have_more_counts():
    corpus = Corpus(csr_array(np.ones((5, 7))), np.array([0, 4, 7]))
    of = initial(corpus, 5, np.random.default_rng(0), np.array([9.0, 9.0, 0.2, 5.0, 0.1]), 0.2, guide=guide())
    lam = np.full((7, 5), 1.0)
    lam[[0, 1], 4], lam[3, 1], lam[4, 1] = 20, 9, 9
    lam[:, [0, 2, 3]] *= [3, 70, 40]
    found = in_order(of, lam.copy())
    np.testing.assert_allclose(found[:, 0], lam[:, 4] + of.guide.pseudocounts(5)[:, 0])
    np.testing.assert_allclose(found[:, 2:], lam[:, [3, 2, 0]])


def test_a_start_has_more_of_what_is_known():
    lam = np.full((7, 3), 2.0)
    guide().begin(lam, BLOCKS)
    np.testing.assert_allclose(lam[:, 0], [4, 6, 2, 2, 2, 2, 2])
    np.testing.assert_allclose(lam[:, 1], [2, 2, 1, 3, 3, 1.5, 1.5])
    np.testing.assert_allclose(lam[:, 2], 2)


def test_merged_topics_have_counts_without_those_of_the_guide():
    rng, eta = np.random.default_rng(3), 0.2
    corpus = Corpus(csr_array(np.ones((5, 7))), np.array([0, 4, 7]))
    many, counts = initial(corpus, 6, rng, 0.3, eta, guide=guide()), rng.gamma(1, 50, (7, 6))
    many.lam = counts + eta + many.guide.pseudocounts(6)
    found = merged(many, 4)
    assert found.shape == (7, 4)
    np.testing.assert_allclose(found.sum(axis=1) - 4 * eta, counts.sum(axis=1))
