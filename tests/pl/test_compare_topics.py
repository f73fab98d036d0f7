import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

import mtopic as mt

TOPICS = ["topic_1", "topic_2", "topic_3"]


@pytest.fixture
def compared(mdata):
    numbers = {
        "difference": [1.0, -0.5, 0.1],
        "low": [0.5, -1.5, -0.2],
        "high": [1.5, 0.5, 0.4],
        "q": [0.01, 0.2, np.nan],
    }
    params = {"group": "ill", "reference": "rest", "scale": "log"}
    mdata.uns["mtopic"]["comparison"] = {
        "topics": pd.DataFrame(numbers, index=TOPICS),
        "signatures": {},
        "params": params,
    }
    return mdata


def test_points_and_intervals(compared, fingerprint):
    before = fingerprint(compared)
    ax = mt.pl.compare_topics(compared, palette=["red", "green", "blue"], show=False)
    assert fingerprint(compared) == before
    lines, points = ax.collections
    np.testing.assert_allclose(points.get_offsets(), [[1.0, 0], [-0.5, 1], [0.1, 2]])
    np.testing.assert_allclose(
        [segment[:, 0] for segment in lines.get_segments()], [[0.5, 1.5], [-1.5, 0.5], [-0.2, 0.4]]
    )
    np.testing.assert_allclose(points.get_facecolors(), [to_rgba(name) for name in ("red", "white", "white")])
    np.testing.assert_allclose(points.get_edgecolors(), [to_rgba(name) for name in ("red", "green", "blue")])
    assert [label.get_text() for label in ax.get_yticklabels()] == TOPICS
    assert ax.yaxis_inverted() and "ill over rest" in ax.get_xlabel()
    plt.close("all")


def test_intervals_that_say_nothing_are_cut_at_the_edge(compared):
    compared.uns["mtopic"]["comparison"]["topics"].loc["topic_2", ["low", "high"]] = [-60.0, 59.0]
    ax = mt.pl.compare_topics(compared, show=False)
    lines, *arrows, _ = ax.collections
    np.testing.assert_allclose(lines.get_segments()[1][:, 0], [-3, 3])
    assert [arrow.get_offsets().tolist() for arrow in arrows] == [[[-3, 1]], [[3, 1]]]
    low, high = ax.get_xlim()
    assert -4 < low < -3 < 3 < high < 4
    plt.close("all")


@pytest.mark.parametrize(
    ("scale", "of"),
    [("log", "share,"), ("clr", "share over the topics' geometric mean,"), ("median", "share, relative to the median")],
)
def test_the_label_says_what_is_compared(compared, scale, of):
    params = compared.uns["mtopic"]["comparison"]["params"]
    params["scale"] = scale
    label = mt.pl.compare_topics(compared, show=False).get_xlabel()
    assert label.startswith(f"log2 fold change of the {of}") and label.endswith("ill over rest")
    params.update(paired_by="donor", n_pairs=5)
    assert mt.pl.compare_topics(compared, show=False).get_xlabel() == f"{label}, within 5 pairs by donor"
    plt.close("all")


def test_rate_axes_and_figure(compared, tmp_path):
    figure, ax = plt.subplots()
    assert mt.pl.compare_topics(compared, max_q=0.5, ax=ax, show=False) is ax
    faces = ax.collections[1].get_facecolors()
    np.testing.assert_allclose(faces[2], to_rgba("white"), err_msg="no test, no colour")
    assert not np.allclose(faces[1], to_rgba("white"))
    plt.close(figure)
    figure = mt.pl.compare_topics(compared, save=tmp_path / "forest.png", return_fig=True)
    assert (tmp_path / "forest.png").stat().st_size > 0 and len(figure.axes) == 1
    plt.close("all")


def test_errors(mdata, compared):
    with pytest.raises(KeyError, match="no comparison 'my_mtopic' in uns.*compare_topics writes it"):
        mt.pl.compare_topics(compared, prefix="my")
    with pytest.raises(ValueError, match="max_q=5"):
        mt.pl.compare_topics(compared, max_q=5)
    assert not plt.get_fignums()
