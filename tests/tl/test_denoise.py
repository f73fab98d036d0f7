import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import mtopic as mt


@pytest.fixture(scope="module")
def fitted():
    """A fit with an incomplete modality, whose observations have an order of their own; not to be changed."""
    mdata = mt.datasets.simulate(200, 4, modalities={"rna": 60, "atac": 80}, spatial=False, missing={"atac": 0.3})
    mt.tl.topic_model(mdata, 4, verbose=False, n_jobs=1)
    return mdata


def of_formula(mdata, mod, features):
    """Rates by plain NumPy, observations of the data × features."""
    lam = mdata[mod].varm["signatures"].astype(float)
    return mdata.obsm["topics"] @ (lam / lam.sum()).loc[features].T


def test_expected_counts_are_those_of_the_formula(fitted, fingerprint):
    mdata, features = fitted.copy(), ["chr1:11000-11500", "chr1:1000-1500", "chr1:6000-6500"]
    before = fingerprint(mdata)
    assert mt.tl.denoise(mdata, "atac", features) is None
    adata = mdata["atac"]
    layer = adata.layers.pop("denoised")
    assert list(mdata.uns["mtopic"].pop("results").index) == ["atac:layers:denoised"]
    assert fingerprint(mdata) == before
    assert layer.format == "csr" and layer.dtype == np.float32 and layer.shape == adata.shape
    assert layer.nnz == 3 * adata.n_obs and layer.has_canonical_format
    columns = adata.var_names.get_indexer(features)
    expected = of_formula(mdata, "atac", features).loc[adata.obs_names]
    totals = np.asarray(adata.X.sum(axis=1))
    np.testing.assert_allclose(layer[:, columns].toarray(), expected * totals, rtol=1e-5)
    assert set(layer.indices) == set(columns)


def test_rates_of_an_anndata(fitted):
    adata = fitted["rna"].copy()
    mt.tl.topic_model(adata, 3, n_iter=5, verbose=False, n_jobs=1)
    mt.tl.denoise(adata, None, list(adata.var_names), rates=True, layer="rates")
    np.testing.assert_allclose(adata.layers["rates"].sum(axis=1), 1, rtol=1e-5)
    mt.tl.denoise(adata, None, "rna_3", layer="rates")
    assert adata.layers["rates"].nnz == adata.n_obs, "a layer of that name is replaced"


def test_totals_are_kept(fitted):
    """All expected counts of an observation are as many as it has."""
    every = list(fitted["rna"].var_names)
    table = mt.get.expected_counts(fitted, "rna", every)
    np.testing.assert_allclose(table.sum(axis=1), np.asarray(fitted["rna"].X.sum(axis=1)).ravel(), rtol=1e-5)


def test_a_modality_that_is_missing(fitted):
    features = ["chr1:6000-6500", "chr1:1000-1500"]
    counts, rates = (mt.get.expected_counts(fitted, "atac", features, rates=rates) for rates in (False, True))
    lacking = fitted.obs_names.difference(fitted["atac"].obs_names)
    assert counts.isna().all(axis=1).sum() == len(lacking) > 0
    assert counts.loc[lacking].isna().all(axis=None) and not counts.drop(lacking).isna().any(axis=None)
    pd.testing.assert_frame_equal(rates, of_formula(fitted, "atac", features), check_names=False)


def test_what_is_missing_can_be_foretold():
    """Counts of a modality that was hidden from a third of the observations."""
    mdata = mt.datasets.simulate(400, 4, modalities={"rna": 100, "atac": 100}, depth=500, spatial=False)
    full = mdata["atac"].copy()
    mdata.mod["atac"] = full[:270].copy()
    mdata.update()
    mt.tl.topic_model(mdata, 4, verbose=False, n_jobs=1)
    marker = full.var_names[np.asarray(full.X.sum(axis=0)).ravel().argsort()[-5:]]
    hidden = full.obs_names[270:]
    rates = mt.get.expected_counts(mdata, "atac", list(marker), rates=True).loc[hidden]
    counts = full[hidden, marker].X.toarray()
    correlation = [np.corrcoef(rates.iloc[:, i], counts[:, i])[0, 1] for i in range(5)]
    assert min(correlation) > 0.6


def test_counts_are_those_of_the_fit(fitted):
    """Raw counts after topic_model whatever X has become; X after a fit to prepared counts."""
    mdata, feature = fitted.copy(), "rna_3"
    raw = mt.get.expected_counts(mdata, "rna", feature)
    mt.pp.scale_counts(mdata)
    pd.testing.assert_frame_equal(mt.get.expected_counts(mdata, "rna", feature), raw)
    model = mt.tl.MTM(mdata, 4, n_jobs=1, verbose=False)
    model.VI(30)
    mt.tl.export_params(model, mdata)
    prepared = mt.get.expected_counts(mdata, "rna", list(mdata["rna"].var_names))
    np.testing.assert_allclose(prepared.sum(axis=1), np.asarray(mdata["rna"].X.sum(axis=1)).ravel(), rtol=1e-4)


def test_topics_that_are_missing(fitted):
    mdata = fitted.copy()
    mdata.obsm["topics"] = mdata.obsm["topics"].copy()
    mdata.obsm["topics"].iloc[3] = np.nan
    found = mt.get.expected_counts(mdata, "rna", ["rna_0", "rna_1"])
    assert found.iloc[3].isna().all() and not found.drop(mdata.obs_names[3]).isna().any(axis=None)


