import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import mtopic as mt


def model_of(data, **kwargs):
    arguments = {"n_topics": 4, "spatial_key": "spatial", "n_jobs": 2, "verbose": False, **kwargs}
    return mt.tl.sMTM(data, **arguments)


def fitted(data, n_iter=12, **kwargs):
    model = model_of(data, **kwargs)
    model.VI(n_iter, tol=None)
    return model


def neighbours(model, d):
    graph = model.graph.neighbours()
    return set(graph.indices[graph.indptr[d] : graph.indptr[d + 1]].tolist())


def test_neighbours_are_within_the_radius_of_the_longer_side(tissue):
    points = tissue.obsm["spatial"]
    model = model_of(tissue, radius=0.2)
    side = np.ptp(points, axis=0).max()
    distance = np.linalg.norm(points[:, None] - points[None], axis=2) / side
    for d in range(tissue.n_obs):
        assert neighbours(model, d) == set(np.flatnonzero(distance[d] <= 0.2)) - {d}
    stored = model.graph.distances.tocoo()
    np.testing.assert_allclose(stored.data, distance[stored.row, stored.col] * side, rtol=1e-9)


def test_n_neighbors_overrides_the_radius(tissue):
    model = model_of(tissue, radius=0.5, n_neighbors=3)
    assert (np.diff(model.graph.neighbours().indptr) == 3).all()


def test_coincident_spots_are_neighbours_and_self_is_not(tissue):
    tissue.obsm["spatial"][:3] = tissue.obsm["spatial"][0]
    for arguments in ({"radius": 0.2}, {"n_neighbors": 4}):
        model = model_of(tissue, **arguments)
        for d in range(3):
            assert {0, 1, 2} - {d} <= neighbours(model, d)
            assert d not in neighbours(model, d)
        model.VI(3)
        assert np.isfinite(model.gamma).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_correction_keeps_the_mass_and_pulls_neighbours_together(seed):
    noisy = mt.datasets.simulate(400, 4, modalities={"rna": 60}, depth=15, rng=seed)
    plain = mt.tl.MTM(noisy, 4, n_jobs=2, verbose=False)
    plain.VI(30, tol=None)
    spatial = fitted(noisy, 30, n_neighbors=6)
    np.testing.assert_allclose(spatial.gamma.sum(axis=1), plain.gamma.sum(axis=1), rtol=1e-5)
    graph = spatial.graph.neighbours().tocoo()

    def roughness(gamma):
        theta = gamma / gamma.sum(axis=1, keepdims=True)
        return abs(theta[graph.row] - theta[graph.col]).mean()

    assert roughness(spatial.gamma) < roughness(plain.gamma)


@pytest.mark.parametrize("schedule", ["fast", "original"])
def test_threads_change_no_bit_and_a_fit_goes_on(tissue, schedule):
    models = [model_of(tissue, n_neighbors=6, n_jobs=n_jobs) for n_jobs in (1, 2, 5)]
    for model in models[:2]:
        model.VI(12, schedule=schedule, tol=None)
    for n_iter in (7, 5):
        models[2].VI(n_iter, schedule=schedule, tol=None)
    for model in models[1:]:
        np.testing.assert_array_equal(model.gamma, models[0].gamma)
        assert model.elbo == models[0].elbo


def test_known_topics_come_back(large_tissue):
    mdata = large_tissue.copy()
    model = mt.tl.sMTM(mdata, 8, n_neighbors=6, spatial_key="spatial", n_jobs=2, verbose=False)
    model.VI(60)
    mt.tl.export_params(model, mdata)
    assert mt.datasets.recovery(mdata)["correlation"].mean() > 0.9


def test_collapsed_inference_with_learned_priors(large_tissue):
    mdata, options = large_tissue.copy(), {"inference": "collapsed", "alpha": "auto", "eta": "auto"}
    models = [model_of(mdata, n_topics=8, n_neighbors=6, n_jobs=n_jobs, **options) for n_jobs in (1, 2)]
    for model in models:
        model.VI(30, tol=None)
    one, two = models
    np.testing.assert_array_equal(one.gamma, two.gamma)
    assert (one.elbo, one.alpha, one.eta) == (two.elbo, two.alpha, two.eta)
    assert (one.alpha, one.eta) != (1 / 8, 0.01)
    assert np.isfinite(one.elbo).all()
    assert one.params()["inference"] == "collapsed"
    mt.tl.export_params(one, mdata)
    assert mt.datasets.recovery(mdata)["correlation"].mean() > 0.9


