"""The strength of neighbours that predicts counts that are hidden."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from mtopic.inference.corpus import Corpus
from mtopic.inference.fit import Fit
from mtopic.inference.learn import strength
from mtopic.inference.learn.strength import KEPT, STRENGTHS, sample_neighbourhood
from mtopic.inference.posterior import initial


def test_priors_of_features_go_with_them(rng):
    """λ of the start is at least η."""
    corpus, eta = corpus_of(rng), np.where(rng.random(75) < 0.2, 500.0, 0.01)
    posterior = initial(corpus, 3, rng, np.array([0.1, 1.0, 0.3]), eta)
    fit = Fit(posterior, 0, learns_alpha=False, learns_eta=False)
    fit.configure(corpus.dtype, 1)
    ring = csr_array(np.roll(np.eye(83), 1, axis=1) + np.roll(np.eye(83), -1, axis=1))
    lam = strength.learned_strength(fit, corpus, ring, rng)[1]
    assert (lam > eta[:, None] * 0.99).all()
    assert (lam[eta < 1].min(axis=1) < 100).all()
    np.testing.assert_array_equal(fit.posterior.eta, eta)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def corpus_of(rng, n_obs=83, sizes=(52, 23), dtype=np.float32):
    """One observation has no counts."""
    x = rng.poisson(3, (n_obs, sum(sizes)))
    x[5] = 0
    return Corpus(csr_array(x.astype(dtype)), np.concatenate([[0], np.cumsum(sizes)]))


def grid(width, height):
    """Four neighbours on a rectangle of places."""
    x, y = (c.ravel() for c in np.meshgrid(np.arange(width), np.arange(height)))
    steps = abs(x[:, None] - x) + abs(y[:, None] - y)
    return csr_array((steps == 1).astype(float))


def test_all_are_taken_where_they_are_few(rng):
    graph = grid(5, 4)
    np.testing.assert_array_equal(sample_neighbourhood(graph, 20, rng), np.arange(20))
    np.testing.assert_array_equal(sample_neighbourhood(graph, 3000, rng), np.arange(20))


@pytest.mark.parametrize("size", [1, 2, 37, 150, 399])
def test_a_patch_is_in_one_piece_and_round(rng, size):
    graph = grid(20, 20)
    taken = sample_neighbourhood(graph, size, rng)
    assert taken.size == size
    np.testing.assert_array_equal(taken, np.unique(taken))
    assert connected_components(graph[taken][:, taken])[0] == 1
    place = np.column_stack([taken % 20, taken // 20])
    reach = min(abs(place - centre).sum(axis=1).max() for centre in place)
    assert reach <= next(r for r in range(40) if size <= 1 + r * (r + 1) / 2) + 1  # the rings round a corner grow least


def test_a_patch_goes_on_elsewhere_when_a_piece_is_used_up(rng):
    pieces = csr_array(np.kron(np.eye(10), grid(3, 3).toarray()))
    taken = sample_neighbourhood(pieces, 31, rng)
    assert taken.size == np.unique(taken).size == 31
    assert sorted(np.unique(taken // 9, return_counts=True)[1]) == [4, 9, 9, 9]
    alone = sample_neighbourhood(csr_array((50, 50)), 31, rng)
    assert alone.size == np.unique(alone).size == 31


def test_patches_are_of_all_parts_of_the_tissue():
    graph = grid(20, 20)
    reached = np.unique(
        np.concatenate([sample_neighbourhood(graph, 60, np.random.default_rng(seed)) for seed in range(40)])
    )
    assert reached.size > 380


def curve(*points):
    """Gains at the strengths that are tried, on lines between points of (power of 2, gain)."""
    return np.interp(np.log2(STRENGTHS), *np.transpose(points))


@pytest.mark.parametrize(
    ("gains", "power"),
    [
        (curve((-5, 0), (1, 10), (5, 0)), 3),
        (curve((-5, 10), (-3, 6), (-1, 4), (5, 0)), -2),
        (curve((-5, 0), (-3, 9), (1, 10), (3, 8), (5, 2)), 4),
        (curve((-5, 0), (5, 10)), 5),
        (curve((-5, 10), (5, 6)), 5),
        (curve((-5, 9), (-3, 0), (1, 10), (3, 0)), 2),  # not by what lies before the best
    ],
)
def test_the_greatest_that_keeps_half_of_the_best_gain(gains, power):
    assert KEPT == 0.5
    assert strength._greatest(gains) == pytest.approx(2**power, rel=1e-12)


def test_gains_in_another_unit_make_no_difference():
    gains = np.random.default_rng(0).random(STRENGTHS.size)
    assert strength._greatest(1e4 * gains) == pytest.approx(strength._greatest(gains), rel=1e-12)


def tissue(width, *, smooth, depth=60, seed=0):
    """A fit to be begun, counts of a square of places, and its neighbours; topics are in stripes or anywhere."""
    rng = np.random.default_rng(seed)
    theta = rng.dirichlet(np.full(4, 0.3), width**2)
    if smooth:
        stripe = np.arange(width**2) % width * 4 // width
        theta = 0.1 / 4 + 0.9 * np.eye(4)[stripe]
    corpus = Corpus(csr_array(rng.poisson(depth * theta @ rng.dirichlet(np.full(75, 0.2), 4))), np.array([0, 52, 75]))
    corpus = corpus.astype(np.dtype(np.float64))
    fit = Fit(initial(corpus, 4, rng, 0.25, 0.01), 0, learns_alpha=False, learns_eta=False)
    fit.configure(corpus.dtype, 1)
    return fit, corpus, grid(width, width)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("depth", [60, 300])
def test_noise_teaches_no_strength(depth, seed):
    """Where counts are few, any mean predicts better than none; that of all tells this from neighbours."""
    noise = tissue(20, smooth=False, depth=depth, seed=seed)
    assert strength.learned_strength(*noise, np.random.default_rng(seed))[0] == 0


def test_stripes_teach_strength_the_more_the_less_places_tell():
    found = [
        strength.learned_strength(*tissue(20, smooth=True, depth=depth), np.random.default_rng(0))[0]
        for depth in (15, 60, 2000)
    ]
    assert found[0] > found[1] > found[2]


def test_a_gain_has_to_be_sure(monkeypatch):
    monkeypatch.setattr(strength, "STANDARD_ERRORS", 1e3)
    assert strength.learned_strength(*tissue(20, smooth=True), np.random.default_rng(0))[0] == 0


def test_the_start_serves_the_whole_fit_if_it_had_all(monkeypatch):
    arguments = tissue(12, smooth=True)
    learned, lam, passes = strength.learned_strength(*arguments, np.random.default_rng(0))
    assert lam.shape == (75, 4)
    assert passes > strength.ITERATIONS
    again = strength.learned_strength(*arguments, np.random.default_rng(0))
    assert (again[0], again[2]) == (learned, passes)
    monkeypatch.setattr(strength, "MOST_OBSERVATIONS", 100)
    _, lam, fewer = strength.learned_strength(*arguments, np.random.default_rng(0))
    assert lam is None
    assert fewer < passes
