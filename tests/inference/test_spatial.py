"""Neighbours as the prior of the proportions."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import digamma, gammaln

from mtopic.inference.corpus import Corpus
from mtopic.inference.families import FAMILIES
from mtopic.inference.fit import Fit
from mtopic.inference.posterior import initial
from mtopic.inference.schedule import SCHEDULES, Plan
from mtopic.inference.spatial import REFINEMENTS, SHARPNESS, Correction, NeighbourPrior

D, K = 40, 4


def chain(n_obs=D, rng=None):
    """Each observation is a neighbour of the next; random weights with ``rng``."""
    weights = np.diag(np.ones(n_obs - 1), 1) + np.diag(np.ones(n_obs - 1), -1)
    return csr_array(weights if rng is None else weights * rng.random(weights.shape))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def posterior(family="variational", dtype=np.float64, seed=0):
    """A few M-steps old, of a corpus of two modalities in which an observation has no counts."""
    rng = np.random.default_rng(seed)
    theta = rng.dirichlet(np.full(K, 0.3), D)
    x = np.hstack([rng.poisson(theta @ rng.dirichlet(np.full(v, 0.1), K) * n) for v, n in ((20, 60), (13, 30))])
    x[7] = 0
    model = initial(Corpus(csr_array(x.astype(dtype)), np.array([0, 20, 33])), K, rng, 0.25, 0.01, family)
    model.update(model.gamma.astype(dtype), model.lam.astype(dtype))
    for _ in range(3):
        gamma, _ = model.e_step(np.ones_like(model.gamma), 10)
        model.update(gamma, model.m_step(gamma)[0])
    return model


def beside_neighbours(model, strength=1.0, seed=1):
    prior = NeighbourPrior(chain(rng=np.random.default_rng(seed)), strength)
    return replace(model, pseudocounts=prior.pseudocounts(model.gamma, model.corpus.totals))


def expected_log(values):
    return digamma(values) - digamma(values.sum(axis=1, keepdims=True))


def divergence(values, prior):
    """Σ KL(Dirichlet(values) ‖ Dirichlet(prior)) over the rows."""
    own = gammaln(values.sum(axis=1)) - gammaln(values).sum(axis=1)
    given = gammaln(prior.sum(axis=1)) - gammaln(prior).sum(axis=1)
    return (own - given + ((values - prior) * expected_log(values)).sum(axis=1)).sum()


def log_signatures(model):
    """log b, V × K."""
    tables = (model.lam[block].T.astype(float) for block in model.corpus.blocks)
    if model.family == "variational":
        return np.hstack([expected_log(lam) for lam in tables]).T
    return np.hstack([np.log(lam / lam.sum(axis=1, keepdims=True)) for lam in tables]).T


def of_proportions(model, gamma):
    """What the E-step climbs: Σ x log(t · b) − KL of the proportions from their prior."""
    mixture = np.exp(expected_log(gamma)) @ np.exp(log_signatures(model)).T
    x = model.corpus.rows.toarray()
    return (x * np.log(mixture)).sum() - divergence(gamma, model.alpha + model.pseudocounts)


def means_of(prior, totals, theta=None):
    """What takes θ to the pseudo-counts, D × D; neighbours that are unlike by ``theta`` lend less."""
    weights = (prior.neighbours + prior.neighbours.T).toarray() * np.outer(totals > 0, totals > 0)
    mass = weights.sum(axis=1, keepdims=True)
    means = prior.strength * totals[totals > 0].mean() * weights / np.where(mass > 0, mass, 1)
    return means if theta is None else means * (np.sqrt(theta) @ np.sqrt(theta).T) ** SHARPNESS


def solution(prior, own, totals):
    """θ beside neighbours, and the pseudo-counts that they lend, by dense systems of linear equations."""
    theta = None
    for _ in range(REFINEMENTS + 1):
        means = means_of(prior, totals, theta)
        theta = np.linalg.solve(np.diag(own.sum(axis=1) + means.sum(axis=1)) - means, own)
    return theta, means @ theta


def observations(rng, n_obs=D, empty=(7, 20)):
    """γ without neighbours of observations of different depth, some without counts."""
    totals = rng.lognormal(4, 1, n_obs)
    totals[list(empty)] = 0
    return 0.25 + totals[:, None] * rng.dirichlet(np.full(K, 0.3), n_obs), totals


def test_pseudocounts_are_those_of_the_formula(rng):
    (gamma, totals), prior = observations(rng), NeighbourPrior(chain(rng=rng), 0.7)
    theta = gamma / gamma.sum(axis=1, keepdims=True)
    found = prior.pseudocounts(gamma, totals)
    np.testing.assert_allclose(found, means_of(prior, totals, theta) @ theta, rtol=1e-10)
    assert (found[[7, 20]] == 0).all()


def test_pseudocounts_are_a_share_of_the_mean_count():
    """Of all who have counts, however many the observation has itself."""
    gamma = np.tile([6.0, 3.0, 1.0, 0.0], (5, 1)) * np.arange(1, 6)[:, None]
    found = NeighbourPrior(chain(5), 2.0).pseudocounts(gamma, np.array([10.0, 20, 30, 40, 100]))
    np.testing.assert_allclose(found, np.tile(2 * 40 * np.array([0.6, 0.3, 0.1, 0.0]), (5, 1)), rtol=1e-12)


@pytest.mark.parametrize("strength", [0.03, 0.5, 4.0])
def test_topics_beside_neighbours_solve_the_equations(rng, strength):
    (own, totals), prior = observations(rng), NeighbourPrior(chain(rng=rng), strength)
    gamma = prior.smoothed(own, totals)
    expected, lent = solution(prior, own, totals)
    np.testing.assert_allclose(gamma / gamma.sum(axis=1, keepdims=True), expected, atol=2e-4)
    np.testing.assert_allclose(gamma, own + lent, atol=2e-4 * strength * totals.max())


def test_there_is_nothing_beyond_what_observations_have_themselves(rng):
    (own, totals), theta = observations(rng), []
    for strength in (0.0, 0.1, 1.0, 10.0):
        gamma = NeighbourPrior(chain(rng=rng), strength).smoothed(own, totals)
        theta.append(gamma / gamma.sum(axis=1, keepdims=True))
    for weaker, stronger in pairwise(theta):
        assert (stronger.max(axis=0) <= weaker.max(axis=0)).all()
        assert stronger.std(axis=0).sum() < weaker.std(axis=0).sum()
    assert (theta[-1].min(axis=0) >= theta[0].min(axis=0)).all()


def test_the_fewer_counts_the_more_neighbours_are_heeded():
    own = np.array([[90.0, 10], [9, 1], [70, 30], [1, 9]])
    apart = csr_array(np.array([[0.0, 0, 1, 0], [0, 0, 1, 0], [0] * 4, [0] * 4]))
    gamma = NeighbourPrior(apart, 1.0).smoothed(own, own.sum(axis=1))
    np.testing.assert_allclose(gamma[3], own[3])
    moved = abs(gamma / gamma.sum(axis=1, keepdims=True) - own / own.sum(axis=1, keepdims=True))[:, 0]
    assert moved[1] > 2 * moved[0] > 0


def test_weights_are_those_of_a_mean():
    gamma, totals = np.array([[2.0, 1.0], [2.0, 1.0], [4.0, 2.0]]), np.full(3, 10.0)
    weights = np.zeros((3, 3))
    weights[0, 1:] = 3.0, 1.0
    found = NeighbourPrior(csr_array(weights), 1.0).pseudocounts(gamma, totals)
    np.testing.assert_allclose(found, np.tile([20 / 3, 10 / 3], (3, 1)))
    gamma[2] = 1.0, 2.0
    found = NeighbourPrior(csr_array(weights), 1.0).pseudocounts(gamma, totals)
    alike = (2 * np.sqrt(2) / 3) ** SHARPNESS
    np.testing.assert_allclose(found[0], 10 * (np.array([2, 1]) + alike * np.array([1, 2]) / 3) / 4)
    weights[0, 1:] *= 1e-3
    np.testing.assert_allclose(NeighbourPrior(csr_array(weights), 1.0).pseudocounts(gamma, totals), found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_observations_without_counts_or_neighbours_keep_their_own_and_lend_nothing(rng, dtype):
    (own, totals), weights = observations(rng, empty=(20, 30, 32)), chain(rng=rng).toarray()
    weights[:5] = weights[:, :5] = 0
    own, prior = own.astype(dtype), NeighbourPrior(csr_array(weights), 1.0)
    gamma, alone = prior.smoothed(own, totals), [*range(5), 20, 30, 31, 32]
    assert gamma.dtype == prior.pseudocounts(own, totals).dtype == dtype
    np.testing.assert_array_equal(gamma[alone], own[alone])
    assert (prior.pseudocounts(own, totals)[alone] == 0).all()
    assert (abs(gamma - own).max(axis=1) > 1e-3)[np.setdiff1d(np.arange(D), alone)].all()
    other = own.copy()
    other[[20, 30, 32]] = own[[20, 30, 32]][:, ::-1] * 50
    rest = np.setdiff1d(np.arange(D), [20, 30, 32])
    np.testing.assert_array_equal(prior.smoothed(other, totals)[rest], gamma[rest])


def test_neighbours_of_no_weight_lend_nothing(rng):
    """Entries that are stored as zero do not make a mean of nothing."""
    own, totals = observations(rng, 3, empty=())
    graph = csr_array(np.ones((3, 3)) - np.eye(3))
    graph.data[[0, 1, 2, 4]] = 0  # all of the first
    gamma = NeighbourPrior(graph, 1.0).smoothed(own, totals)
    np.testing.assert_array_equal(gamma[0], own[0])
    assert (gamma[1:].sum(axis=1) > own[1:].sum(axis=1) + 1).all()


def test_no_strength_changes_nothing(rng):
    (own, totals), prior = observations(rng), NeighbourPrior(chain(rng=rng), 0.0)
    np.testing.assert_array_equal(prior.smoothed(own, totals), own)
    assert (prior.pseudocounts(own, totals) == 0).all()


def test_nothing_at_all():
    own = np.full((3, K), 0.25)
    np.testing.assert_array_equal(NeighbourPrior(chain(3), 1.0).smoothed(own, np.zeros(3)), own)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_observation_without_counts_has_the_prior_of_all(dtype):
    beside = beside_neighbours(posterior(dtype=dtype), 3.0)
    assert beside.pseudocounts.dtype == dtype
    np.testing.assert_array_equal(beside.e_step(np.ones((D, K), dtype), 10)[0][7], np.full(K, 0.25))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("strength", [0.1, 1.0, 9.0])
def test_every_round_climbs_the_bound_beside_neighbours(family, strength):
    """With the neighbours held, the prior is a Dirichlet distribution like any other."""
    model = beside_neighbours(posterior(family), strength)
    gammas = [model.e_step(model.gamma, rounds)[0] for rounds in range(1, 30)]
    climbed = np.array([of_proportions(model, gamma) for gamma in (model.gamma, *gammas)])
    assert (np.diff(climbed) >= -1e-10 * abs(climbed[-1])).all()
    assert climbed[1] > climbed[0]
    whole = []
    for gamma in gammas:
        lam, observed, _ = model.m_step(gamma)
        whole.append(replace(model, gamma=gamma, lam=lam).bound(observed))
    assert (np.diff(whole) >= -1e-10 * abs(whole[-1])).all()
    assert whole[-1] > whole[0]


@pytest.mark.parametrize("strength", [0.3, 3.0])
def test_the_end_of_the_rounds_is_a_maximum(strength):
    model, rng = beside_neighbours(posterior(), strength), np.random.default_rng(5)
    gamma, _ = model.e_step(np.ones((D, K)), 5000, rtol=1e-14)
    best = of_proportions(model, gamma)
    for _ in range(20):
        assert of_proportions(model, gamma * rng.lognormal(0, 1e-2, gamma.shape)) < best
    np.testing.assert_allclose(
        gamma.sum(axis=1), model.corpus.totals + (model.alpha + model.pseudocounts).sum(axis=1), rtol=1e-10
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-11)])
def test_the_bound_has_the_prior_of_each_observation(family, dtype, tolerance):
    """Term by term: counts shared out by γ and the signatures before the M-step, then all divergences."""
    model = beside_neighbours(posterior(family, dtype))
    gamma, _ = model.e_step(np.ones_like(model.gamma), 5)
    lam, observed, _ = model.m_step(gamma)
    after = replace(model, gamma=gamma, lam=lam)
    log_t, gamma = expected_log(gamma.astype(float)), gamma.astype(float)
    joint = log_t[:, None] + log_signatures(model)
    log_share = joint - np.log(np.exp(joint).sum(axis=2, keepdims=True))
    each = (np.exp(log_share) * (log_t[:, None] + log_signatures(after) - log_share)).sum(axis=2)
    expected = (model.corpus.rows.toarray() * each).sum()
    expected -= divergence(gamma, 0.25 + model.pseudocounts.astype(float))
    for block, log_b in ((b, log_signatures(after)[b].T) for b in model.corpus.blocks):
        table = lam[block].T.astype(float)
        if family == "variational":
            expected -= divergence(table, np.full_like(table, 0.01))
        else:
            expected += K * (gammaln(len(log_b.T) * 1.01) - len(log_b.T) * gammaln(1.01)) + 0.01 * log_b.sum()
    assert after.bound(observed) == pytest.approx(expected, rel=tolerance)


def test_no_neighbours_are_the_prior_of_all():
    model = posterior()
    alone = replace(model, pseudocounts=np.zeros((D, K)))
    gamma, _ = model.e_step(model.gamma, 5)
    np.testing.assert_array_equal(alone.e_step(model.gamma, 5)[0], gamma)
    bounds = [replace(m, gamma=gamma).bound(m.m_step(gamma)[1]) for m in (model, alone)]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-13)


def fit_of(model, **options):
    return Fit(model, 0, learns_alpha=False, learns_eta=True, started=True, iterations=100, **options)


def test_a_fit_goes_by_the_counts_alone_and_has_neighbours_at_its_end():
    prior, fits = NeighbourPrior(chain(), 0.8), [fit_of(posterior()) for _ in range(2)]
    for _ in range(5):
        for fit, spatial in zip(fits, (None, prior), strict=True):
            fit.iterate(SCHEDULES["fast"].plan(100, 100), spatial)
    alone, beside = fits
    np.testing.assert_array_equal(alone.posterior.gamma, beside.posterior.gamma)
    beside.smooth(prior)
    expected = prior.smoothed(alone.posterior.gamma, alone.posterior.corpus.totals)
    np.testing.assert_array_equal(beside.posterior.gamma, expected)
    assert (expected != alone.posterior.gamma).any()
    beside.smooth(prior)
    np.testing.assert_array_equal(beside.posterior.gamma, expected)
    for fit, spatial in zip(fits, (None, prior), strict=True):
        fit.iterate(SCHEDULES["fast"].plan(100, 100), spatial)
    np.testing.assert_array_equal(alone.posterior.gamma, beside.posterior.gamma)
    np.testing.assert_array_equal(alone.posterior.lam, beside.posterior.lam)
    assert (alone.elbo, alone.changes) == (beside.elbo, beside.changes)
    beside.smooth(None)
    np.testing.assert_array_equal(alone.posterior.gamma, beside.posterior.gamma)


def test_the_correction_begins_at_topics_that_are_not_corrected():
    model, correction, fit = posterior(), Correction.from_points(chain(), None), fit_of(posterior())
    own = gamma = model.gamma
    for _ in range(3):
        fit.iterate(Plan(cold=False, rounds=2), correction)
        own, _ = model.e_step(own, 2)
        gamma = correction(own, gamma, model.backend, isolated=False)
        model.update(gamma, model.m_step(gamma)[0])
        model.eta = fit.posterior.eta
        np.testing.assert_allclose(fit.posterior.gamma, gamma, rtol=1e-12)


def test_batches_go_on_from_topics_without_neighbours():
    prior, fits = NeighbourPrior(chain(), 0.8), [fit_of(posterior()) for _ in range(2)]
    fits[1].smooth(prior)
    for fit in fits:
        fit.begin_batches(10)
        fit.step(SCHEDULES["fast"].plan(100, 100), np.arange(10), 0.5, prior)
    np.testing.assert_array_equal(fits[0].posterior.gamma, fits[1].posterior.gamma)
    np.testing.assert_array_equal(fits[0].posterior.lam, fits[1].posterior.lam)


def test_a_state_has_both_topics():
    prior, fit = NeighbourPrior(chain(), 0.8), fit_of(posterior())
    fit.smooth(prior)
    again = Fit.from_state(fit.posterior.corpus, *fit.state())
    np.testing.assert_array_equal(again.posterior.gamma, fit.posterior.gamma)
    for one in (fit, again):
        one.iterate(SCHEDULES["fast"].plan(100, 100), prior)
    np.testing.assert_array_equal(again.posterior.gamma, fit.posterior.gamma)


def test_alpha_is_not_learned_beside_neighbours():
    fits = [replace(fit_of(posterior()), learns_alpha=True) for _ in range(2)]
    for fit, spatial in zip(fits, (None, NeighbourPrior(chain(), 0.8)), strict=True):
        fit.iterate(SCHEDULES["fast"].plan(100, 100), spatial)
    assert fits[0].posterior.alpha != 0.25
    assert fits[1].posterior.alpha == 0.25
    assert fits[0].posterior.eta == fits[1].posterior.eta != 0.01


def test_the_correction_weighs_neighbours_by_their_distance():
    points = np.array([[0.0, 0.0], [0.3, 0.4], [1.0, 0.0]])
    near = csr_array(np.array([[0.0, 1, 1], [1, 0, 0], [1, 0, 0]]))
    found = Correction.from_points(near, points).neighbours
    np.testing.assert_allclose(found.data, np.exp(-np.pi * np.array([0.25, 1, 0.25, 1])))
    np.testing.assert_array_equal(near.data, 1)
    np.testing.assert_array_equal(Correction.from_points(near, None).neighbours.data, 1)
