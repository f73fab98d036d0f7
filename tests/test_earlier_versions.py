"""Files that version 0.1.0 wrote, before names of parameters and of entries changed, are read as if written today.

``files/`` holds a spatial model before and after its fit, one that was cut short between two starts, one of batches
with different features, and the data that two of them were exported to.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData, read_h5ad

import mtopic as mt
from mtopic.inference.schedule import EXPLORE

FILES = Path(__file__).parent / "files"


def tissue():
    data = mt.datasets.simulate(n_obs=60, n_topics=3, modalities={"rna": 20, "atac": 30})
    mt.pp.tfidf(data, "atac")
    mt.pp.scale_counts(data, 500)
    return data


def joined() -> AnnData:
    whole = mt.datasets.simulate(n_obs=60, n_topics=3, modalities={"rna": 20})["rna"]
    return mt.pp.concat({"x": whole[:30].copy(), "y": whole[30:, 5:].copy()})


@pytest.mark.whole_start
def test_a_model_is_read_and_ends_where_one_does_that_was_made_today():
    old = mt.tl.load_model(FILES / "smtm.h5", tissue())
    new = mt.tl.sMTM(
        tissue(), n_topics=3, n_neighbors=6, spatial_key="spatial", verbose=False,
        eta={"rna": np.linspace(0.01, 0.02, 20)}, alpha=[0.1, 0.2, 0.3], modality_weights="auto",
    )  # fmt: skip
    new.VI(12)
    assert old.params().keys() == new.params().keys()
    assert old.n_counts == pytest.approx(new.n_counts, rel=1e-4)
    assert (old.strength, old.modality_weights) == (new.strength, new.modality_weights)
    assert old.elbo[:EXPLORE] == pytest.approx(new.elbo[:EXPLORE], rel=1e-6)  # refining iterations were others
    for model in (old, new):
        model.VI(200)
        assert model.converged
    theta = [model.gamma / model.gamma.sum(axis=1, keepdims=True) for model in (old, new)]
    np.testing.assert_allclose(*theta, atol=1e-3)
    assert old.elbo[-1] == pytest.approx(new.elbo[-1], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "data"), [("unfitted", tissue), ("smtm", tissue), ("starts", tissue), ("batches", joined)]
)
def test_models_are_read_written_and_go_on(name, data, tmp_path):
    model = mt.tl.load_model(FILES / f"{name}.h5", data())
    model.VI(3)
    model.save(tmp_path / "again.h5")
    again = mt.tl.load_model(tmp_path / "again.h5", data())
    np.testing.assert_array_equal(again.gamma, model.gamma)
    assert again.params().keys() == model.params().keys()
    exported = data()
    mt.tl.export_params(again, exported)
    assert exported.obsm["topics"].shape == (60, 3)


def test_what_was_exported_is_used(tmp_path):
    shutil.copy(FILES / "smtm.h5mu", tmp_path)
    old, model = mt.read.h5mu(tmp_path / "smtm.h5mu"), mt.tl.load_model(FILES / "smtm.h5", tissue())
    new = tissue()
    mt.tl.export_params(model, new)
    for data in (old, new):
        mt.tl.uncertainty(data)
        mt.tl.transform(data, data, key_added="again", spatial_key="spatial", verbose=False)
    for name in ("topics", "topics_sd", "again"):
        np.testing.assert_allclose(old.obsm[name], new.obsm[name], rtol=1e-4, atol=1e-6)


def test_a_fit_of_batches_is_used():
    old, model = read_h5ad(FILES / "batches.h5ad"), mt.tl.load_model(FILES / "batches.h5", joined())
    new = joined()
    mt.tl.export_params(model, new)
    features = old.var_names[:3]
    for data in (old, new):
        mt.tl.signature_uncertainty(data)
    expected = [mt.get.expected_counts(data, None, list(features)) for data in (old, new)]
    np.testing.assert_allclose(*expected, rtol=1e-4)
    np.testing.assert_allclose(old.varm["signatures_sd"], new.varm["signatures_sd"], rtol=1e-4)


def test_a_new_fit_takes_the_place_of_an_old_one(tmp_path):
    shutil.copy(FILES / "smtm.h5mu", tmp_path)
    data = mt.read.h5mu(tmp_path / "smtm.h5mu")
    assert "topics_sd" in data.obsm
    mt.tl.topic_model(data, 4, n_iter=2, verbose=False)
    assert "topics_sd" not in data.obsm
    assert "evidence" not in data.uns["mtopic"]["params"]
    assert data.uns["mtopic"]["params"]["count_scale"] == 1
