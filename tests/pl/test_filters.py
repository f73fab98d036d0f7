"""What filters will drop: plots of a model."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba

import mtopic as mt


@pytest.fixture(scope="module")
def model():
    model = mt.tl.MTM(mt.datasets.simulate(200, 4, modalities={"rna": 60, "atac": 80}), 6, verbose=False)
    model.VI(10)
    return model


def importance(model, mod):
    lam = model.lambda_[mod].astype(float)
    total = (lam / lam.sum(axis=1)[:, None]).sum(axis=0)
    return np.sort(total / total.max())[::-1]


def test_topics_and_threshold(model):
    ax = mt.pl.filter_topics(model, filter_threshold=0.9, show=False)
    largest = (model.gamma / model.gamma.sum(axis=1)[:, None]).max(axis=0)
    order = np.argsort(-largest, kind="stable")
    (points,) = ax.collections
    np.testing.assert_allclose(points.get_offsets().data[:, 1], largest[order], rtol=1e-6)
    assert [text.get_text() for text in ax.get_xticklabels()] == [f"topic_{k + 1}" for k in order]
    kept = (largest > 0.9).sum()
    assert ax.get_legend().get_texts()[0].get_text() == f"threshold 0.9: {kept} of 6 topics kept"
    np.testing.assert_allclose(points.get_facecolors()[0], to_rgba("C0"))
    assert (points.get_sizes() == 50).all()


def test_curve_and_knees(model):
    ax = mt.pl.filter_var_knee(model, "rna", [1, 1000], annotate_features=True, show=False)
    np.testing.assert_allclose(ax.collections[0].get_offsets().data[:, 1], importance(model, "rna"))
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    mdata = mt.datasets.simulate(200, 4, modalities={"rna": 60, "atac": 80})
    gone = 60 - mt.pp.filter_var_knee(mdata, model, {"rna": 1}, verbose=False)["rna"].n_vars
    assert texts == [f"S = 1: {gone} features go", "S = 1000: no knee"]
    assert ax.lines[0].get_xdata()[0] == gone + 1
    assert ax.get_xscale() == "log"
    assert 0 < len(ax.texts) <= gone
    assert {text.get_text() for text in ax.texts} <= set(model.features["rna"])


def test_part_of_the_curve_on_a_linear_scale(model):
    ax = mt.pl.filter_var_knee(model, "atac", show_frac=0.25, log_scale=False, show=False)
    assert len(ax.collections[0].get_offsets()) == 20
    assert ax.get_xscale() == "linear"


def test_errors(model):
    raw = mt.tl.MTM(mt.datasets.simulate(50, 3), 3, verbose=False)
    for plot in (mt.pl.filter_topics, lambda model: mt.pl.filter_var_knee(model, "rna")):
        with pytest.raises(ValueError, match=r"call model\.VI\(\) first"):
            plot(raw)
    with pytest.raises(KeyError, match="did you mean 'rna'"):
        mt.pl.filter_var_knee(model, "rma")
    with pytest.raises(ValueError, match="show_frac=0"):
        mt.pl.filter_var_knee(model, "rna", show_frac=0)
    with pytest.raises(ValueError, match="filter_threshold=1"):
        mt.pl.filter_topics(model, filter_threshold=1)
    assert plt.get_fignums() == []
