import contextlib

import anndata
import numpy as np
import pytest

import mtopic as mt


def fitted(data, cls=mt.tl.MTM, **kwargs):
    model = cls(data, n_topics=4, n_jobs=1, verbose=False, **kwargs)
    model.VI(5)
    return model


def test_slots(tissue):
    model = fitted(tissue)
    mt.tl.export_params(model, tissue)
    topics = tissue.obsm["topics"]
    assert list(topics.columns) == ["topic_1", "topic_2", "topic_3", "topic_4"]
    assert list(topics.index) == list(tissue.obs_names)
    np.testing.assert_allclose(topics, model.gamma / model.gamma.sum(axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(topics.sum(axis=1), 1, rtol=1e-12)
    for mod in tissue.mod:
        signatures = tissue[mod].varm["signatures"]
        assert list(signatures.index) == list(tissue[mod].var_names)
        assert list(signatures.columns) == list(topics.columns)
        np.testing.assert_array_equal(signatures.to_numpy(), model.lambda_[mod].T)
    record = tissue.uns["mtopic"]
    assert record["version"] == mt.__version__
    assert list(record["elbo"]) == model.elbo
    assert record["params"].pop("n_counts") == sum(adata.X.sum() for adata in tissue.mod.values())
    assert record["params"].pop("dtype") == "float32"
    assert record["params"].pop("schedule") == "fast"
    assert record["params"].pop("inference") == "variational"
    assert not record["params"].pop("converged")
    assert record["params"].pop("count_scale") == 1
    assert record["params"].pop("modality_weights") == {"rna": 1, "atac": 1}
    expected = {"model": "MTM", "n_topics": 4, "alpha": 0.25, "eta": 0.01, "n_iter": 5, "raw": False, "seed": 2291}
    assert record["params"] == expected


def with_small_topics(model):
    """Topic 2 is nowhere above 0.01, topic 4 nowhere above 0.2."""
    share = np.array([[0.6, 0.005, 0.3, 0.095], [0.3, 0.001, 0.5, 0.199]])
    model._run.fit.posterior.gamma = 1000 * share[np.arange(model.gamma.shape[0]) % 2]
    return model


def test_topics_that_no_observation_has_are_dropped_and_rows_still_sum_to_one(tissue):
    model = with_small_topics(fitted(tissue))
    mt.tl.export_params(model, tissue)
    assert list(tissue.obsm["topics"].columns) == ["topic_1", "topic_3", "topic_4"]
    assert list(tissue["rna"].varm["signatures"].columns) == ["topic_1", "topic_3", "topic_4"]
    np.testing.assert_allclose(tissue.obsm["topics"].sum(axis=1), 1, rtol=1e-12)
    assert tissue.obsm["topics"].iloc[0, 0] == pytest.approx(0.6 / 0.995)
    mt.tl.export_params(model, tissue, filter_threshold=0.2)
    assert list(tissue.obsm["topics"].columns) == ["topic_1", "topic_3"]
    mt.tl.export_params(model, tissue, filter_topics=False)
    assert tissue.obsm["topics"].shape[1] == 4
    mt.tl.export_params(model, tissue, normalize=False)
    np.testing.assert_array_equal(tissue.obsm["topics"], model.gamma[:, [0, 2, 3]])
    with pytest.raises(ValueError, match="filter_topics=False"):
        mt.tl.export_params(model, tissue, filter_threshold=0.9)


def test_prefix(tissue):
    mt.tl.export_params(fitted(tissue), tissue, "first")
    assert "first_topics" in tissue.obsm
    assert "topics" not in tissue.obsm
    assert "first_signatures" in tissue["atac"].varm
    assert "first_mtopic" in tissue.uns


def test_the_record_of_preparation_survives_on_an_anndata(tissue):
    adata = tissue["rna"].copy()
    mt.pp.tfidf(adata)
    mt.tl.export_params(fitted(adata), adata)
    assert list(adata.uns["mtopic"]["steps"]) == ["tfidf"]
    assert "elbo" in adata.uns["mtopic"]
    assert adata.varm["signatures"].shape == (60, 4)


def test_a_graph_is_stored_as_squidpy_stores_it(tissue):
    model = fitted(tissue, mt.tl.sMTM, radius=0.2)
    mt.tl.export_params(model, tissue)
    record = tissue.uns["spatial_neighbors"]
    assert record["connectivities_key"] == "spatial_connectivities"
    assert record["distances_key"] == "spatial_distances"
    side = np.ptp(tissue.obsm["spatial"], axis=0).max()
    assert record["params"]["radius"] == pytest.approx(0.2 * side)
    assert (tissue.obsp["spatial_connectivities"] != model.graph.connectivities).nnz == 0
    mt.tl.export_params(model, tissue)
    assert set(tissue.obsp) == {"spatial_connectivities", "spatial_distances"}


def test_a_graph_of_the_user_is_left_alone(tissue):
    mine = np.eye(150)
    tissue.obsp["spatial_connectivities"] = mine
    mt.tl.export_params(fitted(tissue, mt.tl.sMTM, radius=0.2), tissue)
    np.testing.assert_array_equal(tissue.obsp["spatial_connectivities"], mine)
    assert "mtopic_spatial_connectivities" in tissue.obsp
    assert tissue.uns["mtopic_spatial_neighbors"]["distances_key"] == "mtopic_spatial_distances"


def test_graphs_of_others_are_left_alone(tissue):
    model = fitted(tissue, mt.tl.sMTM, radius=0.2)
    for prefix in (None, "a", "b"):
        mt.tl.export_params(model, tissue, prefix)
    keys = [tissue.uns[f"{head}mtopic"]["params"]["stored_graph"] for head in ("", "a_", "b_")]
    assert keys == ["spatial", "a_mtopic_spatial", "b_mtopic_spatial"]
    rebuilt = np.eye(150)
    tissue.obsp["spatial_connectivities"] = rebuilt
    tissue.uns["spatial_neighbors"] = {"params": {"n_neighbors": 1}}
    mt.tl.export_params(model, tissue)
    np.testing.assert_array_equal(tissue.obsp["spatial_connectivities"], rebuilt)
    assert tissue.uns["mtopic"]["params"]["stored_graph"] == "mtopic_spatial"


@pytest.mark.parametrize("slot", ["obsp", "uns"])
def test_a_lone_entry_of_the_user_takes_the_name(tissue, slot):
    if slot == "obsp":
        tissue.obsp["spatial_distances"] = np.eye(150)
    else:
        tissue.uns["spatial_neighbors"] = {"mine": 1}
    mt.tl.export_params(fitted(tissue, mt.tl.sMTM, radius=0.2), tissue)
    assert "mtopic_spatial_connectivities" in tissue.obsp
    assert "spatial_connectivities" not in tissue.obsp


def test_a_view_gets_everything(tissue):
    view = tissue[:100]
    model = fitted(view)
    with pytest.warns(anndata.ImplicitModificationWarning) if view["rna"].is_view else contextlib.nullcontext():
        mt.tl.export_params(model, view)
    assert view.obsm["topics"].shape == (100, 4)
    assert view["rna"].varm["signatures"].shape == (60, 4)
    assert "topics" not in tissue.obsm


def test_bad_names_are_refused_before_anything_is_written(tissue):
    model = fitted(tissue)
    with pytest.raises(ValueError, match="prefix='a/b'"):
        mt.tl.export_params(model, tissue, "a/b")
    tissue.uns["mtopic"] = "a note"
    with pytest.raises(ValueError, match="that mtopic did not write"):
        mt.tl.export_params(model, tissue)
    assert not {"topics", "a/b_topics"} & set(tissue.obsm)


def test_the_order_of_modalities_does_not_matter(tissue):
    model = fitted(tissue)
    turned = type(tissue)({"atac": tissue["atac"], "rna": tissue["rna"]})
    mt.tl.export_params(model, turned)
    np.testing.assert_array_equal(turned["rna"].varm["signatures"].to_numpy(), model.lambda_["rna"].T)


def test_features_and_graph_are_matched_by_name(tissue):
    model = fitted(tissue, mt.tl.sMTM, radius=0.2)
    order = np.random.default_rng(0).permutation(150)
    rna, atac = tissue["rna"][:, ::-1].copy(), tissue["atac"].copy()
    turned = type(tissue)({"rna": rna, "atac": atac})[tissue.obs_names[order]].copy()
    mt.tl.export_params(model, turned)
    np.testing.assert_array_equal(turned["rna"].varm["signatures"].to_numpy(), model.lambda_["rna"].T[::-1])
    full = model.graph.connectivities.toarray()
    np.testing.assert_array_equal(turned.obsp["spatial_connectivities"].toarray(), full[order][:, order])


def test_names_are_matched_when_the_order_has_changed(tissue):
    model = fitted(tissue)
    order = np.random.default_rng(0).permutation(tissue.n_obs)
    shuffled = tissue[tissue.obs_names[order]].copy()
    mt.tl.export_params(model, tissue)
    mt.tl.export_params(model, shuffled)
    assert list(shuffled.obsm["topics"].index) == list(tissue.obs_names[order])
    np.testing.assert_array_equal(shuffled.obsm["topics"], tissue.obsm["topics"].iloc[order])


def test_model_and_data_must_belong_together(tissue):
    model = fitted(tissue)
    part = tissue[:100].copy()
    with pytest.raises(ValueError, match="0 observations of the data are not in the model and 50 of the model"):
        mt.tl.export_params(model, part)
    assert "topics" not in part.obsm
    renamed = tissue.copy()
    renamed["rna"].var_names = [f"other_{v}" for v in range(60)]
    with pytest.raises(ValueError, match="60 features of modality 'rna'"):
        mt.tl.export_params(model, renamed)
    assert "topics" not in renamed.obsm
    with pytest.raises(ValueError, match=r"modalities \['rna', 'atac'\]"):
        mt.tl.export_params(model, tissue["rna"])


def test_export_before_fit(tissue):
    with pytest.raises(ValueError, match=r"not fitted yet: call model.VI\(\)"):
        mt.tl.export_params(mt.tl.MTM(tissue, 4, verbose=False), tissue)


def test_what_is_written_can_be_written_to_disk(tissue, tmp_path):
    mt.pp.tfidf(tissue, mod="rna")
    mt.pp.scale_counts(tissue)
    mt.tl.export_params(fitted(tissue, mt.tl.sMTM, radius=0.2), tissue)
    mt.tl.zscores(tissue, mod="rna")
    tissue.write_h5mu(tmp_path / "trained.h5mu")
    again = mt.read.h5mu(tmp_path / "trained.h5mu")
    np.testing.assert_array_equal(again.obsm["topics"], tissue.obsm["topics"])
    np.testing.assert_array_equal(again["rna"].varm["signatures"], tissue["rna"].varm["signatures"])
    np.testing.assert_array_equal(again["rna"].obsm["zscores"], tissue["rna"].obsm["zscores"])
    assert again.uns["mtopic"]["params"]["stored_graph"] == "spatial"
    assert mt.pp._prepare.steps(again["rna"]) == ["tfidf", "scale_counts"]
    adata = tissue["rna"].copy()
    mt.tl.topic_model(adata, 4, verbose=False)
    adata.write_h5ad(tmp_path / "trained.h5ad")
    np.testing.assert_array_equal(anndata.read_h5ad(tmp_path / "trained.h5ad").obsm["topics"], adata.obsm["topics"])
