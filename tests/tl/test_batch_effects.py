"""Effects of batches: found where they are, none where there are none, and carried on to all that follows."""

import warnings

import mudata
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

import mtopic as mt
from mtopic.model import new_counts
from mtopic.model.fitted import own_posterior

N_TOPICS = 4
OPTIONS = {"verbose": False, "n_jobs": 1}


def simulated(sd, seed=0, n_obs=900, **options):
    depth = {"rna": 500, "prot": 200}
    return mt.datasets.simulate(
        n_obs,
        N_TOPICS,
        modalities={"rna": 100, "prot": 80},
        depth=depth,
        spatial=False,
        n_batches=3,
        batch_effects=sd,
        rng=seed,
        **options,
    )


@pytest.fixture(scope="module")
def with_effects():
    data = simulated(0.5)
    mt.tl.topic_model(data, N_TOPICS, batch_key="batch", **OPTIONS)
    return data


def error(data, found=None):
    true = data.obsm["true_topics"].to_numpy()
    found = (data.obsm["topics"] if found is None else found).to_numpy()
    distance = np.abs(found[:, :, None] - true[:, None]).sum(axis=(0))
    return distance[linear_sum_assignment(distance)].sum() / len(true) / 2


def centred(table):
    logs = np.log(table.to_numpy())
    return (logs - logs.mean(axis=1, keepdims=True)).ravel()


@pytest.mark.parametrize("mod", ["rna", "prot"])
def test_planted_factors_are_found(with_effects, mod):
    adata = with_effects[mod]
    found = adata.varm["batch_effects"]
    assert list(found.columns) == ["batch_1", "batch_2", "batch_3"] and found.index.equals(adata.var_names)
    assert found.dtypes.eq(np.float64).all()
    seen = np.asarray(adata.X.sum(axis=0)).ravel() > 300
    true = adata.varm["true_batch_effects"]
    assert seen.sum() > 40 and np.corrcoef(centred(found[seen]), centred(true[seen]))[0, 1] > 0.9


def test_topics_are_as_good_as_without_effects(with_effects):
    without = simulated(0.0)
    mt.tl.topic_model(without, N_TOPICS, **OPTIONS)
    assert error(with_effects) < 1.2 * error(without)


def test_batches_that_do_not_differ_have_no_effects():
    one, other = simulated(0.0), simulated(0.0)
    mt.tl.topic_model(one, N_TOPICS, batch_key="batch", **OPTIONS)
    mt.tl.topic_model(other, N_TOPICS, **OPTIONS)
    assert abs(np.log(one["rna"].varm["batch_effects"])).max(axis=None) < 0.01
    assert abs(error(one) - error(other)) < 0.002
    assert one.uns["mtopic"]["params"]["batch_strengths"]["rna"] > 1e4


def test_compositions_are_no_effects():
    """Batches of other mixtures of the same topics."""
    data = simulated(0.0, n_obs=1500)
    lead = data.obsm["true_topics"].to_numpy().argmax(axis=1)
    kept = np.random.default_rng(0).random(data.n_obs) < np.where(
        (lead == 0) & (data.obs["batch"] == "batch_1"), 0.2, 1
    )
    data = data[kept].copy()
    alone = data.copy()
    mt.tl.topic_model(data, N_TOPICS, batch_key="batch", **OPTIONS)
    mt.tl.topic_model(alone, N_TOPICS, **OPTIONS)
    assert abs(error(data) - error(alone)) < 0.002
    assert np.log(data["rna"].varm["batch_effects"]).to_numpy().std() < 0.05


def test_they_are_left_out_when_not_asked_for():
    data = simulated(0.5)
    for how in ({}, {"batch_key": "batch", "batch_effects": False}):
        mt.tl.topic_model(data, N_TOPICS, n_iter=5, **OPTIONS, **how)
        assert "batch_effects" not in data["rna"].varm
        assert "batch_strengths" not in data.uns["mtopic"]["params"]
    data.obs["batch"] = "one"
    mt.tl.topic_model(data, N_TOPICS, n_iter=5, batch_key="batch", **OPTIONS)
    assert "batch_effects" not in data["rna"].varm


def test_another_fit_takes_them_away(with_effects):
    data = with_effects.copy()
    mt.tl.topic_model(data, N_TOPICS, n_iter=5, **OPTIONS)
    assert "batch_effects" not in data["rna"].varm


def test_the_original_has_none():
    model = mt.tl.MTM(simulated(0.5), N_TOPICS, batch_key="batch", **OPTIONS)
    with pytest.raises(ValueError, match="batch_effects=False"):
        model.VI(3, schedule="original")


