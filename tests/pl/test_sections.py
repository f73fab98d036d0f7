"""Maps of several sections, of which no two are drawn on top of each other."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import mtopic as mt

from .conftest import COLUMNS, N_OBS, N_TOPICS, ROWS, square_grid

SECTIONS = ["left", "right", "a last one"]

MAPS = {
    "topics": (lambda data, **options: mt.pl.topics(data, **options), N_TOPICS),
    "zscores": (lambda data, **options: mt.pl.zscores(data, "rna", **options), N_TOPICS),
    "feature_activity": (lambda data, **options: mt.pl.feature_activity(data, features=["gene1"], **options), 1),
    "borders": (lambda data, **options: mt.pl.borders(data, **options), 1),
    "dominant_topics": (lambda data, **options: mt.pl.dominant_topics(data, **options), 1),
    "scatter_pie": (lambda data, **options: mt.pl.scatter_pie(data, radius=0.05, **options), 1),
}
ON_AXES = ["borders", "dominant_topics", "scatter_pie"]


@pytest.fixture
def mdata(mdata):
    """Three sections of the same places, fitted with ``library_key``."""
    mdata.obsm["spatial"] = mdata.obsm["coords"] = np.tile(square_grid(COLUMNS // 2, ROWS)[: N_OBS // 3], (3, 1))
    mdata.obs["slide"] = pd.Categorical(np.repeat(SECTIONS, N_OBS // 3), categories=SECTIONS)
    mdata.uns["mtopic"]["params"] = {"library_key": "slide", "spatial_key": "coords"}
    mdata["rna"].obsm["zscores"] = mdata.obsm["topics"] - 0.5
    mdata["rna"].X = np.random.default_rng(0).random((N_OBS, 20))
    mdata.obs["topic_border"] = np.random.default_rng(0).random(N_OBS)
    return mdata


@pytest.fixture(params=MAPS)
def plot(request):
    return MAPS[request.param]


def n_drawn(ax):
    (drawn,) = ax.collections
    if isinstance(drawn.get_offsets(), np.ndarray) and len(drawn.get_offsets()) > 1:
        return len(drawn.get_offsets())
    return len({tuple(np.round(path.vertices[0], 4)) for path in drawn.get_paths()})


def titles(axes):
    return [ax.get_title() for ax in np.atleast_1d(axes)]


def test_a_panel_for_each_section(plot, mdata):
    draw, n_columns = plot
    axes = draw(mdata)
    assert len(axes) == 3 * n_columns
    assert [title.splitlines()[-1] for title in titles(axes)] == SECTIONS * n_columns
    figure = axes[0].figure
    figure.canvas.draw()
    boxes = [ax.get_tightbbox() for ax in axes]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_each_place_is_taken_once(plot, mdata):
    for ax in plot[0](mdata):
        (drawn,) = ax.collections
        places = np.asarray(drawn.get_offsets())
        assert len(np.unique(places, axis=0)) == len(places)


def test_panels_of_one_shape(plot, mdata):
    """Sections that are long in one way or the other."""
    mdata.obsm["coords"] *= np.repeat([[1, 4], [4, 1], [1, 1]], N_OBS // 3, axis=0)
    axes = plot[0](mdata)
    shapes = [float(np.divide(*(np.ptp(limits) for limits in (ax.get_xlim(), ax.get_ylim())))) for ax in axes]
    np.testing.assert_allclose(shapes, shapes[0])
    axes[0].figure.canvas.draw()
    sizes = [ax.get_window_extent().size for ax in axes]
    np.testing.assert_allclose(sizes, np.broadcast_to(sizes[0], (len(sizes), 2)), rtol=0.01)


@pytest.mark.parametrize("name", ["topics", "zscores", "feature_activity", "borders"])
def test_one_scale_and_one_bar_for_all_sections_of_a_topic(mdata, name):
    axes = MAPS[name][0](mdata)
    for start in range(0, len(axes), 3):
        group = axes[start : start + 3]
        assert len({ax.collections[0].get_clim() for ax in group}) == 1
        assert [len(ax.child_axes) for ax in group] == [0, 0, 1]
    assert sum(len(ax.collections[0].get_offsets()) for ax in axes[:3]) == N_OBS


@pytest.mark.parametrize("name", ["dominant_topics", "scatter_pie"])
def test_one_legend_for_all_sections(mdata, name):
    axes = MAPS[name][0](mdata)
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(mdata.obsm["topics"].columns)
    axes[0].figure.canvas.draw()
    box = legend.get_window_extent()
    assert all(ax.get_window_extent().x1 <= box.x0 for ax in axes) and box.x1 <= axes[0].figure.bbox.x1
    assert not any(ax.get_legend() for ax in axes)


def test_chosen_sections(plot, mdata):
    draw, n_columns = plot
    axes = draw(mdata, library_id=["a last one", "left"])
    assert [title.splitlines()[-1] for title in titles(axes)] == ["a last one", "left"] * n_columns
    one = np.atleast_1d(draw(mdata, library_id="right"))
    assert len(one) == n_columns and not any("right" in title for title in titles(one))
    assert n_drawn(one[0]) == N_OBS // 3
    with pytest.raises(KeyError, match="no section 'rigth' in obs.*did you mean 'right'"):
        draw(mdata, library_id="rigth")
    with pytest.raises(ValueError, match="library_id is empty"):
        draw(mdata, library_id=[])
    assert not any(figure.axes == [] for figure in map(plt.figure, plt.get_fignums()))


def test_another_column_and_none(plot, mdata):
    draw, n_columns = plot
    mdata.obs["half"] = np.repeat([1, 2], N_OBS // 2)
    assert len(draw(mdata, library_key="half")) == 2 * n_columns
    assert len(np.atleast_1d(draw(mdata, library_key=False))) == n_columns
    del mdata.uns["mtopic"]
    assert len(np.atleast_1d(draw(mdata))) == n_columns
    with pytest.raises(ValueError, match="no sections are known, name their column with library_key"):
        draw(mdata, library_id="left")


def test_one_section_is_drawn_as_ever(plot, mdata):
    part = mdata[mdata.obs["slide"] == "left"].copy()
    assert len(np.atleast_1d(plot[0](part))) == plot[1]


def test_an_embedding_is_of_all_sections(plot, mdata):
    draw, n_columns = plot
    mdata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(N_OBS, 2))
    assert len(np.atleast_1d(draw(mdata, x="umap"))) == n_columns
    assert len(draw(mdata, x="umap", library_key="slide")) == 3 * n_columns


@pytest.mark.parametrize("name", ON_AXES)
def test_axes_of_the_caller_take_one_section(mdata, name):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="ax is one panel for 3 sections, 'left', .*library_id='left'"):
        MAPS[name][0](mdata, ax=ax)
    assert not ax.collections
    assert MAPS[name][0](mdata, ax=ax, library_id="left") is ax
    assert n_drawn(ax) == N_OBS // 3


def test_a_column_that_is_gone_is_said(plot, mdata):
    del mdata.obs["slide"]
    with pytest.warns(UserWarning, match="one panel, as there is no column 'slide'.*library_key"):
        axes = plot[0](mdata)
    assert len(np.atleast_1d(axes)) == plot[1]


def test_the_column_of_a_modality(plot, mdata):
    mdata["rna"].obs["slide"] = mdata.obs["slide"].astype(str)
    del mdata.obs["slide"]
    assert len(plot[0](mdata)) == 3 * plot[1]


def test_sections_of_the_fit_whose_topics_are_drawn(mdata):
    mdata.obsm["other_topics"] = mdata.obsm["topics"]
    assert len(mt.pl.topics(mdata, topics="other_topics")) == 3 * N_TOPICS, "there is one fit only"
    mdata.uns["other_mtopic"] = {"params": {}}
    assert len(mt.pl.topics(mdata, topics="other_topics")) == N_TOPICS
    assert len(mt.pl.topics(mdata)) == 3 * N_TOPICS


def image(holder):
    holder.uns["spatial"] = {"slide": {"images": {"hires": np.ones((9, 9, 3))}, "scalefactors": {}}}


def begins_above(ax):
    return ax.yaxis_inverted()


@pytest.mark.parametrize("of", ["data", "modality"])
def test_coordinates_of_an_image_begin_at_its_upper_edge(plot, mdata, of):
    def draw(data, **options):
        return plot[0](data, library_id="left", **options)

    assert not any(map(begins_above, np.atleast_1d(draw(mdata, x="spatial"))))
    image(mdata if of == "data" else mdata["rna"])
    if of == "modality":
        mdata["rna"].obsm["spatial"] = mdata.obsm.pop("spatial")
    assert all(map(begins_above, plot[0](mdata, x="spatial")))
    assert all(map(begins_above, np.atleast_1d(draw(mdata)))), "the same coordinates under another name"
    assert not any(map(begins_above, np.atleast_1d(draw(mdata, x="spatial", origin="lower"))))
    mdata.obsm["coords"] = -mdata.obsm["coords"]
    assert not any(map(begins_above, np.atleast_1d(draw(mdata))))
    assert all(map(begins_above, np.atleast_1d(draw(mdata, origin="upper"))))
    mdata.obsm["X_umap"] = mdata.obsm["coords"]
    assert not any(map(begins_above, np.atleast_1d(draw(mdata, x="umap"))))
    with pytest.raises(ValueError, match="origin='up': choose 'lower' or 'upper'"):
        draw(mdata, origin="up")


def test_the_only_map_there_is(plot, mdata):
    draw, n_columns = plot
    del mdata.obsm["coords"], mdata.obsm["spatial"]
    with pytest.raises(KeyError, match="no coordinates 'coords'"):
        draw(mdata)
    mdata.obsm["X_umap"] = square_grid(COLUMNS, ROWS)
    mdata.obsm["X_pca"] = np.ones((N_OBS, 30))
    mdata.obsm["shares"] = mdata.obsm["topics"].iloc[:, :2]
    axes = np.atleast_1d(draw(mdata))
    assert len(axes) == n_columns and n_drawn(axes[0]) == N_OBS
    mdata.obsm["X_tsne"] = square_grid(COLUMNS, ROWS)
    with pytest.raises(KeyError, match="say which map is meant, x='umap' or x='tsne'"):
        draw(mdata)


def test_maps_of_two_modalities(plot):
    draw, n_columns = plot
    names = [f"cell{i}" for i in range(N_OBS)]
    parts = {}
    for mod, cells, shift in (("rna", names[:40], 0), ("atac", names[30:], 100)):
        adata = mt.datasets.simulate(len(cells), 2, spatial=False, modalities={mod: 5})[mod].copy()
        adata.obs_names, adata.var_names = cells, [f"gene{v + 1}" if mod == "rna" else f"peak{v}" for v in range(5)]
        adata.obsm["X_umap"] = square_grid(10, 6)[: len(cells)] + shift
        parts[mod] = adata
    parts["rna"].obsm["zscores"] = pd.DataFrame(np.ones((40, N_TOPICS)), names[:40])
    data = MuData(parts)
    shares = np.random.default_rng(0).dirichlet(np.ones(N_TOPICS), data.n_obs)
    columns = [f"topic_{k}" for k in range(N_TOPICS)]
    data.obsm["topics"] = pd.DataFrame(shares, index=data.obs_names, columns=columns)
    data.obs["topic_border"] = 0.5
    for x in ("umap", "coords"):
        with pytest.raises(ValueError, match="'rna' and 'atac' have different .*say which.* 'rna:X_umap' or 'atac:X_"):
            draw(data, x=x)
    for x in ("rna:umap", "rna:X_umap"):
        axes = np.atleast_1d(draw(data, x=x))
        assert len(axes) == n_columns and n_drawn(axes[0]) == 40
    with pytest.raises(KeyError, match="no coordinates 'rna:tsne'"):
        draw(data, x="rna:tsne")