def test_copy_prefix_and_file(fitted, tmp_path, fingerprint):
    mdata = fitted.copy()
    mt.tl.topic_model(mdata, 3, n_iter=5, verbose=False, n_jobs=1, key_added="my")
    before = fingerprint(mdata)
    copied = mt.tl.denoise(mdata, "rna", "rna_1", prefix="my", copy=True)
    assert fingerprint(mdata) == before and "denoised" not in mdata["rna"].layers
    lam = mdata["rna"].varm["my_signatures"].astype(float)
    rate = mdata.obsm["my_topics"] @ (lam / lam.sum()).loc["rna_1"]
    rate = rate * np.asarray(mdata["rna"].X.sum(axis=1)).ravel()
    np.testing.assert_allclose(copied["rna"].layers["denoised"][:, [1]].toarray().ravel(), rate, rtol=1e-5)
    copied.write_h5mu(tmp_path / "fit.h5mu")
    read = mt.read.h5mu(tmp_path / "fit.h5mu")
    assert (read["rna"].layers["denoised"] != copied["rna"].layers["denoised"]).nnz == 0


def test_errors(fitted, fingerprint):
    mdata = fitted.copy()
    before = fingerprint(mdata)
    for function in (mt.tl.denoise, mt.get.expected_counts):
        with pytest.raises(KeyError, match="no feature 'rna1' in modality 'rna'; did you mean 'rna_1"):
            function(mdata, "rna", ["rna_2", "rna1"])
        with pytest.raises(ValueError, match="features is empty"):
            function(mdata, "rna", [])
        with pytest.raises(ValueError, match="features names 'rna_2' twice"):
            function(mdata, "rna", ["rna_2", "rna_2"])
        with pytest.raises(ValueError, match="say which modality"):
            function(mdata, None, "rna_2")
        with pytest.raises(KeyError, match="no signatures 'my_signatures'"):
            function(mdata, "rna", "rna_2", prefix="my")
    for layer in ("counts", "a/b"):
        with pytest.raises(ValueError, match=f"layer='{layer}'"):
            mt.tl.denoise(mdata, "rna", "rna_2", layer=layer)
    mdata["rna"].varm["signatures"] = mdata["rna"].varm["signatures"].iloc[:, :3]
    with pytest.raises(ValueError, match="modality 'rna' has other topics than the proportions"):
        mt.tl.denoise(mdata, "rna", "rna_2")
    mdata["rna"].varm["signatures"] = fitted["rna"].varm["signatures"]
    assert fingerprint(mdata) == before
    del mdata.uns["mtopic"]
    with pytest.raises(KeyError, match="no fit 'mtopic' in uns"):
        mt.tl.denoise(mdata, "rna", "rna_2")


def hidden_tenth(mdata, mod):
    """Take a tenth of a modality's counts away at random, and give it back."""
    x = csr_matrix(mdata[mod].X, dtype=np.float32)
    away, left = x.copy(), x.copy()
    away.data = np.random.default_rng(0).binomial(x.data.astype(int), 0.1).astype(np.float32)
    left.data = x.data - away.data
    mdata[mod].X = left
    return away


def correlations(values, hidden):
    return np.array([np.corrcoef(v, h)[0, 1] for v, h in zip(values.T, hidden.T, strict=True)])


@pytest.mark.slow
def test_hidden_counts_of_real_genes(real_mudata):
    """Genes of few counts are foretold better by the fit than by the other nine tenths of their counts."""
    mdata = real_mudata("snareseq_small")
    hidden = hidden_tenth(mdata, "rna")
    mt.tl.topic_model(mdata, 15, n_iter=100, verbose=False)
    order = np.argsort(-np.asarray(mdata["rna"].X.sum(axis=0)).ravel())[50:1000]
    chosen = order[np.asarray(hidden[:, order].sum(axis=0)).ravel() >= 10]
    mt.tl.denoise(mdata, "rna", list(mdata["rna"].var_names[chosen]))
    held = hidden[:, chosen].toarray()
    ours = correlations(mdata["rna"].layers["denoised"][:, chosen].toarray(), held)
    raw = correlations(mdata["rna"].X[:, chosen].toarray(), held)
    assert ours.mean() > raw.mean() and (ours > raw).mean() > 0.55


@pytest.mark.slow
def test_hidden_counts_of_real_proteins(real_mudata):
    """Hundreds of counts tell more than topics do, which nonetheless know the proteins."""
    mdata = real_mudata("cite_pbmc1k_small")
    hidden = hidden_tenth(mdata, "prot")
    mt.tl.topic_model(mdata, 10, n_iter=100, verbose=False)
    mt.tl.denoise(mdata, "prot", list(mdata["prot"].var_names))
    ours = correlations(mdata["prot"].layers["denoised"].toarray(), hidden.toarray())
    depth = np.repeat(np.asarray(mdata["prot"].X.sum(axis=1)), mdata["prot"].n_vars, axis=1)
    by_depth = correlations(depth, hidden.toarray())
    assert np.nanmean(ours) > 0.7 and np.nanmean(ours) > np.nanmean(by_depth) + 0.2


def test_an_anndata_needs_no_name_of_a_modality(fitted):
    adata = fitted["rna"].copy()
    mt.tl.topic_model(adata, 3, n_iter=5, verbose=False)
    mt.tl.denoise(adata, features="rna_2")
    expected = mt.get.expected_counts(adata, features="rna_2")
    assert expected.equals(mt.get.expected_counts(adata, "X", "rna_2"))
    np.testing.assert_allclose(adata.layers["denoised"][:, [2]].toarray(), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="features is empty"):
        mt.tl.denoise(adata)
