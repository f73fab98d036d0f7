"""What all plots have in common: the caller's data and settings stay, figures are saved, shown and given back."""

from functools import cache

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

import mtopic as mt


@cache
def fitted() -> mt.tl.MTM:
    model = mt.tl.MTM(mt.datasets.simulate(100, 3), 3, verbose=False)
    model.VI(5)
    return model


PLOTS = {
    "topics": lambda data, **options: mt.pl.topics(data, **options),
    "dominant_topics": lambda data, **options: mt.pl.dominant_topics(data, **options),
    "signatures": lambda data, **options: mt.pl.signatures(data, "rna", n_top=5, **options),
    "corr_heatmap": lambda data, **options: mt.pl.corr_heatmap(data.obsm["topics"], data.obsm["spatial"], **options),
    "batch_effects": lambda data, **options: mt.pl.batch_effects(data, "rna", **options),
    "borders": lambda data, **options: mt.pl.borders(data, **options),
    "convergence": lambda data, **options: mt.pl.convergence(data, **options),
    "compare_topics": lambda data, **options: mt.pl.compare_topics(data, **options),
    "composition": lambda data, **options: mt.pl.composition(data, "layer", **options),
    "dotplot": lambda data, **options: mt.pl.dotplot(data, n_top=2, **options),
    "enrichment": lambda data, **options: mt.pl.enrichment(data, "rna", n_top=1, **options),
    "feature_activity": lambda data, **options: mt.pl.feature_activity(data, features=["gene1", "gene2"], **options),
    "modality_agreement": lambda data, **options: mt.pl.modality_agreement(data, **options),
    "filter_topics": lambda data, **options: mt.pl.filter_topics(fitted(), **options),
    "filter_var_knee": lambda data, **options: mt.pl.filter_var_knee(fitted(), "rna", **options),
    "scatter_pie": lambda data, **options: mt.pl.scatter_pie(data, **options),
    "topic_neighborhoods": lambda data, **options: mt.pl.topic_neighborhoods(data, **options),
    "select_n_topics": lambda data, **options: mt.pl.select_n_topics(data, **options),
    "zscores": lambda data, **options: mt.pl.zscores(data, "rna", **options),
}
SEVERAL = {"topics": 4, "signatures": 4, "zscores": 4, "dotplot": 2, "feature_activity": 2, "modality_agreement": 2}


@pytest.fixture
def mdata(mdata):
    """With what the plots read beside topics and signatures."""
    mdata.obs["layer"] = pd.Categorical(np.resize(["L1", "L2"], mdata.n_obs))
    mdata["rna"].obsm["zscores"] = mdata.obsm["topics"] - 0.5
    mdata.obs["topic_border"] = np.linspace(0, 1, mdata.n_obs)
    topics = mdata.obsm["topics"].columns
    enrichment = pd.DataFrame(np.eye(len(topics)) - 0.5, index=topics, columns=topics)
    mdata.uns["topic_neighborhoods"] = {"zscore": enrichment, "count": enrichment + 1}
    sets = {"topic": list(topics) * 2, "source": ["set_1"] * 4 + ["set_2"] * 4, "score": range(-3, 5), "q": 0.01}
    mdata["rna"].uns["enrichment"] = pd.DataFrame(sets)
    scores = {"K": [2, 2, 4, 4, 6, 6], "CV": ["0", "1"] * 3, "total": [-6.0, -6.1, -5.0, -5.2, -4.9, -5.0]}
    mdata.uns["CV_results"] = pd.DataFrame(scores)
    agreement = pd.Series(np.linspace(-0.2, 1, mdata.n_obs), mdata.obs_names)
    mdata.obsm["modality_agreement"] = pd.DataFrame({"rna": agreement, "atac": agreement})
    mdata.uns["mtopic"]["topic_shares"] = pd.DataFrame(0.5, topics, ["rna", "atac"])
    factors = np.linspace(0.5, 2, 2 * mdata["rna"].n_vars).reshape(-1, 2)
    mdata["rna"].varm["batch_effects"] = pd.DataFrame(factors, mdata["rna"].var_names, ["a", "b"])
    donors = np.arange(mdata.n_obs) % 4
    mdata.obs["donor"], mdata.obs["state"] = donors.astype(str), np.where(donors < 2, "ill", "well")
    mt.tl.compare_topics(mdata, "state", "ill", sample_key="donor", features={})
    return mdata


def drawer(name, data):
    def draw(**options):
        return PLOTS[name](data, **options)

    draw.name, draw.data = name, data
    return draw


@pytest.fixture(params=PLOTS)
def plot(request, mdata):
    return drawer(request.param, mdata)


@pytest.fixture(params=["topics", "dominant_topics", "convergence"])
def some_plot(request, mdata):
    """A grid of panels, a map and a chart: for what the same code does for all plots."""
    return drawer(request.param, mdata)


@pytest.fixture
def shown(monkeypatch):
    calls = []
    monkeypatch.setattr(plt, "show", lambda: calls.append(plt.get_fignums()))
    return calls


def contents(data):
    tables = {f"obsm {key}": data.obsm[key] for key in ("topics", "coords", "spatial")}
    tables |= {f"varm {mod}": data[mod].varm["signatures"] for mod in data.mod}
    return {key: pd.DataFrame(table).copy() for key, table in tables.items()} | {"uns": pd.Series(list(data.uns))}


def test_all_plots_are_here():
    assert set(mt.pl.__all__) == set(PLOTS)


