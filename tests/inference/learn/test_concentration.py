"""A prior of signatures by the frequencies of the features, as strong as hidden counts ask for."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from mtopic.inference import Corpus, Fit, MeasuredSets, by_frequency, initial
from mtopic.inference.learn import concentration
from mtopic.inference.learn.concentration import KEPT, SHARES
from mtopic.inference.priors import LOWEST

SIZES = 300, 200


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def corpus_of(x):
    return Corpus(csr_array(x.astype(np.float64)), np.cumsum([0, *SIZES]))


def test_eta_is_a_share_of_the_counts_of_a_topic(rng):
    x = rng.poisson(3, (83, sum(SIZES)))
    x[:, 7] = 0
    found = by_frequency(corpus_of(x), [0.1, 0.02], 4)
    wanted = x.sum(axis=0) / 4 * np.repeat([0.1, 0.02], SIZES)
    np.testing.assert_allclose(np.delete(found, 7), np.delete(wanted, 7), rtol=1e-6)
    assert found[7] == LOWEST


def test_what_was_not_measured_counts_as_expected(rng):
    """Two sets of a modality: features 0 to 9 in all observations, 10 to 19 in the first half of them alone."""
    frequencies = rng.dirichlet(np.full(20, 3.0))
    x = rng.poisson(500 * frequencies, (400, 20))
    columns = np.zeros((400, 30))
    columns[:200, :20], columns[200:, 20:] = x[:200], x[200:, :10]
    sets = MeasuredSets(np.concatenate([np.arange(20), np.arange(10)]), np.array([0, 20, 30]), np.array([0, 0]))
    half = Corpus(csr_array(columns), np.array([0, 20]), measured_sets=sets)
    whole = Corpus(csr_array(x.astype(np.float64)), np.array([0, 20]))
    np.testing.assert_allclose(by_frequency(half, [0.1], 5), by_frequency(whole, [0.1], 5), rtol=0.03)


@pytest.mark.parametrize(
    ("gains", "share"),
    [
        ([0, 1, 3, 7, 10, 4], np.sqrt(0.01 * 0.03)),  # 5 is half way from 3 to 7
        ([0, 10, 9, 8, 7, 6], np.sqrt(0.001 * 0.003)),
        ([0, -1, -2, -3, -4, -5], 0.001),
        ([0, 6, 2, 10, 0, 0], 0.001 * 3 ** (5 / 6)),  # where it is first reached
        ([0, 0, 0, 0, 0, 8], np.sqrt(0.1 * 0.3)),
    ],
)
def test_the_smallest_that_has_half_of_the_best_gain(gains, share):
    assert KEPT == 0.5
    assert concentration._smallest(np.array(gains, float)) == pytest.approx(share, rel=1e-9)


def begun(rng, concentrations, depth=400):
    """A fit to be begun, and its counts; signatures of a modality are drawn around common frequencies."""
    theta = rng.dirichlet(np.full(4, 0.3), 300)
    common = [rng.dirichlet(np.full(size, 2.0)) for size in SIZES]
    signatures = [rng.dirichlet(c * own, 4) for c, own in zip(concentrations, common, strict=True)]
    corpus = corpus_of(rng.poisson(depth * np.hstack([theta @ beta for beta in signatures])))
    fit = Fit(initial(corpus, 4, rng, 0.25, 0.01), 0, learns_alpha=False, learns_eta=False, eta_shares=[])
    fit.configure(corpus.dtype, 1)
    return fit, corpus


@pytest.mark.whole_start
@pytest.mark.parametrize("seed", range(3))
def test_signatures_that_are_alike_ask_for_a_stronger_prior_in_their_own_modality(seed):
    def learned(*concentrations):
        rng = np.random.default_rng(seed)
        return concentration.learned_shares(*begun(rng, concentrations), rng)[0]

    apart, first, second = learned(30, 30), learned(2000, 30), learned(30, 2000)
    assert (apart < 0.003).all()
    assert first[0] > 0.005 > 0.003 > first[1]
    assert second[1] > 0.005 > 0.003 > second[0]


def test_work_is_counted(rng):
    fit, corpus = begun(rng, (20, 20))
    assert concentration.learned_shares(fit, corpus, rng)[1] > concentration.ITERATIONS * SHARES.size * 0.8
    assert fit.passes == 0
    assert fit.posterior.eta == 0.01
