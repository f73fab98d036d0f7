from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import digamma, gammaln

from mtopic.inference.backend import Backend
from mtopic.inference.corpus import Corpus
from mtopic.inference.families import FAMILIES
from mtopic.inference.learn.held_out import thinned
from mtopic.inference.learn.weights import dispersion
from mtopic.inference.measured_sets import Gathered, MeasuredSets
from mtopic.inference.posterior import initial
from mtopic.inference.stochastic import merged_in_sets, svi_step
from mtopic.inference.uncertainty import moments

SIZES = (20, 13)
MEASURED = [[[0, 1, 2, 3, *range(4, 12)], [0, 1, 2, 3, *range(12, 20)]], [list(range(13))]]


def corpus(dtype=np.float64, n_obs=80, weights=None, seed=0):
    """Two batches that share 4 of 20 features of the first modality, and all of the second."""
    rng = np.random.default_rng(seed)
    theta, batch = rng.dirichlet(np.full(4, 0.3), n_obs), rng.integers(2, size=n_obs)
    parts, features, offsets, modality = [], [], np.cumsum([0, *SIZES]), []
    for m, patterns in enumerate(MEASURED):
        beta = rng.dirichlet(np.full(SIZES[m], 0.2), 4)
        for p, pattern in enumerate(patterns):
            share = theta @ beta[:, pattern]
            drawn = [rng.multinomial(50, row / row.sum()) for row in share]
            parts.append(np.where((batch == p)[:, None] | (len(patterns) == 1), drawn, 0))
            features.append(offsets[m] + np.array(pattern))
            modality.append(m)
    sets = MeasuredSets(np.concatenate(features), np.cumsum([0, *map(len, features)]), np.array(modality))
    return Corpus(csr_array(np.hstack(parts).astype(dtype)), offsets, weights, sets)


def model(family, n_jobs=1, **options):
    made = initial(corpus(**options), 4, np.random.default_rng(1), 0.25, 0.01, family)
    made.backend = Backend(n_jobs)
    dtype = made.corpus.dtype
    made.update(np.ones_like(made.gamma, dtype), made.lam.astype(dtype))
    return made


def iterate(of, rounds=100):
    gamma, _ = of.e_step(of.gamma, rounds, rtol=1e-12)
    lam, observed, _ = of.m_step(gamma)
    of.update(gamma, lam)
    return of.bound(observed)


def logs(of, lam, family):
    """E log of the signatures of each panel, or the logarithms of their means; columns × K."""
    out = np.empty((of.corpus.rows.shape[1], lam.shape[1]))
    for block in of.corpus.measured_sets.blocks:
        own = lam[of.corpus.measured_sets.features[block]]
        f = digamma if family == "variational" else np.log
        out[block] = f(own) - f(own.sum(axis=0))
    return out


def plain_bound(of, before, family, by=None):
    """E log p(x, z | θ, β) + E log p(θ, β) − E log q, responsibilities by ``before`` and family ``by``."""
    x, gamma, alpha, eta = of.corpus.rows.toarray(), of.gamma, of.alpha, of.eta
    log_t = digamma(gamma) - digamma(gamma.sum(axis=1, keepdims=True))
    r = np.exp(log_t[:, None] + logs(of, before, by or family))
    r /= r.sum(axis=2, keepdims=True)
    terms = x[..., None] * r * (log_t[:, None] + logs(of, of.lam, family) - np.log(r))
    by_column = terms.sum(axis=(0, 2))
    worth, sets = of.corpus.modality_weights, of.corpus.measured_sets
    total = sum(worth[m] * by_column[block].sum() for m, block in zip(sets.modality, sets.blocks, strict=True))
    n_topics = gamma.shape[1]
    total += len(gamma) * (gammaln(n_topics * alpha) - n_topics * gammaln(alpha)) + ((alpha - gamma) * log_t).sum()
    total += gammaln(gamma).sum() - gammaln(gamma.sum(axis=1)).sum()
    for block, weight in zip(of.corpus.blocks, worth, strict=True):
        lam, n = of.lam[block], block.stop - block.start
        if family == "variational":
            log_b = digamma(lam) - digamma(lam.sum(axis=0))
            own = gammaln(n * eta) - n * gammaln(eta) + ((eta - lam) * log_b).sum(axis=0)
            own += gammaln(lam).sum(axis=0) - gammaln(lam.sum(axis=0))
        else:
            log_b = np.log(lam / lam.sum(axis=0))
            own = gammaln(n * (eta + 1)) - n * gammaln(eta + 1) + (eta * log_b).sum(axis=0)
        total += weight * own.sum()
    return total


@pytest.mark.parametrize("weights", [None, np.array([1.0, 0.3])])
@pytest.mark.parametrize("family", FAMILIES)
def test_bound(family, weights):
    of = model(family, weights=weights)
    for _ in range(3):
        before = of.lam
        assert iterate(of) == pytest.approx(plain_bound(of, before, family), rel=1e-11)


