import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.special import betaincinv

import mtopic as mt

MODALITIES = {"rna": 200, "atac": 300}
SLOTS = ("topics_sd", "topics_low", "topics_high")


def cells(n_obs=500, n_topics=5, *, depth=200, rng=1, **options):
    return mt.datasets.simulate(n_obs, n_topics, modalities=MODALITIES, depth=depth, spatial=False, rng=rng, **options)


def fit(data, n_topics=5, **options):
    mt.tl.topic_model(data, n_topics, verbose=False, n_jobs=1, **options)


def matched(data):
    """For each topic of the fit the true one."""
    found, true = data.obsm["topics"].to_numpy(), data.obsm["true_topics"].to_numpy()
    distance = np.abs(found[:, :, None] - true[:, None, :]).sum(axis=0)
    return true[:, linear_sum_assignment(distance)[1]]


def coverage(data, level=0.9):
    """Share of the true proportions within their limits: of all, and of those above 0.02."""
    mt.tl.uncertainty(data, level=level, n_jobs=1)
    true = matched(data)
    inside = (data.obsm["topics_low"] <= true) & (true <= data.obsm["topics_high"])
    return inside.to_numpy().mean(), inside.to_numpy()[true > 0.02].mean()


@pytest.fixture(scope="module")
def good():
    """Two good modalities, fitted; not to be changed."""
    mdata = cells()
    fit(mdata)
    return mdata


@pytest.mark.whole_start
@pytest.mark.parametrize("n_topics", [8, 20])
@pytest.mark.parametrize("depth", [50, 500, 5000])
def test_intervals_cover_what_they_say(depth, n_topics):
    mdata = mt.datasets.simulate(600, n_topics, depth={"rna": depth, "atac": depth / 4}, spatial=False, rng=3)
    fit(mdata, n_topics)
    for level, least, most in ((0.5, 0.41, 0.55), (0.9, 0.84, 0.93), (0.95, 0.89, 0.97)):
        every, large = coverage(mdata, level)
        assert least < every < most, level
        assert least - (0.05 if depth == 50 else 0) < large < most, level


@pytest.mark.parametrize("inference", ["variational", "collapsed"])
def test_few_observations(inference):
    """Signatures made of few counts; by them alone four fifths of the larger proportions, at most, were covered."""
    mdata = mt.datasets.simulate(120, 8, depth=50, spatial=False, rng=0)
    fit(mdata, 8, inference=inference)
    every, large = coverage(mdata)
    assert 0.82 < every < 0.95 and 0.78 < large < 0.95
    assert (mdata.obsm["topics_sd"].to_numpy() ** 2).mean() == pytest.approx(
        ((matched(mdata) - mdata.obsm["topics"]) ** 2).to_numpy().mean(), rel=0.8
    )


def test_prepared_counts_are_no_more_evidence_than_raw_ones():
    mdata = mt.datasets.simulate(600, 8, depth={"rna": 200, "atac": 50}, spatial=False, rng=3)
    fit(mdata, 8, modality_weights="equal")
    mt.tl.uncertainty(mdata)
    raw = mdata.obsm["topics_sd"].to_numpy().mean()
    for mod in mdata.mod:
        mt.pp.tfidf(mdata, mod=mod)
    mt.pp.scale_counts(mdata)
    model = mt.tl.MTM(mdata, 8, n_jobs=1, verbose=False)
    model.VI(200)
    mt.tl.export_params(model, mdata)
    every, large = coverage(mdata)
    assert 0.83 < every < 0.95 and 0.8 < large < 0.96
    assert mdata.obsm["topics_sd"].to_numpy().mean() == pytest.approx(raw, rel=0.3)
    for adata in mdata.mod.values():
        del adata.layers["counts"]
    assert coverage(mdata)[1] > 0.8, "without the raw counts it is their dispersion that tells"


@pytest.mark.whole_start
def test_counts_in_clumps_are_fewer():
    mdata = mt.datasets.simulate(600, 8, depth=500, overdispersion=10, spatial=False, rng=0)
    fit(mdata, 8)
    every, large = coverage(mdata)
    assert 0.85 < every < 0.95 and 0.83 < large < 0.95


def test_a_modality_of_one_feature_tells_nothing(good):
    mdata = good.copy()
    mt.tl.uncertainty(mdata)
    alone = cells()
    alone.mod["prot"] = alone["rna"][:, :1].copy()
    alone["prot"].var_names, alone["prot"].X = ["prot_0"], csr_matrix(np.full((500, 1), 30.0))
    alone = MuData(dict(alone.mod))
    fit(alone, modality_weights="equal")
    mt.tl.uncertainty(alone)
    sd = alone.obsm["topics_sd"].to_numpy()
    assert np.isfinite(sd).all() and np.sqrt((sd**2).mean()) == pytest.approx(
        np.sqrt((mdata.obsm["topics_sd"].to_numpy() ** 2).mean()), rel=0.15
    )


