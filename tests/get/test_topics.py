import warnings
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

import mtopic


@pytest.fixture
def mdata():
    mdata = mtopic.datasets.simulate(60, 4, modalities={"rna": 20, "prot": 6})
    mdata.obsm["topics"] = mdata.obsm["true_topics"].copy()
    mdata.obsm["umap"] = pd.DataFrame(
        np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32),
        index=mdata.obs_names,
        columns=["umap_1", "umap_2"],
    )
    mdata.obs["layer"] = pd.Categorical(np.resize(["deep", "upper"], 60))
    mdata.uns["layer_colors"] = ["#112233", "#445566"]
    mdata.obsp["spatial_connectivities"] = csr_matrix(np.eye(60, k=1) + np.eye(60, k=-1))
    mdata.uns["spatial_neighbors"] = {"connectivities_key": "spatial_connectivities", "params": {"n_neighbors": 2}}
    return mdata


def as_mudata(mdata):
    return mdata


def as_anndata(mdata):
    return AnnData(
        np.ones((60, 2)),
        obs=mdata.obs.copy(),
        obsm={name: mdata.obsm[name].copy() for name in mdata.obsm if name not in mdata.mod},
        obsp={name: mdata.obsp[name].copy() for name in mdata.obsp},
        uns=dict(mdata.uns),
    )


def as_view(mdata):
    return as_anndata(mdata)[5:50]


@pytest.mark.parametrize("kind", [as_mudata, as_anndata])
def test_what_is_carried(mdata, kind):
    data = kind(mdata)
    adata = mtopic.get.topics(data)
    np.testing.assert_array_equal(adata.X, mdata.obsm["topics"])
    assert adata.X.dtype == np.float64
    assert list(adata.var_names) == ["topic_1", "topic_2", "topic_3", "topic_4"]
    assert list(adata.obs_names) == list(mdata.obs_names)
    assert list(adata.obs["layer"]) == list(mdata.obs["layer"])
    assert list(adata.uns["layer_colors"]) == ["#112233", "#445566"]
    assert set(adata.obsm) == {"spatial", "true_topics", "umap", "X_umap"}
    assert isinstance(adata.obsm["true_topics"], pd.DataFrame)
    for name in ("umap", "X_umap"):
        assert isinstance(adata.obsm[name], np.ndarray)
        np.testing.assert_array_equal(adata.obsm[name], mdata.obsm["umap"])
    assert (adata.obsp["spatial_connectivities"] != mdata.obsp["spatial_connectivities"]).nnz == 0
    assert adata.uns["spatial_neighbors"]["params"] == {"n_neighbors": 2}