def test_bound_of_counts_that_the_other_family_shared_out():
    of = model("variational")
    iterate(of)
    before = of.lam
    lam, observed, _ = replace(of, family="collapsed").m_step(of.gamma, "variational")
    of.update(of.gamma, lam)
    assert of.bound(observed) == pytest.approx(plain_bound(of, before, "variational", "collapsed"), rel=1e-11)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bound_rises(family):
    """Exactly so with means; with Dirichlet posteriors, up to what these leave open."""
    of = model(family)
    trace = np.array([iterate(of) for _ in range(60)])
    assert (np.diff(trace) > -(1e-5 if family == "variational" else 1e-12) * abs(trace[-1])).all()
    assert trace[-1] - trace[0] > 0.02 * abs(trace[-1])


@pytest.mark.parametrize("family", FAMILIES)
def test_one_set_of_all_is_none(family):
    """The same updates and the same bound as without sets, up to rounding."""
    with_sets = model(family)
    rows = csr_array(np.random.default_rng(2).poisson(0.5, (80, 33)).astype(float))
    all_features = MeasuredSets(np.arange(33), np.array([0, 20, 33]), np.array([0, 1]))
    one = replace(with_sets, corpus=Corpus(rows, np.array([0, 20, 33]), None, all_features))
    none = replace(one, corpus=Corpus(rows, np.array([0, 20, 33])))
    for _ in range(3):
        assert iterate(one) == pytest.approx(iterate(none), rel=1e-12)
        np.testing.assert_allclose(one.lam, none.lam, rtol=1e-9)
        np.testing.assert_allclose(one.gamma, none.gamma, rtol=1e-9)


