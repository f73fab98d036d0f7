import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from scanpy.plotting import palettes

import mtopic as mt

from .conftest import N_OBS, PITCH, square_grid, tissue

PALETTE = {"topic_1": "red", "topic_2": "#00ff00", "topic_3": "blue", "topic_4": "black", "topic_9": "pink"}


def spots(ax):
    (drawn,) = ax.collections
    return drawn


def drawn_colours(ax):
    return {tuple(p): tuple(c) for p, c in zip(spots(ax).get_offsets(), spots(ax).get_facecolors(), strict=True)}


def above_the_mean(proportions):
    roots = np.sqrt(proportions)
    return roots - roots.mean()


def expected_colours(data, palette, of=above_the_mean):
    dominant = of(data.obsm["topics"]).idxmax(axis=1)
    places = map(tuple, data.obsm["coords"].to_numpy())
    return {place: to_rgba(palette[topic]) for place, topic in zip(places, dominant, strict=True)}


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def legend_colours(ax):
    return [to_rgba(handle.get_color()) for handle in ax.get_legend().legend_handles]


def n_columns(ax):
    ax.figure.canvas.draw()
    return len({round(text.get_window_extent().x0) for text in ax.get_legend().get_texts()})


@pytest.mark.parametrize("data", ["mdata", "adata"])
@pytest.mark.parametrize(("by", "of"), [("deviation", above_the_mean), ("proportion", pd.DataFrame)])
def test_colour_of_the_dominant_topic(data, by, of, request):
    data = request.getfixturevalue(data)
    ax = mt.pl.dominant_topics(data, palette=PALETTE, by=by)
    assert drawn_colours(ax) == expected_colours(data, PALETTE, of)
    assert labels(ax) == ["topic_1", "topic_2", "topic_3", "topic_4"]
    assert legend_colours(ax) == [to_rgba(PALETTE[topic]) for topic in labels(ax)]
    assert ax.get_aspect() == 1 and len(ax.get_xticks()) == 0


def test_palette_as_a_list_and_as_a_colour_map(mdata):
    topics = list(mdata.obsm["topics"])
    chosen = ["red", "green", "blue", "black", "pink"]
    continuous = mpl.colormaps["viridis"](np.linspace(0, 1, 4))
    for palette, colours in (
        (chosen, chosen),
        (np.array(chosen), chosen),
        ("tab10", mpl.colormaps["tab10"].colors),
        (mpl.colormaps["tab10"], mpl.colormaps["tab10"].colors),
        ("viridis", continuous),
    ):
        ax = mt.pl.dominant_topics(mdata, palette=palette)
        assert drawn_colours(ax) == expected_colours(mdata, dict(zip(topics, colours, strict=False)))


@pytest.mark.parametrize(
    ("n_topics", "palette"),
    [(20, palettes.default_20), (21, palettes.default_28), (28, palettes.default_28), (29, palettes.default_102)],
)
def test_default_palette_is_scanpys(n_topics, palette):
    data = tissue(square_grid(20, 20), n_topics)
    ax = mt.pl.dominant_topics(data)
    assert drawn_colours(ax) == expected_colours(data, dict(zip(data.obsm["topics"], palette, strict=False)))


def test_more_topics_than_any_palette_have_colours_of_their_own():
    ax = mt.pl.dominant_topics(tissue(square_grid(60, 60), 110))
    assert len(set(legend_colours(ax))) == len(labels(ax)) == 110


def test_topics_that_are_nowhere_dominant_are_left_out_of_the_legend(mdata):
    mdata.obsm["topics"]["topic_2"] = 0.0
    ax = mt.pl.dominant_topics(mdata, palette=PALETTE)
    assert labels(ax) == ["topic_1", "topic_3", "topic_4"]
    assert legend_colours(ax) == [to_rgba(PALETTE[topic]) for topic in labels(ax)]