@pytest.mark.parametrize("kind", [as_mudata, as_anndata, as_view])
def test_nothing_is_shared(mdata, kind):
    data = kind(mdata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        before = data.copy()
    adata = mtopic.get.topics(data)
    assert not adata.is_view
    adata.X[:] = -1
    adata.obs["layer"] = adata.obs["layer"].cat.rename_categories({"deep": "other"})
    adata.obs["new"] = 1
    adata.obsm["true_topics"].iloc[:, :] = -1
    for name in ("spatial", "umap", "X_umap"):
        adata.obsm[name][:] = -1
    adata.obsp["spatial_connectivities"].data[:] = -1
    adata.uns["layer_colors"][0] = "#ffffff"
    adata.uns["spatial_neighbors"]["params"]["n_neighbors"] = 9
    assert list(data.obs["layer"]) == list(before.obs["layer"]) and "new" not in data.obs
    for name in before.obsm:
        np.testing.assert_array_equal(data.obsm[name], before.obsm[name])
    assert (data.obsp["spatial_connectivities"] != before.obsp["spatial_connectivities"]).nnz == 0
    assert list(data.uns["layer_colors"]) == ["#112233", "#445566"]
    assert data.uns["spatial_neighbors"]["params"]["n_neighbors"] == 2
    np.testing.assert_array_equal(adata.obsm["X_umap"], -1)


def test_array_and_other_key(mdata):
    mdata.obsm["P_topics"] = mdata.obsm["topics"].to_numpy(dtype=np.float32)
    adata = mtopic.get.topics(mdata, key="P_topics")
    assert list(adata.var_names) == ["topic_1", "topic_2", "topic_3", "topic_4"]
    assert adata.X.dtype == np.float64
    assert "topics" in adata.obsm and "P_topics" not in adata.obsm


def test_unknown_key(mdata):
    with pytest.raises(KeyError, match=r"no table 'topcs' in obsm of the data; did you mean 'topics'.*export_params"):
        mtopic.get.topics(mdata, key="topcs")
    with pytest.raises(KeyError, match="no table 'rna'"):
        mtopic.get.topics(mdata, key="rna")


def test_coordinates_as_a_table_named_coords(mdata):
    points = mdata.obsm.pop("spatial")
    mdata.obsm["coords"] = pd.DataFrame(points, index=mdata.obs_names, columns=["x", "y"])
    adata = mtopic.get.topics(mdata)
    assert isinstance(adata.obsm["spatial"], np.ndarray) and adata.obsm["spatial"].dtype == np.float64
    np.testing.assert_array_equal(adata.obsm["spatial"], points)


def test_coordinates_images_and_colours_of_a_modality():
    mdata = mtopic.datasets.simulate(50, 3, missing={"prot": 0.3}, modalities={"rna": 20, "prot": 6})
    points = pd.DataFrame(mdata.obsm.pop("spatial"), index=mdata.obs_names)
    mdata["rna"].obsm["spatial"] = points.loc[mdata["rna"].obs_names].to_numpy().astype(int)
    mdata["rna"].uns["spatial"] = {"slide": {"images": {"hires": np.zeros((4, 4))}}}
    mdata["rna"].uns["kind_colors"] = ["#000000", "#ffffff"]
    mdata.obs["rna:kind"] = pd.Categorical(np.resize(["p", "q"], 50))
    adata = mtopic.get.topics(mdata, key="true_topics")
    np.testing.assert_array_equal(adata.obsm["spatial"], points.to_numpy().astype(int))
    assert adata.obsm["spatial"].dtype == np.float64
    assert list(adata.uns["rna:kind_colors"]) == ["#000000", "#ffffff"]
    adata.uns["spatial"]["slide"]["images"]["hires"][:] = 1
    assert mdata["rna"].uns["spatial"]["slide"]["images"]["hires"].sum() == 0


def test_images_of_several_modalities():
    mdata = mtopic.datasets.simulate(50, 3, modalities={"rna": 20, "prot": 6})
    one, other = {"images": {"hires": np.zeros((4, 4))}, "scale": 1.0}, {"images": {"hires": np.ones((4, 4))}}
    mdata["rna"].uns["spatial"], mdata["prot"].uns["spatial"] = {"a": one}, {"a": deepcopy(one), "b": other}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert set(mtopic.get.topics(mdata, key="true_topics").uns["spatial"]) == {"a", "b"}
    mdata["prot"].uns["spatial"]["a"] = other
    with pytest.warns(
        UserWarning, match=r"'rna' and 'prot' have different images uns\['spatial'\]\['a'\].*that of 'rna'"
    ):
        assert mtopic.get.topics(mdata, key="true_topics").uns["spatial"]["a"]["scale"] == 1
    mdata.uns["spatial"] = {"a": other}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert "scale" not in mtopic.get.topics(mdata, key="true_topics").uns["spatial"]["a"]


def test_no_coordinates():
    mdata = mtopic.datasets.simulate(50, 3, spatial=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        adata = mtopic.get.topics(mdata, key="true_topics")
    assert set(adata.obsm) == set()


def test_broken_coordinates_do_not_keep_the_topics_back(mdata):
    mdata.obsm["spatial"][3, 0] = np.nan
    with pytest.warns(
        UserWarning, match="without obsm.'spatial'.*not finite for 1 observations, the first is 'spot_3'"
    ) as said:
        adata = mtopic.get.topics(mdata)
    assert "spatial" not in adata.obsm
    assert said[0].filename == __file__


def test_no_basis_but_a_table_of_three_topics():
    mdata = mtopic.datasets.simulate(50, 3, spatial=False)
    mdata.obsm["topics"] = mdata.obsm["true_topics"].copy()
    adata = mtopic.get.topics(mdata)
    assert isinstance(adata.obsm["true_topics"], pd.DataFrame)
    assert "X_true_topics" not in adata.obsm


def test_writes(mdata, tmp_path):
    from anndata import read_h5ad

    adata = mtopic.get.topics(mdata)
    adata.write_h5ad(tmp_path / "topics.h5ad")
    np.testing.assert_array_equal(read_h5ad(tmp_path / "topics.h5ad").X, adata.X)


@pytest.fixture
def no_plot_windows(monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda *args, **kwargs: None)


def drawn(axes):
    """Positions and values of the points in Axes."""
    points = next(c for c in axes.collections if len(c.get_offsets()) > 1)
    return np.asarray(points.get_offsets()), np.asarray(points.get_array())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
class TestOtherPackages:
    def test_squidpy_spatial_scatter(self, mdata):
        import squidpy as sq

        adata = mtopic.get.topics(mdata)
        axes = sq.pl.spatial_scatter(adata, color="topic_1", shape=None, return_ax=True)
        positions, values = drawn(axes)
        np.testing.assert_allclose(positions, adata.obsm["spatial"])
        np.testing.assert_allclose(values, adata[:, "topic_1"].X.ravel())

    def test_squidpy_spatial_autocorr(self):
        import squidpy as sq

        mdata = mtopic.datasets.simulate(300, 4, modalities={"rna": 5})
        adata = mtopic.get.topics(mdata, key="true_topics")
        sq.gr.spatial_neighbors_knn(adata, n_neighs=6)
        sq.gr.spatial_autocorr(adata, mode="moran", n_perms=None)
        moran = adata.uns["moranI"]["I"]
        assert set(moran.index) == {"topic_1", "topic_2", "topic_3", "topic_4"}
        assert (moran > 0.7).all()

    def test_squidpy_takes_the_graph_that_is_carried(self, mdata):
        import squidpy as sq

        adata = mtopic.get.topics(mdata)
        sq.gr.spatial_autocorr(adata, mode="moran", n_perms=None)
        assert np.isfinite(adata.uns["moranI"]["I"]).all()

    @pytest.mark.parametrize(("basis", "slot"), [("spatial", "spatial"), ("umap", "X_umap")])
    def test_scanpy_embedding(self, mdata, basis, slot):
        import scanpy as sc

        adata = mtopic.get.topics(mdata)
        axes = sc.pl.embedding(adata, basis=basis, color=["topic_1", "layer"], show=False)
        positions, values = drawn(axes[0])
        order = np.argsort(adata.obs_vector("topic_1"), kind="stable")
        np.testing.assert_allclose(positions, adata.obsm[slot][order])
        np.testing.assert_allclose(values, adata.obs_vector("topic_1")[order])
        colours = {tuple(np.round(255 * c[:3]).astype(int)) for c in axes[1].collections[0].get_facecolors()}
        assert colours == {(0x11, 0x22, 0x33), (0x44, 0x55, 0x66)}

    def test_muon_embedding(self, mdata, no_plot_windows):
        import matplotlib.pyplot as plt
        import muon as mu

        adata = mtopic.get.topics(mdata)
        mu.pl.embedding(adata, basis="spatial", color="topic_1")
        positions, values = drawn(plt.gcf().axes[0])
        assert sorted(map(tuple, positions)) == sorted(map(tuple, adata.obsm["spatial"]))
        np.testing.assert_allclose(np.sort(values), np.sort(adata.obs_vector("topic_1")))
