import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import mtopic as mt
from mtopic.tl import _select_n_topics as module


@pytest.fixture
def tissue():
    return mt.datasets.simulate(160, 4, modalities={"rna": 60, "prot": 20}, depth=300)


@pytest.fixture
def sparse_tissue():
    """Spots of so few counts that neighbours tell more of their topics."""
    return mt.datasets.simulate(240, 3, modalities={"rna": 60}, depth=30, tissue="sharp")


def run(mdata, Ks=(2, 4), **options):
    mt.tl.select_n_topics(mdata, Ks, **{"n_folds": 2, "n_iter": 15, "n_jobs": 1, "verbose": False, **options})
    return mdata.uns["CV_results"], mdata.uns["CV_fit_info"]


def without_times(results):
    return results.drop(columns="train_time_sec")


def test_what_is_written(tissue, fingerprint):
    before = fingerprint({mod: tissue[mod] for mod in tissue.mod})
    results, info = run(tissue, (2, 4, 6), n_folds=3)
    assert fingerprint({mod: tissue[mod] for mod in tissue.mod}) == before
    assert list(results.columns) == ["K", "CV", "train_time_sec", "total", "rna", "prot"]
    assert results["K"].tolist() == [2] * 4 + [4] * 4 + [6] * 4
    assert results["CV"].tolist() == ["0", "1", "2", "total"] * 3
    assert (results[["total", "rna", "prot"]] < 0).all(axis=None)
    for _, rows in results.groupby("K"):
        folds, total = rows[rows["CV"] != "total"], rows[rows["CV"] == "total"].iloc[0]
        np.testing.assert_allclose(
            folds[["total", "rna", "prot"]].mean(), total[["total", "rna", "prot"]].astype(float)
        )
    assert tissue.obs["CV_split"].value_counts().tolist() == [54, 53, 53]
    assert info["recommended"] in (2, 4, 6)
    assert 2 <= info["best_K"] <= 6
    assert list(info["scores"].index) == [2, 4, 6]
    assert info["scores"]["stability"].between(0, 1 + 1e-6).all()


def test_total_lies_between_the_modalities(tissue):
    results, _ = run(tissue)
    low, high = results[["rna", "prot"]].min(axis=1), results[["rna", "prot"]].max(axis=1)
    assert results["total"].between(low, high).all()


@pytest.mark.parametrize("change", [{"n_jobs": 2}, {"verbose": True}])
def test_threads_and_progress_change_nothing(tissue, change):
    once, other = run(tissue.copy())[0], run(tissue.copy(), **change)[0]
    pd.testing.assert_frame_equal(without_times(once), without_times(other), check_exact=True)


def test_seed_changes_the_folds(tissue):
    split = [run(tissue, (2,), seed=seed) and tissue.obs["CV_split"].to_numpy() for seed in (0, 1)]
    assert (split[0] != split[1]).any()


def test_nothing_of_what_is_held_out_enters_a_fit(tissue):
    """Other counts in fold 0 change how it is scored, and leave the fit that it is held out of as it was."""
    fitted = []

    def remember(monkeypatch, mdata):
        original = module._fit

        def fit(*args, **options):
            fitted.append(original(*args, **options))
            return fitted[-1]

        with monkeypatch.context() as patch:
            patch.setattr(module, "_fit", fit)
            return run(mdata, (3,))[0]

    monkeypatch = pytest.MonkeyPatch()
    one = remember(monkeypatch, tissue.copy())
    other = tissue.copy()
    run(other, (3,))
    held_out = other.obs["CV_split"].to_numpy() == 0
    del other.uns["CV_results"]
    for mod in other.mod:
        x = other[mod].X.toarray()
        x[held_out] = x[held_out][:, ::-1] + 3
        other[mod].X = x
    two = remember(monkeypatch, other)
    for mod in tissue.mod:
        np.testing.assert_array_equal(fitted[0].lambda_[mod], fitted[2].lambda_[mod])
    assert one["total"][0] != two["total"][0]


