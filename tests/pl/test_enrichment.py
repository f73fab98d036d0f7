import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import mtopic as mt


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


@pytest.fixture
def mdata(mdata):
    """Three sources, of which each of three topics has one, and none of them the fourth."""
    rows = [
        (f"topic_{k + 1}", f"set_{j}", 4.0 if j == k else -1.0 - j / 10, 0.001 if j == k else 0.4)
        for k in range(4)
        for j in range(3)
    ]
    mdata["rna"].uns["enrichment"] = pd.DataFrame(rows, columns=["topic", "source", "score", "q"])
    return mdata


def test_cells_are_scores_and_dots_are_what_is_found(mdata, fingerprint):
    before = fingerprint(mdata)
    ax = mt.pl.enrichment(mdata, "rna", n_top=1, show=False)
    assert fingerprint(mdata) == before
    assert labels(ax.yaxis) == ["topic_1", "topic_2", "topic_3", "topic_4"]
    assert labels(ax.xaxis) == ["set_0", "set_1", "set_2"]
    drawn = ax.images[0]
    expected = mdata["rna"].uns["enrichment"].pivot(index="topic", columns="source", values="score")
    np.testing.assert_allclose(drawn.get_array(), expected)
    assert drawn.get_clim() == (-4, 4)
    assert ax.collections[0].get_offsets().tolist() == [[0, 0], [1, 1], [2, 2]]


def test_chosen_topics_and_first_sources(mdata):
    ax = mt.pl.enrichment(mdata, "rna", topics=["topic_3", "topic_1"], n_top=1, max_q=0.0001, show=False)
    assert labels(ax.yaxis) == ["topic_3", "topic_1"] and labels(ax.xaxis) == ["set_2", "set_0"]
    assert not len(ax.collections[0].get_offsets())
    assert len(labels(mt.pl.enrichment(mdata, "rna", topics="topic_1", n_top=2, show=False).xaxis)) == 2


def test_motifs_are_drawn_alike():
    mdata = mt.datasets.simulate(60, 3)
    mt.tl.topic_model(mdata, 3, n_iter=5, verbose=False)
    has = np.random.default_rng(0).random((600, 6)) < 0.3
    motifs = pd.DataFrame(has, mdata["atac"].var_names, [f"motif_{i}" for i in range(6)])
    mt.tl.motif_enrichment(mdata, "atac", motifs=motifs)
    ax = mt.pl.enrichment(mdata, "atac", show=False)
    assert set(labels(ax.xaxis)) <= set(motifs.columns)


def test_errors(mdata):
    with pytest.raises(KeyError, match="no enrichment 'enrichment' in uns of modality 'atac'.*mtopic.tl.enrichment"):
        mt.pl.enrichment(mdata, "atac")
    with pytest.raises(KeyError, match="did you mean 'enrichment'"):
        mt.pl.enrichment(mdata, "rna", "enrichments")
    with pytest.raises(KeyError, match="no topic 'topic_9'"):
        mt.pl.enrichment(mdata, "rna", topics="topic_9")
    for options in ({"n_top": 0}, {"max_q": 0}):
        with pytest.raises(ValueError, match=next(iter(options)) if "n_top" in options else "between 0 and 1"):
            mt.pl.enrichment(mdata, "rna", **options)
    with pytest.raises(ValueError, match="say which modality"):
        mt.pl.enrichment(mdata)
    assert plt.get_fignums() == []
