import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import read_h5mu
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix

import mtopic as mt
from mtopic.inference.learn.strength import learned_strength
from mtopic.inference.posterior import Posterior
from mtopic.inference.schedule import EXPLORE, WINDOW
from mtopic.inference.stochastic import initial_signatures


def model_of(data, **kwargs):
    arguments = {"n_topics": 4, "spatial_key": "spatial", "n_jobs": 1, "verbose": False, **kwargs}
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
    plain = mt.tl.MTM(noisy, 4, n_jobs=1, verbose=False)
    plain.VI(30, tol=None)
    spatial = fitted(noisy, 30, n_neighbors=6, smoothing="original")
    np.testing.assert_allclose(spatial.gamma.sum(axis=1), plain.gamma.sum(axis=1), rtol=1e-5)
    graph = spatial.graph.neighbours().tocoo()

    def roughness(gamma):
        theta = gamma / gamma.sum(axis=1, keepdims=True)
        return abs(theta[graph.row] - theta[graph.col]).mean()

    assert roughness(spatial.gamma) < roughness(plain.gamma)


@pytest.mark.parametrize(
    ("schedule", "arguments"),
    [
        ("fast", {}),
        ("fast", {"strength": 0.7, "inference": "collapsed", "eta": "auto"}),
        ("fast", {"smoothing": "original"}),
        ("original", {}),
    ],
    ids=["learned strength", "given strength", "correction", "original schedule"],
)
def test_threads_change_no_bit_and_a_fit_goes_on(schedule, arguments):
    models = [model_of(thin(), n_topics=8, n_neighbors=6, n_jobs=n_jobs, **arguments) for n_jobs in (1, 2, 5)]
    for model in models[:2]:
        model.VI(16, schedule=schedule, tol=None)
    for n_iter in (7, 9):
        models[2].VI(n_iter, schedule=schedule, tol=None)
    for model in models[1:]:
        np.testing.assert_array_equal(model.gamma, models[0].gamma)
        for mod, lam in model.lambda_.items():
            np.testing.assert_array_equal(lam, models[0].lambda_[mod])
        assert (model.elbo, model.strength, model.passes) == (models[0].elbo, models[0].strength, models[0].passes)
    if models[0].params()["smoothing"] == "prior":
        assert models[0].strength > 0


def test_known_topics_come_back(large_tissue):
    mdata = large_tissue.copy()
    model = mt.tl.sMTM(mdata, 8, n_neighbors=6, spatial_key="spatial", n_jobs=1, verbose=False)
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
    assert one.alpha == 1 / 8  # not learned beside neighbours
    assert one.eta != 0.01
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
    alike = mt.tl.sMTM(distant, 4, neighbors_key="ring", n_jobs=1, verbose=False)
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
    model = mt.tl.sMTM(tissue, 4, radius=0.2, n_jobs=1, verbose=False)
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
        ({"n_neighbors": np.inf}, ValueError, "n_neighbors=inf"),
        ({"n_neighbors": np.nan}, ValueError, "n_neighbors=nan"),
        ({"n_neighbors": 2.7}, ValueError, "n_neighbors=2.7"),
        ({"spatial_key": "spatail"}, KeyError, "did you mean 'spatial'"),
        ({"neighbors_key": "squidpy"}, KeyError, "no neighbour graph 'squidpy'"),
        ({"neighbors_key": "ring", "spatial_key": "absent"}, KeyError, "'absent'"),
        ({"smoothing": "correction"}, ValueError, "smoothing='correction': it is 'prior', 'original', or None"),
        ({"strength": -0.1}, ValueError, "strength=-0.1"),
        ({"strength": float("inf")}, ValueError, "strength=inf"),
        ({"strength": float("nan")}, ValueError, "strength=nan"),
        ({"strength": "strong"}, ValueError, "strength='strong'.*or 'auto' to learn it"),
        ({"smoothing": "original", "strength": 1.0}, ValueError, "strength=1.0: the original's smoothing has none"),
        ({"bandwidth": 0}, ValueError, "bandwidth=0"),
        ({"bandwidth": -5.0}, ValueError, "bandwidth=-5.0"),
        ({"bandwidth": float("nan")}, ValueError, "bandwidth=nan"),
        ({"bandwidth": "wide"}, ValueError, "bandwidth='wide'"),
        ({"neighbors_method": "voronoi"}, ValueError, "method='voronoi'"),
        ({"neighbors_method": "delaunay", "n_neighbors": 5}, ValueError, "n_neighbors=5.*leave one of them out"),
        ({"library_key": "slide"}, KeyError, "slide"),
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
@pytest.mark.parametrize("arguments", [{"smoothing": "original"}, {"strength": 1.0}])
def test_isolated_spots_keep_their_topics(tissue, arguments):
    plain = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False)
    n_iter = 11 if "smoothing" in arguments else 15  # the correction has no momentum
    plain.VI(n_iter, tol=None)
    np.testing.assert_array_equal(fitted(tissue, n_iter, radius=1e-6, **arguments).gamma, plain.gamma)


