import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import mtopic as mt

NAMES = [f"topic_{k}" for k in (1, 2, 3)]
SCORES = [[40.0, -6.0, 2.0], [-6.0, 30.0, -8.0], [2.0, -7.0, 50.0]]


@pytest.fixture(params=["mdata", "adata"])
def data(request):
    data = request.getfixturevalue(request.param)
    data.uns["topic_neighborhoods"] = {"zscore": pd.DataFrame(SCORES, index=NAMES, columns=NAMES)}
    return data


def drawn(ax):
    (image,) = ax.images
    return np.ma.filled(image.get_array(), np.nan)


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_scores_and_names(data):
    ax = mt.pl.topic_neighborhoods(data)
    np.testing.assert_array_equal(drawn(ax), SCORES)
    assert tick_labels(ax.yaxis) == tick_labels(ax.xaxis) == NAMES


def test_scale_shows_the_pairs_of_different_topics(data):
    assert mt.pl.topic_neighborhoods(data).images[0].get_clim() == (-8, 8)
    assert mt.pl.topic_neighborhoods(data, vmax=20).images[0].get_clim() == (-20, 20)
    assert mt.pl.topic_neighborhoods(data, vmin=-5, vmax="p100").images[0].get_clim() == (-5, 50)


def test_topics_without_scores_are_left_out(data):
    scores = data.uns["topic_neighborhoods"]["zscore"]
    scores["topic_2"] = np.nan
    scores.loc["topic_2"] = np.nan
    ax = mt.pl.topic_neighborhoods(data)
    np.testing.assert_array_equal(drawn(ax), [[40, 2], [2, 50]])
    assert tick_labels(ax.xaxis) == ["topic_1", "topic_3"]
    scores[:] = np.nan
    with pytest.raises(ValueError, match="holds no score"):
        mt.pl.topic_neighborhoods(data)


def test_key(data):
    data.uns["close"] = data.uns.pop("topic_neighborhoods")
    np.testing.assert_array_equal(drawn(mt.pl.topic_neighborhoods(data, "close")), SCORES)
    with pytest.raises(KeyError, match="there: 'close'; mtopic.tl.topic_neighborhoods writes it"):
        mt.pl.topic_neighborhoods(data)


def test_axes_of_the_caller_and_saving(data, tmp_path):
    figure, own = plt.subplots()
    assert mt.pl.topic_neighborhoods(data, ax=own) is own
    assert len(own.images) == 1
    mt.pl.topic_neighborhoods(data, save=tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert mt.pl.topic_neighborhoods(data, return_fig=True).axes[0].images
