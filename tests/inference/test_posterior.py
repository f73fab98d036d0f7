"""Both families of updates against plain NumPy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import digamma, gammaln

from mtopic.inference import priors
from mtopic.inference.backend import Backend
from mtopic.inference.corpus import Corpus
from mtopic.inference.families import FAMILIES
from mtopic.inference.posterior import initial

K = 4
UNEVEN = {"alpha": np.array([0.05, 2.0, 0.4, 0.1]), "eta": np.linspace(0.01, 1.5, 33)}
SAME = {"alpha": 1 / K, "eta": 0.01}


def corpus(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    theta = rng.dirichlet(np.full(K, 0.3), 30)
    parts = [rng.poisson(theta @ rng.dirichlet(np.full(v, 0.1), K) * n) for v, n in ((20, 150), (13, 60))]
    return Corpus(csr_array(np.hstack(parts).astype(dtype)), np.array([0, 20, 33]))


def posterior(family, dtype=np.float64, n_jobs=1, alpha=1 / K, eta=0.01):
    start = initial(corpus(dtype), K, np.random.default_rng(1), alpha, eta, family)
    start.backend = Backend(n_jobs)
    start.update(start.gamma.astype(dtype), start.lam.astype(dtype))
    return start


def expected_log(values):
    return digamma(values) - digamma(values.sum(axis=1, keepdims=True))


def log_normaliser(values):
    return gammaln(values.sum(axis=1)) - gammaln(values).sum(axis=1)


def log_signatures(lam, family):
    """log b, K × V, of one modality."""
    return expected_log(lam) if family == "variational" else np.log(lam / lam.sum(axis=1, keepdims=True))


def plain_bound(model, lam_before, family, shared_out_by=None):
    """Each count is shared out among the topics by γ and the signatures before the M-step; then all terms."""
    x, gamma = model.corpus.rows.toarray(), model.gamma.astype(float)
    log_t, prior = expected_log(gamma), np.full_like(gamma, model.alpha)
    total = (log_normaliser(prior) - log_normaliser(gamma) + ((prior - gamma) * log_t).sum(axis=1)).sum()
    for block in model.corpus.blocks:
        before = lam_before[block].T.astype(float)
        joint = log_t[:, :, None] + log_signatures(before, shared_out_by or family)
        log_share = joint - np.log(np.exp(joint).sum(axis=1, keepdims=True))
        lam = model.lam[block].T.astype(float)
        log_b = log_signatures(lam, family)
        each = (np.exp(log_share) * (log_t[:, :, None] + log_b - log_share)).sum(axis=1)
        total += (x[:, block] * each).sum()
        eta = np.broadcast_to(np.broadcast_to(model.eta, 33)[block], lam.shape)
        if family == "variational":
            total += (log_normaliser(eta) - log_normaliser(lam) + ((eta - lam) * log_b).sum(axis=1)).sum()
        else:
            total += (log_normaliser(eta + 1) + (eta * log_b).sum(axis=1)).sum()
    return total


def iterate(model, rounds=10, rtol=0.0):
    """One iteration in place; return the bound."""
    gamma, _ = model.e_step(model.gamma, rounds, rtol=rtol)
    lam, observed, _ = model.m_step(gamma)
    model.update(gamma, lam)
    return model.bound(observed)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("given", [SAME, UNEVEN])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-11)])
def test_bound(family, given, dtype, tolerance):
    model = posterior(family, dtype, **given)
    for _ in range(3):
        before = model.lam
        bound = iterate(model)
        assert bound == pytest.approx(plain_bound(model, before, family), rel=tolerance)
        assert bound <= plain_bound(model, model.lam, family) * (1 - tolerance)
    for _ in range(150):
        bound = iterate(model)
    assert bound == pytest.approx(plain_bound(model, model.lam, family), rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("given", [SAME, UNEVEN])
@pytest.mark.parametrize("rounds", [1, 3, 30])
def test_the_bound_never_falls_under_exact_updates(family, given, rounds):
    model = posterior(family, **given)
    trace = [iterate(model, rounds) for _ in range(40)]
    assert (np.diff(trace) >= -1e-9 * abs(trace[-1])).all()
    assert trace[-1] > trace[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_updates_under_uneven_priors(family):
    """Against the formulas, with a prior for each topic and each feature."""
    model = posterior(family, **UNEVEN)
    x, gamma = model.corpus.rows.toarray(), model.gamma
    b = np.hstack([np.exp(log_signatures(model.lam[block].T, family)) for block in model.corpus.blocks])
    for _ in range(3):
        t = np.exp(expected_log(gamma))
        gamma = UNEVEN["alpha"] + t * ((x / (t @ b)) @ b.T)
    found, _ = model.e_step(model.gamma, 3)
    np.testing.assert_allclose(found, gamma, rtol=1e-10)
    t = np.exp(expected_log(gamma))
    lam = UNEVEN["eta"][:, None] + b.T * ((x / (t @ b)).T @ t)
    np.testing.assert_allclose(model.m_step(found)[0], lam, rtol=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
def test_priors_that_are_all_the_same_are_a_number(family):
    arrays = {"alpha": np.full(K, 1 / K), "eta": np.full(33, 0.01)}
    models = [posterior(family, **given) for given in (SAME, arrays)]
    for _ in range(5):
        bounds = [iterate(model) for model in models]
        assert bounds[0] == pytest.approx(bounds[1], rel=1e-12)
    np.testing.assert_array_equal(models[0].gamma, models[1].gamma)
    np.testing.assert_array_equal(models[0].lam, models[1].lam)


def test_bound_of_counts_that_the_other_family_shared_out():
    """As while a variational fit explores: the bound holds for any responsibilities."""
    model = posterior("variational")
    for _ in range(3):
        explorer = replace(model, family="collapsed")
        gamma, _ = explorer.e_step(np.ones_like(model.gamma), 10)
        before, (lam, observed, _) = model.lam, explorer.m_step(gamma)
        model.update(gamma, lam)
        bound = model.bound(observed)
        assert bound == pytest.approx(plain_bound(model, before, "variational", "collapsed"), rel=1e-11)
        assert bound < plain_bound(model, model.lam, "variational")


def test_learned_priors_raise_the_variational_bound():
    model, trace = posterior("variational"), []
    for _ in range(40):
        trace.append(iterate(model))
        model.alpha, model.eta = model.learned_alpha(), model.learned_eta()
    assert (np.diff(trace) >= -1e-9 * abs(trace[-1])).all()
    at_fixed_priors = replace(model, alpha=1 / K, eta=0.01)
    assert trace[-1] > iterate(at_fixed_priors, 100)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_bit(family, dtype):
    results = []
    for n_jobs in (1, 2, 5):
        model = posterior(family, dtype, n_jobs)
        with model.backend:
            bounds = [iterate(model, 30, 1e-3) for _ in range(5)]
            results.append((model.gamma, model.lam, bounds, model.learned_alpha(), model.learned_eta()))
    for gamma, lam, *rest in results[1:]:
        assert gamma.dtype == dtype
        np.testing.assert_array_equal(gamma, results[0][0])
        np.testing.assert_array_equal(lam, results[0][1])
        assert rest == list(results[0][2:])


def test_work_is_counted_in_full_passes():
    model = posterior("variational")
    assert model.e_step(model.gamma, 3)[1] == pytest.approx(3)
    assert 3 < model.e_step(np.ones_like(model.gamma), 1000, rtol=1e-6)[1] < 1000


@pytest.mark.parametrize("true", [0.1, 0.3, 2.0])
def test_concentration_of_known_distributions(true):
    rng = np.random.default_rng(0)
    small, large = rng.dirichlet(np.full(5, true), 400), rng.dirichlet(np.full(30, true), 200)
    mean_log = sum(np.log(np.maximum(p, 1e-300)).sum() for p in (small, large))
    found = [priors.concentration(start, [small.shape, large.shape], mean_log) for start in (0.01, 1.0, 50.0)]
    np.testing.assert_allclose(found, found[0], rtol=1e-5)
    assert found[0] == pytest.approx(true, rel=0.1)


def test_concentration_is_where_the_derivative_is_zero():
    rng = np.random.default_rng(0)
    shapes, mean_log = [(40, 7), (5, 90)], 0.0
    for n, v in shapes:
        mean_log += np.log(rng.dirichlet(np.full(v, 0.8), n)).sum()
    a = priors.concentration(0.01, shapes, mean_log)
    terms = [n * v * (digamma(v * a) - digamma(a)) for n, v in shapes]
    assert sum(terms) + mean_log == pytest.approx(0, abs=1e-5 * abs(mean_log))

    def likelihood(a):
        return sum(n * (gammaln(v * a) - v * gammaln(a)) for n, v in shapes) + (a - 1) * mean_log

    assert likelihood(a) > max(likelihood(a * 1.001), likelihood(a / 1.001))


def test_learned_priors_are_those_of_the_expected_logarithms():
    model = posterior("variational")
    for _ in range(5):
        iterate(model)
    alpha = priors.concentration(1.0, [model.gamma.shape], expected_log(model.gamma).sum())
    assert model.learned_alpha() == pytest.approx(alpha, rel=1e-5)
    signatures = [model.lam[block].T for block in model.corpus.blocks]
    eta = priors.concentration(1.0, [s.shape for s in signatures], sum(expected_log(s).sum() for s in signatures))
    assert model.learned_eta() == pytest.approx(eta, rel=1e-5)


@pytest.mark.parametrize("true", [0.1, 0.5, 2.0])
def test_alpha_of_known_proportions(true):
    """From counts of known proportions α comes to be near the one that these were drawn with."""
    rng = np.random.default_rng(0)
    counts = np.stack([rng.multinomial(5000, p) for p in rng.dirichlet(np.full(K, true), 500)])
    model = replace(posterior("variational"), alpha=1 / K)
    for _ in range(100):
        model.gamma = counts + model.alpha
        model.alpha = model.learned_alpha()
    assert model.alpha == pytest.approx(true, rel=0.1)


def test_a_step_to_the_eta_of_collapsed_signatures():
    """Minka's fixed point, with the digamma function averaged over a count's being there or not."""
    model, eta = posterior("collapsed"), 0.3
    seen = expected = 0.0
    tables = [model.lam[block] for block in model.corpus.blocks]
    for lam in tables:
        n_features, mean = len(lam), lam - eta
        mean = np.maximum(mean, 1e-12)
        there = -np.expm1(-mean)
        seen += (there * (digamma(mean / there + eta) - digamma(eta))).sum()
        expected += n_features * (digamma(lam.sum(axis=0)) - digamma(n_features * eta)).sum()
    found = FAMILIES["collapsed"].learned_eta(tables, np.ones(len(tables)), eta, Backend())
    assert found == pytest.approx(eta * seen / expected, rel=1e-9)


def test_concentrations_stay_where_the_inference_works():
    assert priors.concentration(1.0, [(10, 3)], -1e9) == priors.LOWEST
    assert priors.concentration(1.0, [(10, 3)], 10 * 3 * -np.log(3)) == priors.HIGHEST


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("true", [0.02, 0.1, 0.5])
def test_eta_of_known_signatures(true, family):
    """From counts of known signatures the fixed point is near the η that these were drawn with."""
    rng = np.random.default_rng(0)
    counts = [
        np.stack([rng.multinomial(20_000, rng.dirichlet(np.full(v, true))) for _ in range(K)], axis=1)
        for v in (150, 250)
    ]
    eta = 0.01
    for _ in range(60):
        eta = FAMILIES[family].learned_eta([c + eta for c in counts], np.ones(len(counts)), eta, Backend())
    assert eta == pytest.approx(true, rel=0.25)


@pytest.mark.parametrize("prior", [SAME, UNEVEN])
@pytest.mark.parametrize("common", [0.0, 0.3, 1.0])
def test_likelihood_of_counts_of_which_a_share_goes_by_frequency(prior, common):
    model, hidden = posterior("variational", **prior), corpus(seed=3)
    model.update(np.random.default_rng(2).gamma(1.0, 1.0, model.gamma.shape), model.lam)
    theta = model.gamma / model.gamma.sum(axis=1, keepdims=True)
    found, eta = model.log_likelihood(hidden, common), np.broadcast_to(model.eta, 33)
    for m, block in enumerate(model.corpus.blocks):
        beta = model.lam[block] / model.lam[block].sum(axis=0)
        frequent = model.corpus.rows[:, block].sum(axis=0) + eta[block]
        predicted = (1 - common) * theta @ beta.T + common * frequent / frequent.sum()
        np.testing.assert_allclose(found[:, m], (hidden.rows[:, block].toarray() * np.log(predicted)).sum(axis=1))
