"""What muon prepares is fitted, and what is fitted muon draws and analyses."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.neighbors import kneighbors_graph

import mtopic as mt

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def mu(monkeypatch):
    import muon

    monkeypatch.setattr(plt, "show", lambda *args, **kwargs: None)
    return muon


def test_filtered_and_normalised_data_are_fitted_by_what_is_left_of_the_raw_counts(mu):
    import scanpy as sc

    mdata = mt.datasets.simulate(150, 4, modalities={"rna": 60, "atac": 90}, depth=300)
    del mdata.obsm["true_topics"]  # mudata 0.3 brings no table in obsm up to date after modalities were filtered
    for adata in mdata.mod.values():
        sc.pp.calculate_qc_metrics(adata, percent_top=None, log1p=False, inplace=True)
    mu.pp.filter_var(mdata["rna"], "total_counts", lambda x: x >= np.median(x))
    mu.pp.filter_obs(mdata["atac"], "total_counts", lambda x: x >= 200)
    mu.pp.intersect_obs(mdata)
    counts = mdata["rna"].X.copy()
    mdata["rna"].layers["counts"] = counts
    mt.tl.topic_model(mdata, 4, n_iter=3, n_jobs=1, verbose=False)
    expected = mdata.obsm["topics"].copy()
    sc.pp.normalize_total(mdata["rna"])
    sc.pp.log1p(mdata["rna"])
    mt.tl.topic_model(mdata, 4, n_iter=3, n_jobs=1, verbose=False)
    assert mdata.n_obs < 150 and 0 < mdata["rna"].n_vars < 60
    assert list(expected.index) == list(mdata.obs_names)
    assert list(mdata["rna"].varm["signatures"].index) == list(mdata["rna"].var_names)
    np.testing.assert_array_equal(mdata.obsm["topics"], expected)


def test_topics_come_along_where_observations_are_filtered(mu, mdata):
    expected = mdata.obsm["topics"][mdata.obs["topic"] == "topic_2"]
    assert 0 < len(expected) < mdata.n_obs
    part = mdata[mdata.obs["topic"] == "topic_2"].copy()
    mu.pp.filter_obs(mdata, "topic", lambda topic: topic == "topic_2")
    for data in (part, mdata):
        assert data.obsm["topics"].equals(expected)
        assert mt.get.topics(data).n_obs == data["rna"].n_obs == len(expected)


def test_prepared_by_muon_a_matrix_is_fitted_as_it_is(mu):
    mdata = mt.datasets.simulate(100, 3, modalities={"atac": 90}, depth=300)
    mu.atac.pp.tfidf(mdata["atac"])
    model = mt.tl.MTM(mdata, 3, n_jobs=1, verbose=False)
    model.VI(2)
    totals = np.asarray(mdata["atac"].X.sum(axis=1)).ravel()
    np.testing.assert_allclose(model.gamma.sum(axis=1), totals + 1, rtol=1e-4)


def test_embedding_of_topics(mu, mdata, drawn):
    topics = mt.get.topics(mdata)
    mu.pl.embedding(topics, basis="spatial", color=["topic_1", "topic"], show=False)
    first, second = [axes for axes in plt.gcf().axes if axes.get_title()]
    np.testing.assert_allclose(drawn(first), np.sort(mdata.obsm["topics"]["topic_1"]))
    labels = [text.get_text() for text in second.get_legend().get_texts()]
    assert labels == list(mdata.obs["topic"].cat.categories)


def test_embedding_of_the_data_by_dominant_topic_and_a_feature(mu, mdata, drawn):
    mdata.obsm["X_map"] = mdata.obsm["spatial"]
    mu.pl.embedding(mdata, basis="X_map", color=["topic", "rna:rna_1"], show=False)
    first, second = [axes for axes in plt.gcf().axes if axes.get_title()]
    colours = {tuple(colour) for points in first.collections for colour in points.get_facecolors().round(3)}
    assert len(colours) == mdata.obs["topic"].nunique()
    np.testing.assert_allclose(drawn(second), np.sort(mdata["rna"].obs_vector("rna_1")))


def by_muon(mdata):
    import muon as mu
    import scanpy as sc

    for adata in mdata.mod.values():
        adata.layers["counts"] = adata.X.copy()
        sc.pp.log1p(adata)
        sc.pp.pca(adata, n_comps=8)
        sc.pp.neighbors(adata, n_neighbors=10)
    # muon writes outside its arrays where it is to compare more neighbours than there are
    mu.pp.neighbors(mdata, key_added="wnn", n_neighbors=10, n_multineighbors=50)


def in_its_form(mdata):
    """As muon writes it, whose own takes minutes to compile."""
    distances = kneighbors_graph(mdata.obsm["spatial"], 10, mode="distance")
    slots = {"connectivities_key": "wnn_connectivities", "distances_key": "wnn_distances"}
    mdata.obsp[slots["distances_key"]] = distances
    mdata.obsp[slots["connectivities_key"]] = (distances > 0).astype(float)
    mdata.uns["wnn"] = {**slots, "params": {"n_neighbors": 10, "use_rep": {"rna": "X_pca", "atac": "X_pca"}}}


@pytest.mark.parametrize("find", [in_its_form, pytest.param(by_muon, marks=pytest.mark.weekly)])
def test_a_graph_of_nearest_neighbours_over_modalities_stands_beside_topics(mdata, find):
    before = mdata.obsm["topics"].copy()
    find(mdata)
    np.testing.assert_array_equal(mdata.obsm["topics"], before)
    mt.tl.topic_autocorr(mdata, neighbors_key="wnn", n_perms=None)
    assert (mdata.uns["topic_autocorr"]["moranI"] > 0.3).all()
    mt.tl.topic_model(mdata, 4, neighbors_key="wnn", strength=1, n_iter=3, key_added="P", n_jobs=1, verbose=False)
    assert mdata.uns["P_mtopic"]["params"]["neighbors_key"] == "wnn"
    carried = mt.get.topics(mdata)
    assert (carried.obsp["wnn_connectivities"] != mdata.obsp["wnn_connectivities"]).nnz == 0
    assert carried.uns["wnn"]["connectivities_key"] == "wnn_connectivities"
