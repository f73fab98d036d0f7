"""Stochastic updates: what a call leaves behind, what it finds, and how it goes on."""

import numpy as np
import pytest

import mtopic as mt
from mtopic.inference.schedule import EXPLORE

from .test_mtm import assert_same_bits, divergence, exact_bound, expected_log

LEARNED = {"alpha": "auto", "eta": "auto"}
KINDS = {
    "variational": {"dtype": "float64"},
    "collapsed": {"inference": "collapsed", "modality_weights": "auto", **LEARNED},
    "prior": {"strength": 0.3},
    "original": {"smoothing": "original"},
}


def make(kind, mdata, n_topics=4, n_jobs=1):
    common = {"n_topics": n_topics, "n_jobs": n_jobs, "verbose": False, **KINDS[kind]}
    if kind in ("prior", "original"):
        return mt.tl.sMTM(mdata, spatial_key="spatial", n_neighbors=6, **common)
    return mt.tl.MTM(mdata, **common)


def recovered(model, mdata):
    copy = mdata.copy()
    mt.tl.export_params(model, copy)
    return mt.datasets.recovery(copy)["correlation"].to_numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_topics_are_found_as_well_as_by_vi(large_tissue, kind):
    found = []
    for fit in (lambda model: model.VI(100), lambda model: model.SVI(1000, 100)):
        model = make(kind, large_tissue, 8)
        fit(model)
        found.append(recovered(model, large_tissue))
    assert model.converged
    assert found[1].min() > 0.95
    np.testing.assert_allclose(found[1], found[0], atol=0.01)


def test_less_than_an_epoch_leaves_no_observation_out(large_tissue):
    model = make("variational", large_tissue, 8)
    model.SVI(3, 100)
    assert not model.converged
    totals = sum(np.asarray(adata.X.sum(axis=1, dtype=float)).ravel() for adata in large_tissue.mod.values())
    np.testing.assert_allclose(model.gamma.sum(axis=1), totals + 1, rtol=1e-9)
    assert len(model.elbo) == 1
    assert model.params()["n_batches"] == 3
    assert recovered(model, large_tissue).min() > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_threads_change_no_bit(tissue, kind):
    models = [make(kind, tissue, n_jobs=n_jobs) for n_jobs in (1, 2, 5)]
    for model in models:
        model.SVI(11, 40, tol=None)
    for other in models[1:]:
        assert_same_bits(models[0], other)
        assert models[0].params() == other.params()
        assert models[0].passes == other.passes


class Crash(Exception):
    """What ends a fit without its last iteration."""


def crash_after(n_batches):
    def callback(model):
        if model.params()["n_batches"] == n_batches:
            raise Crash

    return callback


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crash", [2, 10])
def test_a_fit_that_crashed_goes_on_to_the_same_bits(tissue, tmp_path, kind, crash):
    whole, cut, path = make(kind, tissue), make(kind, tissue), tmp_path / "model.h5"
    whole.SVI(13, 40, tol=None)
    with pytest.raises(Crash):
        cut.SVI(13, 40, tol=None, callback=crash_after(crash), checkpoint=path, checkpoint_every=2)
    again = mt.tl.load_model(path, tissue)
    for model in (cut, again):
        model.SVI(13 - crash, 40, tol=None)
        assert_same_bits(model, whole)
        assert model.params() == whole.params()
    for model in (again, whole):
        model.SVI(2, 60, tol=None)
        model.VI(2, tol=None)
    assert_same_bits(again, whole)


def test_a_fit_that_settles_does_so_after_a_crash_too(tissue, tmp_path):
    whole, cut, path = make("collapsed", tissue), make("collapsed", tissue), tmp_path / "model.h5"
    whole.SVI(2000, 30, tol=1e-3)
    assert whole.converged
    assert 10 <= whole.params()["n_batches"] < 2000
    with pytest.raises(Crash):
        cut.SVI(2000, 30, tol=1e-3, callback=crash_after(7), checkpoint=path, checkpoint_every=1)
    again = mt.tl.load_model(path, tissue)
    again.SVI(2000, 30, tol=1e-3)
    assert_same_bits(again, whole)
    assert again.converged
    whole.SVI(7, 30, tol=None)
    assert not whole.converged