@pytest.mark.filterwarnings("ignore:.*have no neighbour")
def test_no_neighbours_no_strength(tissue):
    assert fitted(tissue, 1, radius=1e-6).strength == 0


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


def thin(tissue="smooth", depth=60, rng=0, **kwargs):
    """A tissue whose spots tell little by themselves."""
    options = {"modalities": {"rna": 300}, "depth": depth, "tissue": tissue, "rng": rng, **kwargs}
    return mt.datasets.simulate(600, 8, **options)


def state(model):
    """All of a model that a refused call must leave alone."""
    params = {name: value for name, value in model.params().items() if isinstance(value, str | int | float)}
    return params, list(model.elbo), model.passes, model.strength, model.gamma.copy(), *model.lambda_.values()


def assert_same_state(one, two):
    assert one[:4] == two[:4]
    for a, b in zip(one[4:], two[4:], strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def share(values):
    return np.asarray(values) / np.asarray(values).sum(axis=1, keepdims=True)


def error(model, data):
    """Mean total variation between the topics and the true ones that they match best."""
    true, found = share(data.obsm["true_topics"]), share(model.gamma)
    apart = abs(true[:, :, None] - found[:, None]).sum(axis=0)
    rows, columns = linear_sum_assignment(apart)
    return abs(true[:, rows] - found[:, columns]).sum(axis=1).mean() / 2


@pytest.mark.whole_start
@pytest.mark.parametrize("arguments", [{}, {"inference": "collapsed", "alpha": "auto", "eta": "auto"}])
def test_without_strength_it_is_mtm_to_the_bit(tissue, arguments):
    plain = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False, **arguments)
    spatial = model_of(tissue, n_neighbors=6, strength=0, **arguments)
    for model in (plain, spatial):
        model.VI(100)
    np.testing.assert_array_equal(spatial.gamma, plain.gamma)
    assert (spatial.elbo, spatial.alpha, spatial.eta) == (plain.elbo, plain.alpha, plain.eta)
    assert spatial.converged
    assert plain.converged
    assert spatial.params()["strength"] == 0


def first(number, of):
    """Values of which the first are enough, but for once a week."""
    return [value if i < number else pytest.param(value, marks=pytest.mark.weekly) for i, value in enumerate(of)]


@pytest.mark.parametrize("seed", first(2, range(5)))
@pytest.mark.parametrize("inference", ["variational", "collapsed"])
def test_noise_teaches_no_strength(inference, seed):
    data = thin("noise", 200, seed, modalities={"rna": 200, "atac": 100})
    assert fitted(data, 1, n_topics=8, n_neighbors=6, inference=inference).strength <= 0.05