def test_an_interrupted_call_goes_on(tissue, monkeypatch):
    whole, info = run(tissue.copy(), (2, 3, 4))
    original, calls = module._fit, []

    def interrupted(training, K, **options):
        calls.append(K)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(training, K, **options)

    monkeypatch.setattr(module, "_fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tissue, (2, 3, 4))
    assert tissue.uns["CV_results"]["K"].tolist() == [2, 2, 2, 3]
    resumed, again = run(tissue, (2, 3, 4))
    assert calls == [2, 2, 3, 3, 3, 3, 4, 4]
    pd.testing.assert_frame_equal(without_times(resumed), without_times(whole), check_exact=True)
    pd.testing.assert_frame_equal(again["scores"], info["scores"])


def test_other_settings_start_anew_and_more_numbers_are_added(tissue, monkeypatch):
    original, calls = module._fit, []
    monkeypatch.setattr(
        module, "_fit", lambda training, K, **options: (calls.append(K), original(training, K, **options))[1]
    )
    run(tissue, (2,))
    run(tissue, (2, 3))
    assert calls == [2, 2, 3, 3]
    run(tissue, (2, 3), n_iter=5)
    assert calls == [2, 2, 3, 3, 2, 2, 3, 3]


def test_file_round_trip_and_resumption(tissue, tmp_path):
    results, info = run(tissue, (2, 3, 4))
    tissue.write_h5mu(tmp_path / "cv.h5mu")
    again = mt.read.h5mu(tmp_path / "cv.h5mu")
    stored, stored_info = run(again, (2, 3, 4))
    pd.testing.assert_frame_equal(
        stored.reset_index(drop=True), results, check_dtype=False, check_column_type=False, check_index_type=False
    )
    assert stored_info["recommended"] == info["recommended"]


def test_anndata_layers_and_raw_counts(tissue):
    adata = tissue["rna"].copy()
    raw, _ = run(adata, (2, 3))
    mt.pp.tfidf(adata)
    del adata.uns["CV_results"]
    prepared, _ = run(adata, (2, 3))
    pd.testing.assert_frame_equal(without_times(raw), without_times(prepared), check_exact=True)
    as_by_the_original, _ = run(adata, (2, 3), prepare=True)
    assert (as_by_the_original["total"] != raw["total"]).all()


def test_spatial_fits(sparse_tissue):
    sparse_tissue.obsm["coords"] = sparse_tissue.obsm.pop("spatial")
    plain = run(sparse_tissue.copy())[0]
    smooth = run(sparse_tissue.copy(), is_spatial=True)[0]
    assert (plain["total"] != smooth["total"]).all()
    pd.testing.assert_frame_equal(without_times(run(sparse_tissue, n_neighbors=6)[0]), without_times(smooth))


@pytest.fixture
def fits(monkeypatch):
    """The models that are fitted."""
    original, found = module._fit, []

    def fit(*given, **options):
        found.append(original(*given, **options))
        return found[-1]

    monkeypatch.setattr(module, "_fit", fit)
    return found


@pytest.mark.parametrize("prepare", [False, True])
def test_neighbours_are_those_asked_for(sparse_tissue, fits, prepare):
    for radius in (0.1, 0.2):
        run(sparse_tissue.copy(), (2,), spatial_key="spatial", radius=radius, prepare=prepare)
    narrow, wide = (model.graph.connectivities.nnz for model in fits[::2])
    assert 0 < 2 * narrow < wide


@pytest.mark.parametrize("where", [{}, {"spatial_key": "spatial"}, {"spatial_key": "spatial", "radius": 0.2}])
def test_what_is_scored_is_what_topic_model_fits(tissue, where, monkeypatch):
    original, fits = module._fit, []

    def fit(training, K, **options):
        fits.append((training, original(training, K, **options)))
        return fits[-1][1]

    monkeypatch.setattr(module, "_fit", fit)
    run(tissue, (3,), **where)
    training, model = fits[0]
    mt.tl.topic_model(training, 3, n_iter=15, n_jobs=1, verbose=False, **where)
    expected = (model.gamma / model.gamma.sum(axis=1, keepdims=True)).astype(np.float64)
    np.testing.assert_allclose(training.obsm["topics"], expected, atol=1e-6)


def test_sections_are_no_neighbours(sparse_tissue, fits):
    sparse_tissue.obs["section"] = np.repeat(["a", "b"], 120)
    places = np.round(1000 * np.asarray(sparse_tissue.obsm["spatial"]))  # so that distances are exact wherever they lie
    totals = []
    for away, library_key in ((0, "section"), (10_000, "section"), (0, None)):
        sparse_tissue.obsm["spatial"] = places + away * (sparse_tissue.obs["section"] == "b").to_numpy()[:, None]
        results, _ = run(sparse_tissue.copy(), spatial_key="spatial", n_neighbors=4, library_key=library_key)
        totals.append(results["total"].to_numpy())
    np.testing.assert_array_equal(totals[0], totals[1])
    apart, together = fits[0], fits[-4]
    assert apart.graph.connectivities.nnz > 0
    assert _between(sparse_tissue, apart) == 0 < _between(sparse_tissue, together)


def _between(data, model):
    """Number of neighbours in other sections."""
    section, edges = data.obs.loc[model.barcodes, "section"].to_numpy(), model.graph.connectivities.tocoo()
    return (section[edges.row] != section[edges.col]).sum()


def test_a_stored_graph(tissue):
    sq = pytest.importorskip("squidpy")
    adata = AnnData(obs=tissue.obs[[]], obsm={"spatial": np.asarray(tissue.obsm.pop("spatial"))})
    sq.gr.spatial_neighbors(adata, n_neighs=6, coord_type="generic")
    tissue.obsp["mine_connectivities"] = adata.obsp["spatial_connectivities"]
    plain = run(tissue.copy())[0]
    by_graph = run(tissue, neighbors_key="mine")[0]
    assert (plain["total"] != by_graph["total"]).all()


def test_the_same_warning_is_said_once(tissue):
    for adata in tissue.mod.values():
        counts = adata.X.toarray()
        counts[:6] = 0
        adata.X = counts
    with pytest.warns(UserWarning) as said:
        run(tissue)
    assert len([w for w in said if "have no counts" in str(w.message)]) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"Ks": (1, 5)}, "at least 2 each"),
        ({"Ks": ()}, "at least 2 each"),
        ({"n_folds": 1}, "n_folds=1"),
        ({"n_folds": 161}, "choose 2 to 160"),
        ({"n_iter": 0}, "n_iter=0"),
        ({"plateau_threshold": 1.0}, "plateau_threshold=1.0"),
    ],
)
def test_numbers_out_of_range(tissue, options, said):
    with pytest.raises(ValueError, match=said):
        run(tissue, **options)
    assert "CV_results" not in tissue.uns