def test_slots_of_a_mudata(good, fingerprint):
    mdata = good.copy()
    parts, topics, uns = fingerprint(mdata.mod), fingerprint(mdata.obsm["topics"]), fingerprint(dict(mdata.uns))
    slots = set(mdata.obsm)
    assert mt.tl.uncertainty(mdata) is None
    assert fingerprint(mdata.mod) == parts and fingerprint(mdata.obsm["topics"]) == topics
    assert fingerprint(dict(mdata.uns)) == uns
    assert set(mdata.obsm) - slots == set(SLOTS)
    sd, low, high = (mdata.obsm[name] for name in SLOTS)
    for found in (sd, low, high):
        assert found.columns.equals(mdata.obsm["topics"].columns) and list(found.index) == list(mdata.obs_names)
        assert (found.dtypes == np.float64).all() and np.isfinite(found.to_numpy()).all()
    assert (sd > 0).all(axis=None) and (low >= 0).all(axis=None) and (high <= 1).all(axis=None)
    assert (low < high).all(axis=None)


def test_an_anndata():
    adata = cells()["rna"].copy()
    fit(adata)
    mt.tl.uncertainty(adata)
    assert set(SLOTS) <= set(adata.obsm) and adata.obsm["topics_sd"].shape == (500, 5)


def test_levels_and_moments(good):
    """Limits are the quantiles of one beta distribution, whose standard deviation is the one given."""
    mdata = good.copy()
    mt.tl.uncertainty(mdata, level=0.5)
    inner = [mdata.obsm[name].to_numpy() for name in SLOTS]
    mt.tl.uncertainty(mdata, level=0.9)
    sd, low, high = (mdata.obsm[name].to_numpy() for name in SLOTS)
    np.testing.assert_array_equal(sd, inner[0])
    assert (low <= inner[1]).all() and (inner[2] <= high).all()
    d, k = np.argwhere((mdata.obsm["topics"].to_numpy() > 0.3) & (mdata.obsm["topics"].to_numpy() < 0.7))[0]
    means = np.linspace(low[d, k], high[d, k], 2001)
    sizes = means * (1 - means) / sd[d, k] ** 2 - 1
    misses = np.abs(betaincinv(means * sizes, (1 - means) * sizes, 0.05) - low[d, k])
    best = misses.argmin()
    upper = betaincinv(means[best] * sizes[best], (1 - means[best]) * sizes[best], 0.95)
    assert upper == pytest.approx(high[d, k], abs=1e-4)


def test_weights_are_taken_into_account(good):
    mdata = good.copy()
    spread = []
    for weight in (1.0, 0.0):
        params = {**mdata.uns["mtopic"]["params"], "modality_weights": {"rna": 1.0, "atac": weight}}
        mdata.uns["mtopic"] = {**mdata.uns["mtopic"], "params": params}
        mt.tl.uncertainty(mdata)
        spread.append((mdata.obsm["topics_sd"].to_numpy() ** 2).mean())
    assert 1.6 < spread[1] / spread[0] < 2.6, "half of the counts"


def test_counts_decide():
    """A quarter of the counts: twice the standard deviation."""
    spread = []
    for depth in (2000, 500):
        mdata = cells(depth=depth)
        fit(mdata)
        mt.tl.uncertainty(mdata)
        spread.append(np.sqrt((mdata.obsm["topics_sd"].to_numpy() ** 2).mean()))
    assert spread[1] / spread[0] == pytest.approx(2, rel=0.15)


def test_neighbours_make_surer():
    mdata = mt.datasets.simulate(400, 5, modalities=MODALITIES, depth=50, rng=2)
    fit(mdata, spatial_key="spatial", n_neighbors=6, strength=0.5)
    assert coverage(mdata)[1] > 0.8
    beside = mdata.obsm["topics_sd"].to_numpy()
    mdata.uns["mtopic"]["params"]["strength"] = 0.0
    mt.tl.uncertainty(mdata)
    assert (beside**2).mean() < 0.8 * (mdata.obsm["topics_sd"].to_numpy() ** 2).mean()
    mdata.uns["mtopic"]["params"]["strength"] = 0.5
    del mdata.obsp["spatial_connectivities"]
    with pytest.raises(KeyError, match="no neighbour graph 'spatial'"):
        mt.tl.uncertainty(mdata)


def test_a_graph_of_the_user():
    import squidpy as sq

    adata = mt.datasets.simulate(300, 4, depth=100, rng=2)["rna"].copy()
    adata.obsm["spatial"] = np.random.default_rng(0).random((300, 2))
    sq.gr.spatial_neighbors_knn(adata, n_neighs=6)
    fit(adata, 4, neighbors_key="spatial", strength=0.5)
    mt.tl.uncertainty(adata)
    assert (adata.obsm["topics_sd"] > 0).all(axis=None)


