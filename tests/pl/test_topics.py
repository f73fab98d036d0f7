import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

import mtopic as mt

from .conftest import COLUMNS, N_OBS, N_TOPICS, PITCH, ROWS, square_grid, tissue


def spots(ax):
    (drawn,) = ax.collections
    return drawn


def bar(ax):
    (inset,) = ax.child_axes
    return inset


def by_place(points, values):
    return {tuple(point): value for point, value in zip(np.round(points, 6), values, strict=True)}


def diameter(ax):
    """Of the round marker '.', in units of the coordinates: half of the root of its nominal size in points."""
    (size,) = spots(ax).get_sizes()
    pixels = np.sqrt(size) / 2 * ax.figure.dpi / 72
    low, high = ax.transData.transform([(0, 0), (1, 0)])
    return pixels / (high - low)[0]


@pytest.mark.parametrize("data", ["mdata", "adata"])
def test_a_panel_a_topic_with_each_proportion_at_its_place(data, request):
    data = request.getfixturevalue(data)
    axes = mt.pl.topics(data)
    assert [ax.get_title() for ax in axes] == ["topic_1", "topic_2", "topic_3", "topic_4"]
    for ax, topic in zip(axes, data.obsm["topics"], strict=True):
        expected = by_place(data.obsm["coords"].to_numpy(), data.obsm["topics"][topic])
        assert by_place(spots(ax).get_offsets(), spots(ax).get_array()) == expected
        assert spots(ax).get_cmap().name == "magma_r"


def test_the_highest_proportions_are_drawn_last(mdata):
    for ax in mt.pl.topics(mdata):
        assert (np.diff(spots(ax).get_array()) >= 0).all()


def test_scale_spans_each_topics_proportions(mdata):
    for ax, topic in zip(mt.pl.topics(mdata), mdata.obsm["topics"], strict=True):
        values = mdata.obsm["topics"][topic]
        assert spots(ax).get_clim() == pytest.approx((values.min(), values.max()))
        assert bar(ax).get_ylim() == pytest.approx((values.min(), values.max()))


def test_limits_as_numbers_and_percentiles(mdata):
    axes = mt.pl.topics(mdata, vmin="p5", vmax="p99")
    for ax, topic in zip(axes, mdata.obsm["topics"], strict=True):
        values = mdata.obsm["topics"][topic]
        assert spots(ax).get_clim() == pytest.approx(tuple(np.percentile(values, [5, 99])))
    assert [spots(ax).get_clim() for ax in mt.pl.topics(mdata, vmin=0.1, vmax=0.7)] == [(0.1, 0.7)] * N_TOPICS


def test_a_topic_that_is_equal_everywhere_has_a_scale_from_zero(mdata):
    mdata.obsm["topics"]["topic_2"] = 0.25
    assert spots(mt.pl.topics(mdata)[1]).get_clim() == (0, 0.25)
    assert spots(mt.pl.topics(mdata, vmax="p50")[1]).get_clim() == (0, 0.25)
    assert spots(mt.pl.topics(mdata, vmax=0.1)[1]).get_clim() == (0, 0.1)


@pytest.mark.parametrize("wrong", ["99", "p", "p101", "q5", "p-1", "pnan"])
def test_what_is_not_a_percentile(mdata, wrong):
    with pytest.raises(ValueError, match="vmax=.*'p99'"):
        mt.pl.topics(mdata, vmax=wrong)


def test_empty_scale(mdata):
    with pytest.raises(ValueError, match=r"vmin=0.5, vmax=0.2: the colour scale would run from 0.5 to 0.2"):
        mt.pl.topics(mdata, vmin=0.5, vmax=0.2)


def test_missing_proportions_are_grey(mdata):
    mdata.obsm["topics"].iloc[7, 0] = np.nan
    ax = mt.pl.topics(mdata)[0]
    ax.figure.canvas.draw()
    colours = by_place(spots(ax).get_offsets(), spots(ax).get_facecolors())
    missing = colours.pop(tuple(mdata.obsm["coords"].iloc[7]))
    np.testing.assert_allclose(missing, to_rgba("lightgrey"))
    assert not any(np.allclose(colour, missing) for colour in colours.values())


