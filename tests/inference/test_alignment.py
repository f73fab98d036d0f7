"""Batches that have few features in common: topics of one are topics of the other."""

import warnings
from functools import cache

import numpy as np
import pytest
from mudata import MuData
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

import mtopic as mt
from mtopic.inference import fit as fits
from mtopic.inference.alignment import aligned
from mtopic.inference.corpus import Corpus
from mtopic.inference.measured_sets import MeasuredSets
from mtopic.inference.posterior import initial

pytestmark = pytest.mark.whole_start
N_TOPICS, N_FEATURES = 8, 300


@cache
def simulated(seed, n_obs=600):
    return mt.datasets.simulate(n_obs, N_TOPICS, modalities={"rna": N_FEATURES}, rng=seed, spatial=False)


def in_batches(n_common, seed=1, n_batches=2):
    """Batches of equal size, with ``n_common`` features in all of them and each other in one."""
    truth = simulated(seed, 300 * n_batches)
    order = np.random.default_rng(seed).permutation(N_FEATURES)
    common, rest = order[:n_common], order[n_common:]
    parts = {}
    for b in range(n_batches):
        features = np.sort(np.concatenate([common, rest[b::n_batches]]))
        parts["ABC"[b]] = truth["rna"][b::n_batches, features].copy()
    return mt.pp.concat(parts), truth.obsm["true_topics"]


