import numpy as np

import mtopic as mt


def test_formula_and_slots():
    mdata = mt.datasets.simulate(60, 3, modalities={"rna": 20, "prot": 8}, depth={"prot": 100}, spatial=False)
    counts = mdata["prot"].X.toarray().astype(float)
    assert mt.pp.clr(mdata, mod="prot") is None
    centre = np.expm1(np.log1p(counts).mean(axis=1, keepdims=True)) + 1e-6
    np.testing.assert_allclose(mdata["prot"].X.toarray(), np.log1p(counts / centre), rtol=1e-5)
    np.testing.assert_array_equal(mdata["prot"].layers["counts"].toarray(), counts)
    assert mdata["prot"].uns["mtopic"]["steps"] == ["clr"]


def test_copy_leaves_the_data_alone():
    mdata = mt.datasets.simulate(60, 3, modalities={"prot": 8}, spatial=False)
    result = mt.pp.clr(mdata, copy=True)
    assert "counts" not in mdata["prot"].layers
    assert "counts" in result["prot"].layers
