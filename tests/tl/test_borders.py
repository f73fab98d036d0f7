import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

import mtopic as mt


def chain(proportions):
    """Observations in a row, each the neighbour of the next."""
    values = np.asarray(proportions, dtype=float)
    n_obs = len(values)
    names = [f"spot_{d}" for d in range(n_obs)]
    adata = AnnData(np.ones((n_obs, 1), np.float32), obs=pd.DataFrame(index=names))
    adata.obsm["topics"] = pd.DataFrame(values, index=names, columns=[f"topic_{k + 1}" for k in range(values.shape[1])])
    adata.obsp["spatial_connectivities"] = csr_matrix(np.eye(n_obs, k=1) + np.eye(n_obs, k=-1))
    return adata


def expected(proportions, adjacency):
    roots = np.sqrt(proportions / proportions.sum(axis=1, keepdims=True))
    distances = np.sqrt(((roots[:, None] - roots[None]) ** 2).sum(axis=2) / 2)
    return (distances * adjacency).sum(axis=1) / adjacency.sum(axis=1)


def test_mean_hellinger_distance_to_the_neighbours(tissue):
    mt.tl.topic_model(tissue, 4, spatial_key="spatial", verbose=False, n_jobs=1)
    mt.tl.borders(tissue)
    adjacency = tissue.obsp["spatial_connectivities"].toarray() > 0
    np.testing.assert_allclose(
        tissue.obs["topic_border"], expected(tissue.obsm["topics"].to_numpy(), adjacency), atol=1e-12
    )
    assert tissue.obs["topic_border"].dtype == np.float64


def test_extremes():
    adata = chain([[1, 0], [1, 0], [0, 1], [0, 1]])
    mt.tl.borders(adata)
    assert list(adata.obs["topic_border"]) == [0, 0.5, 0.5, 0]


def test_weights_of_the_graph_and_scale_of_the_proportions_do_not_matter():
    values = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    plain, other = chain(values), chain(7 * values)
    other.obsp["spatial_connectivities"] = csr_matrix(3 * other.obsp["spatial_connectivities"] + np.eye(20))
    for adata in (plain, other):
        mt.tl.borders(adata)
    np.testing.assert_allclose(plain.obs["topic_border"], other.obs["topic_border"])


def test_missing_and_isolated_observations():
    adata = chain([[1, 0], [0, 1], [np.nan, 1], [1, 0], [0, 1]])
    mt.tl.borders(adata)
    np.testing.assert_array_equal(adata.obs["topic_border"], [1, 1, np.nan, 1, 1])
    adata.obsp["spatial_connectivities"] = csr_matrix((5, 5))
    mt.tl.borders(adata, key_added="alone")
    assert adata.obs["alone"].isna().all()


def test_graph_of_a_modality_and_names_of_slots(tissue, fingerprint):
    names = tissue["rna"].obs_names[::-1]
    tissue.mod["rna"] = tissue["rna"][names].copy()
    ring = np.eye(150, k=1) + np.eye(150, k=-1)
    tissue["rna"].obsp["near_connectivities"] = csr_matrix(ring)
    before = fingerprint(tissue.mod)
    mt.tl.borders(tissue, "true_topics", neighbors_key="near", key_added="edge")
    order = names.get_indexer(tissue.obs_names)
    truth = expected(tissue.obsm["true_topics"].to_numpy(), ring[order][:, order])
    np.testing.assert_allclose(tissue.obs["edge"], truth, atol=1e-12)
    assert "topic_border" not in tissue.obs and before == fingerprint(tissue.mod)


def test_what_is_not_there():
    adata = chain([[1, 0], [0, 1]])
    with pytest.raises(KeyError, match="no table 'topic' in obsm of the data; did you mean 'topics'"):
        mt.tl.borders(adata, "topic")
    with pytest.raises(KeyError, match="no neighbour graph 'spatia' .* did you mean 'spatial'"):
        mt.tl.borders(adata, neighbors_key="spatia")
    assert "topic_border" not in adata.obs


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 0], [-1, 2]], "no proportions: negative or infinite, or rows of zeros"),
        ([[1, 0], [0, 0]], "rows of zeros"),
        ([[1, 0], [np.inf, 0]], "infinite"),
        ([[np.nan, 1], [1, np.nan]], "missing for all 2 observations"),
    ],
)
def test_what_are_no_proportions(values, message):
    adata = chain(values)
    with pytest.raises(ValueError, match=message):
        mt.tl.borders(adata)


def test_columns():
    adata = chain([[1, 0], [0, 1]])
    adata.obsm["twice"] = adata.obsm["topics"].set_axis(["a", "a"], axis=1)
    with pytest.raises(ValueError, match=r"obsm\['twice'\] has two columns 'a'"):
        mt.tl.borders(adata, "twice")
    adata.obsm["none"] = adata.obsm["topics"].iloc[:, :0]
    with pytest.raises(ValueError, match=r"obsm\['none'\] has no columns"):
        mt.tl.borders(adata, "none")
