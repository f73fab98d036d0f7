import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgba

import mtopic as mt


@pytest.fixture
def heard(mdata):
    """Results for two modalities."""
    return with_results(mdata, ["rna", "atac"])


@pytest.fixture
def heard_three(mdata):
    """Results for three."""
    return with_results(mdata, ["rna", "atac", "prot"])


def with_results(mdata, names):
    rng = np.random.default_rng(0)
    values = rng.uniform(-0.2, 1, (60, len(names)))
    values[:, 1] = values[:, 0] if len(names) == 2 else values[:, 1]
    values[:5] = np.nan
    mdata.obsm["modality_agreement"] = pd.DataFrame(values, mdata.obs_names, names)
    shares = rng.dirichlet(np.ones(len(names)), 4)
    shares[3] = np.nan
    index = [f"topic_{k}" for k in range(1, 5)]
    mdata.uns["mtopic"]["topic_shares"] = pd.DataFrame(shares, index, names)
    mdata.obs["sample"] = pd.Categorical(np.resize(["s2", "s1", None], 60), categories=["s2", "s1"])
    return mdata


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def quartiles(ax):
    """Of each box from top to bottom."""
    boxes = sorted(ax.patches, key=lambda box: box.get_y())
    return [(box.get_x(), box.get_x() + box.get_width()) for box in boxes]


def test_two_modalities_have_one_box(heard, fingerprint):
    before = fingerprint(heard)
    left, right = mt.pl.modality_agreement(heard, show=False)
    assert fingerprint(heard) == before
    np.testing.assert_allclose(left.images[0].get_array().filled(np.nan), heard.uns["mtopic"]["topic_shares"])
    assert left.images[0].get_clim() == (0, 1)
    assert labels(left.xaxis) == ["rna", "atac"] and labels(left.yaxis) == [f"topic_{k}" for k in range(1, 5)]
    values = heard.obsm["modality_agreement"]["rna"].dropna()
    np.testing.assert_allclose(quartiles(right), [np.percentile(values, [25, 75])])
    assert "rna and atac" in right.get_xlabel()
    (whisker,) = right.collections[0].get_segments()
    np.testing.assert_allclose(whisker[:, 0], np.percentile(values, [5, 95]))
    (median,) = right.collections[1].get_segments()
    np.testing.assert_allclose(median[:, 0], values.median())


def test_boxes_of_groups(heard):
    _, right = mt.pl.modality_agreement(heard, "sample", show=False)
    assert labels(right.yaxis) == ["s2", "s1"]
    values = [heard.obsm["modality_agreement"]["rna"][heard.obs["sample"] == name].dropna() for name in ("s2", "s1")]
    np.testing.assert_allclose(quartiles(right), [np.percentile(one, [25, 75]) for one in values])
    assert right.get_legend() is None
    heard["rna"].obs["batch"] = np.resize([1, 2, 3], 60)
    _, right = mt.pl.modality_agreement(heard, "batch", show=False)
    assert labels(right.yaxis) == ["1", "2", "3"]


def test_three_modalities(heard_three):
    palette = {"rna": "red", "atac": "green", "prot": "blue"}
    left, right = mt.pl.modality_agreement(heard_three, palette=palette, show=False)
    assert labels(left.xaxis) == labels(right.yaxis) == ["rna", "atac", "prot"]
    values = heard_three.obsm["modality_agreement"].dropna()
    np.testing.assert_allclose(quartiles(right), np.percentile(values, [25, 75], axis=0).T)
    drawn = [to_hex(box.get_facecolor()) for box in sorted(right.patches, key=lambda box: box.get_y())]
    assert drawn == [to_hex(to_rgba(colour)) for colour in palette.values()]

    _, right = mt.pl.modality_agreement(heard_three, "sample", show=False)
    expected = [
        np.percentile(part[mod].dropna(), [25, 75])
        for part in (heard_three.obsm["modality_agreement"][heard_three.obs["sample"] == name] for name in ("s2", "s1"))
        for mod in ("rna", "atac", "prot")
    ]
    np.testing.assert_allclose(quartiles(right), expected)
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["rna", "atac", "prot"]


def test_a_group_of_which_nothing_is_known(heard):
    heard.obs["sample"] = pd.Categorical(np.where(np.arange(60) < 5, "unknown", "known"))
    _, right = mt.pl.modality_agreement(heard, "sample", show=False)
    assert labels(right.yaxis) == ["known", "unknown"] and len(right.patches) == 1


def test_prefix_save_and_figure(heard, tmp_path):
    heard.obsm["fit_modality_agreement"] = heard.obsm["modality_agreement"]
    heard.uns["fit_mtopic"] = heard.uns.pop("mtopic")
    del heard.obsm["modality_agreement"]
    figure = mt.pl.modality_agreement(
        heard, prefix="fit", save=tmp_path / "agreement.png", figsize=(6, 3), return_fig=True
    )
    assert (tmp_path / "agreement.png").stat().st_size > 1000
    assert tuple(figure.get_size_inches()) == (6, 3) and len(figure.axes) >= 2


def test_names_do_not_touch(heard_three):
    """With few and with many topics the figure has room for every name."""
    columns = ["rna", "atac", "prot"]
    for n_topics in (5, 40):
        shares = np.full((n_topics, 3), 1 / 3)
        heard_three.uns["mtopic"]["topic_shares"] = pd.DataFrame(
            shares, [f"topic_{k + 1}" for k in range(n_topics)], columns
        )
        left, _ = mt.pl.modality_agreement(heard_three, "sample", show=False)
        left.figure.canvas.draw()
        boxes = [text.get_window_extent() for text in left.yaxis.get_ticklabels()]
        assert len(boxes) == n_topics
        assert all(upper.y0 >= lower.y1 for upper, lower in zip(boxes, boxes[1:], strict=False))


def test_errors(heard):
    with pytest.raises(KeyError, match="tl.modality_agreement writes it"):
        mt.pl.modality_agreement(heard, prefix="fit")
    with pytest.raises(KeyError, match="did you mean 'sample'"):
        mt.pl.modality_agreement(heard, "samples")
    heard.obs["empty"] = pd.Categorical([None] * 60)
    with pytest.raises(ValueError, match="holds no category"):
        mt.pl.modality_agreement(heard, "empty")
    del heard.uns["mtopic"]["topic_shares"]
    with pytest.raises(KeyError, match="no topic shares 'mtopic' in uns"):
        mt.pl.modality_agreement(heard)
    assert plt.get_fignums() == []
