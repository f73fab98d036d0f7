"""Fits of whatever data are allowed: finite, the same however the data are stored, and nothing of these changed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from tests.fuzz.generated import cases, content, fuzz, parts_of, require_finite

import mtopic as mt

pytestmark = pytest.mark.slow

NUMBERS = st.sampled_from([2, 3, 3, 5, 5, 9, 33, 200])
HOW = {
    "variational": ({}, {}),
    "collapsed": ({"inference": "collapsed", "alpha": "auto", "eta": "auto"}, {}),
    "original": ({}, {"schedule": "original"}),
    "batches": ({}, None),
    "weighted": ({"modality_weights": "auto", "raw": True}, {}),
}


def fitted(data, n_topics, how, dtype="float32"):
    made, run = HOW[how]
    model = mt.tl.MTM(data, n_topics, n_jobs=1, dtype=dtype, verbose=False, **made)
    if run is None:
        model.SVI(3, 10)
    else:
        model.VI(3, tol=None, **run)
    return model


@fuzz(
    110, case=cases(), n_topics=NUMBERS, how=st.sampled_from(list(HOW)), dtype=st.sampled_from(["float32", "float64"])
)
def test_models(case, n_topics, how, dtype):
    data = case.build()
    before = content(data)
    model = fitted(data, n_topics, how, dtype)
    assert content(data) == before
    require_finite(model)
    totals = pd.Series(0.0, model.barcodes)
    for x, rows, mod in zip(case.present(), case.members(), case.mods, strict=True):
        names = [case.obs_names[row] for row in rows]
        totals[names] += x.sum(axis=1, dtype=float) * model.modality_weights[mod]
    if how not in ("batches", "collapsed"):
        np.testing.assert_allclose(model.gamma.sum(axis=1), totals + n_topics * model.alpha, rtol=2e-3)
    plain = fitted(case.build(plain=True), n_topics, how, dtype)
    np.testing.assert_array_equal(model.gamma, plain.gamma)
    assert model.elbo == plain.elbo


def shares(gamma):
    return gamma / gamma.sum(axis=1, keepdims=True)


@fuzz(230, case=cases(shuffled=True, overlap="all"), n_topics=st.integers(2, 6))
def test_the_order_of_observations(case, n_topics):
    there, in_order = (
        fitted(data.build(plain=True), n_topics, "original", "float64")
        for data in (case, replace(case, shuffled=False))
    )
    at = there.barcodes.get_indexer(in_order.barcodes)
    np.testing.assert_allclose(shares(there.gamma[at]), shares(in_order.gamma), atol=1e-3)


@fuzz(50, case=cases(), n_topics=st.sampled_from([2, 3, 8, 50]))
def test_topic_model(case, n_topics):
    data = case.build()
    before = content(data)
    mt.tl.topic_model(data, n_topics, n_iter=3, n_jobs=1, verbose=False)
    topics = data.obsm["topics"]
    assert list(topics.index) == list(data.obs_names)
    assert np.isfinite(topics).all(axis=None)
    np.testing.assert_allclose(topics.sum(axis=1), 1)
    for adata in parts_of(data).values():
        signatures = adata.varm["signatures"]
        assert (np.isfinite(signatures) & (signatures > 0)).all(axis=None)
        del adata.varm["signatures"]
    del data.obsm["topics"], data.uns["mtopic"]
    data.obs.drop(columns="mtopic_empty", errors="ignore", inplace=True)
    if len(case.parts) > 1:
        shares = data.obsm["modality_shares"].dropna()
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        del data.obsm["modality_shares"]
    if not case.view:
        assert content(data) == before
