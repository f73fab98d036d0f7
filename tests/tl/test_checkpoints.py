"""Fits that are watched, stopped, interrupted and killed."""

import inspect
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest

import mtopic as mt


def data():
    mdata = mt.datasets.simulate(150, 4, modalities={"rna": 60, "atac": 90}, depth=300)
    mt.pp.scale_counts(mdata, 5000)
    return mdata


def make(kind, mdata):
    common = {"n_topics": 4, "n_jobs": 2, "verbose": False}
    if kind == "collapsed":
        learned = {"alpha": "auto", "eta": "auto", "modality_weights": "auto"}
        return mt.tl.MTM(mdata, inference="collapsed", raw=True, **learned, **common)
    if kind == "variational":
        return mt.tl.MTM(mdata, dtype="float64", **common)
    return mt.tl.sMTM(mdata, smoothing=kind, spatial_key="spatial", n_neighbors=6, **common)


# What new processes run; data and models are those of the tests.
MAKE = f"""
import sys
from pathlib import Path
import mtopic as mt

{inspect.getsource(data)}
{inspect.getsource(make)}
"""
GO_ON = """
path, mdata = Path(sys.argv[2]), data()
model = mt.tl.load_model(path, mdata) if path.exists() else make(sys.argv[1], mdata)
print("ready", flush=True)
model.VI(3000 - len(model.elbo), tol=None, checkpoint=path, checkpoint_every=1)
"""
BITS = """
model = make(sys.argv[1], data())
model.VI(12, tol=None)
print([bound.hex() for bound in model.elbo])
"""
KINDS = ["prior", *(pytest.param(kind, marks=pytest.mark.weekly) for kind in ("collapsed", "variational", "original"))]


