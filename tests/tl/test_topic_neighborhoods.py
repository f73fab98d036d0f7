import numpy as np
import pandas as pd
import pytest

import mtopic as mt


@pytest.fixture
def fitted(tissue):
    mt.tl.topic_model(tissue, 4, spatial_key="spatial", verbose=False, n_jobs=1)
    return tissue


def pairs(dominant, names, adjacency):
    """Neighbours by topic."""
    is_topic = np.array([[topic == name for name in names] for topic in dominant], dtype=int)
    return is_topic.T @ adjacency @ is_topic


def test_counts_and_scores(fitted, fingerprint):
    before = fingerprint(fitted.mod)
    mt.tl.topic_neighborhoods(fitted)
    result = fitted.uns["topic_neighborhoods"]
    names = list(fitted.obsm["topics"].columns)
    roots = np.sqrt(fitted.obsm["topics"])
    dominant = (roots - roots.mean()).idxmax(axis=1).to_numpy()
    adjacency = (fitted.obsp["spatial_connectivities"].toarray() > 0).astype(int)
    count = pairs(dominant, names, adjacency)
    rng = np.random.default_rng(1)
    permuted = np.array([pairs(rng.permutation(dominant), names, adjacency) for _ in range(1000)])
    zscore = (count - permuted.mean(axis=0)) / permuted.std(axis=0)
    assert list(result["count"].index) == list(result["count"].columns) == names
    np.testing.assert_array_equal(result["count"], count)
    np.testing.assert_allclose(result["zscore"], zscore, rtol=0.15, atol=0.3)
    assert result["params"] == {"topics": "topics", "neighbors_key": "spatial", "n_perms": 1000, "by": "deviation"}
    assert before == fingerprint(fitted.mod)
    assert "topic" not in fitted.obs


def test_deterministic_and_quiet(fitted, capfd):
    scores = []
    for rng in (3, 3, 4, np.random.default_rng(3)):
        mt.tl.topic_neighborhoods(fitted, n_perms=50, rng=rng)
        scores.append(fitted.uns["topic_neighborhoods"]["zscore"])
    pd.testing.assert_frame_equal(scores[0], scores[1])
    pd.testing.assert_frame_equal(scores[0], scores[3])
    assert not scores[0].equals(scores[2])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.weekly)])
def test_several_processes(fitted, monkeypatch, backend):
    """Threads draw what processes do, which have to import and to compile all anew."""
    from squidpy.gr import _nhood

    asked, original = [], _nhood.parallelize

    def parallelize(*given, **options):
        asked.append((options["n_jobs"], options["backend"]))
        return original(*given, **{**options, "backend": backend})

    monkeypatch.setattr(_nhood, "parallelize", parallelize)
    mt.tl.topic_neighborhoods(fitted, n_perms=400, n_jobs=2)
    two = fitted.uns["topic_neighborhoods"]
    mt.tl.topic_neighborhoods(fitted, n_perms=400)
    one = fitted.uns["topic_neighborhoods"]
    assert asked == [(2, "loky"), (1, "loky")]
    pd.testing.assert_frame_equal(one["count"], two["count"])
    np.testing.assert_allclose(one["zscore"], two["zscore"], rtol=0.2, atol=0.4)


def test_missing_observations_and_topics_nowhere_dominant(fitted):
    topics = fitted.obsm["topics"].copy()
    topics.insert(1, "rare", 0.0)
    topics.iloc[:30] = np.nan
    fitted.obsm["some"] = topics
    mt.tl.topic_neighborhoods(fitted, "some", n_perms=50, by="proportion")
    result = fitted.uns["topic_neighborhoods"]
    adjacency = (fitted.obsp["spatial_connectivities"].toarray() > 0).astype(int)[30:, 30:]
    dominant = topics.iloc[30:].idxmax(axis=1).to_numpy()
    np.testing.assert_array_equal(result["count"], pairs(dominant, list(topics.columns), adjacency))
    assert result["zscore"]["rare"].isna().all() and result["zscore"].loc["rare"].isna().all()
    assert result["zscore"].drop(index="rare", columns="rare").notna().all(axis=None)


def test_anndata_and_file(fitted, tmp_path):
    adata = fitted["rna"].copy()
    adata.obsm["topics"] = fitted.obsm["topics"]
    adata.obsp["near_connectivities"] = fitted.obsp["spatial_connectivities"]
    mt.tl.topic_neighborhoods(adata, neighbors_key="near", key_added="close", n_perms=50)
    mt.tl.topic_neighborhoods(fitted, n_perms=50)
    pd.testing.assert_frame_equal(adata.uns["close"]["zscore"], fitted.uns["topic_neighborhoods"]["zscore"])
    fitted.write_h5mu(tmp_path / "a.h5mu")
    read = mt.read.h5mu(tmp_path / "a.h5mu").uns["topic_neighborhoods"]
    np.testing.assert_array_equal(read["zscore"], fitted.uns["topic_neighborhoods"]["zscore"])
    assert list(read["count"].columns) == list(fitted.obsm["topics"].columns)


def test_errors(fitted):
    fitted.obsm["one"] = fitted.obsm["topics"].iloc[:, :1]
    with pytest.raises(ValueError, match=r"obsm\['one'\] has 1 topic"):
        mt.tl.topic_neighborhoods(fitted, "one")
    with pytest.raises(ValueError, match="n_perms=1"):
        mt.tl.topic_neighborhoods(fitted, n_perms=1)
    with pytest.raises(KeyError, match="no neighbour graph 'near'"):
        mt.tl.topic_neighborhoods(fitted, neighbors_key="near")
    assert "topic_neighborhoods" not in fitted.uns
