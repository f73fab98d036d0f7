"""Observations without counts: their topics are the prior and count nowhere."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import read_h5ad
from matplotlib.colors import to_rgba

import mtopic as mt

N_OBS, N_EMPTY = 120, 20
EMPTY = np.arange(N_OBS) < N_EMPTY


def without_counts(empty=EMPTY, **options):
    adata = mt.datasets.simulate(N_OBS, 3, modalities={"rna": 40}, rng=3, **options)["rna"].copy()
    adata.obsm["spatial"] = np.column_stack(np.divmod(np.arange(N_OBS), 12)).astype(float)
    counts = adata.X.toarray()
    counts[empty] = 0
    adata.X = sp.csr_matrix(counts)
    return adata


def fit(data, **options):
    with pytest.warns(UserWarning, match="20 of 120 observations have no counts"):
        mt.tl.topic_model(data, 3, n_iter=5, verbose=False, **options)
    return data


@pytest.fixture(scope="module")
def fitted():
    return fit(without_counts(), spatial_key="spatial", n_neighbors=6)


@pytest.fixture
def adata(fitted):
    return fitted.copy()


@pytest.fixture
def others(adata):
    """The same topics, missing where there are no counts."""
    data = adata.copy()
    del data.obs["mtopic_empty"]
    data.obsm["topics"].loc[EMPTY] = np.nan
    return data


def test_a_fit_marks_them(adata):
    np.testing.assert_array_equal(adata.obs["mtopic_empty"], EMPTY)
    assert adata.obsm["topics"].notna().all(axis=None)
    adata.X[:N_EMPTY] = 1
    mt.tl.topic_model(adata, 3, n_iter=2, verbose=False)
    assert "mtopic_empty" not in adata.obs, "the mark goes with the fit"


def test_a_fit_of_a_prefix_and_new_data_have_marks_of_their_own(adata):
    new = without_counts(np.arange(N_OBS) >= 100)
    with pytest.warns(UserWarning, match="20 of 120"):
        mt.tl.transform(adata, new, key_added="placed_topics", verbose=False)
    np.testing.assert_array_equal(new.obs["placed_mtopic_empty"], np.arange(N_OBS) >= 100)
    mt.tl.dominant_topics(new, "placed_topics")
    np.testing.assert_array_equal(new.obs["topic"].isna(), np.arange(N_OBS) >= 100)


def test_they_have_no_dominant_topic_also_in_a_part_that_was_written(adata, tmp_path):
    part = adata[10:60].copy()
    part.write(tmp_path / "part.h5ad")
    part = read_h5ad(tmp_path / "part.h5ad")
    part.obs_names = "a_" + part.obs_names
    mt.tl.dominant_topics(part)
    np.testing.assert_array_equal(part.obs["topic"].isna(), EMPTY[10:60])


TOOLS = {
    "topic_neighborhoods": lambda data: mt.tl.topic_neighborhoods(data, n_perms=20),
    "topic_autocorr": mt.tl.topic_autocorr,
    "borders": mt.tl.borders,
    "spatial_domains": lambda data: mt.tl.spatial_domains(data, 3),
    "topic_quality": mt.tl.topic_quality,
}
WRITTEN = {
    "topic_neighborhoods": lambda data: data.uns["topic_neighborhoods"]["count"],
    "topic_autocorr": lambda data: data.uns["topic_autocorr"],
    "borders": lambda data: data.obs[["topic_border"]],
    "spatial_domains": lambda data: data.obs[["domain"]],
    "topic_quality": lambda data: data.uns["topic_quality"]["topics"],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tool", TOOLS)
def test_tools_take_them_for_missing(adata, others, tool):
    TOOLS[tool](adata)
    TOOLS[tool](others)
    pd.testing.assert_frame_equal(WRITTEN[tool](adata), WRITTEN[tool](others))


@pytest.mark.filterwarnings("ignore:.*left out")
def test_means_are_of_the_others(adata):
    adata.obs["kind"] = np.where(np.arange(N_OBS) % 2, "odd", "even")
    expected = adata.obsm["topics"][~EMPTY].groupby(adata.obs["kind"][~EMPTY].to_numpy()).mean()
    ax = mt.pl.composition(adata, "kind", show=False)
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    adata.obs["has"] = np.where(EMPTY, "nothing", "counts")
    with pytest.warns(UserWarning, match="'nothing' are left out"):
        assert mt.pl.composition(adata, "has", show=False).images[0].get_array().shape == (1, 3)


def test_maps_draw_them_grey(adata):
    grey = to_rgba("lightgrey")
    ax = mt.pl.dominant_topics(adata, x="spatial", show=False)
    drawn = ax.collections[0]
    spots = zip(drawn.get_offsets(), drawn.get_facecolors(), strict=True)
    places = {tuple(place) for place, colour in spots if tuple(colour) == grey}
    assert places == set(map(tuple, adata.obsm["spatial"][EMPTY]))
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "no counts"
    mt.tl.zscores(adata)
    scores = mt.pl.zscores(adata, x="spatial", show=False)
    for ax in [*mt.pl.topics(adata, x="spatial", show=False), *scores]:
        assert np.ma.masked_invalid(ax.collections[0].get_array()).mask.sum() == N_EMPTY
    (pies,) = mt.pl.scatter_pie(adata, x="spatial", radius=None, show=False).collections
    (all_pies,) = mt.pl.scatter_pie(adata[~EMPTY].copy(), x="spatial", radius=None, show=False).collections
    assert len(pies.get_paths()) == len(all_pies.get_paths())


def test_an_embedding_has_no_place_for_them(adata):
    alone = adata[~EMPTY].copy()
    for data in (adata, alone):
        mt.tl.umap(data, n_neighbors=10)
    np.testing.assert_array_equal(adata.obsm["X_umap"][~EMPTY], alone.obsm["X_umap"])
    assert np.isnan(adata.obsm["X_umap"][EMPTY]).all()
    mt.tl.dominant_topics(adata)
    assert len(mt.pl.topics(adata, x="umap", show=False)[0].collections[0].get_offsets()) == N_OBS - N_EMPTY
    assert len(mt.pl.dominant_topics(adata, x="umap", show=False).collections[0].get_offsets()) == N_OBS - N_EMPTY
    assert mt.get.topics(adata).obsm["X_umap"].shape == (N_OBS, 2)
    with pytest.raises(ValueError, match="n_neighbors=100: of 100 observations choose from 2 to 99"):
        mt.tl.umap(adata, n_neighbors=100)


@pytest.mark.filterwarnings("ignore:.*no counts")
def test_a_topic_is_not_kept_for_them():
    adata = without_counts()
    model = mt.tl.MTM(adata, 3, verbose=False)
    model.VI(5)
    theta = model.gamma / model.gamma.sum(axis=1, keepdims=True)
    theta[EMPTY] = 0
    threshold = float(np.sort(theta.max(axis=0))[0]) + 1e-4
    model.gamma[EMPTY] = np.eye(3)[np.arange(N_EMPTY) % 3] + 1e-3
    mt.tl.export_params(model, adata, filter_threshold=threshold)
    assert adata.obsm["topics"].shape[1] == 2
    label = mt.pl.filter_topics(model, filter_threshold=threshold, show=False).get_legend().get_texts()[0].get_text()
    assert label.endswith("2 of 3 topics kept")


def test_recovery_is_of_the_others(adata):
    adata.obsm["true_topics"] = adata.obsm["topics"].sample(frac=1, random_state=1).to_numpy()
    expected = mt.datasets.recovery(adata[~EMPTY].copy())
    pd.testing.assert_frame_equal(mt.datasets.recovery(adata), expected)


def test_a_report_counts_them(adata):
    assert "3 topics of 120 observations, 20 of them without counts, ×" in mt.report(adata)


def test_no_mark_without_them():
    adata = without_counts(np.zeros(N_OBS, bool))
    mt.tl.topic_model(adata, 3, n_iter=2, verbose=False)
    assert "mtopic_empty" not in adata.obs
