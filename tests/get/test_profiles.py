import numpy as np
import pytest

import mtopic


@pytest.fixture
def mdata():
    mdata = mtopic.datasets.simulate(60, 4, modalities={"rna": 20, "prot": 6})
    weights = np.random.default_rng(0).gamma(2, size=(20, 4)).astype(np.float32)
    mdata["rna"].varm["signatures"] = mdata["rna"].varm["true_signatures"] * 0 + weights
    mdata["rna"].var["kind"] = "gene"
    return mdata


@pytest.mark.parametrize("alone", [False, True])
def test_logarithm_of_each_share_over_the_mean_of_topics(mdata, alone):
    profiles = mtopic.get.profiles(mdata["rna"]) if alone else mtopic.get.profiles(mdata, "rna")
    weights = mdata["rna"].varm["signatures"].to_numpy(dtype=float)
    shares = (weights / weights.sum(axis=0)).T
    np.testing.assert_allclose(profiles.layers["shares"], shares)
    np.testing.assert_allclose(profiles.X, np.log(shares / shares.mean(axis=0)))
    assert list(profiles.obs_names) == ["topic_1", "topic_2", "topic_3", "topic_4"]
    assert list(profiles.var_names) == list(mdata["rna"].var_names)
    assert profiles.X.dtype == profiles.layers["shares"].dtype == np.float64


def test_nothing_is_shared(mdata):
    profiles = mtopic.get.profiles(mdata, "rna")
    profiles.var.loc[:, "kind"] = "none"
    assert (mdata["rna"].var["kind"] == "gene").all()


def test_errors(mdata):
    with pytest.raises(ValueError, match="say which modality is meant"):
        mtopic.get.profiles(mdata)
    with pytest.raises(KeyError, match="no signatures 'signatures' in varm of modality 'prot'"):
        mtopic.get.profiles(mdata, "prot")
    mdata["rna"].varm["signatures"].iloc[3, 1] = 0
    mdata["rna"].varm["signatures"].iloc[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"varm\['signatures'\] of modality 'rna': 2 weights are not positive"):
        mtopic.get.profiles(mdata, "rna")
