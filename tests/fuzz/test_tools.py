"""What comes after a fit, on whatever data are allowed."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from mudata import MuData
from tests.fuzz.generated import attempt, cases, content, first_of, fuzz, parts_of

import mtopic as mt

pytestmark = pytest.mark.slow

CELLS = cases(least=2)


def fitted(case, n_topics):
    data = case.build()
    mt.tl.topic_model(data, n_topics, n_iter=2, modality_weights="equal", n_jobs=1, verbose=False)
    return data


def zscores(data):
    mod = first_of(data)
    mt.tl.zscores(data, mod=mod)
    scores = parts_of(data)[mod].obsm["zscores"]
    assert np.isfinite(scores).all(axis=None)
    assert (abs(scores) <= 5).all(axis=None)


def dominant_topics(data):
    empty = np.asarray(data.obs["mtopic_empty"] if "mtopic_empty" in data.obs else np.zeros(data.n_obs, bool))
    mt.tl.dominant_topics(data)
    roots = np.sqrt(data.obsm["topics"])
    above = (roots - roots[~empty].mean())[~empty]
    chosen = above.columns.get_indexer(data.obs["topic"][~empty].astype(str))
    np.testing.assert_allclose(above.to_numpy()[np.arange(len(above)), chosen], above.max(axis=1), atol=1e-5)
    assert data.obs["topic"][empty].isna().all()
    mt.tl.dominant_topics(data, by="proportion")
    largest = data.obsm["topics"].idxmax(axis=1).mask(empty)
    assert data.obs["topic"].astype(object).equals(largest.astype(object))
    assert set(data.obs["topic"].cat.categories) == set(largest.dropna())


def uncertainty(data):
    mt.tl.uncertainty(data, n_jobs=1)
    low, high, sd = (data.obsm[f"topics_{name}"] for name in ("low", "high", "sd"))
    assert np.isfinite(sd).all(axis=None)
    assert ((0 <= low) & (low <= high) & (high <= 1)).all(axis=None)


def agreement(data):
    mt.tl.modality_agreement(data, n_jobs=1)
    values = data.obsm["modality_agreement"].to_numpy()
    known = values[~np.isnan(values)]
    assert np.isfinite(known).all()
    assert (known <= 1.01).all()  # of shares in single precision, where all but chance is 1e-5 at least


def quality(data):
    mt.tl.topic_quality(data)
    assert 1 <= data.uns["topic_quality"]["effective_n_topics"] <= data.obsm["topics"].shape[1] + 1e-6


def views(data):
    assert mt.get.topics(data).shape == data.obsm["topics"].shape
    table = mt.get.signatures(data, first_of(data))
    assert table["weight"].notna().all()


TOOLS = {
    "zscores": zscores,
    "dominant_topics": dominant_topics,
    "uncertainty": uncertainty,
    "modality_agreement": agreement,
    "topic_quality": quality,
    "get": views,
}


@fuzz(200, case=CELLS, n_topics=st.sampled_from([2, 3, 20]), tool=st.sampled_from(list(TOOLS)))
def test_tools(case, n_topics, tool):
    attempt(TOOLS[tool], fitted(case, n_topics))


@fuzz(120, case=CELLS, n_topics=st.sampled_from([2, 5]), prefix=st.sampled_from([None, "mine"]), keep=st.booleans())
def test_models_that_are_saved_and_exported(case, n_topics, prefix, keep):
    import tempfile
    from pathlib import Path

    data = case.build()
    model = mt.tl.MTM(data, n_topics, n_jobs=1, verbose=False)
    model.VI(2, tol=None)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.h5")
        again = mt.tl.load_model(Path(folder) / "model.h5", data)
    copies = [data.copy(), data.copy()]
    for each, copy in zip((model, again), copies, strict=True):
        mt.tl.export_params(each, copy, prefix, filter_topics=not keep)
        each.VI(1, tol=None)
    assert content(copies[0]) == content(copies[1])
    np.testing.assert_array_equal(model.gamma, again.gamma)


def shuffled(data, rng, fewer):
    """The same cells in another order, features and modalities too; some features missing."""
    parts = {}
    for mod in rng.permutation(list(parts_of(data))):
        adata = parts_of(data)[mod]
        order = rng.permutation(adata.n_vars)[: adata.n_vars - min(fewer, adata.n_vars - 1)]
        parts[mod] = adata[rng.permutation(adata.n_obs), np.atleast_1d(order)].copy()
    return MuData(parts) if hasattr(data, "mod") else parts["X"]


@fuzz(120, case=CELLS, n_topics=st.sampled_from([2, 3, 20]), fewer=st.sampled_from([0, 0, 1]), seed=st.integers(0, 99))
def test_transform(case, n_topics, fewer, seed):
    reference = fitted(case, n_topics)
    data = shuffled(case.build(), np.random.default_rng(seed), fewer)
    before = content(data)
    found = []
    if not attempt(lambda new: found.append(transformed(reference, new)), data, said="of the signatures' mass"):
        assert fewer
        return
    assert content(data) == before
    topics = found[0]
    assert np.isfinite(topics).all(axis=None)
    np.testing.assert_allclose(topics.sum(axis=1), 1)
    if not fewer:
        plain = transformed(reference, case.build(plain=True))
        pd.testing.assert_frame_equal(topics.loc[plain.index], plain)


@fuzz(80, case=cases(least=2, whole=True), n_topics=st.sampled_from([2, 20]), seed=st.integers(0, 9))
def test_perplexity(case, n_topics, seed):
    reference, data = fitted(case, n_topics), case.build()
    before, found = content(data), []
    if attempt(lambda new: found.append(mt.tl.perplexity(reference, new, rng=seed, n_jobs=1)), data):
        score = found[0]
        scored = score["n_counts"] > 0
        assert np.isfinite(score.loc[scored]).all(axis=None)
        assert (score.loc[scored, "perplexity"] >= 1 - 1e-6).all()
        assert content(data) == before


PLOTS = {
    "topics": lambda data: mt.pl.topics(data, "spatial", show=False),
    "dominant_topics": lambda data: mt.pl.dominant_topics(data, "spatial", show=False),
    "scatter_pie": lambda data: mt.pl.scatter_pie(data, x="spatial", radius=None, show=False),
    "feature_activity": lambda data: mt.pl.feature_activity(data, "spatial", features_of(data), show=False),
    "signatures": lambda data: mt.pl.signatures(data, first_of(data), show=False),
    "dotplot": lambda data: mt.pl.dotplot(data, show=False),
    "composition": lambda data: mt.pl.composition(data, "section", show=False),
    "corr_heatmap": lambda data: mt.pl.corr_heatmap(data.obsm["topics"], data.obsm["topics"], show=False),
    "convergence": lambda data: mt.pl.convergence(data, show=False),
}


def features_of(data):
    mod, adata = next(iter(parts_of(data).items()))
    return [f"{mod}:{adata.var_names[0]}" if hasattr(data, "mod") else adata.var_names[0]]


@fuzz(36, case=cases(least=2), n_topics=st.sampled_from([2, 5]), plot=st.sampled_from(list(PLOTS)))
def test_plots(case, n_topics, plot):
    data = fitted(case, n_topics)
    data.obsm["spatial"] = np.random.default_rng(case.seed).integers(0, 5, (data.n_obs, 2)) * 1.0
    data.obs["section"] = pd.Categorical(np.arange(data.n_obs) % 3)
    before = content(data)
    attempt(PLOTS[plot], data)
    assert content(data) == before
    for figure in map(plt.figure, plt.get_fignums()):
        figure.canvas.draw()
    plt.close("all")


def transformed(reference, data):
    return mt.tl.transform(reference, data, n_jobs=1, verbose=False, copy=True).obsm["topics"]
