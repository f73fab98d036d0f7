import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.stats import beta

import mtopic as mt

MODALITIES = {"rna": 200, "atac": 300}
SLOTS = ("signatures_sd", "signatures_low", "signatures_high")


def cells(n_obs=500, n_topics=5, *, depth=200, rng=1, **options):
    return mt.datasets.simulate(n_obs, n_topics, modalities=MODALITIES, depth=depth, spatial=False, rng=rng, **options)


def fit(data, n_topics=5, **options):
    mt.tl.topic_model(data, n_topics, verbose=False, n_jobs=1, **options)


def shares(table):
    return (table / table.sum()).to_numpy(dtype=np.float64)


def true_shares(mdata, mod):
    """The true signatures in the order of the fit's topics."""
    found, true = mdata.obsm["topics"].to_numpy(), mdata.obsm["true_topics"].to_numpy()
    distance = np.abs(found[:, :, None] - true[:, None, :]).sum(axis=0)
    return mdata[mod].varm["true_signatures"].to_numpy()[:, linear_sum_assignment(distance)[1]]


def coverage(low, high, true):
    """Share of the shares above 0.001 within their limits."""
    return ((low <= true) & (true <= high))[true > 0.001].mean()


@pytest.fixture(scope="module")
def good():
    """A fit; not to be changed."""
    mdata = cells()
    fit(mdata)
    return mdata


@pytest.mark.whole_start
@pytest.mark.parametrize(("concentration", "least", "gain"), [(None, 0.82, 0.02), (1.0, 0.62, 0.15)])
def test_intervals_cover_what_they_say(concentration, least, gain):
    """Mixed observations leave the topic of a count open. The Dirichlet's intervals ignore this, and ours in part."""
    mdata = cells(600, 8, depth={"rna": 500, "atac": 125}, rng=0, concentration=concentration)
    fit(mdata, 8)
    mt.tl.signature_uncertainty(mdata, n_jobs=1)
    for mod, adata in mdata.mod.items():
        true, lam = true_shares(mdata, mod), adata.varm["signatures"].to_numpy(dtype=np.float64)
        found = coverage(adata.varm["signatures_low"].to_numpy(), adata.varm["signatures_high"].to_numpy(), true)
        others = lam.sum(axis=0) - lam
        as_if_seen = coverage(beta.ppf(0.05, lam, others), beta.ppf(0.95, lam, others), true)
        assert least < found < 0.95 and found > as_if_seen + gain


@pytest.mark.whole_start
def test_counts_in_clumps_are_fewer():
    mdata = cells(600, 5, depth=300, overdispersion=8, rng=0)
    fit(mdata)
    mt.tl.signature_uncertainty(mdata, n_jobs=1)
    for mod, adata in mdata.mod.items():
        limits = (adata.varm[f"signatures_{side}"].to_numpy() for side in ("low", "high"))
        assert 0.8 < coverage(*limits, true_shares(mdata, mod)) < 0.96


def test_the_standard_deviation_is_that_of_the_formula(good):
    mdata = good.copy()
    mt.tl.signature_uncertainty(mdata, n_jobs=1)
    eta, theta = mdata.uns["mtopic"]["params"]["eta"], mdata.obsm["topics"].to_numpy()
    phi, share = shares(mdata["rna"].varm["signatures"]), mdata["rna"].X.toarray()
    expected = share.sum(axis=1, keepdims=True) * (theta @ phi.T)
    spread = ((share - expected) ** 2).sum() / (expected * (1 - theta @ phi.T)).sum()
    for v in (0, 17, 150):
        r = theta * phi[v]
        r /= r.sum(axis=1, keepdims=True)
        precision = (r * share[:, [v]] / max(1, spread)).T @ r + eta * np.eye(5)
        variance = np.linalg.inv(precision).diagonal() * phi[v] ** 2 * (1 - phi[v])
        most = phi[v] * (1 - phi[v]) / (1 + eta * 200)
        sd = mdata["rna"].varm["signatures_sd"].iloc[v]
        np.testing.assert_allclose(sd, np.sqrt(np.minimum(variance, most)), rtol=1e-3)