def test_the_original_schedule_has_the_original_model(tissue):
    model = model_of(tissue, n_neighbors=6, inference="collapsed")
    with pytest.raises(ValueError, match="schedule='original' is variational with fixed priors"):
        model.VI(2, schedule="original")
    assert not model.fitted


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), "x"])
def test_bad_priors(tissue, bad):
    for name in ("alpha", "eta"):
        with pytest.raises(ValueError, match=f"{name}={bad!r}"):
            model_of(tissue, **{name: bad})


def test_a_stored_graph_is_used_only_when_asked_for(tissue):
    names = tissue.obs_names
    ring = csr_matrix((np.ones(names.size), (np.arange(names.size), np.roll(np.arange(names.size), -1))))
    tissue.obsp["spatial_connectivities"] = ring
    assert neighbours(model_of(tissue, n_neighbors=3), 0) != {1}
    assert neighbours(model_of(tissue, neighbors_key="spatial"), 0) == {1}


def test_a_graph_of_a_modality_is_aligned_by_name(tissue):
    shuffled = np.random.default_rng(0).permutation(tissue.n_obs)
    names = tissue.obs_names
    rna = tissue["rna"][names[shuffled]].copy()
    following = np.roll(np.arange(names.size), -1)
    full = csr_matrix((np.ones(names.size), (np.arange(names.size), following)))
    rna.obsp["mine_connectivities"] = full[shuffled][:, shuffled]
    mdata = type(tissue)({"rna": rna, "atac": tissue["atac"]})[names].copy()
    mdata.obsm["spatial"] = tissue.obsm["spatial"]
    model = model_of(mdata, neighbors_key="mine")
    assert list(model.barcodes) == list(names)
    assert [neighbours(model, d) for d in range(5)] == [{d + 1} for d in range(5)]


def test_a_graph_will_do_without_coordinates(tissue):
    distant = tissue.copy()
    ring = csr_matrix(np.roll(np.eye(tissue.n_obs), 1, axis=1))
    for data in (tissue, distant):
        data.obsp["ring_connectivities"] = ring
    tissue.obsm["spatial"][:] = 0.0
    del distant.obsm["spatial"]
    alike = mt.tl.sMTM(distant, 4, neighbors_key="ring", n_jobs=2, verbose=False)
    assert "neighbors_key" in alike.params()
    alike.VI(5)
    np.testing.assert_array_equal(alike.gamma, fitted(tissue, 5, neighbors_key="ring").gamma)


@pytest.mark.parametrize("form", ["frame", "frame in a modality", "float32", "three dimensions"])
def test_forms_of_coordinates(tissue, form):
    expected = fitted(tissue, 3, radius=0.2)
    points = tissue.obsm["spatial"]
    del tissue.obsm["spatial"]
    if form == "frame":
        tissue.obsm["coords"] = pd.DataFrame(points, index=tissue.obs_names, columns=["x", "y"])
    elif form == "frame in a modality":
        tissue["atac"].obsm["coords"] = pd.DataFrame(points, index=tissue["atac"].obs_names, columns=["x", "y"])
    elif form == "float32":
        tissue.obsm["coords"] = points.astype(np.float32)
    else:
        tissue.obsm["coords"] = np.column_stack([points, np.zeros(len(points))])
    model = mt.tl.sMTM(tissue, 4, radius=0.2, n_jobs=2, verbose=False)
    model.VI(3, tol=None)
    np.testing.assert_allclose(model.gamma, expected.gamma, rtol=1e-4, atol=1e-4)


def test_coordinates_of_the_data_come_before_those_of_its_modalities(tissue):
    expected = model_of(tissue, n_neighbors=6)
    tissue["rna"].obsm["spatial"] = np.zeros((150, 3))
    model = model_of(tissue, n_neighbors=6)
    assert (model.graph.connectivities != expected.graph.connectivities).nnz == 0


