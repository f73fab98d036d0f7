import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mudata import MuData
from scipy import sparse

import mtopic as mt

CONTAINERS = [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array, np.array]


def dense(x):
    return np.asarray(x.todense() if sparse.issparse(x) else x)


def correlation(x):
    c = np.corrcoef(dense(x).T)
    return np.abs(c[np.triu_indices(len(c), 1)]).mean()


@pytest.fixture
def tissue():
    mdata = mt.datasets.simulate(400, 4, modalities={"rna": 40, "atac": 60}, depth=500)
    counted = [name for mod in mdata.mod for name in mdata[mod].var_names[dense(mdata[mod].X).any(axis=0)]]
    return mt.pp.filter_var_list(mdata, counted, verbose=False)


def test_each_feature_keeps_its_values_and_loses_its_company(tissue):
    null = mt.pp.permute(tissue, copy=True)
    for mod in tissue.mod:
        before, after = dense(tissue[mod].X), dense(null[mod].X)
        assert list(null[mod].var_names) == list(tissue[mod].var_names)
        np.testing.assert_array_equal(np.sort(before, axis=0), np.sort(after, axis=0))
        assert sparse.issparse(null[mod].X)
        assert null[mod].X.dtype == tissue[mod].X.dtype
        assert correlation(after) < 0.3 * correlation(before)
    assert (dense(null["rna"].X) > 0).any(axis=1).all()


def test_every_arrangement_is_as_likely():
    """Two counts among four cells: six arrangements of places, and two of the values in them."""
    adata = AnnData(sparse.csr_matrix(np.array([[1.0, 5], [2, 5], [0, 5], [0, 5]])))
    seen = {}
    for seed in range(1200):
        key = tuple(dense(mt.pp.permute(adata, seed=seed, copy=True).X)[:, 0])
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 12
    assert max(seen.values()) < 160
    assert min(seen.values()) > 55


def test_raw_counts_are_permuted_and_the_record_goes(tissue):
    counts = dense(tissue["rna"].X)
    mt.pp.tfidf(tissue, mod="rna")
    null = mt.pp.permute(tissue, copy=True)
    np.testing.assert_array_equal(np.sort(dense(null["rna"].X), axis=0), np.sort(counts, axis=0))
    assert "counts" not in null["rna"].layers
    assert "mtopic" not in null["rna"].uns
    assert "mtopic_idf" not in null["rna"].var
    mt.pp.tfidf(null, mod="rna")


def test_in_place_and_copy_agree_and_copy_changes_nothing(tissue, fingerprint):
    before = fingerprint(tissue)
    null = mt.pp.permute(tissue, copy=True)
    assert fingerprint(tissue) == before
    assert mt.pp.permute(tissue) is None
    for mod in tissue.mod:
        np.testing.assert_array_equal(dense(tissue[mod].X), dense(null[mod].X))
    np.testing.assert_array_equal(tissue.obsm["spatial"], null.obsm["spatial"])
    assert tissue.obs_names.equals(null.obs_names)
    mt.tl.topic_model(tissue, 3, n_iter=3, verbose=False)


def test_subset_is_a_new_object_of_so_many_observations(tissue, fingerprint):
    before = fingerprint(tissue)
    null = mt.pp.permute(tissue, subset=100)
    assert fingerprint(tissue) == before
    assert isinstance(null, MuData)
    assert null.n_obs == 100
    at = tissue.obs_names.get_indexer(null.obs_names)
    np.testing.assert_array_equal(null.obsm["spatial"], np.asarray(tissue.obsm["spatial"])[at])
    x = dense(tissue["rna"].X)[at]
    kept = null["rna"].var_names
    np.testing.assert_array_equal(
        np.sort(x[:, tissue["rna"].var_names.isin(kept)], axis=0), np.sort(dense(null["rna"].X), axis=0)
    )


def test_features_and_observations_without_counts_go_and_modalities_agree():
    names = [f"c{d}" for d in range(6)]
    rna = AnnData(np.ones((6, 3), np.float32) * [1, 0, 1], obs=pd.DataFrame(index=names))
    prot = AnnData(np.diag(np.arange(1.0, 6)).astype(np.float32), obs=pd.DataFrame(index=names[1:]))
    rna.var_names, prot.var_names = ["a", "b", "c"], [f"p{v}" for v in range(5)]
    null = mt.pp.permute(MuData({"rna": rna, "prot": prot}), copy=True)
    assert list(null["rna"].var_names) == ["a", "c"]
    assert list(null["rna"].obs_names) == list(null["prot"].obs_names)
    for mod in null.mod:
        assert (dense(null[mod].X).sum(axis=1) > 0).all()
        assert (dense(null[mod].X).sum(axis=0) > 0).all()


def test_seed(tissue):
    same, other = (mt.pp.permute(tissue, seed=seed, copy=True)["rna"].X for seed in (2291, 5))
    np.testing.assert_array_equal(dense(mt.pp.permute(tissue, copy=True)["rna"].X), dense(same))
    assert (dense(same) != dense(other)).any()


@settings(max_examples=40, deadline=None)
@given(
    x=hnp.arrays(np.int64, st.tuples(st.integers(2, 12), st.integers(1, 6)), elements=st.integers(0, 4)),
    container=st.sampled_from(CONTAINERS),
    dtype=st.sampled_from(["uint8", "int32", "int64", "float32", "float64"]),
)
def test_containers_and_dtypes(x, container, dtype):
    x[0] = 1
    adata = AnnData(container(x.astype(dtype)), obs=pd.DataFrame(index=[f"c{d}" for d in range(len(x))]))
    null = mt.pp.permute(adata, copy=True)
    np.testing.assert_array_equal(dense(null.X).sum(axis=0), x.sum(axis=0))
    for before, after in zip(x.T, dense(null.X).T, strict=True):
        np.testing.assert_array_equal(np.sort(before[before > 0]), np.sort(after[after > 0]))


@pytest.mark.parametrize("subset", [0, -3, 401])
def test_subset_out_of_range(tissue, subset):
    with pytest.raises(ValueError, match=f"subset={subset}: choose 1 to 400"):
        mt.pp.permute(tissue, subset=subset)


def test_real_data(real_mudata):
    mdata = real_mudata("snareseq_small")
    null = mt.pp.permute(mdata, copy=True)
    assert null["atac"].n_vars <= mdata["atac"].n_vars
    assert null.n_obs <= mdata.n_obs
    assert 0.95 < null["rna"].X.sum() / mdata["rna"].X.sum() <= 1
