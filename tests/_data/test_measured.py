"""How counts are laid out by measured sets, and what is said of tables that do not fit."""

import numpy as np
import pandas as pd
import pytest

import mtopic as mt
from mtopic._data.counts import Counts
from mtopic.inference.measured_sets import MeasuredSets


@pytest.fixture
def mdata():
    """Two batches of two modalities, in one of which each lacks features."""
    mdata = mt.datasets.simulate(60, 3, modalities={"rna": 12, "prot": 5}, missing={"prot": 0.3}, depth=40)
    mdata.obs["run"] = pd.Categorical(np.where(np.arange(60) % 3 == 0, "x", "y"))
    measured = pd.DataFrame(True, mdata["rna"].var_names, ["x", "y"])
    measured.iloc[:4, 0] = False
    measured.iloc[8:, 1] = False
    x = mdata["rna"].X.toarray()
    x *= measured.to_numpy().T[(mdata.obs["run"].loc[mdata["rna"].obs_names] == "y").to_numpy().astype(int)]
    mdata["rna"].X = x
    mdata["rna"].varm["measured"] = measured
    return mdata


def laid_out(mdata):
    return Counts.read(mdata), Counts.read(mdata, batch_key="run").corpus


def test_measured_sets(mdata):
    counts, corpus = laid_out(mdata)
    sets = corpus.measured_sets
    np.testing.assert_array_equal(sets.features, [*range(4, 12), *range(8), *range(12, 17)])
    np.testing.assert_array_equal(sets.offsets, [0, 8, 16, 21])
    np.testing.assert_array_equal(sets.modality, [0, 0, 1])
    back = np.zeros((60, 17))
    for column, feature in enumerate(sets.features):
        back[:, feature] += corpus.rows[:, [column]].toarray().ravel()
    np.testing.assert_array_equal(back, counts.corpus.rows.toarray())
    first = (mdata.obs["run"] == "x").to_numpy()
    assert corpus.rows[~first][:, :8].nnz == 0
    assert corpus.rows[first][:, 8:16].nnz == 0
    assert corpus.rows.has_sorted_indices


def test_order_does_not_matter(mdata):
    counts, corpus = laid_out(mdata)
    rng = np.random.default_rng(0)
    other = mdata[rng.permutation(60)].copy()
    other.mod["rna"] = other["rna"][:, rng.permutation(12)].copy()
    other.update()
    other["rna"].varm["measured"] = other["rna"].varm["measured"][["y", "x"]]
    other.obs["run"] = other.obs["run"].cat.reorder_categories(["y", "x"])
    again = Counts.read(other, batch_key="run", order=(counts.obs_names, counts.features)).corpus
    np.testing.assert_array_equal(again.rows.toarray(), corpus.rows.toarray())
    np.testing.assert_array_equal(again.measured_sets.features, corpus.measured_sets.features)


def test_batches_that_measured_the_same_are_one_panel(mdata):
    mdata.obs["run"] = pd.Categorical(np.where(mdata.obs["run"] == "x", np.where(np.arange(60) % 2, "x", "z"), "y"))
    mdata["rna"].varm["measured"]["z"] = mdata["rna"].varm["measured"]["x"]
    assert len(laid_out(mdata)[1].measured_sets.modality) == 3


def test_nothing_changes_where_all_is_measured(mdata):
    del mdata["rna"].varm["measured"]
    assert not isinstance(laid_out(mdata)[1].measured_sets, MeasuredSets)
    mdata["rna"].varm["measured"] = pd.DataFrame(True, mdata["rna"].var_names, ["x", "y"])
    assert not isinstance(laid_out(mdata)[1].measured_sets, MeasuredSets)


def model(mdata, **options):
    return mt.tl.MTM(mdata, n_topics=2, verbose=False, **{"batch_key": "run", **options})


def test_errors(mdata):
    with pytest.raises(KeyError, match="no column 'runs' in obs.*did you mean 'run'"):
        model(mdata, batch_key="runs")
    table = mdata["rna"].varm["measured"]
    mdata["rna"].varm["measured"] = table[["x"]]
    with pytest.raises(
        ValueError, match=r"no batch 'y' in varm\['measured'\] of modality 'rna'; there: 'x'; say there"
    ):
        model(mdata)
    mdata["rna"].varm["measured"] = table.astype(float)
    with pytest.raises(TypeError, match=r"varm\['measured'\] of modality 'rna' is not a DataFrame of truth values"):
        model(mdata)
    mdata["rna"].varm["measured"] = table & (table.index != "rna_6")[:, None]
    with pytest.raises(ValueError, match="1 features of modality 'rna' are measured in no batch.*the first is 'rna_6'"):
        model(mdata)
    swapped = table.copy()
    swapped.loc["rna_5", "x"] = False
    mdata["rna"].varm["measured"] = swapped
    with pytest.raises(
        ValueError, match=r"counts are of features that were not measured.*modality 'rna' at \('.*', 'rna_5'\)"
    ):
        model(mdata)
    mdata["rna"].varm["measured"] = table
    mdata.obs.loc[mdata.obs_names[:2], "run"] = np.nan
    with pytest.raises(ValueError, match="observations of modality 'rna' are in no batch, the first is"):
        model(mdata)


def test_a_table_that_is_not_used_is_told_of(mdata, recwarn):
    with pytest.warns(UserWarning, match="batches lack features, which are taken for zeros here.*batch_key"):
        model(mdata, batch_key=None)
    recwarn.clear()
    model(mdata)
    assert not [one for one in recwarn if "batch_key" in str(one.message)]
