from dataclasses import replace

import numpy as np
import pytest

from mtopic.inference.families import FAMILIES
from mtopic.inference.fit import Fit
from mtopic.inference.schedule import EXPLORE, Plan, batches_have_settled
from mtopic.inference.stochastic import STEPS, svi_step

from .test_posterior import posterior

COLD = Plan(cold=True, rounds=100, atol=1e-6)


def fit_of(family):
    model = posterior(family)
    fit = Fit(model, 0, learns_alpha=False, learns_eta=False, started=True)
    fit.begin_batches(10)
    return fit


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_iteration_is_an_e_step_and_an_m_step(family, cold):
    fit = fit_of(family)
    fit.iterate(COLD, None)
    before, passes = fit.posterior, fit.passes
    fit.iterate(Plan(cold=cold, rounds=4), None)
    gamma, rounds = before.e_step(np.ones_like(before.gamma) if cold else before.gamma, 4)
    lam, observed, _ = before.m_step(gamma)
    np.testing.assert_array_equal(fit.posterior.gamma, gamma)
    np.testing.assert_array_equal(fit.posterior.lam, lam)
    assert fit.elbo[-1] == replace(before, gamma=gamma, lam=lam).bound(observed)
    assert fit.passes == passes + rounds + 1
    theta = [table / table.sum(axis=1, keepdims=True) for table in (gamma, before.gamma)]
    assert fit.changes[-1] == pytest.approx(abs(theta[0] - theta[1]).sum(axis=1).mean() / 2, rel=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_is_a_stochastic_update(family):
    fit, batch = fit_of(family), np.array([4, 9, 17, 3])
    before = replace(fit.posterior, gamma=fit.posterior.gamma.copy())
    gamma, expected, passes = svi_step(before, batch, 0.3, 100, atol=1e-6)
    fit.step(COLD, batch, 0.3, None)
    np.testing.assert_array_equal(fit.posterior.lam, expected)
    np.testing.assert_array_equal(fit.posterior.gamma[batch], gamma)
    others = np.setdiff1d(np.arange(30), batch)
    np.testing.assert_array_equal(fit.posterior.gamma[others], before.gamma[others])
    assert passes < fit.passes < passes + 1  # the likelihood of the batch is work too
    assert (fit.steps, fit.drawn) == (1, 4)


def test_a_step_estimates_the_likelihood_of_all_counts_by_the_signatures_before_it():
    fit, batch = fit_of("variational"), np.array([4, 9, 17])
    lam, corpus = fit.posterior.lam.copy(), fit.posterior.corpus
    fit.step(COLD, batch, 0.3, None)
    beta = np.concatenate([lam[block] / lam[block].sum(axis=0) for block in corpus.blocks])
    theta = fit.posterior.gamma[batch] / fit.posterior.gamma[batch].sum(axis=1, keepdims=True)
    x = corpus.rows[batch].toarray() * corpus.by_feature()
    assert fit.estimates == [pytest.approx(10 * (x * np.log(theta @ beta.T)).sum(), rel=1e-9)]


def test_a_warm_step_begins_at_the_last_gamma():
    fit, batch = fit_of("variational"), np.arange(5)
    fit.step(COLD, batch, 0.1, None)
    known = replace(fit.posterior, gamma=fit.posterior.gamma.copy())
    fit.step(Plan(cold=False, rounds=1), batch, 0.1, None)
    one, _ = replace(known, corpus=known.corpus.part(batch)).e_step(known.gamma[batch], 1)
    np.testing.assert_array_equal(fit.posterior.gamma[batch], one)


def test_an_epoch_stands_for_an_iteration_and_the_first_for_all_that_explore():
    fit = fit_of("variational")
    positions = []
    for _ in range(7):
        fit.step(COLD, np.arange(15), 0.1, None)
        positions.append(fit.position)
    assert positions == [0, EXPLORE, EXPLORE, EXPLORE + 1, EXPLORE + 1, EXPLORE + 2, EXPLORE + 2]


def test_the_rate_counts_the_start_and_iterations():
    fit = fit_of("variational")
    assert fit.rate(15, 1, 0.7) == pytest.approx((2 + 2) ** -0.7)  # the start knows no more than an epoch
    assert fit.rate(0.1, 1, 0.7) == pytest.approx((2 + STEPS) ** -0.7)
    fit.step(COLD, np.arange(15), 0.1, None)
    assert fit.rate(15, 1, 0.7) == pytest.approx((2 + 3) ** -0.7)
    fit.iterate(COLD, None)
    assert fit.rate(15, 64, 0.7) == pytest.approx((65 + 5) ** -0.7)


def test_when_batches_have_settled():
    first, second = [-10.0, -12.0, -11.0], [-10.0, -11.9, -11.0]
    assert batches_have_settled(first + second, 3, 1e-2)
    assert not batches_have_settled(first + second, 3, 1e-3)
    assert not batches_have_settled(first + second, 3, None)
    assert not batches_have_settled(second, 3, 1e-1)


def test_a_state_with_the_scale_by_its_former_name_is_read():
    fit = fit_of("variational")
    fit.configure(fit.posterior.corpus.dtype, 1, count_scale=0.5)
    plain, arrays = fit.state()
    before = {"evidence" if name == "count_scale" else name: value for name, value in plain.items()}
    for known in (plain, before):
        assert Fit.from_state(fit.posterior.corpus, known, arrays).count_scale == 0.5