def test_signatures_of_a_panel_are_those_of_a_fit_to_it_alone():
    """E log of a part of a Dirichlet vector, scaled to sum 1, is that of the Dirichlet with the part's parameters."""
    of, rng = model("variational"), np.random.default_rng(0)
    block = of.corpus.measured_sets.blocks[1]
    lam = of.lam[of.corpus.measured_sets.features[block]] * 3
    of.update(of.gamma, of.lam * 3)
    draws = rng.dirichlet(of.lam[:20, 0], 20000)[:, of.corpus.measured_sets.features[block]]
    expected = np.log(draws / draws.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(digamma(lam[:, 0]) - digamma(lam[:, 0].sum()), expected, atol=0.02)
    b = of.signatures()[block, :4].astype(float)
    found = np.exp(digamma(lam) - digamma(lam.sum(axis=0)))
    np.testing.assert_allclose(b, found / found.max(axis=1, keepdims=True), rtol=1e-9)


def gathered(seed=3, n_topics=2):
    rng = np.random.default_rng(seed)
    features = [np.arange(0, 6), np.arange(4, 9), np.array([0, 8])]
    counts = [rng.poisson(rng.gamma(1, 20, (len(own), n_topics))).astype(float) for own in features]
    by_feature = np.zeros((9, n_topics))
    for own, part in zip(features, counts, strict=True):
        by_feature[own] += part
    ends = np.cumsum([0, *map(len, features)])
    read = csr_array((np.ones(ends[-1]), np.concatenate(features), ends), shape=(3, 9))
    return Gathered(by_feature, np.array([part.sum(axis=0) for part in counts]), read)


def features_of(of):
    """Those of each set."""
    return np.split(of.read.indices, of.read.indptr[1:-1])


def negative(of, k, eta):
    """Minus the log likelihood of one topic's counts plus η Σ log β, of unnormalised logarithms of β."""

    def value(log_beta):
        beta = np.exp(log_beta - log_beta.max())
        beta /= beta.sum()
        mass = np.array([beta[own].sum() for own in features_of(of)])
        return -(((of.by_feature[:, k] + eta) * np.log(beta)).sum() - (of.by_set[:, k] * np.log(mass)).sum())

    return value


def test_most_likely_signatures_are_the_maximum():
    of, eta = gathered(), 0.5
    lam = np.ones((9, 2))
    for _ in range(50):
        lam = of.most_likely(lam, eta)
    for k in range(2):
        value = negative(of, k, eta)
        best = minimize(value, np.zeros(9), method="BFGS", options={"gtol": 1e-8})
        assert value(np.log(lam[:, k])) == pytest.approx(best.fun, rel=1e-9)
    # η + counts seen + counts expected of each panel in what it did not measure
    np.testing.assert_allclose(lam, eta + of.expected(lam), rtol=1e-5)


def test_expected_counts():
    of, lam = gathered(), np.random.default_rng(0).gamma(1, 1, (9, 2))
    beta = lam / lam.sum(axis=0)
    expected = of.by_feature.copy()
    for own, total in zip(features_of(of), of.by_set, strict=True):
        others = np.setdiff1d(np.arange(9), own)
        expected[others] += total * beta[others] / beta[own].sum(axis=0)
    np.testing.assert_allclose(of.expected(lam), expected)


def test_stochastic_step():
    """All observations at rate 1: η + counts seen and expected; at a lower rate, a mean with what was."""
    of = model("collapsed")
    everyone, out = np.arange(of.corpus.n_obs), np.empty_like(of.lam)
    gamma, *_ = svi_step(of, everyone, 1.0, 50, rtol=1e-10, out=out)
    counts, _ = of.statistics(of.topics(gamma)[0])
    parts = [of.corpus.measured_sets.gathered(m, block, counts) for m, block in enumerate(of.corpus.blocks)]
    expected = of.eta + np.concatenate(
        [part.expected(of.lam[block]) for part, block in zip(parts, of.corpus.blocks, strict=True)]
    )
    np.testing.assert_allclose(out, expected, rtol=1e-9)
    half = np.empty_like(of.lam)
    svi_step(of, everyone, 0.5, 50, rtol=1e-10, out=half)
    np.testing.assert_allclose(half, (of.lam + expected) / 2, rtol=1e-9)
    known = of.lam[of.corpus.measured_sets.features[of.corpus.measured_sets.blocks[1]]]
    only_first = np.flatnonzero(of.corpus.rows[:, of.corpus.measured_sets.blocks[0]].sum(axis=1))
    svi_step(of, only_first, 1.0, 50, rtol=1e-10, out=out)
    ratio = out[12:20] - of.eta
    np.testing.assert_allclose(ratio / ratio.sum(axis=0), of.lam[12:20] / of.lam[12:20].sum(axis=0), rtol=1e-9)
    assert (known > 0).all(), "of what no observation of the batch has measured, shares stay as they were"


def test_merging_goes_by_what_was_seen():
    """Halves of topics, each seen by one panel only, come together by what both have seen."""
    of = model("collapsed")
    sets, rng = of.corpus.measured_sets, np.random.default_rng(5)
    beta = [rng.dirichlet(np.full(n, 1.0), 2).T for n in SIZES]
    counts = np.zeros((of.corpus.rows.shape[1], 4))
    for panel, block in enumerate(sets.blocks):
        m = sets.modality[panel]
        own = 500 * beta[m][sets.features[block] - of.corpus.offsets[m]]
        counts[block, :2] += own * (panel != 1)
        counts[block, 2:] += own[:, ::-1] * (panel != 0)
    lam = merged_in_sets(of, sets, 2, counts)
    for block, true in zip(of.corpus.blocks, beta, strict=True):
        np.testing.assert_allclose(lam[block] / lam[block].sum(axis=0), true, atol=0.002)


def test_thinned_counts_keep_their_panels():
    of = corpus(weights=np.array([1.0, 0.3]))
    for part in thinned(of, np.random.default_rng(0)):
        assert part.rows.nnz > 0
        assert part.measured_sets is of.measured_sets
        np.testing.assert_array_equal(part.offsets, of.offsets)
        np.testing.assert_array_equal(part.modality_weights, [1.0, 0.3])


@pytest.mark.parametrize("family", FAMILIES)
def test_threads_change_no_bit(family):
    results = []
    for n_jobs in (1, 2):
        of = model(family, n_jobs, dtype=np.float32)
        with of.backend:
            trace = [iterate(of, 5) for _ in range(3)]
        results.append((trace, of.lam, of.gamma))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_array_equal(results[0][2], results[1][2])


def test_what_is_judged_by_the_signatures_is_the_same_without_ties():
    """Likelihood, dispersion and moments are those of a corpus whose sets are modalities of their own."""
    of = model("collapsed", weights=np.array([1.0, 0.3]))
    for _ in range(5):
        iterate(of)
    lam = of.lam[of.corpus.measured_sets.features]
    apart = Corpus(of.corpus.rows, of.corpus.measured_sets.offsets, np.array([1.0, 1.0, 0.3]))
    one_modality_per_set = replace(of, corpus=apart, lam=lam)
    by_set = one_modality_per_set.log_likelihood(apart)
    expected = np.stack([by_set[:, 0] + by_set[:, 1], by_set[:, 2]], axis=1)
    np.testing.assert_allclose(of.log_likelihood(of.corpus), expected)
    for one, other in zip(moments(of), moments(one_modality_per_set), strict=True):
        np.testing.assert_array_equal(one, other)
    assert dispersion(of).shape == (2,)
    np.testing.assert_array_equal(of.corpus.totals, apart.totals)
    rows = of.corpus.rows.toarray()
    np.testing.assert_array_equal(of.corpus.by_modality, np.stack([rows[:, :24].sum(1), rows[:, 24:].sum(1)], axis=1))