@pytest.mark.parametrize("seed", first(1, range(3)))
def test_a_smooth_tissue_teaches_strength_the_more_the_less_its_spots_tell(seed):
    shallow, deep = (fitted(thin(depth=depth, rng=seed), 1, n_topics=8, n_neighbors=6).strength for depth in (60, 1000))
    assert shallow > 0.3
    assert 0 < deep < shallow


def test_strength_is_learned_once_by_the_seed(monkeypatch):
    data, calls = thin(), []

    def counted(*arguments):
        calls.append(1)
        return learned_strength(*arguments)

    monkeypatch.setattr("mtopic.model.smoothing.learned_strength", counted)
    models = [model_of(data, n_topics=8, n_neighbors=6, seed=seed) for seed in (5, 5, 6)]
    assert [model.strength for model in models] == [None] * 3
    for model in models:
        model.VI(2, tol=None)
        learned, passes = model.strength, model.passes
        model.VI(1, tol=None)
        assert model.strength == learned == model.params()["strength"]
        assert passes > 20  # the work of learning counts
        assert model.passes - passes < 15
    assert len(calls) == 3
    assert models[0].strength == models[1].strength != models[2].strength


def test_the_start_of_short_fits_to_all_observations_serves_the_fit(monkeypatch):
    """Batches are gone through once; where short fits have had a part of the observations only, once more for all."""
    data, calls = thin(), []

    def counted(*arguments):
        calls.append(1)
        return initial_signatures(*arguments)

    monkeypatch.setattr("mtopic.inference.fit.initial_signatures", counted)
    whole = fitted(data, 2, n_topics=8, n_neighbors=6)
    assert not calls
    monkeypatch.setattr("mtopic.inference.learn.strength.MOST_OBSERVATIONS", 400)
    parts = [fitted(data, 2, n_topics=8, n_neighbors=6, n_jobs=n_jobs) for n_jobs in (1, 2)]
    assert len(calls) == 2
    assert parts[0].strength == parts[1].strength > 0
    assert parts[0].strength != whole.strength
    np.testing.assert_array_equal(parts[0].gamma, parts[1].gamma)


def test_a_given_strength_stays():
    model = model_of(thin(), n_topics=8, n_neighbors=6, strength=0.4)
    assert model.strength == 0.4
    model.VI(2, tol=None)
    assert model.strength == model.params()["strength"] == 0.4


@pytest.mark.parametrize("number", [2, 0.5])
def test_more_strength_makes_smoother_topics(number):
    data = thin()
    weak, strong = (fitted(data, 40, n_topics=8, n_neighbors=6, strength=s) for s in (number / 10, number))
    graph = weak.graph.neighbours().tocoo()
    rough = [abs(share(m.gamma)[graph.row] - share(m.gamma)[graph.col]).mean() for m in (weak, strong)]
    assert rough[1] < rough[0]


@pytest.mark.slow
@pytest.mark.whole_start
@pytest.mark.parametrize(
    ("depth", "n_seeds"),
    [(500, 3), pytest.param(100, 3, marks=pytest.mark.weekly), pytest.param(2000, 6, marks=pytest.mark.weekly)],
)
def test_neighbours_bring_topics_nearer_to_the_truth(depth, n_seeds):
    """On a smooth tissue, at any depth, on average; the more counts there are, the less is left to gain."""
    errors = []
    for seed in range(n_seeds):
        data = thin(depth=depth, rng=seed, modalities={"rna": 600})
        plain = mt.tl.MTM(data, 8, n_jobs=1, verbose=False)
        models = [plain] + [model_of(data, n_topics=8, n_neighbors=6, smoothing=s) for s in ("original", "prior")]
        for model in models:
            model.VI(500)
            assert model.converged
        errors.append([error(model, data) for model in models])
    plain, original, prior = np.mean(errors, axis=0)
    assert prior < plain
    assert prior < original