@pytest.mark.parametrize("kind", ["variational", "collapsed"])
def test_the_last_iteration_is_that_of_vi_from_the_same_signatures(tissue, tmp_path, kind):
    model, path = make(kind, tissue), tmp_path / "model.h5"
    model.SVI(3, 50, callback=lambda model: model.save(path))
    steps_alone = mt.tl.load_model(path, tissue)
    assert steps_alone.elbo == []
    steps_alone.VI(1)
    assert_same_bits(steps_alone, model)


def test_the_bound_is_that_of_plain_numpy(tissue, tmp_path):
    model, path = make("variational", tissue), tmp_path / "model.h5"
    model.SVI(7, 50, callback=lambda model: model.save(path))
    before, log_t = mt.tl.load_model(path).lambda_, expected_log(model.gamma)
    bound = -divergence(model.gamma, model.alpha)
    for mod, lam in model.lambda_.items():
        joint = log_t[:, :, None] + expected_log(before[mod])
        log_share = joint - np.log(np.exp(joint).sum(axis=1, keepdims=True))
        each = (np.exp(log_share) * (log_t[:, :, None] + expected_log(lam) - log_share)).sum(axis=1)
        bound += (tissue[mod].X.toarray() * each).sum() - divergence(lam, model.eta)
    assert model.elbo == [pytest.approx(bound, rel=1e-10)]
    assert 0 <= (exact_bound(model, tissue) - bound) / abs(bound) < 2e-3


def test_vi_goes_on_without_a_new_start(tissue, monkeypatch):
    model = make("variational", tissue)
    model.SVI(20, 50)
    monkeypatch.setattr("mtopic.inference.fit.initial_signatures", None)
    model.VI(40, tol=None)
    assert (np.diff(model.elbo) >= -1e-12 * abs(model.elbo[-1])).all()  # it refines from the first iteration on
    model.SVI(8, 50, tol=None)
    assert model.elbo[-1] == pytest.approx(model.elbo[-2], rel=2e-3)
    assert len(model.elbo) == 42


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_call_ends_with_an_iteration_and_topics_beside_neighbours(tissue, epochs):
    plain = mt.tl.sMTM(tissue, 4, spatial_key="spatial", n_neighbors=6, n_jobs=1, verbose=False, strength=0)
    model = make("prior", tissue)
    for n_iter in (1, 2):
        for one in (plain, model):
            one.SVI(3 * epochs, 50, tol=None)
            assert len(one.elbo) == n_iter
        assert model.elbo == plain.elbo
        for mod, lam in model.lambda_.items():
            np.testing.assert_array_equal(lam, plain.lambda_[mod])
        lent = model.gamma - plain.gamma
        assert lent.min() > -1e-4
        assert 0 < lent.sum(axis=1).max() <= 0.3 * (plain.gamma.sum(axis=1) - 1).mean() * 1.001
    assert model.params()["strength"] == 0.3


def test_strength_is_learned_as_by_vi():
    tissue = mt.datasets.simulate(400, 4, modalities={"rna": 60}, depth=40)
    one, two = (mt.tl.sMTM(tissue, 4, n_neighbors=6, spatial_key="spatial", verbose=False) for _ in range(2))
    one.VI(1)
    two.SVI(1, 50)
    assert one.strength == two.strength > 0


def test_the_originals_correction_is_made_in_the_last_iteration(tissue):
    corrected, plain = make("original", tissue), mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False)
    for model in (corrected, plain):
        model.SVI(5, 50, tol=None)
    assert len(corrected.elbo) == 1
    assert not np.array_equal(corrected.gamma, plain.gamma)
    np.testing.assert_allclose(corrected.gamma.sum(axis=1), plain.gamma.sum(axis=1), rtol=1e-4)


@pytest.mark.whole_start
def test_priors_are_learned_as_by_vi():
    cells, learned = mt.datasets.simulate(600, 6, concentration=0.3, spatial=False), []
    for fit in (lambda model: model.VI(80), lambda model: model.SVI(1000, 60)):
        model = mt.tl.MTM(cells, 6, n_jobs=1, verbose=False, inference="collapsed", **LEARNED)
        fit(model)
        learned.append((model.alpha, model.eta))
    np.testing.assert_allclose(learned[1], learned[0], rtol=0.25)
    assert learned[1][0] > 0.18  # from 1/6