def start(script, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", MAKE + script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def assert_same_bits(a, b):
    np.testing.assert_array_equal(a.gamma, b.gamma)
    assert (a.elbo, a.passes, a.params()) == (b.elbo, b.passes, b.params())
    for mod in a.modalities:
        np.testing.assert_array_equal(a.lambda_[mod], b.lambda_[mod])


def model_of(data, **options):
    return mt.tl.MTM(data, 4, n_jobs=2, verbose=False, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.h5"


def kill(model):
    if len(model.elbo) == 17:
        os.kill(os.getpid(), signal.SIGKILL)


def fit_until_killed(kind, path):
    make(kind, data()).VI(40, tol=None, callback=kill, checkpoint=path, checkpoint_every=5)


@pytest.mark.whole_start
@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_was_killed_goes_on_from_its_checkpoint_to_the_same_bits(path, kind, killed):
    killed(fit_until_killed, kind, path)
    mdata = data()
    again = mt.tl.load_model(path, mdata)
    assert len(again.elbo) == 15
    again.VI(25, tol=None)
    whole = make(kind, mdata)
    whole.VI(40, tol=None)
    assert_same_bits(again, whole)


@pytest.mark.weekly
@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="nothing is compiled")
def test_kernels_that_were_just_compiled_give_the_bits_of_those_that_were_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    seen = []
    for _ in range(2):
        process = start(BITS, "variational")
        seen.append(process.communicate(timeout=600)[0])
    assert seen[0] == seen[1] != ""


@pytest.mark.weekly
@pytest.mark.whole_start
def test_a_fit_that_is_killed_ten_times_at_any_moment_comes_to_the_same_bits(path):
    rng, seen = np.random.default_rng(7), 0
    for _ in range(10):
        process = start(GO_ON, "collapsed", path)
        process.stdout.readline()
        time.sleep(rng.uniform(0.2, 1.0))
        process.kill()
        process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL
        now = len(mt.tl.load_model(path).elbo) if path.exists() else 0
        assert now >= seen
        seen = now
    assert 0 < seen < 3000
    mdata = data()
    again, whole = mt.tl.load_model(path, mdata), make("collapsed", mdata)
    again.VI(5, tol=None)
    whole.VI(seen + 5, tol=None)
    assert_same_bits(again, whole)


def test_when_checkpoints_are_written(tissue, path):
    there = []

    def look(model):
        there.append(len(mt.tl.load_model(path).elbo) if path.exists() else None)

    model = model_of(tissue)
    model.VI(3, tol=None)
    model.VI(8, tol=None, callback=look, checkpoint=path, checkpoint_every=4)
    assert there == [4, 4, 4, 4, 8, 8, 8, 8]
    assert len(mt.tl.load_model(path).elbo) == 11


def test_the_checkpoint_of_a_converged_fit_says_so(tissue, path):
    model = model_of(tissue)
    model.VI(400, checkpoint=path, checkpoint_every=1000)
    assert model.converged
    assert mt.tl.load_model(path).converged
    again = mt.tl.load_model(path, tissue)
    again.VI(100)
    assert_same_bits(again, model)


def test_nothing_is_left_to_do(tissue, path):
    model = model_of(tissue)
    with pytest.raises(ValueError, match="n_iter=0: it must be at least 1"):
        model.VI(0)
    model.VI(12, tol=None, checkpoint=path)
    again = mt.tl.load_model(path, tissue)
    again.VI(12 - len(again.elbo), tol=None, checkpoint=path)
    assert_same_bits(again, model)
    with pytest.raises(ValueError, match="n_iter=-1: it must be at least 0"):
        again.VI(-1)


def test_what_was_learned_before_the_first_iteration_is_saved(path):
    def fail(model):
        raise RuntimeError("no")

    mdata = data()
    model = make("prior", mdata)
    with pytest.raises(RuntimeError, match="no"):
        model.VI(5, callback=fail, checkpoint=path)
    again = mt.tl.load_model(path, mdata)
    assert again.elbo == []
    assert again.strength == model.strength is not None
    again.VI(5, tol=None)
    model.VI(4, tol=None)
    assert_same_bits(again, model)


def test_a_callback_sees_every_iteration_and_ends_the_fit(tissue):
    seen = []

    def callback(model):
        seen.append((model, len(model.elbo), model.gamma.copy()))
        return np.bool_(len(model.elbo) == 4)

    model = model_of(tissue)
    model.VI(10, callback=callback)
    assert [number for _, number, _ in seen] == [1, 2, 3, 4]
    assert all(each is model for each, _, _ in seen)
    np.testing.assert_array_equal(seen[-1][2], model.gamma)
    assert not model.converged
    assert not model.interrupted
    model.VI(3, callback=lambda model: "not True")
    assert len(model.elbo) == 7


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_callback_that_fails_leaves_a_whole_iteration(tissue, n_jobs):
    def callback(model):
        if len(model.elbo) == 3:
            raise RuntimeError("no")

    model, whole = (mt.tl.MTM(tissue, 4, n_jobs=n_jobs, verbose=False) for _ in range(2))
    with pytest.raises(RuntimeError, match="no"):
        model.VI(10, tol=None, callback=callback)
    assert len(model.elbo) == 3
    model.VI(2, tol=None)
    whole.VI(5, tol=None)
    assert_same_bits(model, whole)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"callback": 3}, TypeError, "callback=3: give a function"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every=0: it must be at least 1"),
        ({"checkpoint_every": 2.5}, ValueError, "checkpoint_every=2.5: give a whole number"),
        ({"checkpoint": "nowhere/model.h5"}, FileNotFoundError, "there is no folder"),
    ],
)
def test_bad_options(tissue, options, error, said):
    model = model_of(tissue, modality_weights="auto")
    for fit in (model.VI, model.SVI):
        with pytest.raises(error, match=said):
            fit(2, **options)
    assert not model.fitted
    assert model.modality_weights is None


