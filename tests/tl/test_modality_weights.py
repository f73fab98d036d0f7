"""Weights of modalities, given and learned."""

import mudata
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import mtopic as mt

SIZES = {"rna": 300, "atac": 300}


def cells(n_obs=400, n_topics=6, rng=0, **options):
    options = {"modalities": SIZES, "spatial": False, "depth": 300} | options
    return mt.datasets.simulate(n_obs, n_topics, rng=rng, **options)


def fit(mdata, n_topics=6, rng=0, **options):
    mt.tl.topic_model(mdata, n_topics, rng=rng, n_jobs=1, verbose=False, **options)
    return weights_of(mdata), mdata.obsm["modality_shares"].mean()


def weights_of(mdata):
    return mdata.uns["mtopic"]["params"]["modality_weights"]


def error(mdata, true=None):
    """Mean total variation to the true proportions, topics matched."""
    found = mdata.obsm["topics"].to_numpy()
    true = (mdata if true is None else true).obsm["true_topics"].to_numpy()
    distance = np.abs(found[:, :, None] - true[:, None, :]).sum(axis=0)
    return distance[linear_sum_assignment(distance)].sum() / 2 / len(true)


@pytest.mark.parametrize("depth", [1, 300])
def test_a_modality_that_does_not_vary_has_no_say(depth):
    """Of one feature, or of a single count, nothing can be learned; the others are fitted as without it."""
    from anndata import AnnData

    mdata, x = cells(100), np.full((100, 1), depth, dtype=np.float32)
    if depth == 1:
        x[1:] = 0
    mdata = mudata.MuData({**mdata.mod, "one": AnnData(x, obs=mdata.obs[[]].copy())})
    weights, shares = fit(mdata, n_iter=15)
    assert weights["one"] == shares["one"] == 0
    assert max(weights.values()) == 1
    assert np.isfinite(mdata.obsm["topics"]).all(axis=None)


def alone(mdata, mod):
    one = mudata.MuData({mod: mdata[mod].copy()})
    mt.tl.topic_model(one, 6, n_jobs=1, verbose=False)
    return error(one, mdata)


@pytest.mark.parametrize("depth", [50, 300, 3000])
def test_modalities_that_are_as_good_weigh_alike(depth):
    mdata = cells(depth=depth)
    _, shares = fit(mdata)
    assert shares.sum() == pytest.approx(1)
    assert abs(shares["rna"] - shares["atac"]) < 0.05
    assert error(mdata) < min(alone(mdata, "rna"), alone(mdata, "atac"))


@pytest.mark.parametrize("depth", [{"rna": 300, "atac": 300}, {"rna": 200, "atac": 2000}])
def test_noise_has_no_say(depth):
    mdata = cells(resolved={"atac": []}, depth=depth)
    weights, shares = fit(mdata)
    assert weights["rna"] == 1
    assert shares["atac"] < 0.02
    assert error(mdata) < alone(mdata, "rna") + 0.002
    signatures = mdata["atac"].varm["signatures"]
    assert signatures.to_numpy().sum() == pytest.approx(mdata["atac"].X.sum(), rel=0.2)  # and yet it is read


def test_modalities_that_know_different_things():
    mdata = cells(resolved={"rna": [0, 1, 2], "atac": [3, 4, 5]})
    fit(mdata)
    assert error(mdata) < 0.2 * min(alone(mdata, "rna"), alone(mdata, "atac"))


def test_counts_in_clumps_are_worth_less():
    mdata = cells(overdispersion={"atac": 10}, depth=500)
    weights, _ = fit(mdata)
    assert weights["rna"] == 1
    assert 0.05 < weights["atac"] < 0.2
    learned = error(mdata)
    fit(mdata, modality_weights="equal")
    assert learned < alone(mdata, "rna") < error(mdata)


def test_the_weaker_of_three():
    mdata = cells(modalities=SIZES | {"prot": 40}, resolved={"prot": []})
    weights, shares = fit(mdata)
    assert weights["prot"] == 0
    assert min(weights["rna"], weights["atac"]) > 0.9
    assert shares["prot"] == 0


def test_tissue():
    mdata = cells(600, spatial=True, resolved={"atac": []}, depth=100)
    weights, _ = fit(mdata, spatial_key="spatial")
    assert weights == {"rna": 1, "atac": 0}
    strength = mdata.uns["mtopic"]["params"]["strength"]
    assert strength > 0
    one = mudata.MuData({"rna": mdata["rna"].copy()})
    one.obsm["spatial"] = mdata.obsm["spatial"]
    mt.tl.topic_model(one, 6, spatial_key="spatial", strength=strength, n_jobs=1, verbose=False)
    assert error(mdata) < error(one, mdata) + 0.005


