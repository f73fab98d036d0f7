import matplotlib.pyplot as plt
import numpy as np
import pytest

import mtopic as mt


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


@pytest.mark.parametrize("by", [{}, {"by": "lift"}, {"by": "probability"}])
def test_dots(mdata, fingerprint, by):
    before = fingerprint(mdata)
    axes = mt.pl.dotplot(mdata, n_top=2, show=False, **by)
    assert fingerprint(mdata) == before
    assert [ax.get_title("left") for ax in axes] == ["rna", "atac"]
    for ax, mod in zip(axes, mdata.mod, strict=True):
        top = mt.get.top_features(mdata, mod, n_top=2, **by)
        features, topics = labels(ax.xaxis), labels(ax.yaxis)
        assert features == list(dict.fromkeys(top["feature"]))
        assert topics == [f"topic_{k}" for k in range(1, 5)]
        weights = mdata[mod].varm["signatures"]
        p = weights / weights.sum()
        (dots,) = ax.collections
        relative = (p.loc[features] / p.loc[features].max(axis=1).to_numpy()[:, None]).T.to_numpy()
        sizes = dots.get_sizes().reshape(relative.shape)
        np.testing.assert_allclose(sizes / sizes.max(), relative)
        shares = p.loc[features].div(p.loc[features].sum(axis=1), axis=0).T.to_numpy()
        np.testing.assert_allclose(dots.get_array().reshape(shares.shape), shares)
        columns, rows = dots.get_offsets().data.T.reshape(2, *shares.shape)
        assert (columns == np.arange(len(features))).all()
        assert (rows == np.arange(4)[:, None]).all()


def test_chosen_modality_and_topics(mdata):
    (ax,) = mt.pl.dotplot(mdata, "atac", topics=["topic_3", "topic_1"], n_top=1, show=False)
    assert labels(ax.yaxis) == ["topic_3", "topic_1"]
    assert len(labels(ax.xaxis)) == 2


def test_figure_grows_with_the_topics():
    mdata = mt.datasets.simulate(60, 30)
    few, many = (
        mt.pl.dotplot(mdata, signatures="true_signatures", topics=topics, show=False, return_fig=True).get_size_inches()
        for topics in (["topic_1", "topic_2"], None)
    )
    assert (many > 2 * few).all()


def test_errors(mdata):
    with pytest.raises(KeyError, match="did you mean 'rna'"):
        mt.pl.dotplot(mdata, "rna_")
    with pytest.raises(ValueError, match="n_top"):
        mt.pl.dotplot(mdata, n_top=0)
    with pytest.raises(ValueError, match="by='weight': choose 'FREX'"):
        mt.pl.dotplot(mdata, by="weight")
    with pytest.raises(KeyError, match="signatures"):
        mt.pl.dotplot(mdata, signatures="nothing")
    assert plt.get_fignums() == []
