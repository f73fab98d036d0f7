"""Several starts of a fit, of which the best is kept."""

import os
import signal
import sys

import numpy as np
import pandas as pd
import pytest
from mudata import read_h5mu
from scipy.optimize import linear_sum_assignment

import mtopic as mt

WHERE = {"spatial_key": "spatial", "n_neighbors": 6, "strength": 0.3}


def data():
    return mt.datasets.simulate(150, 4, modalities={"rna": 60, "atac": 90}, depth=300)


def make(kind, data, **options):
    common = {"n_topics": 6, "n_jobs": 1, "verbose": False}
    if kind == "prior":
        return mt.tl.sMTM(data, **WHERE, **common, **options)
    learned = {"inference": "collapsed", "alpha": "auto", "eta": "auto"} if kind == "collapsed" else {}
    return mt.tl.MTM(data, **learned, **common, **options)


def fit_until_killed(kind, path):
    seen = []

    def kill(model):
        seen.append(len(model.elbo))
        if len(seen) == 20 + 20 + 13:
            os.kill(os.getpid(), signal.SIGKILL)

    make(kind, data(), n_init=4).VI(20, tol=None, callback=kill, checkpoint=path, checkpoint_every=5)


class Ends:
    """What each start had come to."""

    def __init__(self):
        self.found = []

    def __call__(self, model):
        if len(model.elbo) == 1:
            self.found.append({})
        self.found[-1] = {
            "gamma": own(model).copy(),
            "lam": {mod: lam.copy() for mod, lam in model.lambda_.items()},
            "elbo": list(model.elbo),
            "priors": (model.alpha, model.eta),
        }

    @property
    def bounds(self):
        return [end["elbo"][-1] for end in self.found]


def own(model):
    """γ without neighbours, which come in after the last start."""
    return model._run.fit._own


def assert_is(model, end):
    np.testing.assert_array_equal(own(model), end["gamma"])
    assert np.array_equal(own(model), model.gamma) is not bool(model.params().get("strength"))
    assert model.elbo == end["elbo"]
    assert (model.alpha, model.eta) == end["priors"]
    for mod, lam in model.lambda_.items():
        np.testing.assert_array_equal(lam, end["lam"][mod])


def assert_same(a, b):
    np.testing.assert_array_equal(a.gamma, b.gamma)
    assert (a.elbo, a.passes, a.params()) == (b.elbo, b.passes, b.params())
    pd.testing.assert_series_equal(a.stability, b.stability)


@pytest.mark.parametrize(
    ("kind", "schedule"),
    [("variational", "fast"), ("variational", "original"), ("collapsed", "fast"), ("prior", "fast")],
)
def test_the_best_is_kept_and_the_first_is_that_of_one_start(tissue, kind, schedule):
    model, ends, alone = make(kind, tissue, n_init=4), Ends(), make(kind, tissue)
    model.VI(25, schedule=schedule, tol=None, callback=ends)
    assert len(ends.found) == 4
    assert len(set(ends.bounds)) == 4
    assert_is(model, ends.found[int(np.argmax(ends.bounds))])
    alone.VI(25, schedule=schedule, tol=None)
    assert_is(alone, ends.found[0])
    assert alone.stability is None
    assert model.passes > 3 * alone.passes


def test_weights_and_strength_are_learned_once(tissue, monkeypatch):
    calls = []
    for name in ("mtopic.model.run.learned_weights", "mtopic.model.smoothing.learned_strength"):
        module, _, function = name.rpartition(".")
        original = getattr(sys.modules[module], function)
        monkeypatch.setattr(name, lambda *given, of=original: calls.append(of.__name__) or of(*given))
    model, alone = (
        mt.tl.sMTM(
            tissue, 4, spatial_key="spatial", n_neighbors=6, modality_weights="auto", verbose=False, n_init=n_init
        )
        for n_init in (3, 1)
    )
    ends = Ends()
    model.VI(14, callback=ends)
    assert sorted(calls) == ["learned_strength", "learned_weights"]
    assert len(ends.found) == 3
    alone.VI(14)
    assert_is(alone, ends.found[0])
    assert (model.strength, model.modality_weights) == (alone.strength, alone.modality_weights)


def test_starts_end_when_they_have_settled(tissue):
    model, ends = make("variational", tissue, n_init=3), Ends()
    model.VI(400, callback=ends)
    lengths = {len(end["elbo"]) for end in ends.found}
    assert model.converged
    assert max(lengths) < 400
    assert len(lengths) > 1


