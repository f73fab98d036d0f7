"""Figures as pictures: the colours of planted topics where they were planted, and nothing cut off at the edges."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_rgb

import mtopic as mt

SIDE = 9
PALETTE = {"topic_1": "red", "topic_2": "lime", "topic_3": "blue"}


@pytest.fixture
def planted():
    """A square of 9 × 9 spots: topic_1 in the left third, topic_2 in the middle, topic_3 at the right."""
    rng = np.random.default_rng(0)
    column, row = np.tile(np.arange(SIDE), SIDE), np.repeat(np.arange(SIDE), SIDE)
    theta = np.full((SIDE * SIDE, 3), 0.02)
    theta[np.arange(SIDE * SIDE), 3 * column // SIDE] = 0.96
    beta = np.full((9, 3), 0.01) + np.repeat(np.eye(3), 3, axis=0)
    names, topics = [f"spot {i}" for i in range(SIDE * SIDE)], list(PALETTE)
    counts = rng.poisson(100 * theta @ beta.T).astype(np.float32)
    adata = AnnData(counts, pd.DataFrame(index=names), pd.DataFrame(index=[f"gene {v}" for v in range(9)]))
    adata.obsm["spatial"] = np.column_stack([column, row]).astype(float)
    adata.obsm["topics"] = pd.DataFrame(theta, names, topics)
    adata.varm["signatures"] = pd.DataFrame(1000 * beta, adata.var_names, topics)
    adata.uns["mtopic"] = {"id": "planted"}
    mt.tl.zscores(adata, across="observations", by="FREX", n_top=3)
    return adata


def picture(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255


def colours_at(figure, ax, places):
    """Of the pixels at these places of a panel."""
    pixels = picture(figure)
    at = ax.transData.transform(places).round().astype(int)
    return pixels[len(pixels) - 1 - at[:, 1], at[:, 0]]


def edges_are_white(figure):
    pixels = picture(figure)
    return (np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]) == 1).all()


def planted_colours(adata):
    return [to_rgb(PALETTE[topic]) for topic in adata.obsm["topics"].idxmax(axis=1)]


def test_topics_are_dark_where_they_were_planted(planted):
    figure = mt.pl.topics(planted, "spatial", show=False, return_fig=True)
    for k, ax in enumerate(figure.axes[:3]):
        dark = colours_at(figure, ax, planted.obsm["spatial"]).mean(axis=1) < 0.3
        assert dark.tolist() == (planted.obsm["topics"].iloc[:, k] > 0.5).tolist()
    assert edges_are_white(figure)


def test_dominant_topics_have_their_colours(planted):
    figure = mt.pl.dominant_topics(planted, "spatial", palette=PALETTE, title="Planted", show=False, return_fig=True)
    drawn = colours_at(figure, figure.axes[0], planted.obsm["spatial"])
    np.testing.assert_allclose(drawn, planted_colours(planted), atol=0.02)
    assert edges_are_white(figure)


def test_pies_are_of_their_topic_and_do_not_overlap(planted):
    figure = mt.pl.scatter_pie(planted, x="spatial", palette=PALETTE, show=False, return_fig=True)
    places = planted.obsm["spatial"] / (SIDE - 1)
    drawn = colours_at(figure, figure.axes[0], places - [0, 0.04])  # below the middle, where the largest slice is
    np.testing.assert_allclose(drawn, planted_colours(planted), atol=0.02)
    between = places[planted.obsm["spatial"].max(axis=1) < SIDE - 1] + 0.5 / (SIDE - 1)
    assert (colours_at(figure, figure.axes[0], between) == 1).all()
    assert edges_are_white(figure)


def test_markers_are_bright_where_their_topic_is(planted):
    figure = mt.pl.zscores(planted, "X", "spatial", show=False, return_fig=True)
    for k, ax in enumerate(figure.axes[:3]):
        light = colours_at(figure, ax, planted.obsm["spatial"]).mean(axis=1)
        there = (planted.obsm["topics"].iloc[:, k] > 0.5).to_numpy()
        assert light[there].min() > light[~there].max()
    assert edges_are_white(figure)


def test_a_feature_is_dark_where_it_was_counted(planted):
    figure = mt.pl.feature_activity(planted, "spatial", ["gene 4"], show=False, return_fig=True)
    light = colours_at(figure, figure.axes[0], planted.obsm["spatial"]).mean(axis=1)
    assert np.corrcoef(light, planted[:, "gene 4"].X.ravel())[0, 1] < -0.9
    assert edges_are_white(figure)


def test_topics_and_their_markers_make_a_red_diagonal(planted):
    other = planted.obsm["zscores"][["topic_3", "topic_1", "topic_2"]]
    figure = mt.pl.corr_heatmap(planted.obsm["topics"], other, diagonal=True, show=False, return_fig=True)
    cells = colours_at(figure, figure.axes[0], [(x, y) for y in range(3) for x in range(3)]).reshape(3, 3, 3)
    red = cells[..., 0] - cells[..., 2]
    assert (np.diag(red) > 0.7).all()
    assert (red[~np.eye(3, dtype=bool)] < 0.1).all()
    box = figure.axes[0].get_window_extent()
    assert box.width == pytest.approx(box.height, rel=0.02)
    assert edges_are_white(figure)
