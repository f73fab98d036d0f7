import warnings

import numpy as np
import pandas as pd
import pytest

import mtopic as mt

TOPICS = "true_topics"


@pytest.fixture(scope="module")
def embedded():
    """Data and what was warned of; not to be changed."""
    data = mt.datasets.simulate(150, 4, modalities={"rna": 60, "atac": 90}, depth=300)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        mt.tl.umap(data, TOPICS)
    return data, [str(each.message) for each in warned]


def as_anndata(data):
    adata = data["rna"].copy()
    adata.obsm["topics"] = data.obsm[TOPICS]
    return adata


def test_slots(embedded):
    data, warned = embedded
    table, array = data.obsm["umap"], data.obsm["X_umap"]
    assert list(table.columns) == ["umap_1", "umap_2"]
    assert list(table.index) == list(data.obs_names)
    assert isinstance(array, np.ndarray) and array.dtype == np.float32 and array.shape == (150, 2)
    np.testing.assert_array_equal(table.to_numpy(), array)
    params = {"n_neighbors": 20, "min_dist": 0.1, "metric": "euclidean", "random_state": 2291, "use_rep": TOPICS}
    assert data.uns["umap"] == {"params": params}
    assert not [message for message in warned if "n_jobs" in message]


def test_neighbours_stay_near(embedded):
    """Observations of the same dominant topic lie together."""
    data, _ = embedded
    dominant = data.obsm[TOPICS].to_numpy().argmax(axis=1)
    points = data.obsm["X_umap"]
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    nearest = np.argsort(distance, axis=1)[:, 1:6]
    assert (dominant[nearest] == dominant[:, None]).mean() > 0.85


def test_the_seed_decides(embedded):
    data, _ = embedded
    state = np.random.get_state()[1].copy()
    results = {}
    for seed in (2291, 5):
        adata = as_anndata(data)
        mt.tl.umap(adata, seed=seed, n_jobs=1)
        results[seed] = adata.obsm["X_umap"]
    np.testing.assert_array_equal(results[2291], data.obsm["X_umap"])
    assert not np.array_equal(results[5], results[2291])
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_generator_as_seed(embedded):
    data, _ = embedded
    results = []
    for _ in range(2):
        adata = as_anndata(data)
        mt.tl.umap(adata, seed=np.random.default_rng(1))
        results.append(adata.obsm["X_umap"])
    np.testing.assert_array_equal(*results)


def test_names_dimensions_and_metric(embedded, fingerprint):
    data = embedded[0].copy()
    before = fingerprint(data.mod), fingerprint(data.obsm["umap"])
    mt.tl.umap(data, TOPICS, "X_map", 3, 0.5, 10, metric="hellinger")
    assert list(data.obsm["map"].columns) == ["map_1", "map_2", "map_3"]
    np.testing.assert_array_equal(data.obsm["X_map"], data.obsm["map"])
    assert data.uns["map"]["params"]["metric"] == "hellinger"
    assert data.uns["map"]["params"]["min_dist"] == 0.5
    assert before == (fingerprint(data.mod), fingerprint(data.obsm["umap"]))


def test_what_another_wrote_stays(embedded):
    adata = as_anndata(embedded[0])
    adata.uns["umap"] = "notes"
    mt.tl.umap(adata)
    assert adata.uns["umap"] == "notes"
    assert "X_umap" in adata.obsm


def test_scanpy_draws_an_anndata(embedded):
    import scanpy as sc

    adata = as_anndata(embedded[0])
    mt.tl.umap(adata)
    mt.tl.dominant_topics(adata)
    assert "umap" not in adata.obsm
    ax = sc.pl.umap(adata, color="topic", show=False)
    assert {tuple(point) for point in ax.collections[0].get_offsets()} == set(map(tuple, adata.obsm["X_umap"]))


def test_muon_and_scanpy_draw_a_mudata(embedded):
    import muon as mu
    import scanpy as sc

    data = embedded[0].copy()
    mt.tl.dominant_topics(data, TOPICS)
    expected = set(map(tuple, data.obsm["X_umap"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        of_muon = mu.pl.embedding(data, "X_umap", color="topic", show=False)
    of_scanpy = sc.pl.umap(mt.get.topics(data, key=TOPICS), color=["topic_1"], show=False)
    for ax in (of_muon, of_scanpy):
        drawn = {tuple(point) for point in np.asarray(ax.collections[0].get_offsets(), dtype=np.float32)}
        assert drawn == expected


def test_survives_a_file(embedded, tmp_path):
    data, _ = embedded
    data.write_h5mu(tmp_path / "tissue.h5mu")
    read = mt.read.h5mu(tmp_path / "tissue.h5mu")
    np.testing.assert_array_equal(read.obsm["umap"], data.obsm["umap"])
    assert read.uns["umap"]["params"]["n_neighbors"] == 20


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"n_neighbors": 150}, ValueError, "n_neighbors=150: of 150 observations choose from 2 to 149"),
        ({"n_neighbors": 1}, ValueError, "n_neighbors=1"),
        ({"n_components": 0}, ValueError, "n_components=0"),
        ({"x": "true_topisc"}, KeyError, "did you mean 'true_topics'"),
        ({"umap": "rna"}, ValueError, "umap='rna' is a modality"),
        ({"min_dist": -1}, ValueError, "min_dist"),
        ({"metric": "euclid"}, ValueError, "[Mm]etric"),
    ],
)
def test_bad_arguments(tissue, fingerprint, arguments, error, said):
    before = fingerprint(tissue)
    with pytest.raises(error, match=said):
        mt.tl.umap(tissue, **{"x": TOPICS, **arguments})
    assert fingerprint(tissue) == before


def test_missing_proportions(tissue):
    tissue.obsm["topics"] = pd.DataFrame(tissue.obsm[TOPICS])
    tissue.obsm["topics"].iloc[[3, 5], 1] = np.nan
    with pytest.raises(ValueError, match=r"obsm\['topics'\] is not finite for 2 observations, the first is 'spot_3'"):
        mt.tl.umap(tissue)


@pytest.mark.slow
def test_cell_types_of_real_data_stay_together(real_mudata):
    data = real_mudata("snareseq_small")
    mt.tl.topic_model(data, 15, n_iter=100, n_jobs=1, verbose=False)
    mt.tl.umap(data)
    label = data.obs["cell_type"] if "cell_type" in data.obs else data["rna"].obs["cell_type"]
    codes = label.cat.codes.to_numpy()
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=6).fit(data.obsm["X_umap"]).kneighbors(return_distance=False)
    same = (codes[nearest[:, 1:]] == codes[:, None]).mean()
    by_chance = (np.bincount(codes[codes >= 0]) ** 2).sum() / len(codes) ** 2
    assert same > 3 * by_chance