def interrupt(model):
    if len(model.elbo) in (3, 6):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_a_fit_that_can_be_used_and_goes_on(tissue, path):
    model, whole = model_of(tissue), model_of(tissue)
    for done in (3, 6):
        with pytest.warns(UserWarning, match="stopped by the user after 3 iterations: the model is as the last one"):
            model.VI(20, tol=None, callback=interrupt, checkpoint=path)
        assert len(model.elbo) == done
        assert model.interrupted
        assert not model.converged
        assert len(mt.tl.load_model(path).elbo) == done
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    mt.tl.export_params(model, tissue)
    model.VI(2, tol=None)
    assert not model.interrupted
    whole.VI(8, tol=None)
    assert_same_bits(model, whole)


def test_ctrl_c_in_the_middle_of_an_iteration(tissue, monkeypatch):
    from mtopic.inference.posterior import Posterior

    original = Posterior.m_step

    def interrupted(*arguments):
        if len(model.elbo) == 2:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(Posterior, "m_step", interrupted)
    model = model_of(tissue)
    with pytest.warns(UserWarning, match="stopped by the user after 3 iterations"):
        model.VI(20)
    assert len(model.elbo) == 3


def test_ctrl_c_twice_is_an_interrupt(tissue):
    def twice(model):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    model = model_of(tissue)
    with pytest.raises(KeyboardInterrupt):
        model.VI(20, callback=twice)
    assert len(model.elbo) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_ends_svi(tissue):
    model = model_of(tissue)
    with pytest.warns(UserWarning, match="stopped by the user after 1 steps"):
        model.SVI(20, callback=lambda model: signal.raise_signal(signal.SIGINT))
    assert model.params()["n_batches"] == 1
    assert len(model.elbo) == 1  # the last iteration is made


def test_signals_of_others_are_left_alone(tissue):
    caught, found = [], []

    def look(model):
        found.append(signal.getsignal(signal.SIGINT))

    model = model_of(tissue)
    thread = threading.Thread(target=model.VI, args=(2,), kwargs={"callback": look})
    thread.start()
    thread.join()

    def theirs(number, frame):
        caught.append(number)

    signal.signal(signal.SIGINT, theirs)
    try:
        model.VI(2, callback=look)
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is theirs
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert found == [signal.default_int_handler] * 2 + [theirs] * 2
    assert caught == [signal.SIGINT]


def test_topic_model_passes_them_on(tissue, path):
    found = []
    with pytest.warns(UserWarning, match="stopped by the user after 3 iterations"):
        mt.tl.topic_model(
            tissue, 4, verbose=False, callback=lambda model: found.append(model) or interrupt(model), checkpoint=path
        )
    assert len(found) == 3
    assert tissue.uns["mtopic"]["params"]["n_iter"] == 3
    again, whole = mt.tl.load_model(path, tissue), tissue.copy()
    again.VI(6, tol=None)
    mt.tl.export_params(again, tissue)
    mt.tl.topic_model(whole, 4, n_iter=9, tol=None, verbose=False)
    np.testing.assert_array_equal(tissue.obsm["topics"], whole.obsm["topics"])


def test_the_choice_of_a_number_is_interrupted_as_a_whole(tissue, monkeypatch):
    from mtopic.inference.fit import Fit

    original = Fit.iterate

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        original(*arguments)

    monkeypatch.setattr(Fit, "iterate", interrupted)
    with warnings.catch_warnings(), pytest.raises(KeyboardInterrupt):
        warnings.simplefilter("ignore")
        mt.tl.select_n_topics(tissue, (2, 3), n_folds=2, n_iter=5, n_jobs=1, verbose=False)
    assert "CV_results" not in tissue.uns


def test_options_are_known_as_they_were_before_a_generator_was_drawn_from():
    data = mt.datasets.simulate(n_obs=60, n_topics=3, modalities={"rna": 30})
    model = mt.tl.MTM(data, 3, np.random.default_rng(5), verbose=False)
    assert model.asked == replace(model._settings, seed=np.random.default_rng(5)).digest()