def test_annotation_names_topics_in_the_legend(mdata):
    ax = mt.pl.dominant_topics(
        mdata, annotation={"topic_2": "cortex", "topic_4": "white matter", "topic_7": "filtered"}
    )
    assert labels(ax) == ["topic_1", "cortex", "topic_3", "white matter"]
    with pytest.raises(KeyError, match="no topic 'topic1' in .*did you mean 'topic_1'"):
        mt.pl.dominant_topics(mdata, annotation={"topic1": "cortex"})


def test_draw_order_is_random_and_depends_on_random_state(mdata):
    def order(random_state):
        return [tuple(p) for p in spots(mt.pl.dominant_topics(mdata, random_state=random_state)).get_offsets()]

    places = [tuple(p) for p in mdata.obsm["coords"].to_numpy()]
    first = order(2291)
    assert sorted(first) == sorted(places) and first != places
    assert first == order(2291) == order(np.random.default_rng(2291))
    assert first != order(1)
    shown = [places.index(place) for place in first]
    assert shown == list(np.random.default_rng(2291).permutation(N_OBS))


def test_numpys_global_generator_is_left_alone(mdata):
    before = np.random.get_state()[1].copy()
    mt.pl.dominant_topics(mdata)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_legend_can_be_left_out_and_title_set(mdata):
    ax = mt.pl.dominant_topics(mdata, legend=False, title="Section 1", fontsize=13)
    assert ax.get_legend() is None
    assert ax.get_title() == "Section 1" and ax.title.get_fontsize() == 13


@pytest.mark.parametrize("names", [None, {f"topic_{k + 1}": f"a cell type with a long name {k}" for k in range(50)}])
def test_legend_of_50_topics_is_outside_and_whole(names):
    ax = mt.pl.dominant_topics(tissue(square_grid(60, 50), 50), annotation=names)
    fig = ax.figure
    fig.canvas.draw()
    box, panel = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert len(labels(ax)) == 50 and n_columns(ax) > 1
    assert box.x0 >= panel.x1
    assert box.x1 <= fig.bbox.x1 and box.y0 >= fig.bbox.y0 and box.y1 <= fig.bbox.y1
    assert panel.width >= 0.4 * 7 * fig.dpi
    assert fig.get_figheight() == 5
    texts = sorted((text.get_window_extent() for text in ax.get_legend().get_texts()), key=lambda b: (b.x0, b.y0))
    assert not any(one.overlaps(other) for one, other in zip(texts, texts[1:], strict=False))


def test_columns_of_the_legend():
    data = tissue(square_grid(20, 20), 12)
    assert n_columns(mt.pl.dominant_topics(data)) == 1
    assert n_columns(mt.pl.dominant_topics(data, legend_ncol=3)) == 3
    assert n_columns(mt.pl.dominant_topics(data, legend_ncol=None, figsize=(7, 1.5))) > 1
    tall = tissue(square_grid(60, 50), 50)
    ax = mt.pl.dominant_topics(tall, legend_ncol=2)
    ax.figure.canvas.draw()
    assert n_columns(ax) == 2
    box = ax.get_legend().get_window_extent()
    assert box.y0 >= 0 and box.y1 <= ax.figure.bbox.height


def test_legend_markers_follow_font_and_markerscale(mdata):
    def size(**options):
        return mt.pl.dominant_topics(mdata, **options).get_legend().legend_handles[0].get_markersize()

    assert size(markerscale=2) == pytest.approx(2 * size())
    assert size(fontsize=20) == pytest.approx(2 * size())
    assert size(s=500) == size()


def test_markers_touch_their_neighbours(mdata):
    ax = mt.pl.dominant_topics(mdata)
    (size,) = spots(ax).get_sizes()
    (left, _), (right, _) = ax.transData.transform([(0, 0), (PITCH, 0)])
    assert np.sqrt(size) / 2 * ax.figure.dpi / 72 == pytest.approx(right - left, rel=0.01)


