import numpy as np
import pytest

import mtopic as mt


@pytest.fixture
def mdata():
    return mt.datasets.simulate(60, 3, modalities={"rna": 20, "atac": 30}, depth={"rna": 40, "atac": 900})


def test_every_modality_has_the_same_mean_total(mdata):
    counts = {mod: mdata[mod].X.toarray() for mod in mdata.mod}
    assert mt.pp.scale_counts(mdata, 500) is None
    for mod, x in counts.items():
        factor = 60 * 500 / x.sum()
        np.testing.assert_allclose(mdata[mod].X.toarray(), x * factor, rtol=1e-5)
        assert mdata[mod].uns["mtopic"]["scale"] == pytest.approx(factor)
        assert mdata[mod].uns["mtopic"]["steps"] == ["scale_counts"]
        np.testing.assert_array_equal(mdata[mod].layers["counts"].toarray(), x)


def test_the_default_is_ten_thousand_after_other_steps(mdata):
    mt.pp.tfidf(mdata, mod="rna")
    weighed = mdata["rna"].X.sum()
    mt.pp.scale_counts(mdata)
    assert mdata["rna"].X.sum() == pytest.approx(60 * 10_000, rel=1e-5)
    assert mdata["rna"].uns["mtopic"]["steps"] == ["tfidf", "scale_counts"]
    assert mdata["rna"].uns["mtopic"]["scale"] == pytest.approx(600_000 / weighed, rel=1e-5)


def test_factors_of_repeated_scaling_multiply(mdata):
    total = mdata["rna"].X.sum()
    mt.pp.scale_counts(mdata, 100)
    mt.pp.scale_counts(mdata, 200)
    assert mdata["rna"].uns["mtopic"]["scale"] == pytest.approx(60 * 200 / total, rel=1e-5)


@pytest.mark.parametrize("value", [0, -5, np.nan, np.inf])
def test_bad_totals(mdata, value):
    with pytest.raises(ValueError, match="counts_per_cell="):
        mt.pp.scale_counts(mdata, value)


def test_copy_leaves_the_data_alone(mdata):
    total = mdata["rna"].X.sum()
    result = mt.pp.scale_counts(mdata, copy=True)
    assert mdata["rna"].X.sum() == total
    assert result["rna"].X.sum() == pytest.approx(600_000, rel=1e-5)