def stop_in(start, iteration, stop=lambda model: True):
    """A callback that stops in a start, after an iteration."""
    begun = []

    def callback(model):
        if len(model.elbo) == 1:
            begun.append(model)
        return stop(model) if (len(begun), len(model.elbo)) == (start, iteration) else None

    return callback


def interrupt(model):
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("stop", [lambda model: True, interrupt], ids=["callback", "Ctrl-C"])
def test_a_start_that_is_stopped_is_the_last_and_later_calls_go_on_with_the_best(tissue, stop):
    model, alone = make("variational", tissue, n_init=5), make("variational", tissue)
    if stop is interrupt:
        with pytest.warns(UserWarning, match="after 23 iterations: the model is the best start so far, can be used"):
            model.VI(20, tol=None, callback=stop_in(2, 3, stop))
    else:
        model.VI(20, tol=None, callback=stop_in(2, 3, stop))
    assert model.interrupted is (stop is interrupt)
    assert model.stability is None  # three iterations tell nothing of it
    alone.VI(20, tol=None)
    for _ in range(2):
        np.testing.assert_array_equal(model.gamma, alone.gamma)
        assert model.elbo == alone.elbo
        model.VI(5, tol=None)
        alone.VI(5, tol=None)


def test_the_first_start_stopped(tissue):
    model, alone = make("variational", tissue, n_init=5), make("variational", tissue)
    model.VI(20, tol=None, callback=stop_in(1, 3))
    alone.VI(3, tol=None)
    model.VI(4, tol=None)
    alone.VI(4, tol=None)
    np.testing.assert_array_equal(model.gamma, alone.gamma)
    assert model.elbo == alone.elbo


@pytest.mark.parametrize(("kind", "iteration"), [("variational", 12), ("variational", 20), ("collapsed", 12)])
def test_after_an_error_the_starts_go_on(tissue, tmp_path, kind, iteration):
    def fail(model):
        raise RuntimeError("no")

    model, whole, path = make(kind, tissue, n_init=4), make(kind, tissue, n_init=4), tmp_path / "model.h5"
    with pytest.raises(RuntimeError, match="no"):
        model.VI(20, tol=None, callback=stop_in(3, iteration, fail))
    assert len(model.elbo) == iteration
    model.save(path)
    again = mt.tl.load_model(path, tissue)
    mt.tl.load_model(path).save(path)
    twice = mt.tl.load_model(path, tissue)
    whole.VI(20, tol=None)
    for each in (model, again, twice):
        each.VI(20 - len(each.elbo), tol=None)
        assert_same(each, whole)
    for each in (again, whole):
        each.VI(3, tol=None)
    assert_same(again, whole)


WEEKLY = [pytest.param(kind, marks=pytest.mark.weekly) for kind in ("variational", "prior")]


@pytest.mark.whole_start
@pytest.mark.parametrize("kind", ["collapsed", *WEEKLY])
def test_starts_that_were_killed_go_on_from_a_checkpoint_to_the_same_bits(tmp_path, kind, killed):
    path, mdata = tmp_path / "model.h5", data()
    killed(fit_until_killed, kind, path)
    again, whole = mt.tl.load_model(path, mdata), make(kind, mdata, n_init=4)
    assert len(again.elbo) == 10
    again.VI(20 - len(again.elbo), tol=None, checkpoint=path)
    whole.VI(20, tol=None)
    assert_same(again, whole)
    assert_same(mt.tl.load_model(path), whole)


def correlations(lam, other):
    """Of matched topics, modality by modality by their counts, in plain NumPy."""
    n_topics = len(next(iter(lam.values())))
    table, total = np.zeros((n_topics, n_topics)), 0
    for mod, one in lam.items():
        n = one.sum() - 0.01 * one.size
        table += n * np.corrcoef(one, other[mod])[:n_topics, n_topics:]
        total += n
    rows, columns = linear_sum_assignment(-table)
    return table[rows, columns] / total


def test_stability_is_the_mean_correlation_with_the_other_starts(tissue):
    model, ends = make("variational", tissue, n_init=4), Ends()
    model.VI(25, tol=None, callback=ends)
    best = int(np.argmax(ends.bounds))
    others = [end["lam"] for number, end in enumerate(ends.found) if number != best]
    expected = np.mean([correlations(model.lambda_, other) for other in others], axis=0)
    assert list(model.stability.index) == [f"topic_{k + 1}" for k in range(6)]
    np.testing.assert_allclose(model.stability, expected, atol=1e-5)