def test_which_coordinates(mdata):
    ax = mt.pl.topics(mdata, "spatial")[0]
    assert set(map(tuple, spots(ax).get_offsets())) == set(map(tuple, mdata.obsm["spatial"]))
    del mdata.obsm["coords"]
    ax = mt.pl.topics(mdata)[0]
    assert set(map(tuple, spots(ax).get_offsets())) == set(map(tuple, mdata.obsm["spatial"]))


def test_first_two_of_three_dimensions(adata):
    adata.obsm["X_umap"] = np.column_stack([square_grid(COLUMNS, ROWS), np.arange(N_OBS)])
    ax = mt.pl.topics(adata, "umap")[0]
    assert set(map(tuple, spots(ax).get_offsets())) == set(map(tuple, square_grid(COLUMNS, ROWS)))


def test_one_dimension_is_too_few(adata):
    adata.obsm["line"] = np.arange(N_OBS, dtype=float)[:, None]
    with pytest.raises(ValueError, match="'line' have 1 column: a plot needs 2"):
        mt.pl.topics(adata, "line")


def test_panels_have_equal_aspect_whole_tissue_and_no_ticks(mdata):
    for ax in mt.pl.topics(mdata):
        assert ax.get_aspect() == 1
        assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0
        assert not any(spine.get_visible() for spine in ax.spines.values())
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert left <= -PITCH / 2 and right >= PITCH * (COLUMNS - 0.5)
        assert bottom <= -PITCH / 2 and top >= PITCH * (ROWS - 0.5)


def test_colour_bars_are_slim_and_beside_their_panels(mdata):
    fig = mt.pl.topics(mdata, return_fig=True)
    fig.canvas.draw()
    panels = [ax.get_window_extent() for ax in fig.axes]
    assert len({(round(box.width), round(box.height)) for box in panels}) == 1
    for ax, box in zip(fig.axes, panels, strict=True):
        beside = bar(ax).get_window_extent()
        assert box.x1 < beside.x0 and beside.width < 0.1 * box.width
        assert beside.height == pytest.approx(box.height)
        assert not any(bar(ax).get_tightbbox().overlaps(other) for other in panels)


def test_markers_touch_their_neighbours_on_a_grid(mdata):
    for size in (None, (6, 4), (12, 9)):
        for ax in mt.pl.topics(mdata, figsize=size):
            assert diameter(ax) == pytest.approx(PITCH, rel=0.01)


def test_markers_of_a_fine_grid_leave_no_gaps():
    ax = mt.pl.topics(tissue(square_grid(100, 90), 2))[0]
    assert PITCH * 1.15 < diameter(ax) < PITCH * 1.3


def test_size_of_markers_follows_the_marker(mdata):
    round_, square = (spots(mt.pl.topics(mdata, marker=marker)[0]).get_sizes()[0] for marker in ".s")
    assert round_ == pytest.approx(4 * square, rel=0.01)


def test_coincident_and_few_observations():
    for points in (np.zeros((5, 2)), square_grid(2, 1), np.repeat(square_grid(10, 6), 3, axis=0)):
        ax = mt.pl.topics(tissue(points, 2))[0]
        ax.figure.canvas.draw()
        assert 0 < diameter(ax) < np.inf
    assert diameter(ax) == pytest.approx(PITCH, rel=0.01)


def test_size_of_markers_as_given(mdata):
    assert spots(mt.pl.topics(mdata, s=0.9, marker="s")[0]).get_sizes() == [0.9]
    with pytest.raises(ValueError, match="s=0: "):
        mt.pl.topics(mdata, s=0)


def test_unfilled_markers_are_seen(mdata):
    assert spots(mt.pl.topics(mdata, marker="x")[0]).get_linewidths()[0] > 0
    assert spots(mt.pl.topics(mdata)[0]).get_linewidths()[0] == 0


def test_grid_of_panels(mdata):
    def columns(axes):
        return len({round(ax.get_position().x0, 3) for ax in axes})

    assert columns(mt.pl.topics(mdata, ncols=1)) == 1
    assert columns(mt.pl.topics(mdata, ncols=9)) == N_TOPICS
    many = tissue(square_grid(8, 8), 50)
    assert columns(mt.pl.topics(many)) == 10
    with pytest.raises(ValueError, match="ncols=0"):
        mt.pl.topics(mdata, ncols=0)