@pytest.mark.slow
@pytest.mark.parametrize("inference", ["variational", "collapsed"])
def test_real_cells_are_predicted_as_well_as_by_vi(real_mudata, inference):
    cells = real_mudata("snareseq_small")
    order = np.random.default_rng(0).permutation(cells.n_obs)
    train, new = (cells[np.sort(rows)].copy() for rows in (order[200:], order[:200]))
    options = LEARNED if inference == "collapsed" else {}
    scores, bounds = [], []
    for fit in (lambda model: model.VI(60), lambda model: model.SVI(1000, 100)):
        model = mt.tl.MTM(train, 15, inference=inference, n_jobs=1, verbose=False, **options)
        fit(model)
        scores.append(mt.tl.perplexity(model, new).loc["total", "log_likelihood"])
        bounds.append(model.elbo[-1])
    assert scores[1] > scores[0] - 3e-3 * abs(scores[0])
    assert bounds[1] > bounds[0] - 5e-3 * abs(bounds[0])


def test_the_callback_ends_the_steps_and_the_last_iteration_is_made(tissue):
    model, seen = make("variational", tissue), []

    def callback(model):
        seen.append(len(model.elbo))
        return model.params()["n_batches"] == 3

    model.SVI(10, 50, callback=callback)
    assert (seen, len(model.elbo), model.converged) == ([0, 0, 0], 1, False)


def test_an_interrupted_step_changes_nothing(tissue, monkeypatch):
    from mtopic.inference.posterior import Posterior

    whole, model = (make("collapsed", tissue) for _ in range(2))
    whole.SVI(6, 40, tol=None)
    with pytest.raises(Crash):
        model.SVI(6, 40, tol=None, callback=crash_after(2))
    before = model.gamma.copy()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Posterior, "log_likelihood", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.SVI(4, 40, tol=None)
    monkeypatch.undo()
    np.testing.assert_array_equal(model.gamma, before)
    model.SVI(4, 40, tol=None)
    assert_same_bits(model, whole)


def test_a_table_that_was_taken_before_a_call_stays_as_it_is(tissue):
    model = make("variational", tissue)
    model.SVI(2, 50)
    gamma, lam = model.gamma, model.lambda_["rna"]
    copies = gamma.copy(), lam.copy()
    model.SVI(2, 50)
    np.testing.assert_array_equal(gamma, copies[0])
    np.testing.assert_array_equal(lam, copies[1])


def test_the_original_goes_on(tissue, tmp_path):
    path = tmp_path / "model.h5"

    def stop(model):
        return model.params()["n_batches"] == 7

    whole, parts = (mt.tl.MTM(tissue, 4, verbose=False) for _ in range(2))
    whole.SVI(12, 31, schedule="original")
    assert whole.elbo == []
    assert whole.gamma.dtype == np.float64
    parts.SVI(12, 31, schedule="original", callback=stop, checkpoint=path, checkpoint_every=3)
    again = mt.tl.load_model(path, tissue)
    for model in (parts, again):
        model.SVI(5, 31, schedule="original")
        np.testing.assert_array_equal(model.gamma, whole.gamma)
        assert model.params() == whole.params()
    whole.VI(EXPLORE + 2, tol=None)
    assert np.isfinite(whole.elbo).all()


@pytest.mark.parametrize("kind", ["collapsed", "prior", "original"])
def test_the_original_has_its_own_model(tissue, kind):
    model = make(kind, tissue)
    with pytest.raises(ValueError, match="schedule='original'"):
        model.SVI(2, schedule="original")
    assert not model.fitted


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_batches": 0},
        {"batch_size": 0},
        {"max_iter_d": 0},
        {"tau": -1},
        {"tau": float("nan")},
        {"tau": float("inf")},
        {"kappa": 0},
        {"kappa": 1.5},
        {"tol": -1.0},
    ],
)
@pytest.mark.parametrize("schedule", ["fast", "original"])
def test_bad_arguments(tissue, arguments, schedule):
    model = make("variational", tissue)
    with pytest.raises(ValueError, match=next(iter(arguments))):
        model.SVI(schedule=schedule, **arguments)
    assert not model.fitted


def test_unknown_schedule(tissue):
    with pytest.raises(KeyError, match="did you mean 'original'"):
        make("variational", tissue).SVI(schedule="orginal")


def test_steps_that_cannot_settle_are_warned_of(tissue):
    with pytest.warns(UserWarning, match="kappa=0.5") as caught:
        make("variational", tissue).SVI(2, kappa=0.5)
    assert caught[0].filename == __file__