def test_stability_tells_whether_there_are_too_many_topics(large_tissue):
    steady, loose = (mt.tl.MTM(large_tissue, K, n_jobs=1, verbose=False, n_init=3) for K in (8, 14))
    steady.VI(100)
    loose.VI(100)
    assert steady.stability.min() > 0.99
    assert loose.stability.min() < 0.8
    assert (loose.stability > 0.95).sum() >= 4  # what is there is found nonetheless


def test_a_modality_of_one_feature_has_no_correlation(tissue):
    from mudata import MuData

    mdata = MuData({"rna": tissue["rna"].copy(), "one": tissue["atac"][:, :1].copy()})
    model = mt.tl.MTM(mdata, 4, n_jobs=1, verbose=False, n_init=2)
    model.VI(30)
    n = [mdata[mod].X.sum() for mod in ("rna", "one")]
    assert model.stability.max() <= n[0] / sum(n) + 1e-6
    assert np.isfinite(model.stability).all()


def test_export(tissue, tmp_path):
    model = make("variational", tissue, n_init=3)
    model.VI(15)
    model._run.fit.posterior.gamma[:, 1] = 1e-3  # is dropped
    mt.tl.export_params(model, tissue)
    tissue.write(tmp_path / "data.h5mu")
    for mdata in (tissue, read_h5mu(tmp_path / "data.h5mu")):
        record = mdata.uns["mtopic"]
        assert record["params"]["n_init"] == 3
        assert list(record["stability"].index) == list(mdata.obsm["topics"].columns)
        np.testing.assert_array_equal(record["stability"]["correlation"], np.delete(model.stability.to_numpy(), 1))
    alone = make("variational", tissue)
    alone.VI(5)
    mt.tl.export_params(alone, tissue)
    assert "stability" not in tissue.uns["mtopic"]
    assert "n_init" not in tissue.uns["mtopic"]["params"]


def test_topic_model_takes_it(tissue):
    mt.tl.topic_model(tissue["rna"], 4, n_init=2, n_iter=15, verbose=False)
    assert tissue["rna"].uns["mtopic"]["stability"].shape == (4, 1)


def test_the_bar_says_which_start(tissue, capsys):
    mt.tl.MTM(tissue, 4, n_jobs=1, n_init=2).VI(3)
    shown = capsys.readouterr().err
    assert "MTM, start 1 of 2" in shown
    assert "MTM, start 2 of 2" in shown


def test_svi_has_one_start(tissue):
    model = make("variational", tissue, n_init=2)
    with pytest.raises(ValueError, match="n_init=2: VI makes several starts and SVI has one"):
        model.SVI(3)
    model.VI(12)
    model.SVI(3, 30)
    assert model.params()["n_batches"] == 3


@pytest.mark.parametrize("n_init", [0, -1])
def test_bad_numbers_of_starts(tissue, n_init):
    with pytest.raises(ValueError, match="n_init=.*: give a number of starts"):
        mt.tl.MTM(tissue, 4, verbose=False, n_init=n_init)


def test_seeds(tissue):
    """An integer gives the same bits each time; a generator is drawn from, and gives the same again from there."""
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    found = {}
    for name, seed in {"3": 3, "3 again": 3, "rng": rng, "rng again": rng, "same": same, "same again": same}.items():
        model = make("variational", tissue, seed=seed, n_init=2)
        model.VI(12)
        found[name] = model.gamma
    for one, other in (("3", "3 again"), ("3", "rng"), ("rng", "same"), ("rng again", "same again")):
        np.testing.assert_array_equal(found[one], found[other])
    assert not np.array_equal(found["rng"], found["rng again"])


def test_cells_of_blood(real_mudata):
    """With a few topics the starts agree; with many, some topics are found by one only, and the best bound is kept."""
    mdata = real_mudata("cite_pbmc1k_small")
    few, many = (
        mt.tl.MTM(mdata, K, n_jobs=1, verbose=False, raw=True, inference="collapsed", n_init=3) for K in (4, 25)
    )
    ends = Ends()
    few.VI(60)
    many.VI(60, callback=ends)
    assert many.elbo[-1] == max(ends.bounds)
    assert few.stability.mean() > many.stability.mean()
    assert many.stability.min() < 0.8