def test_original_order_of_arguments(mdata, tmp_path):
    axes = mt.pl.topics(mdata, "coords", "topics", "viridis", "s", 3, 0.5, 7, (5, 4), True, tmp_path / "topics.png")
    drawn = spots(axes[0])
    assert drawn.get_cmap().name == "viridis" and drawn.get_sizes() == [3] and drawn.get_clim()[1] == 0.5
    assert axes[0].title.get_fontsize() == 7 and tuple(axes[0].figure.get_size_inches()) == (5, 4)
    assert plt.imread(tmp_path / "topics.png")[0, 0, 3] == 0


def test_numpy_arrays_as_topics(adata):
    adata.obsm["plain"] = adata.obsm["topics"].to_numpy()
    assert [ax.get_title() for ax in mt.pl.topics(adata, topics="plain")] == list(adata.obsm["topics"])


@pytest.mark.parametrize(
    ("arguments", "near"),
    [({"topics": "topic"}, "topics"), ({"x": "coord"}, "coords"), ({"cmap": "gnuplo"}, "gnuplot")],
)
def test_unknown_names(mdata, arguments, near):
    with pytest.raises(KeyError, match=f"did you mean '{near}'"):
        mt.pl.topics(mdata, **arguments)


def test_no_topics(adata):
    adata.obsm["empty"] = pd.DataFrame(index=adata.obs_names)
    with pytest.raises(ValueError, match="nothing to draw"):
        mt.pl.topics(adata, topics="empty")


def test_not_annotated_data(mdata):
    with pytest.raises(TypeError, match="expected an AnnData or a MuData, got DataFrame"):
        mt.pl.topics(mdata.obsm["topics"])


def test_one_scale_for_all_topics(mdata):
    values = mdata.obsm["topics"].to_numpy()
    for ax in mt.pl.topics(mdata, shared=True, show=False):
        assert spots(ax).get_clim() == pytest.approx((values.min(), values.max()))
        assert bar(ax).get_ylabel() == "proportion"


def with_image(data, scale=0.5, **factors):
    """An image twice as fine as the coordinates, with a bright corner."""
    pixels = np.zeros((60, 100, 3), np.float32)
    pixels[:10, :10] = 1
    factors = {"tissue_hires_scalef": scale, **factors}
    data.uns["spatial"] = {"slide": {"images": {"hires": pixels}, "scalefactors": factors}}
    return data


@pytest.mark.parametrize("draw", [mt.pl.topics, mt.pl.dominant_topics, mt.pl.feature_activity])
def test_the_image_lies_under_the_spots(adata, draw):
    options = {"features": ["gene0"]} if draw is mt.pl.feature_activity else {}
    ax = np.atleast_1d(draw(with_image(adata), x="spatial", img=True, show=False, **options))[0]
    (image,) = ax.images
    assert image.get_extent() == [0, 200, 120, 0]
    assert image.zorder < spots(ax).zorder
    low, high = ax.get_ylim()
    assert low > high  # as in the image
    bare = np.atleast_1d(draw(adata, x="spatial", origin="upper", show=False, **options))[0]
    assert ax.get_xlim() == bare.get_xlim() and ax.get_ylim() == bare.get_ylim()


def test_there_must_be_an_image(adata):
    with pytest.raises(ValueError, match=r"img=True.*squidpy.read.visium"):
        mt.pl.topics(adata, x="spatial", img=True)
    with pytest.raises(ValueError, match="coordinates are not those of it"):
        mt.pl.topics(with_image(adata), x="coords", img=True)


@pytest.mark.parametrize(
    ("factors", "length", "text"),
    [({}, 50, "50"), ({"spot_diameter_fullres": 55.0}, 50, "50 µm"), ({"microns_per_pixel": 400.0}, 50, "20 mm")],
)
def test_a_bar_tells_lengths(adata, factors, length, text):
    ax = mt.pl.topics(with_image(adata, **factors), x="spatial", scale_bar=True, show=False)[0]
    (line,) = ax.lines
    left, right = ax.get_xlim()
    begin, end = line.get_xdata()
    assert (end - begin) * (right - left) == pytest.approx(length)
    assert [said.get_text() for said in ax.texts] == [text]


def test_an_embedding_has_no_lengths(adata):
    adata.obsm["X_umap"] = adata.obsm["spatial"]
    assert not mt.pl.topics(adata, x="umap", scale_bar=True, show=False)[0].lines
