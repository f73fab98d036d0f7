"""Neighbours as the prior of the proportions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import digamma, gammaln

from mtopic.inference.backend import Backend
from mtopic.inference.corpus import Corpus
from mtopic.inference.families import FAMILIES
from mtopic.inference.fit import Fit
from mtopic.inference.posterior import initial
from mtopic.inference.schedule import SCHEDULES
from mtopic.inference.spatial import INITIAL_STRENGTH, SHARPNESS, Correction, NeighbourPrior

D, K = 40, 4


def chain(n_obs=D, rng=None):
    """Each observation is a neighbour of the next; random weights with ``rng``."""
    weights = np.diag(np.ones(n_obs - 1), 1) + np.diag(np.ones(n_obs - 1), -1)
    return csr_array(weights if rng is None else weights * rng.random(weights.shape))


def pseudocounts(prior, gamma, totals, descent=0.0):
    return prior(gamma, np.asarray(totals, dtype=float), Backend(), descent=descent)


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
    return replace(model, pseudocounts=prior(model.gamma, model.corpus.totals, model.backend, descent=0.0))


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


def test_pseudocounts_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    gamma, totals, weights = rng.gamma(0.5, 3, (D, K)) + 0.01, rng.lognormal(3, 1, D), chain(rng=rng)
    theta = gamma / gamma.sum(axis=1, keepdims=True)
    likeness = np.sqrt(theta) @ np.sqrt(theta).T
    dense = weights.toarray()
    for descent in (0.0, 0.25, 1.0):
        found = pseudocounts(NeighbourPrior(weights, 0.7), gamma, totals, descent)
        lent = (dense * likeness ** (SHARPNESS * (1 - descent))) @ theta / dense.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found, 0.7 * INITIAL_STRENGTH**descent * totals[:, None] * lent, rtol=1e-10)


def test_alike_neighbours_lend_all():
    gamma = np.tile([6.0, 3.0, 1.0, 0.0], (5, 1)) * np.arange(1, 6)[:, None]
    totals = [10, 0, 30, 7, 100]
    found = pseudocounts(NeighbourPrior(chain(5), 2.0), gamma, totals)
    np.testing.assert_allclose(found, 2 * np.outer(totals, [0.6, 0.3, 0.1, 0.0]), rtol=1e-12)


def test_nothing_is_lent_across_a_sharp_border_once_the_descent_is_over():
    gamma = np.full((6, 2), 1e-9)
    gamma[:3, 0] = gamma[3:, 1] = 50
    prior, totals = NeighbourPrior(chain(6), 1.0), np.full(6, 100)
    found = pseudocounts(prior, gamma, totals)
    np.testing.assert_allclose(found.sum(axis=1), [100, 100, 50, 50, 100, 100], rtol=1e-6)
    assert found[2, 1] < 1e-6
    assert found[3, 0] < 1e-6
    above = pseudocounts(prior, gamma, totals, descent=1.0)
    np.testing.assert_allclose(above.sum(axis=1), 100 * INITIAL_STRENGTH, rtol=1e-6)
    np.testing.assert_allclose(above[2], 50 * INITIAL_STRENGTH, rtol=1e-6)


def test_half_alike_neighbours_lend_little():
    """Of 60 : 40 beside 40 : 60 most is lent, of 90 : 10 beside 10 : 90 next to nothing."""
    lent = []
    for share in (0.6, 0.9):
        gamma = np.array([[share, 1 - share], [1 - share, share]])
        lent.append(pseudocounts(NeighbourPrior(chain(2), 1.0), gamma, [1, 1])[0].sum())
    likeness = [2 * np.sqrt(share * (1 - share)) for share in (0.6, 0.9)]
    np.testing.assert_allclose(lent, np.power(likeness, SHARPNESS), rtol=1e-12)
    assert lent[0] > 0.8
    assert lent[1] < 0.02


def test_weights_are_those_of_a_mean():
    gamma = np.array([[1.0, 1.0], [3.0, 1.0], [1.0, 3.0]])
    weights = np.zeros((3, 3))
    weights[0, 1:] = 3.0, 1.0
    found = pseudocounts(NeighbourPrior(csr_array(weights), 1.0), gamma, [10, 10, 10])
    assert found[0, 0] > found[0, 1] > 0
    assert (found[1:] == 0).all()
    weights[0, 1:] *= 1e-3
    np.testing.assert_allclose(pseudocounts(NeighbourPrior(csr_array(weights), 1.0), gamma, [10] * 3), found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_isolated_observations_have_the_prior_of_all(dtype):
    model = posterior(dtype=dtype)
    weights = chain().toarray()
    weights[:5] = 0
    prior = NeighbourPrior(csr_array(weights), 1.0)
    beside = replace(model, pseudocounts=pseudocounts(prior, model.gamma, model.corpus.totals))
    assert beside.pseudocounts.dtype == dtype
    assert (beside.pseudocounts[:5] == 0).all()
    start = np.ones_like(model.gamma)
    alone, together = model.e_step(start, 10)[0], beside.e_step(start, 10)[0]
    np.testing.assert_array_equal(together[:5], alone[:5])
    assert (abs(together - alone)[8:] > 1e-3).any(axis=1).all()


def test_threads_change_no_bit():
    rng = np.random.default_rng(0)
    gamma, totals, prior = rng.gamma(0.5, 3, (D, K)), rng.random(D), NeighbourPrior(chain(rng=rng), 1.0)
    expected = pseudocounts(prior, gamma, totals, 0.3)
    for n_jobs in (2, 5):
        with Backend(n_jobs) as backend:
            np.testing.assert_array_equal(prior(gamma, totals, backend, descent=0.3), expected)


def test_an_observation_without_counts_borrows_nothing():
    """Its prior is α: what neighbours lend is a share of its own counts."""
    beside = beside_neighbours(posterior(), 3.0)
    np.testing.assert_array_equal(beside.e_step(np.ones((D, K)), 10)[0][7], np.full(K, 0.25))


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
        lam, observed = model.m_step(gamma)
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
    lam, observed = model.m_step(gamma)
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


def test_a_fit_freezes_the_neighbours_of_the_iteration_before():
    """One iteration of a fit is one E-step under the prior that the iteration before had left."""
    model, prior = posterior(), NeighbourPrior(chain(), 0.8)
    fit = Fit(model, 0, learns_alpha=True, learns_eta=False, started=True, iterations=100)
    plan = replace(SCHEDULES["fast"].plan(100, 100), rtol=0.0, rounds=2)
    fit.iterate(plan, prior)
    beside = replace(model, pseudocounts=pseudocounts(prior, model.gamma, model.corpus.totals))
    gamma, _ = beside.e_step(model.gamma, 2)
    lam, observed = beside.m_step(gamma)
    np.testing.assert_array_equal(fit.posterior.gamma, gamma)
    np.testing.assert_array_equal(fit.posterior.lam, lam)
    assert fit.elbo == [replace(beside, gamma=gamma, lam=lam).bound(observed)]
    theta, before = (g / g.sum(axis=1, keepdims=True) for g in (gamma, model.gamma))
    assert fit.changes[0] == pytest.approx(abs(theta - before).sum() / 2 / D, rel=1e-10)
    assert fit.posterior.alpha == 0.25  # not learned beside neighbours


@pytest.mark.parametrize("descent", [0.0, 0.5, 1.0])
def test_the_prior_of_some_observations_is_that_of_all(descent):
    rng = np.random.default_rng(2)
    prior, gamma, totals = NeighbourPrior(chain(rng=rng), 0.7), rng.gamma(1, 5, (D, 4)), rng.uniform(10, 90, D)
    observations = np.array([5, 0, 7, 5])
    some, who = prior.around(observations)
    lent = some(gamma[who], totals[observations], Backend(), descent=descent)
    np.testing.assert_array_equal(lent, prior(gamma, totals, Backend(), descent=descent)[observations])


def test_the_correction_weighs_neighbours_by_their_distance():
    points = np.array([[0.0, 0.0], [0.3, 0.4], [1.0, 0.0]])
    near = csr_array(np.array([[0.0, 1, 1], [1, 0, 0], [1, 0, 0]]))
    found = Correction.from_points(near, points).neighbours
    np.testing.assert_allclose(found.data, np.exp(-np.pi * np.array([0.25, 1, 0.25, 1])))
    np.testing.assert_array_equal(near.data, 1)
    np.testing.assert_array_equal(Correction.from_points(near, None).neighbours.data, 1)