def test_a_saved_model_goes_on_to_the_same_bits(tmp_path):
    data = simulated(0.5)
    model = mt.tl.MTM(data, N_TOPICS, batch_key="batch", **OPTIONS)
    model.VI(13)
    model.save(tmp_path / "model.h5")
    other = mt.tl.load_model(tmp_path / "model.h5", data)
    for one in (model, other):
        one.VI(4, tol=None)
    np.testing.assert_array_equal(model.gamma, other.gamma)
    for mod, table in model.batch_factors.items():
        pd.testing.assert_frame_equal(table, other.batch_factors[mod])


def test_counts_on_disk_give_the_same_bits(tmp_path):
    found = []
    for scratch in (None, tmp_path):
        data = simulated(0.5, n_obs=300)
        mt.tl.topic_model(data, N_TOPICS, n_iter=14, batch_key="batch", scratch=scratch, **OPTIONS)
        found.append(data)
    pd.testing.assert_frame_equal(*(data.obsm["topics"] for data in found))
    pd.testing.assert_frame_equal(*(data["rna"].varm["batch_effects"] for data in found))


def test_stochastic_updates_have_them_too():
    data = simulated(0.5)
    model = mt.tl.MTM(data, N_TOPICS, batch_key="batch", **OPTIONS)
    model.SVI(60, 100)
    found = np.corrcoef(centred(model.batch_factors["rna"]), centred(data["rna"].varm["true_batch_effects"]))[0, 1]
    assert found > 0.8


def test_written_and_read(with_effects, tmp_path):
    with_effects.write(tmp_path / "data.h5mu")
    read = mudata.read(tmp_path / "data.h5mu")
    written = with_effects["rna"].varm["batch_effects"]
    pd.testing.assert_frame_equal(read["rna"].varm["batch_effects"], written, check_names=False)


def test_features_that_a_batch_has_not_measured_have_none():
    data = simulated(0.5)["rna"]
    parts = {name: data[data.obs_names.isin(simulated(0.5).obs_names[::2]) == (name == "a")] for name in "ab"}
    joined = mt.pp.concat({"a": parts["a"][:, :80].copy(), "b": parts["b"][:, 20:].copy()})
    mt.tl.topic_model(joined, N_TOPICS, n_iter=20, batch_key="batch", **OPTIONS)
    found = joined.varm["batch_effects"]
    measured = joined.varm["measured"]
    assert (found.isna().to_numpy() == ~measured[found.columns].to_numpy()).all()


@pytest.fixture(scope="module")
def apart():
    """A fit to two batches, and a third."""
    data = simulated(1.0, seed=1, concentration=1.0)
    known = (data.obs["batch"] != "batch_3").to_numpy()
    train, new = data[known].copy(), data[~known].copy()
    mt.tl.topic_model(train, N_TOPICS, batch_key="batch", **OPTIONS)
    return train, new


def transformed(train, new, **how):
    found = new.copy()
    mt.tl.transform(train, found, verbose=False, **how)
    return found.obsm["topics"]


def matched(train, values):
    true = train.obsm["true_topics"].to_numpy()
    distance = np.abs(train.obsm["topics"].to_numpy()[:, :, None] - true[:, None]).sum(axis=0)
    return values.iloc[:, np.argsort(linear_sum_assignment(distance)[1])]


def test_new_batches_have_their_own_factors(apart):
    train, new = apart
    true = new.obsm["true_topics"].to_numpy()
    errors = [
        np.abs(matched(train, transformed(train, new, **how)).to_numpy() - true).sum(axis=1).mean() / 2
        for how in ({"batch_key": "batch"}, {})
    ]
    assert errors[0] < 0.95 * errors[1]


def test_known_batches_keep_theirs(apart):
    train, _ = apart
    again = transformed(train, train[:200].copy(), batch_key="batch", key_added="again")
    kept = train.obsm["topics"].iloc[:200]
    assert np.abs(again.to_numpy() - kept.to_numpy()).max() < 0.02


def test_perplexity_is_lower_with_factors(apart):
    train, new = apart
    scores = [mt.tl.perplexity(train, new, **how).loc["total", "perplexity"] for how in ({"batch_key": "batch"}, {})]
    assert scores[0] < scores[1]


def test_uncertainty_and_agreement_read_them(with_effects):
    data = with_effects.copy()
    mt.tl.uncertainty(data, n_jobs=1)
    assert (data.obsm["topics_sd"] > 0).all(axis=None)
    mt.tl.modality_agreement(data, n_jobs=1)
    assert data.obsm["modality_agreement"].mean().min() > 0.3


def test_cross_validation(with_effects):
    data = with_effects.copy()
    mt.tl.select_n_topics(data, Ks=(2, 4), n_folds=2, n_iter=20, batch_key="batch", n_jobs=1)
    scores = data.uns["CV_results"].groupby("K")["total"].mean()
    assert scores[4] > scores[2]


