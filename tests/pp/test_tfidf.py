import anndata
import numpy as np
import pytest
from scipy import sparse

import mtopic as mt


@pytest.fixture
def mdata():
    return mt.datasets.simulate(60, 3, modalities={"rna": 20, "atac": 30}, depth=40, spatial=False)


def test_formula_and_slots(mdata):
    counts = mdata["rna"].X.toarray()
    counts[:, 4] = 0
    mdata["rna"].X = sparse.csr_matrix(counts)
    assert mt.pp.tfidf(mdata, mod="rna") is None
    df = (counts > 0).sum(axis=0)
    idf = np.log(60 / np.maximum(df, 1)) + 1
    np.testing.assert_allclose(mdata["rna"].X.toarray(), counts * idf, rtol=1e-6)
    np.testing.assert_allclose(mdata["rna"].var["mtopic_idf"], idf, rtol=1e-12)
    np.testing.assert_array_equal(mdata["rna"].layers["counts"].toarray(), counts)
    assert mdata["rna"].uns["mtopic"]["steps"] == ["tfidf"]
    assert "counts" not in mdata["atac"].layers


def test_copy_leaves_the_data_alone(mdata):
    before = mdata["rna"].X.copy()
    result = mt.pp.tfidf(mdata, "rna", True)
    assert (mdata["rna"].X != before).nnz == 0
    assert "counts" not in mdata["rna"].layers
    assert "counts" in result["rna"].layers


def test_a_counts_layer_of_the_user_stays(mdata):
    mine = sparse.csr_matrix(np.full((60, 20), 7))
    mdata["rna"].layers["counts"] = mine
    mt.pp.tfidf(mdata, mod="rna")
    assert (mdata["rna"].layers["counts"] != mine).nnz == 0


@pytest.mark.parametrize("step", ["tfidf", "clr"])
def test_prepared_data_are_refused(mdata, step):
    getattr(mt.pp, step)(mdata, mod="rna")
    before = mdata["rna"].X.copy()
    with pytest.raises(ValueError, match=rf"has been prepared by {step} already.*layers\['counts'\]"):
        mt.pp.tfidf(mdata, mod="rna")
    assert (mdata["rna"].X != before).nnz == 0


def test_the_way_out_that_the_error_names(mdata):
    mt.pp.clr(mdata, mod="rna")
    mdata["rna"].X = mdata["rna"].layers["counts"]
    del mdata["rna"].uns["mtopic"]["steps"]
    mt.pp.tfidf(mdata, mod="rna")
    assert mdata["rna"].uns["mtopic"]["steps"] == ["tfidf"]


@pytest.mark.parametrize("step", ["tfidf", "clr"])
def test_fractions_are_taken_with_a_warning(mdata, step):
    mdata["rna"].X = mdata["rna"].X * 0.5
    with pytest.warns(UserWarning, match=f"modality 'rna' holds values that are not integers: {step}"):
        getattr(mt.pp, step)(mdata, mod="rna")


@pytest.mark.parametrize("step", ["tfidf", "clr", "scale_counts"])
def test_backed_data_are_refused_before_anything_is_written(mdata, tmp_path, step):
    mdata["rna"].write_h5ad(tmp_path / "rna.h5ad")
    backed = anndata.read_h5ad(tmp_path / "rna.h5ad", backed="r+")
    with pytest.raises(ValueError, match=r"backed by a file.*to_memory\(\)"):
        getattr(mt.pp, step)(backed)
    assert "counts" not in backed.layers
    assert "mtopic_idf" not in backed.var


def test_anndata(mdata):
    adata = mdata["rna"].copy()
    mt.pp.tfidf(adata)
    mt.pp.tfidf(mdata, mod="rna")
    assert (adata.X != mdata["rna"].X).nnz == 0