def test_smoothing_goes_by_the_schedule(tissue):
    by_schedule = {}
    for schedule in ("fast", "original"):
        model = model_of(tissue, n_neighbors=6)
        model.VI(12, schedule=schedule, tol=None)
        by_schedule[schedule] = model
    assert by_schedule["fast"].params()["smoothing"] == "prior"
    assert by_schedule["original"].params()["smoothing"] == "original"
    assert "strength" not in by_schedule["original"].params()
    np.testing.assert_array_equal(by_schedule["fast"].gamma, fitted(tissue, 12, n_neighbors=6, smoothing="prior").gamma)
    named = model_of(tissue, n_neighbors=6, smoothing="original")
    named.VI(12, schedule="original")
    np.testing.assert_array_equal(by_schedule["original"].gamma, named.gamma)
    assert fitted(tissue, 12, n_neighbors=6, smoothing="original").params()["smoothing"] == "original"


@pytest.mark.parametrize("done", [0, 3])
def test_the_original_schedule_refuses_the_prior_and_changes_nothing(tissue, done):
    model = model_of(tissue, n_neighbors=6, smoothing="prior")
    if done:
        model.VI(done, tol=None)
    before = state(model)
    with pytest.raises(ValueError, match="schedule='original' has the original's smoothing.*smoothing=None"):
        model.VI(2, schedule="original")
    assert_same_state(state(model), before)
    model.VI(5 - done, tol=None)
    np.testing.assert_array_equal(model.gamma, fitted(tissue, 5, n_neighbors=6).gamma)


@pytest.mark.parametrize("inference", ["variational", "collapsed"])
def test_alpha_is_not_learned_beside_neighbours(inference):
    options = {"n_topics": 8, "n_neighbors": 6, "alpha": "auto", "eta": "auto", "inference": inference}
    spatial = fitted(thin(), 15, strength=0.5, **options)
    assert spatial.alpha == 1 / 8
    assert spatial.eta != 0.01
    assert fitted(thin(), 15, smoothing="original", **options).alpha != 1 / 8


def test_signatures_are_those_without_neighbours():
    plain = mt.tl.MTM(thin(), 8, n_jobs=1, verbose=False)
    plain.VI(500)
    model = model_of(thin(), n_topics=8, n_neighbors=6, strength=0.5)
    model.VI(500)
    assert model.converged
    assert (model.elbo, model.passes) == (plain.elbo, plain.passes)
    np.testing.assert_array_equal(model.lambda_["rna"], plain.lambda_["rna"])
    assert (np.diff(model.elbo[EXPLORE:]) >= -1e-6 * abs(model.elbo[-1])).all()


def test_topics_are_those_of_the_counts_and_a_share_of_the_neighbours():
    data = thin()
    plain, model = (fitted(data, 20, n_topics=8, n_neighbors=6, strength=strength) for strength in (0, 0.5))
    weights = (model._run.smoothing.weights + model._run.smoothing.weights.T).toarray()
    theta, depth = share(model.gamma), data["rna"].X.sum() / data.n_obs
    alike = (np.sqrt(theta) @ np.sqrt(theta).T) ** 8
    mean = (weights * alike) @ theta / weights.sum(axis=1, keepdims=True)
    lent = model.gamma - plain.gamma
    assert lent.min() > -1e-4
    np.testing.assert_allclose(lent, 0.5 * depth * mean, atol=0.02 * depth)


@pytest.mark.parametrize("ended_by", ["n_iter", "callback", "tol", "checkpoint"])
def test_neighbours_come_in_where_a_call_ends(tmp_path, ended_by):
    data, path = thin(), tmp_path / "model.h5"
    model, plain = (model_of(data, n_topics=8, n_neighbors=6, strength=strength) for strength in (0.5, 0))

    def stop(model):
        return ended_by == "callback" and len(model.elbo) == 13

    def crash(model):
        if len(model.elbo) == 13:
            raise RuntimeError

    if ended_by == "checkpoint":
        with pytest.raises(RuntimeError):
            model.VI(20, tol=None, callback=crash, checkpoint=path, checkpoint_every=13)
        model = mt.tl.load_model(path, data)
        model.VI(0)
    else:
        model.VI({"n_iter": 13, "tol": 500}.get(ended_by, 20), tol=0.1 if ended_by == "tol" else None, callback=stop)
    plain.VI(len(model.elbo), tol=None)
    assert (len(model.elbo) == 13) is (ended_by != "tol")
    prior, totals = model._run.smoothing.term("fast"), model._run.fit.posterior.corpus.totals
    np.testing.assert_array_equal(model.gamma, prior.smoothed(plain.gamma, totals))
    assert (model.gamma.sum(axis=1) > plain.gamma.sum(axis=1) + 1).all()


