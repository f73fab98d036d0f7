import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import mtopic as mt


@pytest.fixture
def grouped(mdata):
    mdata.obs["layer"] = pd.Categorical(np.resize(["L2", "L1", None], 60), categories=["L2", "L1", "unseen"])
    mdata["rna"].obs["batch"] = np.resize([1, 2, 3], 60)
    return mdata


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def means(mdata, groups):
    return mdata.obsm["topics"].groupby(groups.to_numpy(), observed=True).mean()


def test_heat_map(grouped, fingerprint):
    before = fingerprint(grouped)
    ax = mt.pl.composition(grouped, "layer", show=False)
    assert fingerprint(grouped) == before
    assert labels(ax.yaxis) == ["L2", "L1"], "categories in their order, those that nobody has are left out"
    assert labels(ax.xaxis) == [f"topic_{k}" for k in range(1, 5)]
    expected = means(grouped, grouped.obs["layer"]).loc[["L2", "L1"]]
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    assert ax.images[0].get_clim() == pytest.approx((0, expected.to_numpy().max()))


@pytest.mark.parametrize("groupby", ["batch", "rna:batch"])
def test_bars_of_a_modality_column(grouped, groupby):
    ax = mt.pl.composition(grouped, groupby, kind="bar", palette=["r", "g", "b", "k"], show=False)
    expected = means(grouped, grouped["rna"].obs["batch"])
    widths = np.array([patch.get_width() for patch in ax.patches]).reshape(4, 3).T
    np.testing.assert_allclose(widths, expected)
    starts = np.array([patch.get_x() for patch in ax.patches]).reshape(4, 3).T
    np.testing.assert_allclose(starts[:, 1:], np.cumsum(expected.to_numpy(), axis=1)[:, :-1])
    assert labels(ax.yaxis) == ["1", "2", "3"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"topic_{k}" for k in range(1, 5)]


def test_similar_rows_come_together(grouped):
    values = np.zeros((60, 4))
    kinds = np.arange(60) % 4
    values[np.arange(60), kinds % 2] = 1
    grouped.obsm["topics"].iloc[:, :] = 0.96 * values + 0.01
    grouped.obs["kind"] = pd.Categorical([f"kind {k}" for k in kinds])
    ax = mt.pl.composition(grouped, "kind", cluster=True, show=False)
    order = [int(label[-1]) % 2 for label in labels(ax.yaxis)]
    assert order in ([0, 0, 1, 1], [1, 1, 0, 0])


def test_errors(grouped):
    with pytest.raises(KeyError, match="did you mean 'layer'"):
        mt.pl.composition(grouped, "layers")
    with pytest.raises(ValueError, match="kind='pie'"):
        mt.pl.composition(grouped, "layer", kind="pie")
    grouped["atac"].obs["batch"] = 1
    with pytest.raises(ValueError, match="say 'rna:batch' or 'atac:batch'"):
        mt.pl.composition(grouped, "batch")
    grouped.obs["empty"] = pd.Categorical([None] * 60)
    with pytest.raises(ValueError, match="holds no category"):
        mt.pl.composition(grouped, "empty")
    assert plt.get_fignums() == []
