"""Maps of so many observations that they are drawn as pixels."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import mtopic as mt
from mtopic.pl import _spots
from mtopic.pl._pixels import MOST, pixels


@pytest.fixture
def grid():
    """Squares of 60 × 40 spots, the last two rows without proportions."""
    places = np.stack(np.meshgrid(np.arange(60.0), np.arange(40.0)), axis=-1).reshape(-1, 2)
    share = places[:, 0] / 59
    names = [f"spot_{d}" for d in range(len(places))]
    topics = pd.DataFrame({"left": 1 - share, "right": share}, names)
    adata = AnnData(obs=pd.DataFrame(index=names), obsm={"spatial": places, "topics": topics})
    adata.obsm["topics"].loc[places[:, 1] > 37] = np.nan
    return adata


def test_many_are_an_image_and_few_are_markers(grid, monkeypatch):
    assert _spots.MANY == 200_000
    for many, drawn in ((2399, True), (2400, False)):
        monkeypatch.setattr(_spots, "MANY", many)
        for ax in mt.pl.topics(grid, "spatial", show=False):
            assert (len(ax.images), len(ax.collections) > 0) == (int(drawn), not drawn)
    monkeypatch.setattr(_spots, "MANY", 100)
    assert not mt.pl.topics(grid, "spatial", s=4, show=False)[0].images


def test_a_pixel_has_the_mean_of_its_observations(grid, monkeypatch):
    monkeypatch.setattr(_spots, "MANY", 100)
    ax = mt.pl.topics(grid, "spatial", show=False)[1]
    (image,) = ax.images
    values, (left, right, bottom, top) = image.get_array(), image.get_extent()
    assert values.shape == (26, 40) and (left, bottom) == (0, 0) and (right, top) == (60, 39)
    np.testing.assert_allclose(values[3, :4], np.array([0.5, 2, 3.5, 5]) / 59)
    assert np.isnan(np.ma.filled(values[-1], np.nan)).all() and (image.get_alpha() == 1).all()
    assert image.get_clim() == (0, 1)
    assert ax.get_xlim()[0] < 0 and ax.get_xlim()[1] > 59


def test_dominant_topics_have_their_colours(grid, monkeypatch):
    monkeypatch.setattr(_spots, "MANY", 100)
    grid = grid[grid.obsm["topics"].notna().all(axis=1)].copy()
    ax = mt.pl.dominant_topics(grid, "spatial", palette=["red", "blue"], show=False)
    colours = ax.images[0].get_array()
    assert (colours[:, :19] == [1, 0, 0, 1]).all() and (colours[:, 21:] == [0, 0, 1, 1]).all()


def test_where_nobody_is_nothing_is_drawn():
    points = np.array([[0.0, 0], [1, 0], [9, 9], [4, 4]])
    image, opacity, extent = pixels(points, np.array([1.0, 3, np.nan, 7]), 1.0)
    assert image.shape == opacity.shape == (6, 6) and extent == (0, 9, 0, 9)
    assert opacity.sum() == 3 and image[0, 0] == 2 and image[2, 2] == 7
    assert opacity[5, 5] == 1 and np.isnan(image[5, 5])


@pytest.mark.parametrize("places", [[[2.0, 2]] * 5, [[0.0, 1], [4, 1], [8, 1]]], ids=["one place", "a line"])
def test_places_that_fill_no_plane(places):
    image, opacity, _ = pixels(np.array(places), np.arange(float(len(places))), 0.0)
    assert image.shape[0] == 1 and image.shape[1] <= MOST and opacity.max() == 1