def model(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return mt.tl.MTM(data, N_TOPICS, batch_key="batch", inference="collapsed", verbose=False, n_jobs=1, seed=0)


def agreement(found, names, truth):
    """Mean correlation of proportions with the true ones, topics matched one to one over all batches."""
    known = truth.loc[names].to_numpy()
    theta = found.gamma / found.gamma.sum(axis=1, keepdims=True)
    correlation = np.corrcoef(known.T, theta.T)[:N_TOPICS, N_TOPICS:]
    return correlation[linear_sum_assignment(-correlation)].mean()


def climbed(found, n_iter=50):
    found.VI(n_iter)
    return found


def signatures(found):
    (lam,) = found.lambda_.values()
    return lam


def fitted_in_batches(found):
    found.SVI(300, 100, kappa=0.6)
    return found


@cache
def of_all(seed):
    data, truth = in_batches(N_FEATURES, seed)
    return agreement(climbed(model(data)), data.obs_names, truth)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("n_common", [10, 30])
def test_few_features_in_common_are_enough(n_common, seed):
    data, truth = in_batches(n_common, seed)
    assert agreement(climbed(model(data)), data.obs_names, truth) > of_all(seed) - 0.02


@pytest.mark.parametrize(
    ("n_common", "n_batches", "fit"), [(30, 2, fitted_in_batches), (15, 3, climbed)], ids=["SVI", "three batches"]
)
def test_and_in_other_fits(n_common, n_batches, fit):
    data, truth = in_batches(n_common, n_batches=n_batches)
    assert agreement(fit(model(data)), data.obs_names, truth) > 0.97


@pytest.mark.parametrize(("n_common", "stays"), [(100, True), (10, False)])
def test_topics_that_are_right_keep_their_bits(n_common, stays, monkeypatch):
    data, _ = in_batches(n_common)
    found = climbed(model(data), 14)
    monkeypatch.setattr(fits, "aligned", lambda posterior, seed: (posterior, 0.0))
    without = climbed(model(data), 14)
    assert (found.elbo == without.elbo) == stays
    assert np.array_equal(found.gamma, without.gamma) == stays
    assert np.array_equal(signatures(found), signatures(without)) == stays


@pytest.mark.parametrize("cut", [9, 10, 11])
def test_a_fit_that_was_cut_goes_on_to_the_same_bits(cut, tmp_path):
    data, _ = in_batches(10)
    whole, first = climbed(model(data), 13), climbed(model(data), cut)
    first.save(tmp_path / "model.h5")
    again = climbed(mt.tl.load_model(tmp_path / "model.h5", data), 13 - cut)
    assert again.elbo == whole.elbo
    assert again.passes == whole.passes
    np.testing.assert_array_equal(again.gamma, whole.gamma)
    np.testing.assert_array_equal(signatures(again), signatures(whole))


def test_a_fit_from_batches_that_was_cut_goes_on_to_the_same_bits(tmp_path):
    """It was cut after the step in which the first epoch ends."""
    data, _ = in_batches(10)
    whole, steps = model(data), []

    def save(running):
        steps.append(running.passes)
        if len(steps) == 6:
            running.save(tmp_path / "model.h5")

    whole.SVI(9, 100, callback=save)
    again = mt.tl.load_model(tmp_path / "model.h5", data)
    again.SVI(3, 100)
    assert again.passes == whole.passes
    np.testing.assert_array_equal(again.gamma, whole.gamma)
    np.testing.assert_array_equal(signatures(again), signatures(whole))
    assert np.diff(steps).argmax() == 4, "topics are found anew when the epoch ends"


def test_all_threads_find_the_same():
    data, _ = in_batches(10)
    one, two = climbed(model(data), 12), model(data)
    two.n_jobs = 2
    two.VI(12)
    np.testing.assert_array_equal(one.gamma, two.gamma)


def test_neighbours_take_part():
    data, truth = in_batches(15)
    data.obsm["spatial"] = np.random.default_rng(0).uniform(size=(data.n_obs, 2))
    found = mt.tl.sMTM(data, N_TOPICS, batch_key="batch", strength=0.1, seed=0, verbose=False, n_jobs=1)
    assert agreement(climbed(found, 25), data.obs_names, truth) > 0.95


def posterior(rows, features, modality, offsets, seed=0):
    """A posterior of columns that stand in sets, with topics that observations take in turn."""
    sets = MeasuredSets(np.concatenate(features), np.cumsum([0, *map(len, features)]), np.array(modality))
    corpus = Corpus(csr_array(rows.astype(np.float64)), np.array(offsets), None, sets)
    return initial(corpus, 2, np.random.default_rng(seed), 0.5, 0.01, "collapsed")


def swapped(n_obs=200, seed=0):
    """Two batches with three features in common, of two kinds; γ has the kinds the other way round in the second."""
    rng = np.random.default_rng(seed)
    features = [[0, 1, 2, 3, 4], [0, 1, 2, 5, 6]]
    profiles = np.array([[[5, 2, 1, 9, 1], [1, 2, 5, 1, 9]], [[5, 2, 1, 1, 9], [1, 2, 5, 9, 1]]]) / 18
    kind, batch = np.arange(n_obs) % 2, np.arange(n_obs) // 2 % 2
    rows = np.zeros((n_obs, 10))
    for d in range(n_obs):
        rows[d, 5 * batch[d] : 5 * batch[d] + 5] = rng.multinomial(100, profiles[batch[d], kind[d]])
    of = posterior(rows, features, [0, 0], [0, 7])
    of.gamma = 0.5 + 99.0 * np.eye(2)[np.where(batch == 1, 1 - kind, kind)]
    return of, kind


def test_topics_change_places():
    of, kind = swapped()
    found, passes = aligned(of, 0)
    topic = found.gamma.argmax(axis=1)
    assert np.array_equal(topic, kind) or np.array_equal(topic, 1 - kind)
    assert found.lam.dtype == of.lam.dtype
    assert passes > 1
    again, _ = aligned(found, 0)
    assert again is found


@pytest.mark.parametrize("features", [[[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]], [[0, 1, 2, 3, 4], [0, 5, 6, 7, 8]]])
def test_with_no_feature_or_one_there_is_nothing_to_go_by(features):
    of, _ = swapped()
    of = posterior(of.corpus.rows.toarray(), features, [0, 0], [0, 10])
    assert aligned(of, 0)[0] is of


def test_observations_without_counts_in_a_modality_go_with_their_batch():
    """A second modality in common to the batches; some observations lack one or both."""
    of, kind = swapped()
    rng = np.random.default_rng(1)
    rows = np.hstack([of.corpus.rows.toarray(), rng.poisson(2, (len(kind), 3))])
    rows[:20, :10] = 0
    rows[10:40, 10:] = 0
    features = [[0, 1, 2, 3, 4], [0, 1, 2, 5, 6], [7, 8, 9]]
    made = posterior(rows, features, [0, 0, 1], [0, 7, 10])
    made.gamma = of.gamma
    found, _ = aligned(made, 0)
    topic = found.gamma[20:].argmax(axis=1)
    assert max((topic == kind[20:]).mean(), (topic != kind[20:]).mean()) == 1
    assert np.isfinite(found.lam).all()
    assert (found.gamma > 0).all()


def test_modalities_in_common_pair_topics_too():
    """RNA with one gene in common, and all proteins."""
    truth = mt.datasets.simulate(400, 4, modalities={"rna": 80, "prot": 30}, rng=0, spatial=False)
    parts = {
        name: MuData({"rna": truth["rna"][b::2, np.r_[0, 1 + b : 80 : 2]].copy(), "prot": truth["prot"][b::2].copy()})
        for b, name in enumerate("AB")
    }
    with pytest.warns(UserWarning, match="1 of its"):
        data = mt.pp.concat(parts)
    found = mt.tl.topic_model(data, 4, batch_key="batch", copy=True, verbose=False, n_jobs=1)
    known = truth.obsm["true_topics"].loc[found.obs_names]
    correlation = np.corrcoef(known.T, found.obsm["topics"].T)[:4, 4:]
    assert correlation[linear_sum_assignment(-correlation)].mean() > 0.97
