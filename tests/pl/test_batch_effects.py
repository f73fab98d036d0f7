import numpy as np
import pandas as pd
import pytest

import mtopic as mt


@pytest.fixture
def data():
    data = mt.datasets.simulate(60, 3, modalities={"rna": 12}, n_batches=2)
    factors = pd.DataFrame(1.0, data["rna"].var_names, ["a", "b"])
    factors.loc["rna_3"] = [4.0, 0.25]
    factors.loc["rna_5"] = [0.5, 2.0]
    factors.loc["rna_7"] = [1.0, np.nan]
    data["rna"].varm["batch_effects"] = factors
    return data


def names(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_features_that_differ_most_come_first(data):
    ax = mt.pl.batch_effects(data, n_top=2, show=False)
    assert names(ax.xaxis) == ["rna_3", "rna_5"] and names(ax.yaxis) == ["a", "b"]
    np.testing.assert_allclose(ax.images[0].get_array(), [[2, -1], [-2, 1]])
    assert ax.images[0].get_clim() == (-2, 2)


def test_what_was_not_measured_is_empty(data):
    cells = mt.pl.batch_effects(data, "rna", n_top=12, show=False).images[0].get_array()
    assert cells.shape == (2, 12) and np.ma.getmaskarray(np.ma.masked_invalid(cells)).sum() == 1


def test_without_effects(data):
    del data["rna"].varm["batch_effects"]
    with pytest.raises(KeyError, match="batch_effects"):
        mt.pl.batch_effects(data)
    with pytest.raises(ValueError, match="n_top"):
        mt.pl.batch_effects(data, n_top=0)
