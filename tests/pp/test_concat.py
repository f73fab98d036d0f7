import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy.sparse import csr_matrix, issparse

import mtopic as mt


def batch(name, genes, seed, peaks=range(4), n_obs=5):
    """A MuData with raw counts under prepared ones, and tables of all kinds."""
    rng = np.random.default_rng(seed)
    rna = AnnData(
        rng.poisson(2, (n_obs, len(genes))).astype(np.float32), var=pd.DataFrame(index=[f"g{g}" for g in genes])
    )
    atac = AnnData(csr_matrix(rng.poisson(1, (n_obs, len(peaks)))), var=pd.DataFrame(index=[f"p{p}" for p in peaks]))
    rna.var["symbol"], rna.var["batch_mean"] = rna.var_names.str.upper(), np.asarray(rna.X).mean(axis=0)
    for adata in (rna, atac):
        adata.obs_names = [f"{name}{d}" for d in range(n_obs)]
    rna.layers["counts"] = rna.X.copy()
    rna.X = rna.X * 7
    rna.uns["mtopic"] = {"steps": ["scale_counts"], "scale": 7.0}
    atac = atac[::-1].copy()
    whole = MuData({"rna": rna, "atac": atac})
    whole.obs["donor"] = f"donor of {name}"
    whole.obsm["spatial"] = rng.random((n_obs, 2))
    return whole


@pytest.fixture
def batches():
    return {"one": batch("a", range(6), 0), "two": batch("b", range(4, 10), 1)}


def frame(adata):
    return pd.DataFrame(adata.X.toarray(), adata.obs_names, adata.var_names)


def test_union_of_features(batches, fingerprint):
    before = fingerprint(batches)
    whole = mt.pp.concat(batches)
    assert fingerprint(batches) == before
    assert list(whole.obs_names) == [f"{b}{d}" for b in "ab" for d in range(5)]
    assert list(whole.obs["batch"].cat.categories) == ["one", "two"]
    assert list(whole.obs["batch"]) == ["one"] * 5 + ["two"] * 5
    assert list(whole.obs["donor"].unique()) == ["donor of a", "donor of b"]
    rna = whole["rna"]
    assert sorted(rna.var_names) == sorted(f"g{g}" for g in range(10))
    assert issparse(rna.X)
    for one in batches.values():
        expected = pd.DataFrame(one["rna"].layers["counts"], one["rna"].obs_names, one["rna"].var_names)
        found = frame(rna).loc[expected.index]
        pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False)
        assert (found.drop(columns=expected.columns) == 0).all(axis=None)
        for name in one["atac"].obs_names:
            np.testing.assert_array_equal(whole["atac"][name].X.toarray(), one["atac"][name].X.toarray())
        np.testing.assert_array_equal(whole[one.obs_names].obsm["spatial"], one.obsm["spatial"])
    measured = rna.varm["measured"]
    assert {str(dtype) for dtype in measured.dtypes} == {"bool"}
    for name, one in batches.items():
        assert set(measured.index[measured[name]]) == set(one["rna"].var_names)
    assert list(measured.columns) == ["one", "two"]
    assert "measured" not in whole["atac"].varm
    assert not rna.layers
    assert not rna.uns
    assert (rna.var["symbol"] == rna.var_names.str.upper()).all()
    assert "batch_mean" not in rna.var


def test_a_batch_without_a_modality(batches):
    batches["three"] = MuData({"atac": batch("c", range(3), 2)["atac"]})
    whole = mt.pp.concat(batches, label="run")
    assert whole.n_obs == 15
    assert whole["rna"].n_obs == 10
    assert list(whole["rna"].varm["measured"].columns) == ["one", "two"]
    assert list(whole.obs.loc[whole["atac"].obs_names, "run"].unique()) == ["one", "two", "three"]
    assert np.isnan(whole[[f"c{d}" for d in range(5)]].obsm["spatial"]).all()


def test_anndata_and_equal_features(batches):
    parts = {name: one["rna"].copy() for name, one in batches.items()}
    whole = mt.pp.concat(parts)
    assert isinstance(whole, AnnData)
    assert list(whole.obs["batch"]) == ["one"] * 5 + ["two"] * 5
    assert whole.varm["measured"].to_numpy().sum() == 12
    same = mt.pp.concat({"x": batch("a", range(3), 0)["rna"], "y": batch("b", [2, 0, 1], 1)["rna"]})
    assert "measured" not in same.varm


