import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import digamma, gammaln

from mtopic.inference.corpus import Corpus
from mtopic.inference.execution import Threads
from mtopic.inference.variational import initial, stochastic_epoch, stochastic_step

K = 4


def corpus(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    theta = rng.dirichlet(np.full(K, 0.3), 60)
    parts = [rng.poisson(theta @ rng.dirichlet(np.full(v, 0.1), K) * n) for v, n in ((40, 200), (25, 80))]
    return Corpus(csr_array(np.hstack(parts).astype(dtype)), np.array([0, 40, 65]))


def posterior(dtype=np.float64, n_jobs=1):
    start = initial(corpus(dtype), K, np.random.default_rng(1), 1 / K, 0.01, Threads(n_jobs))
    start.update(start.gamma.astype(dtype), start.lam.astype(dtype))
    return start


def divergence(q, p):
    """KL(Dir(q) ‖ Dir(p)) of each row."""
    return (
        gammaln(q.sum(1)) - gammaln(p.sum(1)) - (gammaln(q) - gammaln(p)).sum(1)
        + ((q - p) * (digamma(q) - digamma(q.sum(1, keepdims=True)))).sum(1)
    )  # fmt: skip


def plain_elbo(model):
    x = model.corpus.rows.toarray()
    gamma, lam = model.gamma.astype(float), model.lam.astype(float)
    t = np.exp(digamma(gamma) - digamma(gamma.sum(1, keepdims=True)))
    total = -divergence(gamma, np.full_like(gamma, model.alpha)).sum()
    for block in model.corpus.blocks:
        beta = lam[block].T
        b = np.exp(digamma(beta) - digamma(beta.sum(1, keepdims=True)))
        total += (x[:, block] * np.log(t @ b)).sum() - divergence(beta, np.full_like(beta, model.eta)).sum()
    return total


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-11)])
def test_elbo(dtype, tolerance):
    model = posterior(dtype)
    for _ in range(3):
        assert model.elbo() == pytest.approx(plain_elbo(model), rel=tolerance)
        gamma, _ = model.e_step(model.gamma, 10)
        model.update(gamma, model.m_step(gamma))


@pytest.mark.parametrize("rounds", [1, 3, 100])
def test_elbo_never_falls_under_exact_updates(rounds):
    model = posterior()
    trace = [model.elbo()]
    for _ in range(40):
        gamma, _ = model.e_step(model.gamma, rounds)
        model.update(gamma, model.lam)
        trace.append(model.elbo())
        model.update(gamma, model.m_step(gamma))
        trace.append(model.elbo())
    assert (np.diff(trace) >= -1e-9 * abs(trace[-1])).all()
    assert trace[-1] > trace[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_bit(dtype):
    results = []
    for n_jobs in (1, 2, 5):
        model = posterior(dtype, n_jobs)
        with model.threads:
            for _ in range(5):
                gamma, _ = model.e_step(np.ones_like(model.gamma), 30, rtol=1e-3)
                model.update(gamma, model.m_step(gamma))
            results.append((model.gamma, model.lam, model.elbo()))
    for gamma, lam, elbo in results[1:]:
        assert gamma.dtype == dtype
        np.testing.assert_array_equal(gamma, results[0][0])
        np.testing.assert_array_equal(lam, results[0][1])
        assert elbo == results[0][2]


def test_a_step_at_full_rate_from_all_observations_is_the_batch_update():
    stochastic, batch = posterior(), posterior()
    stochastic_step(stochastic, np.arange(60), 1.0, 100, atol=1e-4)
    gamma, _ = batch.e_step(np.ones_like(batch.gamma), 100, atol=1e-4)
    np.testing.assert_allclose(stochastic.gamma, gamma, rtol=1e-12)
    np.testing.assert_allclose(stochastic.lam, batch.m_step(gamma), rtol=1e-12)


def test_a_stochastic_step_moves_by_the_rate_and_counts_repeated_observations():
    model = posterior()
    before = model.lam.copy()
    stochastic_step(model, np.array([3, 3, 7]), 0.25, 100, atol=1e-4)
    moved = (model.lam - 0.75 * before) / 0.25 - model.eta
    expected = (2 * model.corpus.rows[[3]].sum() + model.corpus.rows[[7]].sum()) * 60 / 3
    assert moved.sum() == pytest.approx(expected, rel=1e-9)
    assert (model.gamma[[3, 7]] != 1 / K).all()
    assert (np.delete(model.gamma, [3, 7], axis=0) == 1 / K).all()


def test_an_epoch_sees_every_observation_once_and_leaves_its_start_alone():
    model = posterior()
    gamma, lam = model.gamma.copy(), model.lam.copy()
    moved = stochastic_epoch(model, np.random.default_rng(0).permutation(60), 100)
    np.testing.assert_array_equal(model.gamma, gamma)
    np.testing.assert_array_equal(model.lam, lam)
    np.testing.assert_allclose(moved.gamma.sum(axis=1), model.corpus.rows.sum(axis=1) + 1, rtol=1e-9)
    assert moved.elbo() > model.elbo()
    assert np.abs(moved.lam - lam).max() > 1
