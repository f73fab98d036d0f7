"""Fits to many observations, which begin at a fit to part of them."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import mtopic as mt
from mtopic.inference import Fit, Posterior, part

FIT = {"n_topics": 4, "n_jobs": 1, "verbose": False}


@pytest.fixture(scope="module")
def tissue():
    return mt.datasets.simulate(n_obs=2000, n_topics=4, modalities={"rna": 60, "atac": 90}, depth=150, rng=0)


@pytest.fixture(autouse=True)
def _many(monkeypatch):
    monkeypatch.setattr(part, "SMALLEST", 100)


def note_parts(monkeypatch, note):
    """Call ``note`` with the posterior of each part that is begun."""
    begun = Fit.begun

    def noted(fit, counts, rng):
        found = begun(fit, counts, rng)
        note(found)
        return found

    monkeypatch.setattr(Fit, "begun", noted)


def shares(data):
    return data.obsm["topics"].to_numpy()


def distance(one, other):
    """Mean total variation, topics in the best order."""
    order = linear_sum_assignment(-one.T @ other)[1]
    return np.abs(one - other[:, order]).sum(axis=1).mean() / 2


@pytest.mark.whole_start
@pytest.mark.parametrize("inference", ["collapsed", "variational"])
def test_the_end_is_that_of_a_fit_that_begins_at_all(tissue, monkeypatch, inference):
    found = mt.tl.topic_model(tissue, **FIT, inference=inference, copy=True)
    assert found.uns["mtopic"]["params"]["converged"]
    monkeypatch.setattr(part, "SMALLEST", 10_000)
    known = mt.tl.topic_model(tissue, **FIT, inference=inference, copy=True)
    assert not np.array_equal(shares(found), shares(known))
    assert distance(shares(found), shares(known)) < 0.02
    end, end_of_whole = (data.uns["mtopic"]["elbo"][-1] for data in (found, known))
    assert end > end_of_whole * (1 + 3e-4)  # they are negative


def test_a_part_of_many_begins_at_a_part_of_its_own(tissue, monkeypatch):
    sizes = []
    note_parts(monkeypatch, lambda of: sizes.append(of.corpus.n_obs))
    for smallest, of_parts in ((201, []), (200, [200]), (21, [200]), (20, [200, 20])):
        monkeypatch.setattr(part, "SMALLEST", smallest)
        sizes.clear()
        model = mt.tl.MTM(tissue, **FIT)
        model.VI(1)
        assert sizes == of_parts
        assert model._run.fit.refined == bool(of_parts)  # there is nothing to explore after a part


def test_where_counts_are_changes_no_bit_and_nothing_is_left(tissue, tmp_path):
    known = mt.tl.topic_model(tissue, **FIT, n_iter=5, copy=True)
    found = mt.tl.topic_model(tissue, **FIT, n_iter=5, scratch=tmp_path, copy=True)
    np.testing.assert_array_equal(shares(found), shares(known))
    assert not list(tmp_path.iterdir())


def test_a_fit_goes_on_to_the_same_bits(tissue, tmp_path):
    whole, model = (mt.tl.MTM(tissue, **FIT) for _ in range(2))
    whole.VI(8)
    model.VI(3)
    model.save(tmp_path / "model.h5")
    again = mt.tl.load_model(tmp_path / "model.h5", tissue)
    again.VI(5)
    np.testing.assert_array_equal(again.gamma, whole.gamma)
    assert again.passes == whole.passes


@pytest.mark.parametrize("smallest", [100, 20])
def test_eta_by_frequency_goes_by_the_counts_of_each_part(tissue, monkeypatch, smallest):
    monkeypatch.setattr(part, "SMALLEST", smallest)
    ratios = []
    model = mt.tl.MTM(tissue["rna"], **FIT, eta="frequency")
    model._run.prepare("fast", np.dtype("float32"), 1, lambda: None, verbose=False)  # η is learned, from other fits
    note_parts(monkeypatch, lambda of: ratios.append(float(of.eta.sum() / of.corpus.total)))
    model.VI(1)
    assert len(ratios) == (1 if smallest == 100 else 2)
    of_all = model.eta["X"].sum() / tissue["rna"].X.sum()
    np.testing.assert_allclose(ratios, of_all, rtol=0.02)


def test_a_fit_that_fails_at_the_end_of_its_part_begins_anew(tissue, monkeypatch):
    whole, model = (mt.tl.MTM(tissue, **FIT) for _ in range(2))
    whole.VI(3)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "begin_at", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.VI(3)
    with monkeypatch.context() as patch:
        e_step = Posterior.e_step

        def of_parts(posterior, *args, **options):
            return (interrupted if len(posterior.gamma) == 2000 else e_step)(posterior, *args, **options)

        patch.setattr(Posterior, "e_step", of_parts)
        with pytest.raises(KeyboardInterrupt):
            model.VI(3)
    assert not model.fitted
    model.VI(3)
    np.testing.assert_array_equal(model.gamma, whole.gamma)


def test_the_part_is_in_the_checkpoint(tissue, tmp_path, monkeypatch):
    whole, model = (mt.tl.MTM(tissue, **FIT) for _ in range(2))
    whole.VI(3)

    def crash(model):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.VI(3, callback=crash, checkpoint=tmp_path / "model.h5")
    again = mt.tl.load_model(tmp_path / "model.h5", tissue)
    monkeypatch.setattr(Fit, "begun", None)
    again.VI(3)
    np.testing.assert_array_equal(again.gamma, whole.gamma)


def test_what_does_not_begin_at_a_part(tissue, monkeypatch):
    def never(*_, **__):
        raise AssertionError("a part is fitted")

    monkeypatch.setattr(Fit, "begun", never)
    mt.tl.MTM(tissue, **FIT, inference="variational").VI(2, schedule="original")
    mt.tl.MTM(tissue, **FIT).SVI(n_batches=3)
    model = mt.tl.sMTM(tissue, **FIT, spatial_key="spatial", smoothing="original")
    model.VI(2)
    with pytest.raises(AssertionError, match="a part is fitted"):
        mt.tl.MTM(tissue, **FIT).VI(2)


def test_every_start_begins_at_a_part_of_its_own(tissue, monkeypatch):
    rows = []
    note_parts(monkeypatch, lambda of: rows.append(of.corpus.total))
    mt.tl.MTM(tissue, **FIT, n_init=3).VI(3)
    assert len({*rows}) == 3
