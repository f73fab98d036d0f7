import re

import pytest
from mudata import MuData

import mtopic as mt


@pytest.fixture
def model():
    mdata = mt.datasets.simulate(n_obs=1000, n_topics=3, modalities={"rna": 30, "atac": 40}, depth=30)
    named = MuData({"rna <b>": mdata["rna"], "atac & co": mdata["atac"]})
    named.obsm["spatial"] = mdata.obsm["spatial"]
    return mt.tl.sMTM(named, n_topics=3, n_neighbors=6, spatial_key="spatial", verbose=False, strength=0.25)


def rows(model):
    found = re.findall(r"<th[^>]*>(.*?)</th><td[^>]*>(.*?)</td>", model._repr_html_())
    assert len(found) == model._repr_html_().count("<tr>")
    return dict(found)


def test_a_model_that_is_not_fitted(model):
    assert repr(model) == "sMTM(1000 observations × [rna <b> 30, atac & co 40], 3 topics; not fitted)"
    known = rows(model)
    assert known["observations"] == "1,000"
    assert known["progress"] == "not fitted"
    assert not {"ELBO per count", "converged"} & set(known)


def test_names_of_modalities_are_escaped(model):
    assert rows(model)["features"] == "rna &lt;b&gt; 30, atac &amp; co 40"
    assert rows(model)["modality weights"] == "rna &lt;b&gt; 1, atac &amp; co 1"
    assert "rna <b>" not in model._repr_html_()


def test_progress_bound_and_what_was_learned(model):
    model.VI(n_iter=2)
    bound = f"{model.elbo[-1] / model.n_counts:.5f}"
    assert repr(model).endswith(f"3 topics; 2 iterations, ELBO per count {bound})")
    known = rows(model)
    assert (known["progress"], known["ELBO per count"], known["converged"]) == ("2 iterations", bound, "no")
    assert known["strength of neighbours"] == "0.25"
    model.VI(n_iter=500)
    assert repr(model).endswith(", converged)")
    assert rows(model)["converged"] == "yes"


def test_batches_and_a_single_modality():
    adata = mt.datasets.simulate(n_obs=100, n_topics=3, modalities={"rna": 30})["rna"]
    model = mt.tl.MTM(adata, n_topics=3, verbose=False)
    model.SVI(n_batches=4, batch_size=20, schedule="original")
    assert "4 batches" in repr(model)
    assert "iteration" not in repr(model)
    assert not {"modality weights", "strength of neighbours"} & set(rows(model))


def test_a_model_that_was_stopped(model):
    model.VI(n_iter=1)
    model.interrupted = True
    assert rows(model)["converged"] == "no, stopped by the user"
