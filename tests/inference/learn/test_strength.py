"""What is hidden from a fit, and the strength of neighbours that predicts it."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from mtopic.inference.corpus import Corpus
from mtopic.inference.fit import Fit
from mtopic.inference.learn import strength
from mtopic.inference.learn.strength import GROUPS, HIGHEST, LOWEST, hide_feature_groups, sample_neighbourhood
from mtopic.inference.posterior import initial


def test_priors_of_features_go_with_them(rng):
    """The start that is found on features in another order comes back in theirs: λ is at least η."""
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
    """Most observations have counts in every group of features; one has none at all."""
    x = rng.poisson(3, (n_obs, sum(sizes)))
    x[5] = 0
    return Corpus(csr_array(x.astype(dtype)), np.concatenate([[0], np.cumsum(sizes)]))


def test_shown_and_hidden_are_all_counts(rng):
    corpus = corpus_of(rng)
    seen, hidden, order = hide_feature_groups(corpus, rng)
    assert seen.dtype == hidden.dtype == np.float32
    assert seen.rows.shape == hidden.rows.shape == corpus.rows.shape
    assert sorted(order) == list(range(75))
    np.testing.assert_array_equal((seen.rows + hidden.rows).toarray(), corpus.rows.toarray()[:, order])
    assert seen.rows.multiply(hidden.rows).nnz == 0


def test_each_observation_hides_one_group_of_every_modality(rng):
    seen, hidden, _ = hide_feature_groups(corpus_of(rng), rng)
    assert len(seen.blocks) == 2 * GROUPS
    assert seen.offsets[-1] == 75
    there = np.stack([(hidden.rows[:, block].sum(axis=1) > 0) for block in seen.blocks])
    left = np.stack([(seen.rows[:, block].sum(axis=1) > 0) for block in seen.blocks])
    assert not (there & left).any()
    full = np.arange(83) != 5
    for modality in (slice(0, GROUPS), slice(GROUPS, None)):
        assert (there[modality].sum(axis=0)[full] == 1).all()
    np.testing.assert_array_equal(there[:GROUPS, full], there[GROUPS:, full])
    hidden_by = there[:GROUPS, full].sum(axis=1)
    assert hidden_by.max() - hidden_by.min() <= 2
    assert there[:, 5].sum() == 0


def test_every_group_is_a_modality_of_features_of_one_modality(rng):
    seen, _, order = hide_feature_groups(corpus_of(rng), rng)
    for i, block in enumerate(seen.blocks):
        assert ((order[block] < 52) == (i < GROUPS)).all()
    for sizes in np.split(np.diff(seen.offsets), 2):
        assert sizes.max() - sizes.min() <= 1
    assert (np.diff(order[seen.blocks[0]]) > 1).any()  # dealt out, not cut


def test_modalities_of_few_features_have_as_many_groups(rng):
    seen, hidden, _ = hide_feature_groups(corpus_of(rng, sizes=(30, 2, 1)), rng)
    assert np.diff(seen.offsets).tolist() == [6, 6, 6, 6, 6, 1, 1, 1]
    assert hidden.rows[:, 30:].nnz > 0


def test_hidden_groups_differ_by_their_seed_only():
    def drawn(seed):
        seen, *_ = hide_feature_groups(corpus_of(np.random.default_rng(0)), np.random.default_rng(seed))
        return seen.rows.toarray()

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert (drawn(1) != drawn(2)).any()


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


def scores_with_top_at(top, steepness=1.0):
    calls = []

    def score(rung):
        calls.append(rung)
        return np.full(4, -steepness * (rung - top) ** 2)

    return score, calls


@pytest.mark.parametrize("start", [-1, 0, 2])
@pytest.mark.parametrize("top", [-9.0, -2.3, -1.0, 0.4, 2.6, 9.0])
def test_the_climb_ends_on_the_best_rung(top, start):
    score, calls = scores_with_top_at(top)
    best = strength._climb(score, start)
    assert best == np.clip(round(top), LOWEST, HIGHEST)
    assert LOWEST <= min(calls)
    assert max(calls) <= HIGHEST
    if LOWEST < best < HIGHEST:
        assert best + strength._weakest(score, best) == pytest.approx(top)
    else:
        assert strength._weakest(score, best) == 0


@pytest.mark.parametrize(("noise", "down"), [(0.5, 0.5), (1.0, 0.5**0.5), (2.0, 1.0), (100.0, 1.0)])
def test_a_weaker_one_is_taken_as_long_as_it_is_no_worse_by_a_standard_error(noise, down):
    def score(rung):
        return -((rung - 0.4) ** 2) + noise * rung * np.array([1.0, -1.0, 1.0, -1.0])

    assert 0 + strength._weakest(score, 0) == pytest.approx(0.4 - down)


def test_a_flat_top_is_where_it_began():
    assert strength._climb(lambda rung: np.zeros(4), 0) == 0
    assert strength._weakest(lambda rung: np.zeros(4), 0) == 0
