import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import gammaln

from mtopic.inference.corpus import Corpus
from mtopic.inference.posterior import Posterior
from mtopic.inference.uncertainty import moments, signature_variance

WEIGHTS = np.array([1.0, 0.4])


def fitted(counts, lam, theta, alpha=0.2, eta=0.05, weights=None, sizes=(9, 6)):
    x = csr_array(np.asarray(counts, dtype=np.float64))
    corpus = Corpus(x, np.cumsum([0, *sizes]), weights)
    return Posterior(corpus, theta * 50, lam, alpha, eta)


def expected(x, lam, theta, alpha, eta, weights, sizes):
    """One observation in plain NumPy, from the formulas of the documentation."""
    blocks = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    mean_of = np.concatenate([lam[b] / lam[b].sum(axis=0) for b in blocks])
    shares = theta * mean_of / (mean_of @ theta)[:, None]
    others = np.maximum(lam - x[:, None] * shares, np.reshape(eta, (-1, 1)))
    beta = np.concatenate([others[b] / others[b].sum(axis=0) for b in blocks])
    w = np.repeat(weights, sizes) * x
    for _ in range(5000):
        shares = theta * beta / (beta @ theta)[:, None]
        gamma = alpha + w @ shares
        theta = gamma / gamma.sum()
    slope = np.diag(theta) - np.outer(theta, theta)
    spread = [np.diag(r) - np.outer(r, r) for r in shares]
    precision = (gamma.sum() + 1) * slope - sum(c * s for c, s in zip(w, spread, strict=True))
    doubt = sum(c**2 * s @ np.diag(1 / o) @ s for c, s, o in zip(w, spread, others, strict=True))
    inverse = np.linalg.pinv(precision, rcond=1e-10)
    covariance = slope @ (inverse + inverse @ doubt @ inverse) @ slope
    ceiling = theta * (1 - theta) / (1 + np.broadcast_to(alpha, len(theta)).sum())
    return theta, np.minimum(np.diag(covariance), ceiling)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(("alpha", "eta"), [(0.2, 0.05), (np.array([0.1, 3, 0.5, 0.2]), np.linspace(0.01, 9, 15))])
def test_against_plain_numpy(weights, alpha, eta):
    rng = np.random.default_rng(0)
    theta = rng.dirichlet(np.ones(4), 6)
    signatures = rng.dirichlet(np.full(15, 0.3), 4)
    counts = np.array([rng.multinomial(120, t @ signatures) for t in theta])
    lam = np.broadcast_to(eta, 15)[:, None] + 400 * signatures.T + rng.random((15, 4))
    mean, variance = moments(fitted(counts, lam, theta, alpha, eta, weights))
    for d in range(6):
        worth = np.ones(2) if weights is None else weights
        m, v = expected(counts[d], lam, theta[d], alpha, eta, worth, (9, 6))
        np.testing.assert_allclose(mean[d], m, atol=1e-5)
        np.testing.assert_allclose(variance[d], v, rtol=2e-3)


@pytest.mark.parametrize("worth", [(1.0, 1.0), (1.0, 0.25)])
def test_signatures_against_plain_numpy(worth):
    rng = np.random.default_rng(1)
    theta, eta, sizes = rng.dirichlet(np.ones(4), 40), 0.05, (9, 6)
    counts, lam = rng.poisson(3, (40, 15)), eta + 30 * rng.random((15, 4))
    blocks = np.split(np.arange(15), [9])
    beta = np.concatenate([lam[b] / lam[b].sum(axis=0) for b in blocks])
    expected = np.empty_like(beta)
    for v, w in enumerate(np.repeat(worth, sizes)):
        r = theta * beta[v] / (theta @ beta[v])[:, None]
        precision = eta * np.eye(4) + w * np.einsum("d,dj,dk", counts[:, v], r, r)
        expected[v] = beta[v] ** 2 * (1 - beta[v]) * np.diag(np.linalg.inv(precision))
    expected = np.minimum(expected, beta * (1 - beta) / (1 + eta * np.repeat(sizes, sizes)[:, None]))
    found = signature_variance(fitted(counts, lam, theta, eta=eta), np.array(worth))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_where_every_count_tells_its_topic_it_is_the_dirichlet():
    counts = np.array([[10, 0, 5], [0, 0, 0]])
    lam = np.full((3, 3), 1e-9) + 1e9 * np.eye(3)
    mean, variance = moments(fitted(counts, lam, np.full((2, 3), 1 / 3), alpha=0.3, eta=1e-9, sizes=(3,)))
    gamma = counts + 0.3
    total = gamma.sum(axis=1, keepdims=True)
    share = gamma / total
    np.testing.assert_allclose(mean, share, atol=1e-6)
    np.testing.assert_allclose(variance, share * (1 - share) / (total + 1), rtol=1e-5)


def test_two_topics_against_numerical_integration():
    """Signatures that overlap and are known: the variance of the posterior, far from the Dirichlet's."""
    beta = np.array([[0.5, 0.3], [0.3, 0.3], [0.2, 0.4]])
    counts = np.array([[900, 600, 550]])
    grid = np.linspace(0, 1, 100_001)[1:-1]
    mixture = np.outer(grid, beta[:, 0]) + np.outer(1 - grid, beta[:, 1])
    log_density = (
        np.log(mixture) @ counts[0] - 0.5 * np.log(grid) - 0.5 * np.log1p(-grid) + gammaln(1) - 2 * gammaln(0.5)
    )
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    first = density @ grid
    true = density @ (grid - first) ** 2
    mean, variance = moments(fitted(counts, beta * 1e9, np.full((1, 2), 0.5), alpha=0.5, sizes=(3,)))
    assert mean[0, 0] == pytest.approx(first, abs=0.01)
    assert variance[0, 0] == pytest.approx(true, rel=0.1)
    assert variance[0, 0] > 10 * first * (1 - first) / (counts.sum() + 2)


def test_doubt_of_signatures_widens():
    rng = np.random.default_rng(1)
    theta = rng.dirichlet(np.ones(4), 20)
    signatures = rng.dirichlet(np.full(15, 0.3), 4)
    counts = np.array([rng.multinomial(60, t @ signatures) for t in theta])
    few, many = (moments(fitted(counts, 0.05 + n * signatures.T, theta))[1].sum() for n in (300, 1e7))
    assert few > 1.08 * many