def test_slots_of_a_mudata(good, fingerprint):
    mdata = good.copy()
    before = fingerprint([dict(mdata.uns), mdata.obsm["topics"], [adata.X for adata in mdata.mod.values()]])
    assert mt.tl.signature_uncertainty(mdata, level=0.5) is None
    inner = {mod: [adata.varm[name] for name in SLOTS] for mod, adata in mdata.mod.items()}
    mt.tl.signature_uncertainty(mdata)
    assert fingerprint([dict(mdata.uns), mdata.obsm["topics"], [adata.X for adata in mdata.mod.values()]]) == before
    for mod, adata in mdata.mod.items():
        assert set(adata.varm) == {"true_signatures", "signatures", *SLOTS}
        sd, low, high = (adata.varm[name] for name in SLOTS)
        for table in (sd, low, high):
            assert table.index.equals(adata.var_names) and table.columns.equals(mdata.obsm["topics"].columns)
            assert (table.dtypes == np.float64).all() and np.isfinite(table.to_numpy()).all()
        assert (sd > 0).all(axis=None) and (low >= 0).all(axis=None) and (high <= 1).all(axis=None)
        pd.testing.assert_frame_equal(sd, inner[mod][0])
        assert (low <= inner[mod][1]).all(axis=None) and (inner[mod][2] <= high).all(axis=None)


def test_the_weight_of_a_modality_does_not_matter(good):
    mdata = good.copy()
    mt.tl.signature_uncertainty(mdata)
    before = mdata["atac"].varm["signatures_sd"]
    params = {**mdata.uns["mtopic"]["params"], "modality_weights": {"rna": 1.0, "atac": 0.1}}
    mdata.uns["mtopic"] = {**mdata.uns["mtopic"], "params": params}
    mt.tl.signature_uncertainty(mdata)
    np.testing.assert_allclose(mdata["atac"].varm["signatures_sd"], before, rtol=1e-5)


def test_prepared_counts_are_no_more_evidence_than_raw_ones(good):
    raw, mdata = good.copy(), good.copy()
    mt.pp.scale_counts(mdata)
    model = mt.tl.MTM(mdata, 5, n_jobs=1, verbose=False)
    model.VI(100)
    mt.tl.export_params(model, mdata)
    for data in (raw, mdata):
        mt.tl.signature_uncertainty(data)
    mean = [data["rna"].varm["signatures_sd"].to_numpy().mean() for data in (raw, mdata)]
    assert mean[1] == pytest.approx(mean[0], rel=0.35)


def test_an_anndata_of_one_feature_and_one_of_many():
    adata = cells(200)["rna"].copy()
    fit(adata, 3)
    mt.tl.signature_uncertainty(adata)
    assert adata.varm["signatures_sd"].shape == (200, 3)
    one = adata[:, np.asarray(adata.X.sum(axis=0)).argmax()].copy()
    with pytest.warns(UserWarning, match="have no counts"):
        fit(one, 2)
    mt.tl.signature_uncertainty(one)
    assert np.isfinite(one.varm["signatures_sd"].to_numpy()).all()


def test_threads_change_no_bit(good, fingerprint):
    results = [mt.tl.signature_uncertainty(good, n_jobs=n_jobs, copy=True) for n_jobs in (1, 2)]
    assert fingerprint(results[0]) == fingerprint(results[1])


def test_copy_prefix_file_and_the_next_fit(good, tmp_path, fingerprint):
    mdata = good.copy()
    fit(mdata, key_added="my", n_iter=20)
    before = fingerprint(mdata)
    copied = mt.tl.signature_uncertainty(mdata, prefix="my", copy=True)
    assert fingerprint(mdata) == before and "signatures_sd" not in copied["rna"].varm
    copied.write_h5mu(tmp_path / "fit.h5mu")
    read = mt.read.h5mu(tmp_path / "fit.h5mu")
    for name in SLOTS:
        pd.testing.assert_frame_equal(read["atac"].varm[f"my_{name}"], copied["atac"].varm[f"my_{name}"])
    mt.tl.signature_uncertainty(copied)
    fit(copied, key_added="my", n_iter=5)
    assert "my_signatures_sd" not in copied["rna"].varm and "signatures_sd" in copied["rna"].varm


def test_errors(good, fingerprint):
    mdata = good.copy()
    before = fingerprint(mdata)
    for level in (0, 1, 90):
        with pytest.raises(ValueError, match=f"level={level}: give a probability"):
            mt.tl.signature_uncertainty(mdata, level=level)
    with pytest.raises(KeyError, match="did you mean 'topics'"):
        mt.tl.signature_uncertainty(mdata, prefix="my")
    mdata["atac"].varm["signatures"] = mdata["atac"].varm["signatures"].iloc[:, :4]
    with pytest.raises(ValueError, match="modality 'atac' has other topics than the proportions"):
        mt.tl.signature_uncertainty(mdata)
    mdata["atac"].varm["signatures"] = good["atac"].varm["signatures"]
    assert fingerprint(mdata) == before