def test_round_trip(batches, tmp_path):
    whole = mt.pp.concat(batches)
    whole.write_h5mu(tmp_path / "whole.h5mu")
    again = mt.read.h5mu(tmp_path / "whole.h5mu")
    pd.testing.assert_frame_equal(again["rna"].varm["measured"], whole["rna"].varm["measured"])
    model = mt.tl.MTM(again, n_topics=2, batch_key="batch", verbose=False)
    assert model.batch_key == "batch"


def test_errors(batches):
    one, two = batches.values()
    with pytest.raises(ValueError, match="data holds no batch"):
        mt.pp.concat({})
    with pytest.raises(TypeError, match="some batches are AnnData and some MuData"):
        mt.pp.concat({"a": one, "b": two["rna"]})
    with pytest.raises(TypeError, match="expected an AnnData or a MuData, got DataFrame"):
        mt.pp.concat({"a": pd.DataFrame()})
    with pytest.raises(TypeError, match="data is a DataFrame: give a mapping from names"):
        mt.pp.concat(pd.DataFrame())
    with pytest.raises(ValueError, match="give each of the 2 batches a name of its own"):
        mt.pp.concat([one, two], keys=["a", "a"])
    with pytest.raises(TypeError, match="a mapping has names already"):
        mt.pp.concat({"a": one}, keys=["b"])
    with pytest.raises(
        ValueError, match="5 observation names of the batches occur twice, the first is 'a0'.*index_unique"
    ):
        mt.pp.concat({"a": one, "b": one.copy()})
    with pytest.raises(ValueError, match="obs of batch 'a' has a column 'donor' already"):
        mt.pp.concat({"a": one, "b": two}, label="donor")
    whole, third = mt.pp.concat({"a": one, "b": two}, label="run"), batch("c", range(3), 4)
    with pytest.raises(
        ValueError, match=r"modality 'rna' of batch 'a' has varm\['measured'\].*join all batches in one"
    ):
        mt.pp.concat({"a": whole, "b": third})


def test_as_in_anndata(batches):
    one, two = batches.values()
    whole = mt.pp.concat([one, one.copy()], keys=["x", "y"], label="run", index_unique="-")
    assert list(whole.obs_names) == [f"a{d}-{key}" for key in "xy" for d in range(5)]
    assert sorted(whole["atac"].obs_names) == sorted(whole.obs_names)
    assert list(whole.obs["run"]) == ["x"] * 5 + ["y"] * 5
    np.testing.assert_array_equal(whole.obsm["spatial"], np.tile(one.obsm["spatial"], (2, 1)))
    assert list(mt.pp.concat([one, two]).obs["batch"].cat.categories) == ["0", "1"]
    assert list(mt.pp.concat({"a": one["rna"], "b": one["rna"].copy()}, index_unique="_").obs_names[:2]) == [
        "a0_a",
        "a1_a",
    ]


@pytest.mark.parametrize("wrapped", [True, False])
def test_tables_whose_index_is_stale(batches, wrapped):
    """Rows are by position, whatever an index says that was not renamed with the observations, as in a MuData."""
    parts = {name: one if wrapped else one["rna"] for name, one in batches.items()}
    for name, one in parts.items():
        one.obsm["topics"] = pd.DataFrame(np.random.default_rng(0).random((5, 2)), one.obs_names, ["t1", "t2"])
        stale = one.obsm["topics"].index
        one.obs_names = f"{name}_" + one.obs_names
        if wrapped:
            one.obsm["topics"].index = stale
    whole = mt.pp.concat(parts)
    for one in parts.values():
        np.testing.assert_array_equal(whole.obsm["topics"].loc[one.obs_names], one.obsm["topics"])


def test_tables_that_were_emptied_are_named(batches):
    batches["one"].obsm["topics"] = pd.DataFrame(np.nan, batches["one"].obs_names, ["t1"])
    with pytest.raises(ValueError, match=r"obsm\['topics'\] of batch 'one' holds no values.*index_unique"):
        mt.pp.concat(batches)


def test_features_that_do_not_match(batches):
    batches = {"one": batches["one"]["rna"], "two": batch("b", range(6), 1)["rna"]}
    batches["two"].var_names = batches["two"].var_names.str.upper()
    with pytest.raises(ValueError, match="'one' has none of its 6 features in common.*'g0' here and 'G0' there.*case"):
        mt.pp.concat(batches)
    wide = {name: batch(name, range(100 * i - 2 * i, 100 * i + 100), i)["rna"] for i, name in enumerate("ab")}
    with pytest.warns(UserWarning, match="'a' has 2 of its 100 features in common"):
        mt.pp.concat(wide)
