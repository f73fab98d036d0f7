"""Iterations that begin beyond where the one before ended."""

from dataclasses import replace

import numpy as np
import pytest

from mtopic.inference.families import FAMILIES
from mtopic.inference.fit import Fit
from mtopic.inference.momentum import Momentum
from mtopic.inference.posterior import initial
from mtopic.inference.schedule import EXPLORE, SCHEDULES
from mtopic.inference.spatial import Correction

from .test_posterior import UNEVEN, posterior
from .test_spatial import chain
from .test_stochastic import planted


def moved(seed, factor=1.0, **given):
    """A posterior with random tables above their priors."""
    rng, of = np.random.default_rng(seed), posterior("variational", **given)
    of.update(of.alpha + factor * rng.gamma(1, 5, of.gamma.shape), np.reshape(of.eta, (-1, 1)) + factor * of.lam)
    return of


def fit_of(family, dtype=np.float64, n_topics=8):
    corpus, _ = planted()
    start = initial(corpus.astype(dtype), n_topics, np.random.default_rng(3), 1 / n_topics, 0.01, family)
    fit = Fit(start, 0, learns_alpha=False, learns_eta=False)
    fit.configure(np.dtype(dtype), 1)
    return fit


def iterate(fit, n_iter, *, momentum=True, spatial=None):
    for _ in range(n_iter):
        plan = SCHEDULES["fast"].plan(fit.position, 100)
        fit.iterate(plan if momentum else replace(plan, momentum=False), spatial)
    return fit


def test_nothing_has_moved_at_first():
    now = moved(0)
    assert Momentum().ahead(now) is now
    assert Momentum(before=(now.gamma, now.lam)).ahead(now) is now


def test_how_far_beyond_is_nesterovs():
    first, second, third = (moved(seed) for seed in (0, 1, 2))
    t = [1.0]
    for _ in range(3):
        t.append((1 + np.sqrt(1 + 4 * t[-1] ** 2)) / 2)
    momentum = Momentum()
    for i, (last, now) in enumerate(((first, second), (second, third)), 1):
        momentum = momentum.after(last)
        assert momentum.t == pytest.approx(t[i], rel=1e-15)
        ahead, share = momentum.ahead(now), (t[i] - 1) / t[i + 1]
        np.testing.assert_allclose(
            ahead.gamma, np.maximum(now.gamma + share * (now.gamma - last.gamma), now.alpha), rtol=1e-12
        )
        np.testing.assert_allclose(ahead.lam, np.maximum(now.lam + share * (now.lam - last.lam), now.eta), rtol=1e-12)


def test_nothing_falls_below_its_prior():
    last, now = moved(0, 9.0, **UNEVEN), moved(1, 0.1, **UNEVEN)
    ahead = Momentum(50.0, (last.gamma, last.lam)).ahead(now)
    np.testing.assert_array_equal(ahead.gamma.min(axis=0), UNEVEN["alpha"])
    assert (ahead.lam >= UNEVEN["eta"][:, None]).all()
    assert (ahead.lam == UNEVEN["eta"][:, None]).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_that_of_the_fit(dtype):
    last, now = (moved(seed, dtype=dtype) for seed in (0, 1))
    momentum = Momentum(9.0, (last.gamma.astype(float), last.lam.astype(float))).astype(np.dtype(dtype))
    assert [table.dtype for table in momentum.before] == [dtype, dtype]
    ahead = replace(momentum, before=(last.gamma.astype(dtype), last.lam.astype(dtype))).ahead(
        replace(now, gamma=now.gamma.astype(dtype), lam=now.lam.astype(dtype))
    )
    assert ahead.gamma.dtype == ahead.lam.dtype == dtype
    assert Momentum().astype(np.dtype(dtype)) == Momentum()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bound_never_falls_in_refining_iterations(family):
    elbo = np.array(iterate(fit_of(family), 200).elbo)
    assert (np.diff(elbo[EXPLORE:]) >= -1e-11 * abs(elbo[-1])).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_momentum_saves_iterations(family):
    """Of refining ones, from the same start; 60 do more than 100 without."""
    fits = [iterate(fit_of(family, n_topics=12), EXPLORE + 1) for _ in range(2)]
    with_momentum, without = iterate(fits[0], 60), iterate(fits[1], 100, momentum=False)
    assert with_momentum.elbo[-1] > without.elbo[-1]


def test_a_move_is_from_where_the_iteration_before_ended():
    fit = iterate(fit_of("variational"), EXPLORE + 4)
    last = fit.posterior
    iterate(fit, 1)
    for before, table in zip(fit._momentum.before, (last.gamma, last.lam), strict=True):
        np.testing.assert_array_equal(before, table)


def test_an_iteration_from_which_the_bound_would_fall_is_done_anew():
    """As if there had never been any momentum, but for the work."""
    fits = [iterate(fit_of("variational"), EXPLORE + 5) for _ in range(2)]
    gamma, lam = fits[0]._momentum.before
    fits[0]._momentum = Momentum(1e6, (gamma[::-1].copy(), lam[::-1].copy()))
    fits[1]._momentum = Momentum()
    before = fits[0].passes
    for fit in fits:
        iterate(fit, 1)
    np.testing.assert_array_equal(fits[0].posterior.gamma, fits[1].posterior.gamma)
    np.testing.assert_array_equal(fits[0].posterior.lam, fits[1].posterior.lam)
    assert fits[0].elbo == fits[1].elbo
    assert fits[0]._momentum.t == fits[1]._momentum.t == Momentum().after(fits[0].posterior).t
    assert fits[0].passes - before > 1.5 * (fits[1].passes - before)


def test_exploring_batches_and_the_correction_have_none():
    fit = iterate(fit_of("variational"), EXPLORE + 1)
    assert fit._momentum == Momentum()
    iterate(fit, 3)
    assert fit._momentum.t > 2
    fit.begin_batches(10)
    assert fit._momentum == Momentum()
    spatial = Correction.from_points(chain(300), None)
    fit = iterate(fit_of("variational"), EXPLORE + 4, spatial=spatial)
    assert fit._momentum == Momentum()


def test_another_scale_of_counts_begins_anew():
    fit = iterate(fit_of("variational"), EXPLORE + 4)
    fit.configure(np.dtype(np.float64), 1)
    assert fit._momentum.t > 2
    fit.configure(np.dtype(np.float64), 1, count_scale=0.5)
    assert fit._momentum == Momentum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("done", [EXPLORE, EXPLORE + 1, EXPLORE + 2, EXPLORE + 9])
def test_a_state_goes_on_to_the_same_bits(dtype, done):
    whole = iterate(fit_of("collapsed", dtype), EXPLORE + 20)
    cut = iterate(fit_of("collapsed", dtype), done)
    again = Fit.from_state(cut.posterior.corpus, *cut.state())
    again.configure(np.dtype(dtype), 1)
    iterate(again, EXPLORE + 20 - done)
    np.testing.assert_array_equal(again.posterior.gamma, whole.posterior.gamma)
    np.testing.assert_array_equal(again.posterior.lam, whole.posterior.lam)
    assert (again.elbo, again.changes, again.passes) == (whole.elbo, whole.changes, whole.passes)


def test_states_of_earlier_versions_have_none():
    fit = iterate(fit_of("variational"), EXPLORE + 4)
    plain, arrays = fit.state()
    del plain["momentum"], arrays["gamma_before"], arrays["lambda_before"]
    assert Fit.from_state(fit.posterior.corpus, plain, arrays)._momentum == Momentum()