def test_a_batch_is_named_for_every_observation():
    data = simulated(0.5, n_obs=200)
    data.obs["batch"] = data.obs["batch"].astype(object).where(np.arange(200) > 4, None)
    before = data.copy()
    with pytest.raises(ValueError, match="5 observations of modality 'rna' are in no batch, the first is 'cell_0'"):
        mt.tl.topic_model(data, N_TOPICS, batch_key="batch", **OPTIONS)
    assert list(data.obsm) == list(before.obsm)


def without(data, mod, batch):
    """The data without the observations of a batch in one modality."""
    batches = data.obs["batch"].astype(str)
    parts = {name: adata[(batches != batch).to_numpy()] if name == mod else adata for name, adata in data.mod.items()}
    left = mudata.MuData({name: adata.copy() for name, adata in parts.items()})
    left.obs["batch"] = batches[left.obs_names]
    return left


def test_a_batch_that_lacks_a_modality_in_the_fit_has_it_later():
    """Its factors there are learned, those of the other modality are known."""
    data = simulated(0.7, seed=1, concentration=1.0)
    train = without(data, "prot", "batch_3")
    mt.tl.topic_model(train, N_TOPICS, batch_key="batch", **OPTIONS)
    assert list(train["prot"].varm["batch_effects"]) == ["batch_1", "batch_2"]
    found = transformed(train, data, batch_key="batch")
    train.obsm["true_topics"] = data.obsm["true_topics"].loc[train.obs_names]
    distance = np.abs(matched(train, found).to_numpy() - data.obsm["true_topics"].to_numpy()).sum(axis=1) / 2
    assert distance.mean() < 0.06


def test_a_new_batch_may_lack_a_modality(apart):
    train, _ = apart
    both = without(simulated(0.7, seed=1, concentration=1.0), "prot", "batch_3")
    assert transformed(train, both, batch_key="batch").notna().all(axis=None)
    assert mt.tl.perplexity(train, both, batch_key="batch").notna().all(axis=None)


def test_a_batch_that_has_measured_nothing_of_a_modality():
    data = simulated(0.5, n_obs=300)
    rna, there = data["rna"], (data.obs["batch"] != "batch_3").to_numpy()
    rna.X = rna.X.multiply(there[:, None]).tocsr()
    rna.varm["measured"] = pd.DataFrame({"batch_1": True, "batch_2": True, "batch_3": False}, rna.var_names)
    mt.tl.topic_model(data, N_TOPICS, n_iter=12, batch_key="batch", **OPTIONS)
    assert list(rna.varm["batch_effects"]) == ["batch_1", "batch_2"]
    assert list(data["prot"].varm["batch_effects"]) == ["batch_1", "batch_2", "batch_3"]


def test_new_data_without_batches_are_an_average_one(apart):
    train, new = apart
    with pytest.warns(UserWarning, match="average batch: name the column"):
        transformed(train, new)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        transformed(train, new, batch_key="batch")


def test_every_new_batch_is_learned_from_its_own_observations(apart, monkeypatch):
    """However few of all are taken."""
    train, new = apart
    monkeypatch.setattr(new_counts, "ENOUGH", 40)
    few = new.copy()
    few.obs["batch"] = np.where(np.arange(few.n_obs) < 3, "tiny", "large")
    assert transformed(train, few, batch_key="batch").notna().all(axis=None)


def test_a_modality_that_no_observation_had_when_factors_were_learned(apart, monkeypatch):
    train, new = apart
    monkeypatch.setattr(new_counts, "ENOUGH", 1)
    few = mudata.MuData({"rna": new["rna"].copy(), "prot": new["prot"][::20].copy()})
    few.obs["batch"] = "new"
    assert transformed(train, few, batch_key="batch").notna().all(axis=None)


def test_batches_that_are_named_otherwise_now_are_not_those_of_the_fit(with_effects):
    data = with_effects.copy()
    data.obs["batch"] = data.obs["batch"].astype(str).replace("batch_2", "second")
    with pytest.raises(ValueError, match=r"no batch 'second' in the fit of modality 'rna'.*obs\['batch'\]"):
        mt.tl.uncertainty(data, n_jobs=1)
    assert "topics_sd" not in data.obsm


def test_a_batch_that_is_in_one_fold_only():
    data = simulated(0.5, n_obs=240)
    data.obs["batch"] = data.obs["batch"].astype(str).where(np.arange(240) > 0, "single")
    mt.tl.select_n_topics(data, Ks=(2, 4), n_folds=2, n_iter=5, batch_key="batch", n_jobs=1)
    assert data.uns["CV_results"]["total"].notna().all()


def test_one_batch_of_several_keeps_its_factors(with_effects):
    alone = with_effects[with_effects.obs["batch"] == "batch_1"].copy()
    posterior, _ = own_posterior(alone, "", 1)
    factors = np.concatenate([alone[mod].varm["batch_effects"]["batch_1"] for mod in ("rna", "prot")])
    np.testing.assert_array_equal(posterior.effects.factors, factors)
