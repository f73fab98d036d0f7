import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba

import mtopic as mt


def area(corners):
    x, y = corners.T
    return abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2


def slices(ax):
    (pies,) = ax.collections
    assert isinstance(pies, PolyCollection)
    return [path.vertices[:-1] for path in pies.get_paths()], pies.get_facecolors()


def test_slices_are_as_large_as_shares(mdata, fingerprint):
    before = fingerprint(mdata)
    ax = mt.pl.scatter_pie(mdata, radius=0.05, show=False)
    assert fingerprint(mdata) == before, "coordinates stay as they are"
    corners, colours = slices(ax)
    shares = mdata.obsm["topics"].to_numpy()
    kept = shares >= 0.01
    assert len(corners) == kept.sum()
    whole = np.pi * 0.05**2
    expected = np.where(kept, shares, 0) / np.where(kept, shares, 0).sum(axis=1, keepdims=True)
    np.testing.assert_allclose([area(each) / whole for each in corners], expected[kept], atol=0.01)
    palette = [to_rgba(c) for c in ["#1f77b4", "#ff7f0e", "#279e68", "#d62728"]]
    np.testing.assert_allclose(colours, np.array(palette)[np.nonzero(kept)[1]])


def test_pies_are_at_their_places_in_units_of_the_longer_side(mdata):
    mdata.obsm["topics"].iloc[:, :] = [1.0, 0, 0, 0]
    corners, _ = slices(mt.pl.scatter_pie(mdata, radius=0.02, show=False))
    places = mdata.obsm["coords"].to_numpy()
    expected = (places - places.min(axis=0)) / np.ptp(places, axis=0).max()
    np.testing.assert_allclose([(c.min(axis=0) + c.max(axis=0)) / 2 for c in corners], expected, atol=1e-3)


def test_window(mdata):
    ax = mt.pl.scatter_pie(mdata, radius=0.02, xrange=[0.3, 0.6], yrange=[0.1, 0.4], show=False)
    corners, _ = slices(ax)
    centres = np.array([c.mean(axis=0) for c in corners])
    assert (centres.min(axis=0) > [0.27, 0.07]).all()
    assert (centres.max(axis=0) < [0.63, 0.43]).all()


def test_radius_from_the_spacing_lets_neighbours_touch(mdata):
    mdata.obsm["topics"].iloc[:, :] = [1.0, 0, 0, 0]
    corners, _ = slices(mt.pl.scatter_pie(mdata, radius=None, show=False))
    assert np.ptp(corners[0][:, 0]) == pytest.approx(1 / 9, rel=0.01)


def test_stored_colours_of_topics(mdata):
    mt.tl.dominant_topics(mdata)
    mdata.uns["topic_colors"] = ["#ff0000", "#00ff00", "#0000ff", "#ffff00"]
    _, colours = slices(mt.pl.scatter_pie(mdata, show=False))
    assert {tuple(c) for c in colours} == {to_rgba(c) for c in mdata.uns["topic_colors"]}
    _, colours = slices(mt.pl.scatter_pie(mdata, palette=["k", "w", "r", "b"], show=False))
    assert {tuple(c) for c in colours} == {to_rgba(c) for c in "kwrb"}


def test_legend_and_figure(mdata):
    figure = mt.pl.scatter_pie(mdata, figsize=(6, 5), legend_markersize=12, show=False, return_fig=True)
    assert tuple(figure.get_size_inches()) == (6, 5)
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [f"topic_{k}" for k in range(1, 5)]
    assert legend.legend_handles[0].get_markersize() == pytest.approx(12)
    assert mt.pl.scatter_pie(mdata, legend=False, show=False).get_legend() is None


def test_errors(mdata):
    with pytest.raises(ValueError, match="radius=0"):
        mt.pl.scatter_pie(mdata, radius=0)
    with pytest.raises(ValueError, match="xrange="):
        mt.pl.scatter_pie(mdata, xrange=[1, 0])
    with pytest.raises(ValueError, match="no observation lies in"):
        mt.pl.scatter_pie(mdata, xrange=[2, 3])
    mdata.obsm["topics"].iloc[3, 1] = np.nan
    with pytest.raises(ValueError, match="missing for 1 observations"):
        mt.pl.scatter_pie(mdata)
    assert plt.get_fignums() == []
