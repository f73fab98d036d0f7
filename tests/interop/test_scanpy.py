"""Topics as the representation that scanpy works on."""

import numpy as np
import pytest

import mtopic as mt

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def near(adata):
    """Data with scanpy's neighbours in the space of topics."""
    import scanpy as sc

    sc.pp.neighbors(adata, use_rep="topics", n_neighbors=10)
    return adata


def test_neighbours_by_topics_have_like_topics(near):
    assert near.uns["neighbors"]["params"]["use_rep"] == "topics"
    proportions = near.obsm["topics"].to_numpy()
    rows, columns = near.obsp["distances"].nonzero()
    apart = np.linalg.norm(proportions[rows] - proportions[columns], axis=1)
    np.testing.assert_allclose(near.obsp["distances"][rows, columns].A1, apart, atol=1e-4)


def test_clusters_of_leiden_are_of_one_dominant_topic(near):
    import scanpy as sc

    sc.tl.leiden(near, flavor="igraph", n_iterations=2, directed=False)
    inside = near.obs.groupby("leiden", observed=True)["topic"].agg(
        lambda topic: topic.value_counts(normalize=True).max()
    )
    assert len(inside) > 1
    assert inside.mean() > 0.8


def test_paga_of_dominant_topics(near):
    import scanpy as sc

    sc.tl.paga(near, groups="topic")
    links = near.uns["paga"]["connectivities"].toarray()
    rows, columns = near.obsp["distances"].nonzero()
    topic = near.obs["topic"].cat.codes.to_numpy()
    met = np.zeros_like(links, dtype=bool)
    met[topic[rows], topic[columns]] = True
    assert ((links > 0) == ((met | met.T) & ~np.eye(len(links), dtype=bool))).all()


@pytest.mark.slow
def test_embedding(near, drawn):
    import scanpy as sc

    sc.tl.umap(near)
    topics = mt.get.topics(near)
    axes = sc.pl.embedding(topics, "X_umap", color=["topic_2", "topic"], show=False)
    np.testing.assert_allclose(drawn(axes[0]), np.sort(near.obsm["topics"]["topic_2"]))
    labels = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert labels == list(near.obs["topic"].cat.categories)


def test_genes_ranked_by_dominant_topic_are_those_of_the_signatures(adata):
    import scanpy as sc

    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.tl.rank_genes_groups(adata, "topic", method="t-test")
    shares = adata.varm["signatures"] / adata.varm["signatures"].sum()
    for topic in adata.obs["topic"].unique():
        ranked = sc.get.rank_genes_groups_df(adata, str(topic))["names"][:5]
        above = shares[topic] > shares.drop(columns=topic).mean(axis=1)
        assert above[ranked].mean() >= 0.8


def test_dotplot_of_topics_by_a_category(rna):
    import scanpy as sc

    topics = mt.get.topics(rna)
    plot = sc.pl.dotplot(topics, list(topics.var_names), groupby="region", return_fig=True)
    means = rna.obsm["topics"].groupby(rna.obs["region"], observed=True).mean()
    np.testing.assert_allclose(plot.dot_color_df.to_numpy(), means.to_numpy(), rtol=1e-6)
