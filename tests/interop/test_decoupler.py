"""Gene sets in topics and topics as gene sets, by decoupler."""

import decoupler as dc
import numpy as np
import pandas as pd
import pytest

import mtopic as mt

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def sets(fitted):
    """Gene sets: those that have more of a known topic than of the others."""
    true = fitted["rna"].varm["true_signatures"]
    ratio = true.div(true.mean(axis=1), axis=0)
    top = {f"set_of_{topic}": ratio[topic].nlargest(8).index for topic in ratio}
    return pd.DataFrame(
        [(source, target) for source, names in top.items() for target in names], columns=["source", "target"]
    )


def matches(fitted):
    """The known topic that each topic correlates best with."""
    true, found = fitted.obsm["true_topics"], fitted.obsm["topics"]
    return {topic: true.corrwith(found[topic]).idxmax() for topic in found}


@pytest.mark.parametrize("method", ["ulm", "zscore"])
def test_gene_sets_are_found_in_the_topics_that_they_were_made_of(fitted, sets, method):
    profiles = mt.get.profiles(fitted, "rna")
    getattr(dc.mt, method)(profiles, sets, tmin=3)
    scores = profiles.obsm[f"score_{method}"]
    assert list(scores.index) == list(fitted.obsm["topics"].columns)
    for topic, true in matches(fitted).items():
        assert scores.loc[topic].idxmax() == f"set_of_{true}"
    back = dc.pp.get_obsm(profiles, f"score_{method}")
    assert list(back.var_names) == list(scores.columns)


def test_signatures_as_a_net_score_topics_in_other_data(fitted, rna):
    import scanpy as sc

    net = mt.get.signatures(fitted, "rna", n_top=15, as_net=True)
    cells = rna.copy()
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    dc.mt.ulm(cells, net, tmin=3)
    scores = cells.obsm["score_ulm"]
    assert sorted(scores.columns) == sorted(fitted.obsm["topics"].columns)
    for topic in scores:
        assert np.corrcoef(scores[topic], fitted.obsm["topics"][topic])[0, 1] > 0.5


def test_topics_from_obsm(adata, fitted):
    theirs, ours = dc.pp.get_obsm(adata, "topics"), mt.get.topics(fitted)
    np.testing.assert_array_equal(theirs.X, ours.X)
    assert list(theirs.var_names) == list(ours.var_names)


def test_topics_ranked_by_a_column(adata):
    dc.tl.rankby_obsm(adata, "topics")
    ranked = adata.uns["rank_obsm"].query("obs == 'region'")
    assert set(ranked["obsm"]) == set(adata.obsm["topics"].columns)
    assert (ranked["padj"] < 0.01).all()