def test_threads_change_no_bit():
    mdata = cells(resolved={"atac": [0, 1]})
    found = []
    for n_jobs in (1, 3):
        mt.tl.topic_model(mdata, 6, n_jobs=n_jobs, verbose=False)
        found.append((weights_of(mdata), mdata.obsm["topics"].to_numpy()))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_given_weights():
    mdata = cells()
    model = mt.tl.MTM(mdata, 6, verbose=False, n_jobs=1, modality_weights={"atac": 0.25})
    assert model.modality_weights == {"rna": 1, "atac": 0.25}
    model.VI(30)
    assert (np.diff(model.elbo[11:]) > -1e-6 * abs(model.elbo[-1])).all()
    mt.tl.export_params(model, mdata)
    totals = np.column_stack([mdata[mod].X.sum(axis=1).A1 * w for mod, w in weights_of(mdata).items()])
    np.testing.assert_allclose(mdata.obsm["modality_shares"], totals / totals.sum(axis=1, keepdims=True), rtol=1e-6)
    assert model.gamma.sum() == pytest.approx(totals.sum() + len(totals), rel=1e-4)
    assert list(mdata.obsm["modality_shares"].columns) == ["rna", "atac"]


def test_the_default_of_the_models_is_the_counts_as_they_are():
    mdata = cells()
    model = mt.tl.MTM(mdata, 6, verbose=False, n_jobs=1)
    assert model.modality_weights == {"rna": 1, "atac": 1}
    model.VI(5)
    assert model.n_counts == pytest.approx(sum(mdata[mod].X.sum() for mod in mdata.mod))


def test_prepared_counts_are_weighed_by_the_raw_ones():
    mdata = cells(resolved={"atac": []})
    before = mdata["rna"].X.copy()
    for mod in mdata.mod:
        mt.pp.tfidf(mdata, mod=mod)
    mt.pp.scale_counts(mdata)
    model = mt.tl.MTM(mdata, 6, verbose=False, n_jobs=1, modality_weights="auto")
    assert model.modality_weights is None
    model.VI(20)
    assert model.modality_weights == {"rna": 1, "atac": 0}
    assert (mdata["rna"].layers["counts"] != before).nnz == 0


def test_weights_are_learned_once():
    mdata = cells(resolved={"atac": [0, 1]})
    one, two = (mt.tl.MTM(mdata, 6, verbose=False, n_jobs=1, modality_weights="auto") for _ in range(2))
    one.VI(24)
    two.VI(10)
    first = two.modality_weights
    two.VI(14)
    assert two.modality_weights == first == one.modality_weights
    np.testing.assert_array_equal(one.gamma, two.gamma)


def test_stochastic_updates_take_weights():
    mdata = cells(resolved={"atac": []}, depth={"rna": 200, "atac": 2000})
    model = mt.tl.MTM(mdata, 6, verbose=False, n_jobs=1, modality_weights="auto")
    model.SVI(n_batches=150, batch_size=60)
    assert model.modality_weights == {"rna": 1, "atac": 0}
    mt.tl.export_params(model, mdata)
    assert error(mdata) < 0.3


def test_one_modality_has_nothing_to_weigh():
    mdata = cells(modalities={"rna": 300})
    mt.tl.topic_model(mdata, 6, n_jobs=1, verbose=False)
    assert weights_of(mdata) == {"rna": 1}
    assert "modality_shares" not in mdata.obsm


def test_weights_survive_a_file(tmp_path):
    mdata = cells(100, resolved={"atac": []})
    fit(mdata)
    mdata.write(tmp_path / "fit.h5mu")
    back = mudata.read_h5mu(tmp_path / "fit.h5mu")
    assert weights_of(back) == weights_of(mdata)
    np.testing.assert_array_equal(back.obsm["modality_shares"], mdata.obsm["modality_shares"])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("best", ValueError, "modality_weights='best': give 'auto', 'equal', or a weight by modality"),
        (3, ValueError, "modality_weights=3: give 'auto', 'equal', or a weight by modality"),
        (None, ValueError, "modality_weights=None: give"),
        ({"atacc": 1}, KeyError, "atacc"),
        ({"atac": -1}, ValueError, r"modality_weights\['atac'\] is -1"),
        ({"atac": np.inf}, ValueError, r"modality_weights\['atac'\] is inf"),
        ({"atac": 0, "rna": 0}, ValueError, "all 0"),
    ],
)
def test_weights_that_make_no_sense(given, error, message):
    mdata = cells(60)
    with pytest.raises(error, match=message):
        mt.tl.topic_model(mdata, 6, modality_weights=given)
    assert "topics" not in mdata.obsm


@pytest.mark.parametrize("given", ["auto", {"atac": 0.5}])
def test_the_original_knows_no_weights(given):
    model = mt.tl.MTM(cells(60), 6, verbose=False, modality_weights=given)
    with pytest.raises(ValueError, match="takes counts as they are"):
        model.VI(5, schedule="original")
    assert not model.fitted
