"""What is said of a fit, its signatures and its priors, on blood cells whose kinds are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import mtopic as mt

pytestmark = [pytest.mark.slow, pytest.mark.whole_start]

KNOWN = {"B": {"MS4A1", "CD79A", "IGHM"}, "NK": {"GNLY", "NKG7", "PRF1"}, "CD16 Mono": {"FCGR3A", "LST1"}}


@pytest.fixture(scope="module")
def blood(real_mudata):
    """RNA and proteins of 892 cells with ten topics; not to be changed."""
    mdata = real_mudata("cite_pbmc1k_small")
    mt.tl.topic_model(mdata, 10, n_iter=100, verbose=False)
    return mdata


@pytest.fixture(scope="module")
def topic_of(blood):
    """The topic that each kind of cell has most of."""
    return blood.obsm["topics"].groupby(blood.obs["protein_gate"].astype(str)).mean().idxmax(axis=1)


def test_proportions_are_the_surer_the_more_was_counted(blood):
    mdata = mt.tl.uncertainty(blood, copy=True)
    low, high = mdata.obsm["topics_low"].to_numpy(), mdata.obsm["topics_high"].to_numpy()
    assert (low >= 0).all() and (low < high).all() and (high <= 1).all()
    depth = np.asarray(mdata["rna"].X.sum(axis=1)).ravel()
    assert spearmanr(mdata.obsm["topics_sd"].max(axis=1), depth).statistic < -0.5


def test_signatures_are_the_surer_the_more_was_counted(blood):
    rna = mt.tl.signature_uncertainty(blood, copy=True)["rna"]
    share = rna.varm["signatures"] / rna.varm["signatures"].sum()
    inside = (rna.varm["signatures_low"] <= share) & (share <= rna.varm["signatures_high"])
    assert inside[share > 1e-4].stack().mean() > 0.99
    for topic in share:
        assert spearmanr(share[topic], rna.varm["signatures_sd"][topic] / share[topic]).statistic < -0.9


def test_known_genes_are_surely_among_the_first(blood, topic_of):
    found = mt.get.top_features(mt.tl.signature_uncertainty(blood, copy=True), "rna", n_top=15, min_probability=0.5)
    for kind, genes in KNOWN.items():
        assert genes <= set(found.loc[found["topic"] == topic_of[kind], "feature"]), kind


def test_what_was_taken_from_samples_is_found_and_nothing_else(blood, topic_of):
    """Cells are dealt to twelve samples at random, and six of these lose most of their B cells."""
    mdata = blood.copy()
    rng = np.random.default_rng(0)
    sample = rng.permutation(mdata.n_obs) % 12
    mdata.obs["sample"] = pd.Categorical([f"s{s}" for s in sample])
    mdata.obs["state"] = pd.Categorical(np.where(sample < 6, "few", "all"))
    b_cell = (mdata.obs["protein_gate"] == "B").to_numpy()
    kept = ~(b_cell & (sample < 6) & (rng.random(mdata.n_obs) < 0.9))

    for data, changed in ((mdata, []), (mdata[kept].copy(), [topic_of["B"]])):
        mt.tl.compare_topics(data, "state", "few", sample_key="sample", features={})
        table = data.uns["mtopic"]["comparison"]["topics"]
        assert list(table.index[table["q"] < 0.05]) == changed
    assert table.loc[topic_of["B"], "high"] < -0.5


@pytest.mark.parametrize("inference", ["variational", "collapsed"])
def test_priors_are_beside_the_counts(blood, inference):
    """What λ has above its prior are the counts by feature, and what γ has above its own those of each cell."""
    rng = np.random.default_rng(0)
    alpha, eta = rng.uniform(0.05, 1, 10), pd.Series(rng.uniform(0.01, 1, 2000), blood["rna"].var_names)
    model = mt.tl.MTM(
        blood, 10, alpha=alpha, eta={"rna": eta, "prot": 0.5}, inference=inference, dtype="float64", verbose=False
    )
    model.VI(15)
    above = {"rna": model.lambda_["rna"] - eta.to_numpy(), "prot": model.lambda_["prot"] - 0.5}
    for mod, adata in blood.mod.items():
        np.testing.assert_allclose(above[mod].sum(axis=0), np.asarray(adata.X.sum(axis=0)).ravel(), atol=1e-6)
    depth = sum(np.asarray(adata.X.sum(axis=1)).ravel() for adata in blood.mod.values())
    np.testing.assert_allclose((model.gamma - alpha).sum(axis=1), depth, rtol=1e-9)


def test_a_checkpoint_of_real_cells_goes_on_to_the_same_bits(blood, tmp_path):
    def model():
        return mt.tl.MTM(
            blood, 10, inference="collapsed", alpha="auto", eta="auto", modality_weights="auto", verbose=False
        )

    whole, stopped = model(), model()
    whole.VI(20, tol=None)
    stopped.VI(20, tol=None, callback=lambda m: len(m.elbo) == 13, checkpoint=tmp_path / "model.h5", checkpoint_every=5)
    resumed = mt.tl.load_model(tmp_path / "model.h5", blood)
    resumed.VI(20 - len(resumed.elbo), tol=None)
    assert resumed.elbo == whole.elbo
    np.testing.assert_array_equal(resumed.gamma, whole.gamma)
    np.testing.assert_array_equal(resumed.lambda_["rna"], whole.lambda_["rna"])