def test_the_default_key_finds_spatial(tissue):
    assert "coords" not in tissue.obsm
    assert mt.tl.sMTM(tissue, 4, n_neighbors=6, verbose=False).graph.connectivities.shape == (150, 150)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"radius": 0}, ValueError, "radius=0"),
        ({"radius": -1.0}, ValueError, "radius=-1.0"),
        ({"radius": float("nan")}, ValueError, "radius=nan"),
        ({"n_neighbors": 150}, ValueError, "n_neighbors=150.*150 observations"),
        ({"n_neighbors": 0}, ValueError, "n_neighbors=0"),
        ({"n_neighbors": 2.7}, ValueError, "n_neighbors=2.7"),
        ({"spatial_key": "spatail"}, KeyError, "did you mean 'spatial'"),
        ({"neighbors_key": "squidpy"}, KeyError, "no neighbour graph 'squidpy'"),
        ({"neighbors_key": "ring", "spatial_key": "absent"}, KeyError, "'absent'"),
    ],
)
def test_bad_arguments(tissue, arguments, error, said):
    tissue.obsp["ring_connectivities"] = csr_matrix(np.roll(np.eye(150), 1, axis=1))
    with pytest.raises(error, match=said):
        model_of(tissue, **arguments)


def test_bad_coordinates(tissue):
    tissue.obsm["spatial"][[3, 5], 1] = np.nan
    with pytest.raises(ValueError, match=r"obsm\['spatial'\] is not finite for 2 observations, the first is 'spot_3'"):
        model_of(tissue)
    tissue.obsm["letters"] = pd.DataFrame({"x": ["a"] * 150, "y": ["b"] * 150}, index=tissue.obs_names)
    with pytest.raises(TypeError, match="letters"):
        model_of(tissue, spatial_key="letters")


def test_coordinates_of_too_few_observations(tissue):
    part = tissue["rna"][:100].copy()
    part.obsm["xy"] = tissue.obsm["spatial"][:100]
    mdata = type(tissue)({"rna": part, "atac": tissue["atac"]})
    with pytest.raises(ValueError, match="no coordinates for 50 observations"):
        model_of(mdata, spatial_key="xy")


def test_isolated_spots_are_reported(tissue):
    tissue.obsm["spatial"][0] = tissue.obsm["spatial"].max(axis=0) * 3
    with pytest.warns(UserWarning, match=r"1 of 150 observations \(0.7%\) have no neighbour"):
        model = model_of(tissue, radius=0.1)
    model.VI(3)
    assert np.isfinite(model.gamma).all()


@pytest.mark.filterwarnings("ignore:.*have no neighbour")
def test_isolated_spots_keep_their_topics(tissue):
    plain = mt.tl.MTM(tissue, 4, n_jobs=2, verbose=False)
    plain.VI(5, tol=None)
    np.testing.assert_array_equal(fitted(tissue, 5, radius=1e-6).gamma, plain.gamma)


def test_a_graph_that_lacks_observations(tissue):
    part = tissue["rna"][:100].copy()
    part.obsp["mine_connectivities"] = csr_matrix(np.roll(np.eye(100), 1, axis=1))
    mdata = type(tissue)({"rna": part, "atac": tissue["atac"]})
    mdata.obsm["spatial"] = tissue[mdata.obs_names].obsm["spatial"]
    with pytest.raises(ValueError, match="lacks 50 observations"):
        model_of(mdata, neighbors_key="mine")
    mdata["atac"].obsp["mine_connectivities"] = csr_matrix(np.roll(np.eye(150), 1, axis=1))
    assert model_of(mdata, neighbors_key="mine").graph.connectivities.shape == (150, 150)


def test_coordinates_of_several_modalities_complete_each_other(tissue):
    points = pd.DataFrame(tissue.obsm["spatial"], index=tissue.obs_names)
    expected = model_of(tissue, n_neighbors=6).graph.connectivities
    parts = {"rna": tissue["rna"][:100].copy(), "atac": tissue["atac"][::-1][:120].copy()}
    for adata in parts.values():
        adata.obsm["xy"] = points.loc[adata.obs_names].to_numpy()
    mdata = type(tissue)(parts)
    model = model_of(mdata, n_neighbors=6, spatial_key="xy")
    order = tissue.obs_names.get_indexer(model.barcodes)
    assert (model.graph.connectivities != expected[order][:, order]).nnz == 0


def test_fitting_writes_nothing(tissue, fingerprint):
    before = fingerprint(tissue)
    fitted(tissue, 2, radius=0.2)
    assert fingerprint(tissue) == before
