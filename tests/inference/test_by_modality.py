import numpy as np
from scipy.sparse import csr_array

from mtopic.inference.by_modality import leave_modality_out
from mtopic.inference.corpus import Corpus
from mtopic.inference.posterior import Posterior


def planted(n_obs, n_topics, sizes, depth, rng):
    """Pure observations, with α and λ as a fit would have them."""
    topics = rng.integers(0, n_topics, n_obs)
    profiles = [rng.dirichlet(np.full(size, 0.1), n_topics) for size in sizes]
    x = np.hstack([np.array([rng.multinomial(depth, p[k]) for k in topics]) for p in profiles])
    corpus = Corpus(csr_array(x.astype(np.float32)), np.cumsum([0, *sizes]))
    gamma = (0.1 + x.sum(axis=1)[:, None] * np.eye(n_topics)[topics]).astype(np.float32)
    lam = np.ones((sum(sizes), n_topics), np.float32)
    return topics, profiles, Posterior(corpus, gamma, lam, 0.1, 0.01, "collapsed")


def test_planted_topics_are_told_by_each_modality():
    topics, profiles, fitted = planted(400, 4, (60, 80), 100, np.random.default_rng(1))
    found = leave_modality_out(fitted, np.random.default_rng(0))
    for theta in (*found.alone, *found.others):
        assert theta.dtype == np.float32
        np.testing.assert_allclose(theta.sum(axis=1), 1, rtol=1e-5)
        assert theta[np.arange(400), topics].mean() > 0.98
    np.testing.assert_array_equal(found.alone[0], found.others[1])
    counts = np.bincount(topics, minlength=4) * 100
    for m, profile in enumerate(profiles):
        mean = np.average(profile, axis=0, weights=counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            information = np.where(profile > 0, profile * np.log(profile / mean), 0).sum(axis=1)
        np.testing.assert_allclose(found.explained[:, m], counts * information, rtol=0.05)


def test_signatures_do_not_recognise_what_they_were_made_of():
    """Modalities that share nothing: proportions by one tell nothing of those by the other."""
    rng = np.random.default_rng(2)
    topics, profiles, fitted = planted(400, 4, (60, 400), 100, rng)
    noise = rng.multinomial(100, profiles[1].mean(axis=0), 400)
    x = np.hstack([fitted.corpus.rows.toarray()[:, :60], noise]).astype(np.float32)
    fitted.corpus = Corpus(csr_array(x), fitted.corpus.offsets)
    found = leave_modality_out(fitted, np.random.default_rng(0))
    assert abs(found.alone[1][np.arange(400), topics].mean() - 0.25) < 0.05
    assert found.explained[:, 1].sum() < 0.01 * found.explained[:, 0].sum()


def test_fewer_observations_than_folds():
    _, _, fitted = planted(3, 2, (10, 10), 50, np.random.default_rng(3))
    found = leave_modality_out(fitted, np.random.default_rng(0))
    assert all(np.isfinite(theta).all() for theta in found.alone)
