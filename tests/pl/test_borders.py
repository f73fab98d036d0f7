import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba

import mtopic as mt


@pytest.fixture(params=["mdata", "adata"])
def data(request):
    data = request.getfixturevalue(request.param)
    data.obs["topic_border"] = np.random.default_rng(0).uniform(0.1, 0.9, data.n_obs)
    return data


def spots(ax):
    (drawn,) = ax.collections
    return drawn


def by_place(points, values):
    return {tuple(point): value for point, value in zip(np.round(points, 6), values, strict=True)}


def test_each_distance_at_its_place_the_highest_on_top(data):
    ax = mt.pl.borders(data)
    expected = by_place(data.obsm["coords"].to_numpy(), data.obs["topic_border"])
    assert by_place(spots(ax).get_offsets(), spots(ax).get_array()) == expected
    assert (np.diff(spots(ax).get_array()) >= 0).all()
    assert ax.get_aspect() == 1


def test_scale_starts_at_zero(data):
    largest = data.obs["topic_border"].max()
    assert spots(mt.pl.borders(data)).get_clim() == pytest.approx((0, largest))
    assert spots(mt.pl.borders(data, vmin=None, vmax=1)).get_clim() == (data.obs["topic_border"].min(), 1)


def test_isolated_observations_are_grey(data):
    data.obs["topic_border"] = data.obs["topic_border"].where(np.arange(data.n_obs) != 7)
    ax = mt.pl.borders(data)
    ax.figure.canvas.draw()
    colours = by_place(spots(ax).get_offsets(), spots(ax).get_facecolors())
    missing = colours.pop(tuple(data.obsm["coords"].iloc[7]))
    np.testing.assert_allclose(missing, to_rgba("lightgrey"))
    assert not any(np.allclose(colour, missing) for colour in colours.values())


def test_keys_and_axes_of_the_caller(data):
    data.obs["edge"] = 0.5
    figure, own = plt.subplots()
    ax = mt.pl.borders(data, "spatial", "edge", ax=own, title="Borders")
    assert ax is own and ax.get_title() == "Borders"
    assert set(map(tuple, spots(ax).get_offsets())) == set(map(tuple, data.obsm["spatial"]))
    assert set(spots(ax).get_array()) == {0.5}


def test_what_is_not_there(data):
    with pytest.raises(KeyError, match="did you mean 'topic_border'.; mtopic.tl.borders writes them"):
        mt.pl.borders(data, key="topic_borders")
    with pytest.raises(KeyError, match="no coordinates 'tissue'"):
        mt.pl.borders(data, "tissue")
