"""Trajectories of the original program, reproduced."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import mtopic as mt

CLR = {"prot"}


def prepared(mdata):
    for mod in mdata.mod:
        (mt.pp.clr if mod in CLR else mt.pp.tfidf)(mdata, mod=mod)
    mt.pp.scale_counts(mdata)
    return mdata


def share(gamma):
    return gamma / gamma.sum(axis=1, keepdims=True)


def agree(model, gold, iteration, rtol):
    """The posterior is the original's after so many iterations."""
    np.testing.assert_allclose(share(model.gamma), share(gold[f"gamma_{iteration}"]), atol=2e-6)
    for mod in gold["mods"]:
        np.testing.assert_allclose(model.lambda_[mod], gold[f"lambda_{mod}_{iteration}"], rtol=rtol)


def follow(model, gold):
    done = 0
    for iteration in sorted(int(key.removeprefix("gamma_")) for key in gold if key.startswith("gamma_")):
        model.VI(iteration - done, schedule="original")
        agree(model, gold, iteration, rtol=1e-4 if iteration <= 2 else 1e-3)
        done = iteration
    assert len(model.elbo) == done
    assert model.gamma.dtype == np.float64


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cite_pbmc1k_small_mtm_k6", "snareseq_small_mtm_k10"])
def test_mtm(golden, real_mudata, name):
    gold = golden(name)
    mdata = prepared(real_mudata(name.split("_mtm")[0]))
    model = mt.tl.MTM(mdata, n_topics=int(gold["n_topics"]), n_jobs=1, verbose=False)
    for mod in gold["mods"]:
        np.testing.assert_allclose(model.lambda_[mod][:, :20], gold[f"lambda_{mod}_0"], rtol=1e-12)
    follow(model, gold)


@pytest.mark.parametrize("name", ["her2st_H1_twoview_smtm_k8_r0.06", "her2st_H1_twoview_smtm_k8_n6"])
def test_smtm(golden, real_mudata, name):
    gold = golden(name)
    mdata = prepared(real_mudata("her2st_H1_twoview_pseudo"))
    if "neighbours" in gold:
        rows = np.repeat(np.arange(mdata.n_obs), gold["neighbours"].shape[1])
        graph = csr_matrix((np.ones(rows.size), (rows, gold["neighbours"].ravel())), shape=(mdata.n_obs, mdata.n_obs))
        mdata.obsp["original_connectivities"] = graph
        where = {"neighbors_key": "original"}
    else:
        where = {"radius": float(gold["radius"])}
    model = mt.tl.sMTM(mdata, int(gold["n_topics"]), spatial_key="spatial", n_jobs=1, verbose=False, **where)
    follow(model, gold)


def test_svi(golden, real_mudata):
    gold = golden("cite_pbmc1k_small_mtm_svi_k6")
    mdata = prepared(real_mudata("cite_pbmc1k_small"))
    model = mt.tl.MTM(mdata, int(gold["n_topics"]), n_jobs=1, verbose=False, dtype="float64")
    sizes, rate = (int(gold[name]) for name in ("n_batches", "batch_size")), (float(gold[n]) for n in ("tau", "kappa"))
    model.SVI(*sizes, *rate, schedule="original")
    np.testing.assert_allclose(share(model.gamma), share(gold["gamma"]), atol=2e-6)
    for mod in gold["mods"]:
        np.testing.assert_allclose(model.lambda_[mod], gold[f"lambda_{mod}"], rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["cite_pbmc1k_small_mtm_k6", "snareseq_small_mtm_k10", "her2st_H1_twoview_smtm_k8_r0.06"]
)
def test_preparation(golden, real_mudata, name):
    gold = golden(name)
    stem = name.split("_mtm")[0].replace("twoview_smtm_k8_r0.06", "twoview_pseudo")
    mdata = prepared(real_mudata(stem))
    for mod in gold["mods"]:
        x = mdata[mod].X
        np.testing.assert_allclose(np.asarray(x.sum(axis=1)).ravel(), gold[f"prepared_{mod}_rowsum"], rtol=1e-5)
        np.testing.assert_allclose(np.asarray(x.sum(axis=0)).ravel(), gold[f"prepared_{mod}_colsum"], rtol=1e-5)
        assert x.multiply(x).sum(dtype=np.float64) == pytest.approx(float(gold[f"prepared_{mod}_sumsq"]), rel=1e-5)
