from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

import mtopic as mt

TRACE = [-900.0, -400.0, -300.0, -290.0]


def line(ax):
    (drawn,) = ax.lines
    return drawn


@pytest.mark.parametrize("data", ["mdata", "adata"])
def test_trace_of_data(data, request):
    ax = mt.pl.convergence(request.getfixturevalue(data))
    np.testing.assert_array_equal(line(ax).get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(line(ax).get_ydata(), TRACE)
    assert ax.get_xlabel() == "iteration" and ax.get_ylabel() == "ELBO (nats)"
    inside = [tick for tick in ax.get_xticks() if 0.5 <= tick <= 4.5]
    assert inside and all(tick == int(tick) and tick >= 1 for tick in inside)


def test_trace_of_a_model_is_for_a_single_count():
    ax = mt.pl.convergence(SimpleNamespace(elbo=TRACE, n_counts=100.0))
    np.testing.assert_allclose(line(ax).get_ydata(), np.array(TRACE) / 100)
    assert ax.get_ylabel() == "ELBO (nats a count)"
    np.testing.assert_array_equal(line(mt.pl.convergence(SimpleNamespace(elbo=TRACE))).get_ydata(), TRACE)


def test_trace_of_a_fit():
    mdata = mt.datasets.simulate(60, 3, modalities={"rna": 30})
    model = mt.tl.MTM(mdata, n_topics=3, verbose=False)
    with pytest.raises(ValueError, match=r"empty: call model\.VI\(\)"):
        mt.pl.convergence(model)
    model.VI(5)
    np.testing.assert_allclose(line(mt.pl.convergence(model)).get_ydata(), np.array(model.elbo) / model.n_counts)
    mt.tl.export_params(model, mdata)
    ax = mt.pl.convergence(mdata)
    np.testing.assert_allclose(line(ax).get_ydata(), np.array(model.elbo) / model.n_counts)
    assert ax.get_ylabel() == "ELBO (nats a count)"


def test_another_key(mdata):
    mdata.uns["second_mtopic"] = {"elbo": [-3.0, -2.0]}
    np.testing.assert_array_equal(line(mt.pl.convergence(mdata, key="second_mtopic")).get_ydata(), [-3, -2])


def test_single_and_many_iterations_are_seen():
    assert line(mt.pl.convergence(SimpleNamespace(elbo=[-3.0]))).get_marker() == "."
    assert line(mt.pl.convergence(SimpleNamespace(elbo=np.linspace(-9, -1, 500)))).get_marker() == "None"


def test_axes_of_the_caller(mdata):
    fig, ax = plt.subplots()
    assert mt.pl.convergence(mdata, ax=ax) is ax
    assert mt.pl.convergence(mdata, ax=ax, return_fig=True) is fig
    assert len(ax.lines) == 2


def test_nothing_to_draw(mdata):
    with pytest.raises(KeyError, match="no fit 'mtopc' in uns of the data; did you mean 'mtopic'"):
        mt.pl.convergence(mdata, key="mtopc")
    mdata.uns["mtopic"] = {"params": {}}
    with pytest.raises(KeyError, match=r"no trace 'elbo' in uns\['mtopic'\]"):
        mt.pl.convergence(mdata)
    mdata.uns["mtopic"] = {"elbo": []}
    with pytest.raises(ValueError, match="the trace of the fit is empty"):
        mt.pl.convergence(mdata)
    mdata.uns["mtopic"] = "a word"
    with pytest.raises(TypeError, match=r"uns\['mtopic'\] is not a fit"):
        mt.pl.convergence(mdata)
    with pytest.raises(TypeError, match="expected a fitted model, an AnnData or a MuData, got dict"):
        mt.pl.convergence({})
