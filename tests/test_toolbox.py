"""Everything around a model, on real data: each function runs, and what it gives hangs together."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import mtopic as mt


@pytest.fixture(scope="module", params=["snareseq_small", "cite_pbmc1k_small", "her2st_H1"])
def trained(request, shared):
    """Real data with 8 topics, the category that is known of the cells or spots, and coordinates."""
    from anndata import read_h5ad

    name = request.param
    if name.startswith("her2st"):
        data, groups = read_h5ad(shared / "data" / f"{name}.h5ad"), "annotation"
        mt.tl.topic_model(data, 8, spatial_key="spatial", verbose=False)
    else:
        data = mt.read.h5mu(shared / "data" / f"{name}.h5mu")
        groups = "cell_type" if "snare" in name else "protein_gate"
        mt.tl.topic_model(data, 8, verbose=False)
    return data, groups


def parts_of(data):
    return dict(data.mod) if hasattr(data, "mod") else {"X": data}


@pytest.mark.slow
def test_tools(trained):
    data, groups = trained
    mods = parts_of(data)
    mt.tl.umap(data)
    assert np.isfinite(data.obsm["X_umap"]).all()
    mt.tl.dominant_topics(data)
    roots = np.sqrt(data.obsm["topics"])
    assert list(data.obs["topic"]) == list((roots - roots.mean()).idxmax(axis=1))
    mt.tl.topic_quality(data)
    quality = data.uns["topic_quality"]
    assert list(quality["modalities"].index) == list(mods)
    assert 1 <= quality["effective_n_topics"] <= 8
    for mod, adata in mods.items():
        mt.tl.zscores(data, mod=None if mod == "X" else mod, n_top=5)
        np.testing.assert_allclose(adata.obsm["zscores"], plain_zscores(adata, 5), atol=1e-6)
    null = mt.pp.permute(data, copy=True)
    for mod, adata in parts_of(null).items():
        np.testing.assert_allclose(adata.X.sum(), mods[mod].X.sum(), rtol=0.05)


def plain_zscores(adata, n_top):
    x = np.asarray(sparse.csr_array(adata.X).todense(), dtype=float)
    total = x.sum(axis=1, keepdims=True)
    logs = np.log1p(1e4 * x / np.where(total > 0, total, 1))
    sd = logs.std(axis=1, keepdims=True)
    z = np.clip((logs - logs.mean(axis=1, keepdims=True)) / np.where(sd > 0, sd, 1), -5, 5)
    weights = adata.varm["signatures"].to_numpy()
    return np.column_stack([z[:, np.argsort(-w, kind="stable")[:n_top]].mean(axis=1) for w in weights.T])


# The plots of cells are those of snareseq_small, whatever was measured.
@pytest.mark.slow
@pytest.mark.parametrize(
    "trained",
    ["snareseq_small", pytest.param("cite_pbmc1k_small", marks=pytest.mark.weekly), "her2st_H1"],
    indirect=True,
)
def test_plots(trained, fingerprint):
    data, groups = trained
    first, adata = next(iter(parts_of(data).items()))
    mod = None if first == "X" else first
    if "X_umap" not in data.obsm:
        mt.tl.umap(data)
    mt.tl.dominant_topics(data)
    mt.tl.zscores(data, mod=mod)
    x = "spatial" if first == "X" else "umap"
    before = fingerprint(data)
    mt.pl.topics(data, x, show=False)
    mt.pl.dominant_topics(data, x, show=False)
    mt.pl.scatter_pie(data, x=x, radius=None, show=False)
    mt.pl.zscores(data, mod, x, show=False)
    mt.pl.feature_activity(data, x, list(adata.var_names[:3]), show=False)
    mt.pl.signatures(data, mod, show=False)
    mt.pl.dotplot(data, show=False)
    mt.pl.composition(data, groups, cluster=True, show=False)
    mt.pl.composition(data, groups, kind="bar", show=False)
    mt.pl.corr_heatmap(data.obsm["topics"], adata.obsm["zscores"], show=False)
    mt.pl.convergence(data, show=False)
    assert len(plt.get_fignums()) == 11
    assert fingerprint(data) == before


@pytest.mark.slow
def test_filters_and_associations(trained):
    data, _ = trained
    mods = parts_of(data)
    model = mt.tl.MTM(data, 5, verbose=False)
    model.VI(5)
    less = mt.pp.filter_var_knee(data, model, verbose=False)
    assert all(0 < parts_of(less)[mod].n_vars <= adata.n_vars for mod, adata in mods.items())
    first, last = list(mods)[0], list(mods)[-1]
    parts = mt.pp.feature_associations_data(data, [first, last])
    (a, a_var), (b, b_var) = parts[first], parts[last]
    weights = mt.tl.feature_associations(a[:, :20], a_var[:20], b, b_var)
    np.testing.assert_allclose(weights.sum(), 1)
    links = mt.get.links(weights, 3)
    assert (links.groupby("feature")["rank"].max() <= 3).all()
    assert isinstance(links, pd.DataFrame)