def test_an_observation_without_counts_has_the_prior():
    mdata = cells(200, missing={"atac": 0.2})
    x = mdata["rna"].X.tolil()
    empty = mdata["rna"].obs_names.difference(mdata["atac"].obs_names)[0]
    x[mdata["rna"].obs_names.get_loc(empty)] = 0
    mdata["rna"].X = csr_matrix(x)
    with pytest.warns(UserWarning, match="have no counts"):
        fit(mdata, alpha=0.3)
    mt.tl.uncertainty(mdata)
    np.testing.assert_allclose(mdata.obsm["topics_sd"].loc[empty], np.sqrt(0.2 * 0.8 / 2.5), rtol=1e-4)
    np.testing.assert_allclose(mdata.obsm["topics_low"].loc[empty], betaincinv(0.3, 1.2, 0.05), rtol=1e-3)


def test_topics_left_out_at_export(good):
    mdata = good.copy()
    fit(mdata, 12)
    if mdata.obsm["topics"].shape[1] == 12:
        kept = mdata.obsm["topics"].columns[:-1]
        mdata.obsm["topics"] = mdata.obsm["topics"][kept]
        for adata in mdata.mod.values():
            adata.varm["signatures"] = adata.varm["signatures"][kept]
    mt.tl.uncertainty(mdata)
    assert mdata.obsm["topics_sd"].columns.equals(mdata.obsm["topics"].columns)
    assert np.isfinite(mdata.obsm["topics_sd"].to_numpy()).all()


def test_one_topic_is_certain(good):
    mdata = good.copy()
    mdata.obsm["topics"] = mdata.obsm["topics"].iloc[:, :1] * 0 + 1
    for adata in mdata.mod.values():
        adata.varm["signatures"] = adata.varm["signatures"].iloc[:, :1]
    mt.tl.uncertainty(mdata)
    assert [float(mdata.obsm[name].to_numpy().max()) for name in SLOTS] == [0, 1, 1]
    assert float(mdata.obsm["topics_low"].to_numpy().min()) == 1


def test_threads_change_no_bit(good, fingerprint):
    results = []
    for n_jobs in (1, 2):
        mdata = good.copy()
        mt.tl.uncertainty(mdata, n_jobs=n_jobs)
        results.append(fingerprint(mdata))
    assert results[0] == results[1]


def test_copy_prefix_file_and_the_next_fit(good, tmp_path, fingerprint):
    mdata = good.copy()
    fit(mdata, key_added="my")
    before = fingerprint(mdata)
    copied = mt.tl.uncertainty(mdata, prefix="my", n_jobs=1, copy=True)
    assert fingerprint(mdata) == before and "topics_sd" not in copied.obsm
    copied.write_h5mu(tmp_path / "fit.h5mu")
    read = mt.read.h5mu(tmp_path / "fit.h5mu")
    mt.tl.uncertainty(read, prefix="my", n_jobs=1)
    for name in SLOTS:
        pd.testing.assert_frame_equal(read.obsm[f"my_{name}"], copied.obsm[f"my_{name}"])
    mt.tl.uncertainty(copied, n_jobs=1)
    fit(copied, key_added="my", n_iter=5)
    assert "my_topics_sd" not in copied.obsm and "topics_sd" in copied.obsm, "what was said of an earlier fit is gone"


def test_tables_are_no_coordinates():
    mdata = cells(200, 3)
    fit(mdata, 3)
    mt.tl.uncertainty(mdata)
    assert not [name for name in mt.get.topics(mdata).obsm if name.startswith("X_topics")]


def test_errors(good, fingerprint):
    mdata = good.copy()
    before = fingerprint(mdata)
    for level in (0, 1, 90):
        with pytest.raises(ValueError, match=f"level={level}: give a probability"):
            mt.tl.uncertainty(mdata, level=level)
    with pytest.raises(ValueError, match="n_jobs=0"):
        mt.tl.uncertainty(mdata, n_jobs=0)
    with pytest.raises(KeyError, match="did you mean 'topics'"):
        mt.tl.uncertainty(mdata, prefix="my")
    assert fingerprint(mdata) == before
    signatures = mdata["atac"].varm["signatures"]
    mdata["atac"].varm["signatures"] = signatures.iloc[:, :4]
    with pytest.raises(ValueError, match="modality 'atac' has other topics than the proportions"):
        mt.tl.uncertainty(mdata)
    mdata["atac"].varm["signatures"] = signatures - signatures.to_numpy().max()
    with pytest.raises(ValueError, match="modality 'atac' holds values that are not positive"):
        mt.tl.uncertainty(mdata)
    del mdata["atac"].varm["signatures"]
    with pytest.raises(KeyError, match="no signatures 'signatures' in varm of modality 'atac'"):
        mt.tl.uncertainty(mdata)
    mdata.obsm["topics"] = mdata.obsm["topics"].copy()
    mdata.obsm["topics"].iloc[3:5] = np.nan
    with pytest.raises(ValueError, match="lacks the proportions of 2 observations"):
        mt.tl.uncertainty(mdata)
