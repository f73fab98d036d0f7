"""Every graph that squidpy builds is one to fit with; its maps and statistics take the topics."""

import numpy as np
import pytest

import mtopic as mt

pytestmark = pytest.mark.filterwarnings("ignore")

BUILDERS = {"knn": {"n_neighs": 6}, "radius": {"radius": 110.0}, "delaunay": {}, "grid": {"n_neighs": 6}}


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("key", ["spatial", "of_mine"])
def test_a_graph_of_each_builder_is_fitted_with(adata, builder, key):
    import squidpy as sq

    for slots in (adata.obsp, adata.uns):
        for name in [name for name in slots if name.startswith("spatial")]:
            del slots[name]
    getattr(sq.gr, f"spatial_neighbors_{builder}")(adata, key_added=key, **BUILDERS[builder])
    stored = adata.obsp[f"{key}_connectivities"].copy()
    model = mt.tl.sMTM(adata, 4, neighbors_key=key, strength=1, n_jobs=1, verbose=False)
    model.VI(3)
    assert (model.graph.connectivities != stored).nnz == 0
    mt.tl.export_params(model, adata)
    assert (adata.obsp[f"{key}_connectivities"] != stored).nnz == 0
    assert adata.uns["mtopic"]["params"]["neighbors_key"] == key
    mt.tl.topic_autocorr(adata, neighbors_key=key, n_perms=None)
    assert adata.uns["topic_autocorr"]["moranI"].max() > 0.5


def test_neighbours_enriched_by_dominant_topic(adata):
    import squidpy as sq

    sq.gr.spatial_neighbors_knn(adata, n_neighs=6)
    sq.gr.nhood_enrichment(adata, cluster_key="topic", n_perms=20, seed=0, show_progress_bar=False)
    scores = adata.uns["topic_nhood_enrichment"]["zscore"]
    present = adata.obs["topic"].cat.categories.isin(adata.obs["topic"])
    assert (np.diag(scores)[present] > 0).all()


def visium(data):
    """Data with a picture of the tissue, as readers of Visium store it."""
    points = np.asarray(data.obsm["spatial"])
    size = tuple((np.ceil(points.max(axis=0)) // 10 + 20).astype(int)[::-1])
    factors = {"tissue_hires_scalef": 0.1, "spot_diameter_fullres": 55.0}
    data.uns["spatial"] = {"slide": {"images": {"hires": np.full((*size, 3), 0.5)}, "scalefactors": factors}}
    return data


@pytest.mark.parametrize("of", ["data", "modality"])
def test_spots_on_the_image(mdata, of):
    import squidpy as sq

    if of == "data":
        visium(mdata)
    else:
        mdata["rna"].obsm["spatial"] = mdata.obsm["spatial"].copy()
        visium(mdata["rna"])
    topics = mt.get.topics(mdata)
    axes = sq.pl.spatial_scatter(topics, color=["topic_1", "topic"], return_ax=True)
    for panel in axes:
        assert len(panel.images) == 1
    np.testing.assert_allclose(axes[0].collections[0].get_array(), mdata.obsm["topics"]["topic_1"])
    middle = np.array([path.vertices.mean(axis=0) for path in axes[0].collections[0].get_paths()])
    np.testing.assert_allclose(middle, 0.1 * mdata.obsm["spatial"], atol=1.5)


def test_spots_without_an_image(rna):
    import squidpy as sq

    topics = mt.get.topics(rna)
    axes = sq.pl.spatial_scatter(topics, color="topic_3", shape=None, return_ax=True)
    np.testing.assert_allclose(axes.collections[0].get_array(), rna.obsm["topics"]["topic_3"])
