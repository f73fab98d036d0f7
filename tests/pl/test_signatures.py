import matplotlib as mpl
import numpy as np
import pytest

import mtopic as mt


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def widths(ax):
    return np.array([bar.get_width() for bar in ax.patches])


@pytest.mark.parametrize("mod", ["rna", "atac"])
@pytest.mark.parametrize("by", [{}, {"by": "exclusivity"}, {"by": "probability"}])
def test_bars_are_the_probabilities_of_the_top_features(mdata, mod, by):
    axes = mt.pl.signatures(mdata, mod, n_top=7, **by)
    table = mdata[mod].varm["signatures"]
    assert [ax.get_title() for ax in axes] == list(table)
    top = mt.get.top_features(mdata, mod, n_top=7, **by)
    for ax, topic in zip(axes, table, strict=True):
        assert names(ax) == list(top.loc[top["topic"] == topic, "feature"])
        np.testing.assert_allclose(widths(ax), table.loc[names(ax), topic] / table[topic].sum())


def test_a_feature_that_is_frequent_everywhere_is_not_drawn_unless_asked_for(mdata):
    mdata["rna"].varm["signatures"].loc["gene3"] = 500.0
    for by, expected in (({}, set()), ({"by": "probability"}, {"gene3"})):
        axes = mt.pl.signatures(mdata, "rna", n_top=1, figsize=(8, 6), **by)
        assert {name for ax in axes for name in names(ax)} & {"gene3"} == expected


def test_first_on_top_from_zero(mdata):
    ax = mt.pl.signatures(mdata, "rna")[0]
    middles = [bar.get_y() + bar.get_height() / 2 for bar in ax.patches]
    assert np.allclose(middles, range(20)) and ax.yaxis_inverted()
    assert ax.get_xlim()[0] == 0 and ax.get_xlim()[1] > widths(ax).max()


def test_colours_follow_the_probability(mdata):
    ax = mt.pl.signatures(mdata, "rna", cmap="magma")[1]
    expected = mpl.colormaps["magma"](widths(ax) / widths(ax).max())
    np.testing.assert_allclose([bar.get_facecolor() for bar in ax.patches], expected)


def test_all_features_where_there_are_fewer_than_n_top(mdata):
    assert [len(ax.patches) for ax in mt.pl.signatures(mdata, "atac")] == [12] * 4


def test_anndata_needs_no_modality(adata):
    assert len(mt.pl.signatures(adata)) == 4


def test_some_topics_in_the_order_asked_for(mdata):
    axes = mt.pl.signatures(mdata, "rna", topics=["topic_4", "topic_2"])
    assert [ax.get_title() for ax in axes] == ["topic_4", "topic_2"]
    assert [ax.get_title() for ax in mt.pl.signatures(mdata, "rna", topics="topic_3")] == ["topic_3"]


def test_long_names_are_whole_and_do_not_touch(mdata):
    fig = mt.pl.signatures(mdata, "atac", return_fig=True)
    fig.canvas.draw()
    for ax in fig.axes:
        boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
        assert len(boxes) == 12
        assert all(box.x0 >= 0 and box.x1 <= ax.get_window_extent().x0 for box in boxes)
        assert not any(one.overlaps(other) for one, other in zip(boxes, boxes[1:], strict=False))
        others = [other.get_window_extent() for other in fig.axes if other is not ax]
        assert not any(box.overlaps(other) for box in boxes for other in others)
        assert ax.get_window_extent().width > 0.8 * fig.dpi


def test_original_order_of_arguments(mdata, tmp_path):
    axes = mt.pl.signatures(mdata, "rna", "signatures", 5, "viridis", (8, 5), 6, True, tmp_path / "signatures.png")
    assert len(axes[0].patches) == 5 and axes[0].title.get_fontsize() == 6
    assert axes[0].get_yticklabels()[0].get_fontsize() == 6
    assert tuple(axes[0].figure.get_size_inches()) == (8, 5)


def test_columns_of_the_grid(mdata):
    axes = mt.pl.signatures(mdata, "rna", ncols=2)
    assert len({round(ax.get_position().x0, 3) for ax in axes}) == 2


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        ({"mod": "rn"}, "rna"),
        ({"mod": "rna", "signatures": "signature"}, "signatures"),
        ({"mod": "rna", "topics": "topic3"}, "topic_3"),
        ({"mod": "rna", "cmap": "viridi"}, "viridis"),
    ],
)
def test_unknown_names(mdata, arguments, near):
    with pytest.raises(KeyError, match=f"did you mean .*'{near}'"):
        mt.pl.signatures(mdata, **arguments)


def test_bad_arguments(mdata):
    with pytest.raises(ValueError, match="say which modality is meant"):
        mt.pl.signatures(mdata)
    with pytest.raises(ValueError, match="n_top=0"):
        mt.pl.signatures(mdata, "rna", n_top=0)
    with pytest.raises(ValueError, match="by='weight': choose 'FREX'"):
        mt.pl.signatures(mdata, "rna", by="weight")
