"""Factors of features in batches: the likeliest, how strongly they are held, and what signatures are beside them."""

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.sparse import csr_array
from scipy.stats import nbinom

from mtopic.inference.batch_effects import STRONGEST, BatchEffects, bound, likelier_strength, most_likely_factors
from mtopic.inference.corpus import Corpus
from mtopic.inference.measured_sets import MeasuredSets
from mtopic.inference.posterior import initial


def drawn(seed=0, n_features=30, n_topics=3, sd=0.7):
    rng = np.random.default_rng(seed)
    beta = rng.dirichlet(np.full(n_features, 0.3), n_topics).T + 1e-6
    beta /= beta.sum(axis=0)
    by_topic = np.array([3000.0, 500.0, 0.0])
    factors = np.exp(rng.normal(0, sd, n_features))
    read = factors[:, None] * beta
    counts = rng.poisson((read / read.sum(axis=0)) @ by_topic).astype(float)
    return counts, by_topic, beta, factors


@pytest.mark.parametrize("c", [0.5, 5.0, 500.0])
def test_most_likely_factors_are_the_maximum(c):
    counts, by_topic, beta, _ = drawn()
    by_topic *= counts.sum() / by_topic.sum()

    def negative(rho):
        logs = np.log((np.exp(rho)[:, None] * beta).sum(axis=0))
        return -((counts + c) * rho).sum() + (by_topic * logs).sum() + c * np.exp(rho).sum()

    best = minimize(negative, np.zeros(len(counts)), method="BFGS", options={"gtol": 1e-6})
    found = np.ones(len(counts))
    for _ in range(5):
        found = most_likely_factors(found, counts, by_topic, beta, c)
    assert negative(np.log(found)) <= best.fun + 1e-6
    np.testing.assert_allclose(np.log(found), best.x, atol=1e-2)


def test_factors_are_found():
    counts, by_topic, beta, factors = drawn()
    found = most_likely_factors(np.ones(len(counts)), counts, by_topic, beta, 2.0)
    seen = counts > 30
    assert np.corrcoef(np.log(found[seen]), np.log(factors[seen]))[0, 1] > 0.95


def test_the_strongest_prior_leaves_none():
    counts, by_topic, beta, factors = drawn()
    np.testing.assert_array_equal(most_likely_factors(factors, counts, by_topic, beta, STRONGEST), 1)
    assert bound(np.ones(len(counts)), counts, STRONGEST) == pytest.approx(0, abs=0.01)


def test_strength_climbs_to_the_negative_binomial_of_the_counts():
    rng = np.random.default_rng(1)
    expected = rng.gamma(2, 50, 2000)
    counts = rng.poisson(expected * rng.gamma(4, 1 / 4, 2000)).astype(float)
    best = minimize_scalar(
        lambda c: -nbinom.logpmf(counts, np.exp(c), np.exp(c) / (np.exp(c) + expected)).sum(), bounds=(-3, 6)
    )
    c = 1.0
    for _ in range(12):
        c = likelier_strength(c, counts, expected)
    assert c == pytest.approx(np.exp(best.x), rel=1e-3)
    assert 3.5 < c < 4.5


def test_strength_of_counts_without_effects_has_no_end():
    rng = np.random.default_rng(2)
    expected = rng.gamma(2, 50, 2000)
    counts, c = rng.poisson(expected * 0.999).astype(float), 1.0
    for _ in range(40):
        c = likelier_strength(c, counts, expected)
    assert c > 1e3


def corpus(seed=0, n_obs=60, sd=0.8):
    """Two batches of 10 features each in columns of their own."""
    rng = np.random.default_rng(seed)
    beta, theta = rng.dirichlet(np.full(10, 0.5), 2), rng.dirichlet([0.5, 0.5], n_obs)
    factors, x = np.exp(rng.normal(0, sd, (2, 10))), np.zeros((n_obs, 20))
    for d in range(n_obs):
        batch = d % 2
        read = (theta[d] @ beta) * factors[batch]
        x[d, 10 * batch : 10 * batch + 10] = rng.multinomial(400, read / read.sum())
    sets = MeasuredSets(np.tile(np.arange(10), 2), np.array([0, 10, 20]), np.array([0, 0]))
    return Corpus(csr_array(x), np.array([0, 10]), measured_sets=sets), factors


def test_signatures_are_those_of_the_batch():
    """β of a batch is proportional to λ times its factors."""
    of, factors = corpus()
    for family in ("collapsed", "variational"):
        posterior = initial(of, 2, np.random.default_rng(0), 0.5, 0.5, family, effects=True)
        posterior.effects = BatchEffects(factors.ravel(), np.ones(1), learned=False)
        posterior.lam *= 1e6
        b = posterior.signatures()[:, :2].astype(float)
        for columns, own in zip(of.column_blocks, factors, strict=True):
            read = posterior.lam * own[:, None]
            read /= read.sum(axis=0)
            np.testing.assert_allclose(b[columns], read / read.max(axis=1, keepdims=True), rtol=1e-3)


def test_effects_begin_as_all_that_tells_batches_apart():
    of, _ = corpus()
    effects = initial(of, 2, np.random.default_rng(0), 0.5, 0.5, effects=True).effects
    by_column = of.by_column.reshape(2, 10)
    shares = by_column / by_column.sum(axis=1, keepdims=True)
    found = effects.factors.reshape(2, 10)
    np.testing.assert_allclose(np.log(found[0] / found[1]), np.log(shares[0] / shares[1]), atol=0.15)


def test_without_effects_none_begin():
    of, _ = corpus()
    assert initial(of, 2, np.random.default_rng(0), 0.5, 0.5).effects is None
    whole = Corpus(of.counts, np.array([0, 20]))
    assert initial(whole, 2, np.random.default_rng(0), 0.5, 0.5, effects=True).effects is None