def test_gives_axes_or_the_figure(plot):
    drawn = plot()
    if plot.name in SEVERAL:
        assert len(drawn) == SEVERAL[plot.name] and all(isinstance(ax, Axes) for ax in drawn)
    else:
        assert isinstance(drawn, Axes)
    figure = plot(return_fig=True)
    assert isinstance(figure, Figure) and len(figure.axes) == SEVERAL.get(plot.name, 1)


def test_data_and_settings_stay_and_text_is_text(plot, tmp_path):
    before, settings, backend = contents(plot.data), dict(mpl.rcParams), mpl.get_backend()
    axes = plot(save=tmp_path / "plot.pdf", fontsize=14)
    after = contents(plot.data)
    assert before.keys() == after.keys()
    assert all(before[key].equals(after[key]) for key in before)
    assert dict(mpl.rcParams) == settings and mpl.get_backend() == backend
    pdf = (tmp_path / "plot.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"/FontFile2" in pdf and b"/Type3" not in pdf
    if plot.name in {"topics", "dominant_topics"}:
        assert all(ax.collections[0].get_rasterized() for ax in np.atleast_1d(axes)) and b"/Subtype /Image" in pdf
    if plot.name in {"signatures", "convergence"}:
        assert b"/Subtype /Image" not in pdf


def test_a_backend_loaded_while_drawing_keeps_its_settings(mdata, monkeypatch):
    """As that of notebooks does, which without ``interactive`` would show no second figure."""
    new_figure = plt.figure

    def figure(**options):
        mpl.rcParams["interactive"] = True
        return new_figure(**options)

    with mpl.rc_context({"interactive": False}):
        monkeypatch.setattr(plt, "figure", figure)
        mt.pl.convergence(mdata, show=False)
        assert mpl.rcParams["interactive"]


def test_font_size(plot):
    figure = plot(fontsize=11, return_fig=True)
    figure.canvas.draw()
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text() and text.get_visible()}
    assert 11 in sizes and all(8 <= size <= 11 for size in sizes)
    with pytest.raises(ValueError, match="fontsize=0"):
        plot(fontsize=0)


def test_a_shown_png_of_300_dpi_without_background(plot, tmp_path, shown):
    options = {"save": str(tmp_path / "plot.png"), "figsize": (6, 4), "transparent": True, "show": True}
    figure = plot(**options, return_fig=True)
    picture = plt.imread(tmp_path / "plot.png")
    height, width = picture.shape[:2]
    assert len(shown) == 1 and picture[0, 0, 3] == 0
    assert tuple(figure.get_size_inches()) == (6, 4)
    if plot.name in {"topics", "dominant_topics", "feature_activity", "scatter_pie", "zscores", "borders"}:
        assert 1000 < width <= 1900 and 500 < height <= 1300
    else:
        assert (width, height) == (1800, 1200)


def test_background(some_plot, tmp_path):
    some_plot(save=tmp_path / "plot.png")
    assert plt.imread(tmp_path / "plot.png")[0, 0, 3] == 1


def test_a_saved_figure_is_closed_unless_shown(some_plot, tmp_path, shown):
    some_plot(save=tmp_path / "plot.png")
    assert plt.get_fignums() == [] and shown == []
    some_plot(save=tmp_path / "plot.png", show=True)
    assert len(plt.get_fignums()) == 1 and len(shown) == 1


def test_when_it_is_shown(some_plot, tmp_path, shown):
    some_plot(), some_plot(show=False)
    assert not shown
    some_plot(show=True)
    assert len(shown) == 1
    with plt.ion():
        some_plot(show=False), some_plot(save=tmp_path / "plot.png"), some_plot(return_fig=True)
        assert len(shown) == 1
        some_plot()
        assert len(shown) == 2


def test_axes_of_the_caller_are_not_shown(mdata, shown):
    with plt.ion():
        _, ax = plt.subplots()
        mt.pl.dominant_topics(mdata, ax=ax)
    assert not shown


def test_failure_leaves_no_figure_and_no_settings(some_plot, tmp_path):
    settings = dict(mpl.rcParams)
    with pytest.raises(FileNotFoundError):
        some_plot(save=tmp_path / "nowhere" / "plot.png")
    with pytest.raises(ValueError, match="is not supported"):
        some_plot(save=tmp_path / "plot.xyz")
    assert plt.get_fignums() == [] and dict(mpl.rcParams) == settings


def test_users_style_does_not_mar_the_tissue(mdata):
    with plt.style.context("ggplot"):
        ax = mt.pl.dominant_topics(mdata)
    assert ax.get_facecolor()[3] == 0 and not any(line.get_visible() for line in ax.get_xgridlines())


def test_layout_is_settled(mdata):
    fig = mt.pl.topics(mdata, return_fig=True)
    before = [ax.get_position().bounds for ax in fig.axes]
    fig.canvas.draw()
    np.testing.assert_allclose([ax.get_position().bounds for ax in fig.axes], before)


def test_real_tissue(real_mudata, tmp_path):
    mdata = real_mudata("her2st_H1_twoview_pseudo")
    labels = pd.get_dummies(mdata.obs["annotation"]).astype(float)
    mdata.obsm["topics"] = labels
    axes = mt.pl.topics(mdata, "spatial", save=tmp_path / "topics.png")
    assert len(axes) == labels.shape[1]
    ax = mt.pl.dominant_topics(mdata, "spatial")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(labels.columns)
    assert len(ax.collections[0].get_offsets()) == 613