def test_axes_of_the_caller(mdata, tmp_path):
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    assert mt.pl.dominant_topics(mdata, ax=right, save=tmp_path / "both.png") is right
    assert mt.pl.dominant_topics(mdata, ax=left, return_fig=True) is fig
    assert drawn_colours(left) == drawn_colours(right)
    assert plt.get_fignums() == [fig.number] and tuple(fig.get_size_inches()) == (10, 4)
    assert (tmp_path / "both.png").exists()


def test_axes_in_a_subfigure(mdata):
    fig = plt.figure(layout="constrained")
    ax = fig.subfigures(1, 2)[1].add_subplot()
    assert mt.pl.dominant_topics(mdata, ax=ax, return_fig=True) is fig


def test_original_order_of_arguments(mdata, tmp_path):
    path = tmp_path / "dominant.png"
    ax = mt.pl.dominant_topics(
        mdata, "spatial", "topics", PALETTE, {"topic_1": "one"}, "title", "s", 9, 8, 2, True, 2, (6, 3), 5, True, path
    )
    assert spots(ax).get_sizes() == [9] and labels(ax)[0] == "one" and ax.get_title() == "title"
    assert tuple(ax.figure.get_size_inches()) == (6, 3) and n_columns(ax) == 2
    assert plt.imread(path)[0, 0, 3] == 0


def test_palettes_that_do_not_fit(mdata):
    with pytest.raises(KeyError, match="no colour of 'topic_4' in the palette; did you mean 'topic_44'"):
        mt.pl.dominant_topics(mdata, palette={"topic_1": "red", "topic_2": "red", "topic_3": "red", "topic_44": "red"})
    with pytest.raises(ValueError, match="the palette has 2 colours for 4 topics"):
        mt.pl.dominant_topics(mdata, palette=["red", "blue"])
    with pytest.raises(ValueError, match="'rouge' for 'topic_2' is not a colour"):
        mt.pl.dominant_topics(mdata, palette=["red", "rouge", "blue", "black"])
    with pytest.raises(KeyError, match="did you mean 'tab10'"):
        mt.pl.dominant_topics(mdata, palette="tab1")


def test_missing_proportions(mdata):
    mdata.obsm["topics"].iloc[[3, 5], 1] = np.nan
    with pytest.raises(ValueError, match=r"obsm\['topics'\] is missing for 2 observations, the first is 'spot_3'"):
        mt.pl.dominant_topics(mdata)


@pytest.mark.parametrize(("arguments", "near"), [({"topics": "topisc"}, "topics"), ({"x": "spatal"}, "spatial")])
def test_unknown_names(mdata, arguments, near):
    with pytest.raises(KeyError, match=f"did you mean '{near}'"):
        mt.pl.dominant_topics(mdata, **arguments)


def test_no_topics(adata):
    adata.obsm["empty"] = adata.obsm["topics"].iloc[:, :0]
    with pytest.raises(ValueError, match=r"obsm\['empty'\] has no columns"):
        mt.pl.dominant_topics(adata, topics="empty")


def test_observations_with_little_of_their_topic_are_pale(mdata):
    ax = mt.pl.dominant_topics(mdata, by="proportion", palette=PALETTE, min_proportion=0.6, show=False)
    most = mdata.obsm["topics"].max(axis=1).to_numpy()
    pale = (spots(ax).get_facecolors() == to_rgba("whitesmoke")).all(axis=1)
    by_place = {tuple(point): less for point, less in zip(spots(ax).get_offsets(), pale, strict=True)}
    assert [by_place[tuple(point)] for point in mdata.obsm["coords"].to_numpy()] == (most < 0.6).tolist()
    assert 0 < pale.sum() < len(pale)
    assert labels(ax)[-1] == "less than 0.6"
    with pytest.raises(ValueError, match="min_proportion=2"):
        mt.pl.dominant_topics(mdata, min_proportion=2)