def test_counts_that_cannot_be_halved(tissue):
    tissue["rna"].X = tissue["rna"].X * np.float32(0.5)
    with pytest.raises(ValueError, match="counts of modality 'rna' are not whole numbers"):
        run(tissue)


def test_other_data(tissue):
    with pytest.raises(TypeError, match="expected an AnnData or a MuData, got str"):
        mt.tl.select_n_topics("tissue.h5mu")
    names = list(tissue["rna"].obs_names)
    tissue["rna"].obs_names = [names[1], *names[1:]]
    with pytest.raises(ValueError, match="observation names of modality 'rna' occur twice"):
        run(tissue)
    assert "CV_split" not in tissue.obs


@pytest.mark.slow
@pytest.mark.whole_start
@pytest.mark.parametrize(
    ("seed", "n_folds"), [(0, 3), *(pytest.param(seed, 5, marks=pytest.mark.weekly) for seed in (0, 1, 2))]
)
def test_known_number_of_topics(seed, n_folds):
    mdata = mt.datasets.simulate(600, 10, rng=seed)
    _, info = run(mdata, (4, 6, 8, 10, 12, 14, 20, 30), n_folds=n_folds, n_iter=35)
    assert 8 <= info["recommended"] <= 14
    means = info["scores"]["mean"]
    assert means[30] < means[10]
    assert info["scores"]["stability"][10] > info["scores"]["stability"][20]


@pytest.mark.slow
@pytest.mark.whole_start
def test_real_cells(real_mudata):
    mdata = real_mudata("cite_pbmc1k_small")
    _, info = run(mdata, (5, 10, 15, 20))
    assert info["recommended"] > 5