def test_while_a_fit_runs_its_topics_are_those_of_the_counts_alone():
    seen = []
    model, plain = (model_of(thin(), n_topics=8, n_neighbors=6, strength=strength) for strength in (0.5, 0))
    for each in (model, plain):
        for n_iter in (3, 2):
            each.VI(n_iter, tol=None, callback=lambda one: seen.append(one.gamma.copy()))
    for one, other in zip(seen[:5], seen[5:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_fit_ends_when_its_topics_rest():
    model = model_of(thin(), n_topics=8, n_neighbors=6, strength=0.5)
    model.VI(500)
    assert model.converged
    assert EXPLORE + WINDOW < len(model.elbo) < 500
    before, n_iter = share(model.gamma), len(model.elbo)
    model.VI(10)
    assert len(model.elbo) == n_iter
    np.testing.assert_array_equal(share(model.gamma), before)
    model.VI(WINDOW, tol=None)
    assert not model.converged
    assert abs(share(model.gamma) - before).sum(axis=1).mean() / 2 < 5e-3
    strict = model_of(thin(), n_topics=8, n_neighbors=6, strength=0.5)
    strict.VI(n_iter + 10, tol=1e-6)
    assert not strict.converged
    assert len(strict.elbo) == n_iter + 10


@pytest.mark.slow
@pytest.mark.whole_start
@pytest.mark.parametrize("kind", ["smooth", "sharp"])
def test_a_fit_that_has_converged_stays(kind):
    data = thin(kind, 300)
    model = model_of(data, n_topics=8, n_neighbors=6)
    model.VI(1000)
    assert model.converged
    before = share(model.gamma)
    model.VI(300, tol=None)
    after = share(model.gamma)
    moved = abs(after - before).sum(axis=1).mean() / 2
    changed = (after.argmax(axis=1) != before.argmax(axis=1)).mean()
    assert moved <= 0.01
    assert changed <= 0.02


@pytest.mark.parametrize("where", ["e_step", "m_step", "bound"])
def test_interrupted_while_strength_is_learned(monkeypatch, where):
    data, calls, method = thin(), [], getattr(Posterior, where)
    model = model_of(data, n_topics=8, n_neighbors=6)

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 25:
            raise KeyboardInterrupt
        return method(*arguments, **options)

    before = model.gamma, *model.lambda_.values()
    monkeypatch.setattr(Posterior, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.VI(5, tol=None)
    monkeypatch.undo()
    assert model.strength is None
    assert not model.fitted
    assert (model.elbo, model.passes) == ([], 0)
    for table, was in zip((model.gamma, *model.lambda_.values()), before, strict=True):
        np.testing.assert_array_equal(table, was.astype(table.dtype))
    model.VI(15, tol=None)
    whole = fitted(data, 15, n_topics=8, n_neighbors=6)
    assert whole.strength > 0
    np.testing.assert_array_equal(model.gamma, whole.gamma)
    assert (model.strength, model.elbo) == (whole.strength, whole.elbo)


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_neighbors": 6},
        {"radius": 0.2, "strength": 0, "bandwidth": np.inf},
        {"smoothing": "original", "neighbors_method": "delaunay"},
        {"library_key": "section", "n_neighbors": 4, "strength": 1},
        {"library_key": "section", "radius": 0.3, "bandwidth": 150},
        {"library_key": "section", "neighbors_method": "delaunay"},
        {"neighbors_key": "ring"},
    ],
)
def test_params_go_to_a_file_and_come_back(tissue, tmp_path, arguments):
    tissue.obs["section"] = pd.Categorical(["b"] * 75 + ["a"] * 75)
    tissue.obsp["ring_connectivities"] = csr_matrix(np.roll(np.eye(150), 1, axis=1))
    model = fitted(tissue, 3, **arguments)
    mt.tl.export_params(model, tissue)
    params = model.params()
    tissue.write(tmp_path / "a.h5mu")
    again = read_h5mu(tmp_path / "a.h5mu").uns["mtopic"]["params"]
    assert again.keys() - {"stored_graph"} == params.keys()
    for name, value in params.items():
        np.testing.assert_array_equal(again[name], value)
    smoothing = arguments.get("smoothing", "prior")
    assert params["smoothing"] == smoothing
    assert params["bandwidth"] == arguments.get("bandwidth", "auto")
    assert ("strength" in params) is (smoothing == "prior")


def prepared(data):
    copy = data.copy()
    mt.pp.tfidf(copy, mod="rna")
    mt.pp.scale_counts(copy)
    return copy


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("strength", ["auto", 0.5])
def test_prepared_counts_weigh_as_much_as_the_raw_ones(dtype, strength):
    data = prepared(thin(modalities={"rna": 200, "atac": 100}))
    total, given = (sum(a.layers["counts"].sum() for a in data.mod.values()), sum(a.X.sum() for a in data.mod.values()))
    assert given > 10 * total
    model = fitted(data, 12, n_topics=8, n_neighbors=6, dtype=dtype, strength=strength)
    assert model.strength > 0
    assert model.n_counts == pytest.approx(total, rel=1e-5)
    assert model.params()["n_counts"] == model.n_counts
    model.VI(3, tol=None)
    assert model.n_counts == pytest.approx(total, rel=1e-5)
    by_mod = {mod: lam.sum(dtype=float) - lam.size * 0.01 for mod, lam in model.lambda_.items()}
    for mod, adata in data.mod.items():
        assert by_mod[mod] == pytest.approx(adata.X.sum() * total / given, rel=1e-3)
    totals = sum(np.asarray(a.X.sum(axis=1)).ravel() for a in data.mod.values()) * total / given
    lent = model.gamma.sum(axis=1) - totals
    assert (lent < 1 + model.strength * totals.mean() * 1.001).all()
    assert (lent > 1.1).all()


def test_the_correction_keeps_the_prepared_counts(tissue):
    data = prepared(tissue)
    given = sum(adata.X.sum() for adata in data.mod.values())
    for schedule in ("fast", "original"):
        model = model_of(data, n_neighbors=6, smoothing="original")
        model.VI(3, schedule=schedule, tol=None)
        assert model.n_counts == pytest.approx(given, rel=1e-5)
    unsettled = model_of(data, n_neighbors=6)
    unsettled.VI(3, schedule="original")
    assert unsettled.n_counts == pytest.approx(given, rel=1e-5)


def test_the_factor_of_prepared_counts_makes_no_difference():
    """Twice the prepared counts are the same evidence, and strength is learned from the raw counts alone."""
    data = thin()
    once, twice = prepared(data), prepared(data)
    for adata in twice.mod.values():
        adata.X = adata.X * 2
    models = [fitted(each, 20, n_topics=8, n_neighbors=6) for each in (data, once, twice)]
    assert models[0].strength == models[1].strength == models[2].strength > 0
    np.testing.assert_allclose(share(models[1].gamma), share(models[2].gamma), atol=1e-3)


def test_counts_without_a_raw_layer_are_the_evidence(tissue):
    for adata in tissue.mod.values():
        adata.X = adata.X * 3
    assert fitted(tissue, 1, n_neighbors=6).n_counts == sum(adata.X.sum() for adata in tissue.mod.values())


SECTIONED = [
    {"radius": 0.15},
    {"n_neighbors": 5},
    {"neighbors_method": "delaunay"},
    {"neighbors_method": "grid"},
    {"n_neighbors": 5, "bandwidth": 80.0},
]


@pytest.fixture
def two_sections():
    """Two sections of different size in coordinates that overlap, mixed in order."""
    mdata = mt.datasets.simulate(220, 4, modalities={"rna": 60, "atac": 90}, depth=300, n_sections=2)
    second = (mdata.obs["section"] == "section_2").to_numpy()
    mdata.obsm["spatial"][second] *= 8.0
    order = np.random.default_rng(0).permutation(220)
    return mdata[order].copy()


@pytest.mark.parametrize("arguments", SECTIONED)
@pytest.mark.parametrize("form", ["MuData", "AnnData"])
def test_sections_have_the_neighbours_that_they_have_alone(two_sections, arguments, form):
    data = two_sections
    if form == "AnnData":
        data = two_sections["rna"].copy()
        data.obsm["spatial"], data.obs["section"] = two_sections.obsm["spatial"], two_sections.obs["section"]
    model = model_of(data, library_key="section", **arguments)
    assert model.params()["library_key"] == "section"
    for name in ("section_1", "section_2"):
        members = np.flatnonzero(data.obs["section"] == name)
        alone = model_of(data[members].copy(), **arguments)
        whole = (model.graph.connectivities, model.graph.distances, model._run.smoothing.weights)
        parts = (alone.graph.connectivities, alone.graph.distances, alone._run.smoothing.weights)
        for matrix, part in zip(whole, parts, strict=True):
            np.testing.assert_allclose(matrix[members][:, members].toarray(), part.toarray(), rtol=1e-12)
            assert matrix[members].nnz == part.nnz > 0


def test_sections_share_topics(two_sections):
    model = fitted(two_sections, 30, library_key="section", n_neighbors=6)
    assert model.gamma.shape == (220, 4)
    mt.tl.export_params(model, two_sections)
    assert mt.datasets.recovery(two_sections)["correlation"].mean() > 0.9
    section = two_sections.obs["section"].cat.codes.to_numpy()
    edges = two_sections.obsp["spatial_connectivities"].tocoo()
    assert edges.nnz > 0
    assert (section[edges.row] == section[edges.col]).all()


def test_the_correction_measures_each_section_by_its_own_side(two_sections):
    """A section that is drawn eight times as large is corrected as it would be by itself."""
    larger = two_sections.copy()
    larger.obsm["spatial"][(larger.obs["section"] == "section_1").to_numpy()] *= 8.0
    models = [
        fitted(data, 12, library_key="section", n_neighbors=6, smoothing="original") for data in (two_sections, larger)
    ]
    np.testing.assert_allclose(models[0].gamma, models[1].gamma, rtol=1e-4, atol=1e-4)


def test_units_of_coordinates_make_no_difference():
    near, far = thin(), thin()
    far.obsm["spatial"] = far.obsm["spatial"] * 1024
    one, two = (fitted(data, 15, n_topics=8, n_neighbors=6) for data in (near, far))
    assert one.strength == two.strength > 0
    np.testing.assert_array_equal(one.gamma, two.gamma)


def test_a_stored_graph_between_sections_is_refused(tissue):
    tissue.obs["section"] = ["one"] * 75 + ["two"] * 75
    tissue.obsp["ring_connectivities"] = csr_matrix(np.roll(np.eye(150), 1, axis=1))
    with pytest.raises(ValueError, match=r"obsp\['ring_connectivities'\] has 2 neighbours in other sections"):
        model_of(tissue, neighbors_key="ring", library_key="section")
    apart = np.roll(np.eye(75), 1, axis=1)
    tissue.obsp["ring_connectivities"] = csr_matrix(np.kron(np.eye(2), apart))
    assert neighbours(model_of(tissue, neighbors_key="ring", library_key="section"), 74) == {0}


def test_an_observation_of_no_section(tissue):
    tissue.obs["section"] = pd.Series(["one"] * 75 + [None] * 75, index=tissue.obs_names, dtype=object)
    with pytest.raises(ValueError, match=r"obs\['section'\] names no section for 75 observations"):
        model_of(tissue, library_key="section")


def test_three_dimensions(tissue):
    """Two copies of a tissue above each other: nearest neighbours are of either."""
    both = np.concatenate([np.column_stack([tissue.obsm["spatial"], np.full(150, z)]) for z in (0.0, 60.0)])
    rna = tissue["rna"]
    data = AnnData(csr_matrix(np.vstack([rna.X.toarray()] * 2)), obs=pd.DataFrame(index=[f"s{d}" for d in range(300)]))
    data.obsm["spatial"] = both
    for arguments in ({"n_neighbors": 5}, {"radius": 0.2}, {"neighbors_method": "delaunay"}):
        model = model_of(data, **arguments)
        for d in (0, 70, 200):
            assert (d + 150) % 300 in neighbours(model, d)
        model.VI(3)
        assert np.isfinite(model.gamma).all()
    with pytest.raises(ValueError, match="method='grid' is for two dimensions"):
        model_of(data, neighbors_method="grid")


def test_methods_of_neighbours(tissue):
    grid = model_of(tissue, neighbors_method="grid")
    degree = np.diff(grid.graph.neighbours().indptr)
    np.testing.assert_allclose(grid.graph.distances.data, 100, rtol=1e-6)  # adjacent places of the hexagons
    assert degree.max() == 6
    assert grid.params()["neighbors_method"] == "grid"
    triangles = model_of(tissue, neighbors_method="delaunay")
    assert triangles.params()["neighbors_method"] == "delaunay"
    missing = grid.graph.neighbours() - grid.graph.neighbours().multiply(triangles.graph.neighbours())
    assert missing.nnz == 0


def test_bandwidth_says_what_distance_weighs(tissue):
    weights = {
        width: model_of(tissue, radius=0.3, bandwidth=width)._run.smoothing.weights for width in ("auto", 50.0, np.inf)
    }
    distance = model_of(tissue, radius=0.3).graph.distances
    for width, unit in (("auto", 100.0), (50.0, 50.0)):
        expected = np.where(distance.toarray() > 0, np.exp(-0.5 * (distance.toarray() / unit) ** 2), 0)
        np.testing.assert_allclose(weights[width].toarray(), expected, rtol=1e-6)
    assert (weights[np.inf].data == 1).all()
    assert weights[np.inf].nnz == distance.nnz


def test_observations_without_counts_beside_neighbours(tissue):
    adata = tissue["rna"].copy()
    adata.obsm["spatial"] = tissue.obsm["spatial"]
    x = adata.X.toarray()
    x[[3, 8]] = 0
    adata.X = csr_matrix(x)
    with pytest.warns(UserWarning, match="2 of 150 observations have no counts") as caught:
        model = model_of(adata, n_neighbors=6)
    assert len([w for w in caught if "no counts" in str(w.message)]) == 1
    model.VI(15, tol=None)
    np.testing.assert_allclose(model.gamma[[3, 8]], 1 / 4, rtol=1e-6)
    assert np.isfinite(model.elbo).all()


def test_few_features_teach_no_strength():
    data = mt.datasets.simulate(200, 3, modalities={"prot": 5}, depth=100, tissue="noise")
    assert fitted(data, 1, n_topics=3, n_neighbors=6).strength == 0


@pytest.mark.parametrize("n_obs", [3, 6])
def test_very_few_observations(n_obs):
    data = mt.datasets.simulate(n_obs, 2, modalities={"rna": 30}, depth=50)
    model = fitted(data, 40, n_topics=2, n_neighbors=2)
    assert np.isfinite(model.gamma).all()
    assert np.isfinite(model.elbo).all()
