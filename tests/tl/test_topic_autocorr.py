import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import mtopic as mt

GRAPH = "spatial_connectivities"


@pytest.fixture
def fitted(tissue):
    mt.tl.topic_model(tissue, 4, spatial_key="spatial", verbose=False, n_jobs=1)
    return tissue


def moran(x, weights):
    weights = weights / weights.sum(axis=1, keepdims=True)
    z = x - x.mean()
    return len(x) / weights.sum() * (z @ weights @ z) / (z @ z)


def geary(x, weights):
    weights = weights / weights.sum(axis=1, keepdims=True)
    z = x - x.mean()
    squares = (x[:, None] - x[None]) ** 2
    return (len(x) - 1) / (2 * weights.sum()) * (weights * squares).sum() / (z @ z)


def test_statistics(fitted, fingerprint):
    before = fingerprint(fitted.mod)
    mt.tl.topic_autocorr(fitted)
    result = fitted.uns["topic_autocorr"]
    weights = fitted.obsp[GRAPH].toarray().astype(float)
    assert list(result.index) == list(fitted.obsm["topics"].columns)
    assert list(result.columns) == [
        f"{statistic}{rest}"
        for statistic in ("moranI", "gearyC")
        for rest in ("", "_pval_norm", "_var_norm", "_pval_norm_fdr_bh")
    ]
    for topic, row in result.iterrows():
        x = fitted.obsm["topics"][topic].to_numpy()
        assert row["moranI"] == pytest.approx(moran(x, weights), rel=1e-5)
        assert row["gearyC"] == pytest.approx(geary(x, weights), rel=1e-5)
    assert (result["moranI_pval_norm"] < 1e-6).all()
    assert before == fingerprint(fitted.mod)


def test_topics_placed_at_random(fitted):
    shuffled = fitted.obsm["topics"].sample(frac=1, random_state=0)
    fitted.obsm["shuffled"] = shuffled.set_axis(fitted.obs_names)
    mt.tl.topic_autocorr(fitted, "shuffled", two_tailed=True)
    result = fitted.uns["topic_autocorr"]
    assert (result["moranI"].abs() < 0.15).all() and ((result["gearyC"] - 1).abs() < 0.15).all()
    assert (result["moranI_pval_norm"] > 0.01).all()


def test_permutations_are_deterministic(fitted):
    results = []
    for rng in (0, 0, 1, np.random.default_rng(0)):
        mt.tl.topic_autocorr(fitted, n_perms=20, rng=rng)
        results.append(fitted.uns["topic_autocorr"])
    pd.testing.assert_frame_equal(results[0], results[1])
    pd.testing.assert_frame_equal(results[0], results[3])
    assert not results[0]["moranI_var_sim"].equals(results[2]["moranI_var_sim"])
    assert results[0]["moranI_pval_sim"].to_numpy() == pytest.approx(1 / 21)


def test_missing_observations_and_constant_topics(fitted):
    topics = fitted.obsm["topics"]
    even = pd.DataFrame({"a": 0.5, "b": 0.4 * topics["topic_1"], "c": 0.5 - 0.4 * topics["topic_1"]})
    even.iloc[::5] = np.nan
    fitted.obsm["even"] = even
    mt.tl.topic_autocorr(fitted, "even")
    result = fitted.uns["topic_autocorr"]
    assert list(result.index) == ["a", "b", "c"]
    assert result.loc["a"].isna().all() and result.loc[["b", "c"]].notna().all(axis=None)
    kept = np.arange(150) % 5 != 0
    part = fitted.obsp[GRAPH].toarray().astype(float)[kept][:, kept]
    part = part[part.sum(axis=1) > 0][:, part.sum(axis=1) > 0]
    assert len(part) == kept.sum()
    assert result.loc["b", "moranI"] == pytest.approx(moran(even["b"][kept].to_numpy(), part), rel=1e-5)


def test_anndata_and_file(fitted, tmp_path):
    adata = fitted["rna"].copy()
    adata.obsm["topics"] = fitted.obsm["topics"]
    adata.obsp["near_connectivities"] = fitted.obsp[GRAPH]
    mt.tl.topic_autocorr(adata, neighbors_key="near", key_added="auto")
    mt.tl.topic_autocorr(fitted)
    pd.testing.assert_frame_equal(adata.uns["auto"], fitted.uns["topic_autocorr"])
    adata.write_h5ad(tmp_path / "a.h5ad")
    read = anndata.read_h5ad(tmp_path / "a.h5ad").uns["auto"]
    pd.testing.assert_frame_equal(read, adata.uns["auto"], check_index_type=False, check_column_type=False)


def test_nothing_to_compare(fitted):
    fitted.obsm["same"] = pd.DataFrame(0.25, index=fitted.obs_names, columns=list("abcd"))
    with pytest.raises(ValueError, match=r"obsm\['same'\]: every topic is equal everywhere"):
        mt.tl.topic_autocorr(fitted, "same")
    fitted.obsp["none_connectivities"] = csr_matrix((150, 150))
    with pytest.raises(ValueError, match=r"obsp\['none_connectivities'\] is empty"):
        mt.tl.topic_autocorr(fitted, neighbors_key="none")
    with pytest.raises(ValueError, match="n_perms=0"):
        mt.tl.topic_autocorr(fitted, n_perms=0)
    assert "topic_autocorr" not in fitted.uns
