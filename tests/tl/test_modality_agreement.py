import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import mtopic as mt

MODALITIES = {"rna": 100, "atac": 150}


def cells(n_obs=600, n_topics=5, *, modalities=MODALITIES, depth=200, rng=1):
    return mt.datasets.simulate(n_obs, n_topics, modalities=modalities, depth=depth, spatial=False, rng=rng)


def make_noise(mdata, mod):
    """Counts of one profile, as many in each observation as before."""
    x = mdata[mod].X.toarray().astype(float)
    profile, rng = x.sum(axis=0) / x.sum(), np.random.default_rng(7)
    rows = [rng.multinomial(int(total), profile) for total in x.sum(axis=1)]
    mdata[mod].X = csr_matrix(np.array(rows, dtype=np.float32))


def permute(mdata, mod, rows):
    order = np.arange(mdata.n_obs)
    order[rows] = np.random.default_rng(8).permutation(rows)
    mdata[mod].X = mdata[mod].X.tocsr()[order]


def fit(mdata, n_topics=5, **options):
    mt.tl.topic_model(mdata, n_topics, verbose=False, n_jobs=1, **options)


def agreement(mdata, groupby=None, **options):
    """The messages."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mt.tl.modality_agreement(mdata, groupby, n_jobs=1, **options)
    return [str(one.message) for one in caught if one.category is UserWarning]


@pytest.fixture(scope="module")
def good():
    """Two good modalities, fitted; not to be changed."""
    mdata = cells()
    fit(mdata)
    return mdata


def test_observations_that_are_all_alike_cannot_agree():
    mdata = cells(40)
    for adata in mdata.mod.values():
        adata.X = csr_matrix(np.tile(adata.X[0].toarray(), (40, 1)))
    fit(mdata, n_iter=15)
    mt.tl.modality_agreement(mdata, n_jobs=1)
    assert mdata.obsm["modality_agreement"].isna().all(axis=None)


def test_good_modalities_agree(good, fingerprint):
    mdata = good.copy()
    parts, topics = fingerprint(mdata.mod), fingerprint(mdata.obsm["topics"])
    slots, fields = set(mdata.obsm), dict(mdata.uns["mtopic"])
    assert agreement(mdata) == []
    assert fingerprint(mdata.mod) == parts and fingerprint(mdata.obsm["topics"]) == topics
    assert set(mdata.obsm) - slots == {"modality_agreement"}
    assert set(mdata.uns["mtopic"]) - set(fields) == {"topic_shares"}
    assert all(mdata.uns["mtopic"][key] is value for key, value in fields.items())
    found = mdata.obsm["modality_agreement"]
    assert list(found.columns) == ["rna", "atac"] and list(found.index) == list(mdata.obs_names)
    assert (found.dtypes == np.float64).all()
    np.testing.assert_array_equal(found["rna"], found["atac"])
    assert found.mean().min() > 0.9 and found.to_numpy().max() <= 1


def test_shares_of_the_evidence(good):
    mdata = good.copy()
    agreement(mdata)
    totals = pd.DataFrame({mod: np.asarray(adata.X.sum(axis=1)).ravel() for mod, adata in mdata.mod.items()})
    expected = totals.div(totals.sum(axis=1), axis=0)
    np.testing.assert_allclose(mdata.obsm["modality_shares"], expected, rtol=1e-6)
    mdata.uns["mtopic"]["params"] = {**mdata.uns["mtopic"]["params"], "modality_weights": {"rna": 1.0, "atac": 0.25}}
    agreement(mdata)
    totals["atac"] /= 4
    np.testing.assert_allclose(mdata.obsm["modality_shares"], totals.div(totals.sum(axis=1), axis=0), rtol=1e-6)
    share = mdata.uns["mtopic"]["topic_shares"]["atac"].mean()
    assert share == pytest.approx(0.2, abs=0.05), "as good a modality at a quarter of the weight"


def test_topics_are_shared_by_equal_modalities(good):
    mdata = good.copy()
    agreement(mdata)
    shares = mdata.uns["mtopic"]["topic_shares"]
    assert list(shares.index) == list(mdata.obsm["topics"].columns)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares.to_numpy().min() > 0.35


@pytest.mark.parametrize("depth", [100, 1000])
def test_noise(depth):
    mdata = cells(depth={"rna": 200, "atac": depth})
    make_noise(mdata, "atac")
    fit(mdata)
    (message,) = agreement(mdata)
    assert "topics explain nothing of 'atac'" in message
    assert abs(mdata.obsm["modality_agreement"]["atac"].mean()) < 0.1
    assert mdata.uns["mtopic"]["topic_shares"]["atac"].max() < 0.02


def test_noise_among_three():
    mdata = cells(modalities={**MODALITIES, "prot": 40})
    make_noise(mdata, "prot")
    fit(mdata)
    assert len(agreement(mdata)) == 1
    means = mdata.obsm["modality_agreement"].mean()
    assert means[["rna", "atac"]].min() > 0.9 and abs(means["prot"]) < 0.1
    assert mdata.uns["mtopic"]["topic_shares"]["prot"].max() < 0.02


def test_modalities_that_tell_of_different_things():
    """Of four kinds one modality tells the first two from the others, the other one the odd from the even."""
    rng = np.random.default_rng(0)
    mdata = cells(800, 4)
    kinds = rng.integers(0, 2, (2, 800))
    for kind, adata in zip(kinds, mdata.mod.values(), strict=True):
        profiles = rng.dirichlet(np.full(adata.n_vars, 0.2), 2)
        adata.X = csr_matrix(np.array([rng.multinomial(200, profiles[k]) for k in kind], dtype=np.float32))
    fit(mdata, 4)
    (message,) = agreement(mdata)
    assert "'rna' and 'atac' agree hardly better than chance" in message and "out of order" in message
    assert mdata.uns["mtopic"]["topic_shares"].mean().min() > 0.3


def test_a_topic_of_one_assay():
    """In RNA the first topic looks like the mean of the others."""
    mdata = cells(1000, depth=400)
    profiles = mdata["rna"].varm["true_signatures"].to_numpy().T.copy()
    profiles[0] = profiles[1:].mean(axis=0)
    rng = np.random.default_rng(3)
    mixtures = mdata.obsm["true_topics"].to_numpy() @ profiles
    mdata["rna"].X = csr_matrix(np.array([rng.multinomial(400, p / p.sum()) for p in mixtures], dtype=np.float32))
    fit(mdata)
    assert agreement(mdata) == []
    similarity = mdata.obsm["true_topics"].to_numpy().T @ mdata.obsm["topics"].to_numpy()
    order = similarity.argmax(axis=1)
    assert sorted(order) == list(range(5)), "the topics are found"
    shares = mdata.uns["mtopic"]["topic_shares"].iloc[order]["atac"]
    assert shares.iloc[0] > 0.95 and shares.iloc[1:].max() < 0.65


@pytest.fixture(scope="module")
def samples():
    """Three samples, of which the second has its ATAC out of order; not to be changed."""
    mdata = cells(900)
    mdata.obs["sample"] = pd.Categorical(np.repeat(["b", "a", "c"], 300), categories=["b", "a", "c", "unseen"])
    permute(mdata, "atac", np.flatnonzero(mdata.obs["sample"] == "a"))
    fit(mdata)
    return mdata


def test_a_swapped_sample_is_named(samples):
    mdata = samples.copy()
    (message,) = agreement(mdata, "sample")
    assert "'a' (" in message and "'b' (" not in message and "'c' (" not in message and "obs['sample']" in message
    means = mdata.uns["mtopic"]["modality_agreement"]
    assert list(means.index) == ["b", "a", "c"]
    assert means.loc[["b", "c"]].to_numpy().min() > 0.9 and abs(means.loc["a", "atac"]) < 0.1
    expected = [mdata.obsm["modality_agreement"]["atac"][mdata.obs["sample"] == name].mean() for name in means.index]
    np.testing.assert_allclose(means["atac"], expected)
    agreement(mdata)
    assert "modality_agreement" not in mdata.uns["mtopic"], "a table of groups goes with the call that made it"


def test_two_samples_that_were_exchanged(samples):
    mdata = cells(900, rng=5)
    mdata["rna"].obs["sample"] = np.repeat([1, 2, 3], 300)
    order = np.r_[300:600, 0:300, 600:900]
    mdata["atac"].X = mdata["atac"].X.tocsr()[order]
    fit(mdata)
    (message,) = agreement(mdata, "rna:sample")
    assert "'1' (" in message and "'2' (" in message and "'3' (" not in message


def test_no_false_alarm_in_groups_of_one_kind_or_few(good):
    mdata = good.copy()
    mt.tl.dominant_topics(mdata)
    assert agreement(mdata, "topic") == []
    mdata.obs["few"] = np.random.default_rng(2).integers(0, 60, mdata.n_obs)
    assert agreement(mdata, "few") == []


def test_of_an_observation_without_counts_nothing_is_known():
    mdata = mt.datasets.simulate(400, 4, modalities=MODALITIES, depth=200, missing={"atac": 0.25}, rng=2)
    x = mdata["rna"].X.tolil()
    x[:3] = 0
    mdata["rna"].X = x.tocsr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(mdata, 4)
    assert agreement(mdata) == []
    totals = pd.DataFrame(
        {mod: pd.Series(np.asarray(a.X.sum(axis=1)).ravel(), a.obs_names) for mod, a in mdata.mod.items()}
    )
    totals = totals.reindex(mdata.obs_names).fillna(0)
    found, shares = mdata.obsm["modality_agreement"], mdata.obsm["modality_shares"]
    assert (found["rna"].notna() == (totals > 0).all(axis=1)).all()
    assert (shares["rna"].isna() == (totals.sum(axis=1) == 0)).all()
    assert (shares.loc[totals["atac"] == 0, "atac"].dropna() == 0).all()


def test_observations_in_another_order(good):
    """Names say which observation is which, also where modalities differ in order."""
    from mudata import MuData

    shuffled = good["atac"][np.random.default_rng(4).permutation(good.n_obs)].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata = MuData({"rna": good["rna"].copy(), "atac": shuffled})
    mdata.obsm["topics"] = good.obsm["topics"].loc[mdata.obs_names]
    mdata.uns["mtopic"] = good.uns["mtopic"]
    assert list(mdata["atac"].obs_names) != list(mdata.obs_names)
    assert agreement(mdata) == []
    assert mdata.obsm["modality_agreement"].mean().min() > 0.9


def test_chance_and_identity(good):
    """Against plain numbers of the two proportions: all pairs of different observations average 0."""
    from mtopic.tl._agreement import Pairs

    rng = np.random.default_rng(0)
    one, other = rng.dirichlet(np.ones(4), (2, 30))
    known = np.arange(30) != 7
    coefficients = np.sqrt(one[known]) @ np.sqrt(other[known]).T
    chance = coefficients[~np.eye(29, dtype=bool)].mean()
    values = Pairs.of(one, other, known).agreement()
    assert np.isnan(values[7])
    np.testing.assert_allclose(values[known], (np.diag(coefficients) - chance) / (1 - chance))
    np.testing.assert_allclose(Pairs.of(one, one, known).agreement()[known], 1)


def test_threads_and_repetition_change_no_bit(good, fingerprint):
    results = []
    for n_jobs in (1, 2):
        mdata = good.copy()
        mt.tl.modality_agreement(mdata, n_jobs=n_jobs)
        results.append(fingerprint(mdata))
    assert results[0] == results[1]


def test_copy_prefix_and_file(good, tmp_path, fingerprint):
    mdata = good.copy()
    mdata.obs["half"] = pd.Categorical(np.repeat(["x", "y"], 300))
    mdata.obsm["fit_topics"], mdata.uns["fit_mtopic"] = mdata.obsm["topics"], mdata.uns["mtopic"]
    del mdata.obsm["modality_shares"]
    before = fingerprint(mdata)
    copied = mt.tl.modality_agreement(mdata, "half", prefix="fit", n_jobs=1, copy=True)
    assert fingerprint(mdata) == before
    assert "modality_shares" not in copied.obsm and "topic_shares" not in copied.uns["mtopic"]
    copied.write_h5mu(tmp_path / "fit.h5mu")
    read = mt.read.h5mu(tmp_path / "fit.h5mu")
    for key in ("fit_modality_shares", "fit_modality_agreement"):
        pd.testing.assert_frame_equal(read.obsm[key], copied.obsm[key])
    for key in ("topic_shares", "modality_agreement"):
        pd.testing.assert_frame_equal(
            read.uns["fit_mtopic"][key], copied.uns["fit_mtopic"][key], check_index_type=False, check_column_type=False
        )
    mt.tl.modality_agreement(read, prefix="fit", n_jobs=1)
    pd.testing.assert_frame_equal(read.obsm["fit_modality_agreement"], copied.obsm["fit_modality_agreement"])


def test_a_spatial_fit_to_prepared_counts():
    mdata = mt.datasets.simulate(400, 4, modalities=MODALITIES, depth=200, rng=2)
    mt.pp.scale_counts(mdata)
    model = mt.tl.sMTM(mdata, 4, n_neighbors=6, spatial_key="spatial", strength=0.3, n_jobs=1, verbose=False)
    model.VI(40)
    mt.tl.export_params(model, mdata)
    assert agreement(mdata) == []
    assert mdata.obsm["modality_agreement"].mean().min() > 0.9


def test_tables_are_no_coordinates(good):
    mdata = good.copy()
    agreement(mdata)
    adata = mt.get.topics(mdata)
    assert list(adata.obsm["modality_agreement"].columns) == ["rna", "atac"]
    assert "X_modality_agreement" not in adata.obsm and "X_modality_shares" not in adata.obsm


def test_real_cells(real_mudata):
    """Proteins and RNA of the same cells agree, and do not once the proteins are shuffled."""
    mdata = real_mudata("cite_pbmc1k_small")
    fit(mdata, 8)
    assert agreement(mdata) == []
    assert mdata.obsm["modality_agreement"]["prot"].mean() > 0.5
    permute(mdata, "prot", np.arange(mdata.n_obs))
    mdata["prot"].layers.clear()
    fit(mdata, 8)
    (message,) = agreement(mdata)
    assert "hardly better than chance" in message
    assert abs(mdata.obsm["modality_agreement"]["prot"].mean()) < 0.1


def test_errors(good, fingerprint):
    mdata = good.copy()
    one = mdata["rna"].copy()
    one.obsm["topics"], one.uns["mtopic"] = mdata.obsm["topics"], mdata.uns["mtopic"]
    before = fingerprint(mdata)
    with pytest.raises(ValueError, match="one modality, 'X', which has none to agree with"):
        mt.tl.modality_agreement(one)
    with pytest.raises(KeyError, match="did you mean 'topics'.*export_params"):
        mt.tl.modality_agreement(mdata, prefix="my")
    with pytest.raises(KeyError, match="no column 'sample'"):
        mt.tl.modality_agreement(mdata, "sample")
    with pytest.raises(ValueError, match="n_jobs=0"):
        mt.tl.modality_agreement(mdata, n_jobs=0)
    assert fingerprint(mdata) == before
    mdata.obsm["my_topics"] = mdata.obsm["topics"]
    with pytest.raises(KeyError, match="no fit 'my_mtopic'"):
        mt.tl.modality_agreement(mdata, prefix="my")
    mdata.obsm["topics"] = mdata.obsm["topics"].copy()
    mdata.obsm["topics"].iloc[3:5] = np.nan
    with pytest.raises(ValueError, match="lacks the proportions of 2 observations"):
        mt.tl.modality_agreement(mdata)
    mdata.obsm["topics"] = good.obsm["topics"].iloc[:, :1]
    with pytest.raises(ValueError, match="one topic"):
        mt.tl.modality_agreement(mdata)
