import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import sparse

import mtopic as mt


@pytest.fixture
def counted(mdata):
    for mod, seed in (("rna", 0), ("atac", 1)):
        x = np.random.default_rng(seed).poisson(0.7, mdata[mod].shape).astype(np.float32)
        mdata[mod].X = sparse.csr_matrix(x)
        mdata[mod].layers["counts"] = sparse.csc_matrix(10 * x)
    return mdata


def test_values_are_those_of_the_features(counted, fingerprint):
    before = fingerprint(counted)
    peak = counted["atac"].var_names[3]
    axes = mt.pl.feature_activity(counted, "coords", ["gene4", "rna:gene7", peak], show=False)
    assert fingerprint(counted) == before
    assert [ax.get_title() for ax in axes] == ["gene4", "rna:gene7", peak]
    expected = [counted["rna"].X[:, 4], counted["rna"].X[:, 7], counted["atac"].X[:, 3]]
    for ax, column in zip(axes, expected, strict=True):
        np.testing.assert_array_equal(np.sort(ax.collections[0].get_array()), np.sort(column.toarray().ravel()))


def test_places(counted):
    (ax,) = mt.pl.feature_activity(counted, "coords", "gene4", show=False)
    spots = ax.collections[0]
    drawn = {tuple(place): value for place, value in zip(spots.get_offsets().data, spots.get_array(), strict=True)}
    values = counted["rna"].X[:, 4].toarray().ravel()
    assert drawn == {tuple(place): v for place, v in zip(counted.obsm["coords"].to_numpy(), values, strict=True)}


def test_layer_and_percentile(counted):
    (ax,) = mt.pl.feature_activity(counted, "coords", ["gene1"], layer="counts", p_top=90, show=False)
    values = 10 * counted["rna"].X[:, 1].toarray().ravel().astype(float)
    assert ax.collections[0].get_clim() == pytest.approx((0, np.percentile(values, 90)))


def test_rare_feature_keeps_its_maximum(counted):
    x = counted["rna"].X.toarray()
    x[:, 2] = np.arange(60) == 30
    counted["rna"].X = x
    (ax,) = mt.pl.feature_activity(counted, "coords", ["gene2"], p_top=95, show=False)
    assert ax.collections[0].get_clim() == (0, 1)


def test_name_in_two_modalities_is_an_error(counted):
    for mod in counted.mod:
        counted[mod].var_names = ["both", *counted[mod].var_names[1:]]
    with pytest.raises(ValueError, match="say 'rna:both' or 'atac:both'"):
        mt.pl.feature_activity(counted, "coords", ["both"])
    axes = mt.pl.feature_activity(counted, "coords", ["rna:both", "atac:both"], show=False)
    for ax, mod in zip(axes, counted.mod, strict=True):
        np.testing.assert_array_equal(
            np.sort(ax.collections[0].get_array()), np.sort(counted[mod].X[:, 0].toarray().ravel())
        )


def test_errors(counted):
    with pytest.raises(KeyError, match="did you mean 'gene1"):
        mt.pl.feature_activity(counted, "coords", ["gene111"])
    with pytest.raises(KeyError, match="no feature 'gen4' in modality 'rna'"):
        mt.pl.feature_activity(counted, "coords", ["rna:gen4"])
    with pytest.raises(KeyError, match="no layer 'raw'"):
        mt.pl.feature_activity(counted, "coords", ["gene4"], layer="raw")
    with pytest.raises(ValueError, match="name at least one"):
        mt.pl.feature_activity(counted, "coords", [])
    with pytest.raises(ValueError, match="p_top=101"):
        mt.pl.feature_activity(counted, "coords", ["gene4"], p_top=101)
    assert plt.get_fignums() == []
