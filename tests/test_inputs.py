"""What may come in, and what is said of what may not: containers, dtypes, orders, bad values."""

import hashlib

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

import mtopic as mt
from mtopic._data.counts import Counts

CONTAINERS = {
    "csr_matrix": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc_matrix": sparse.csc_matrix,
    "csc_array": sparse.csc_array,
    "dense": np.array,
    "dense, Fortran order": np.asfortranarray,
}
DTYPES = ["uint8", "int16", "int64", "uint32", "float32", "float64"]
FORMS = [(container, DTYPES[(i + shift) % 6]) for i, container in enumerate(CONTAINERS) for shift in (0, 3)]
"""Each container with two dtypes, and each dtype in two containers."""
RNG = np.random.default_rng(0)
COUNTS = {"rna": RNG.poisson(1.0, (30, 12)), "prot": RNG.poisson(5.0, (30, 5))}
NAMES = pd.Index([f"cell_{d}" for d in range(30)])


def adata_of(x, mod="rna", names=NAMES):
    n_obs, n_vars = x.shape
    var = pd.DataFrame(index=[f"{mod}_{v}" for v in range(n_vars)])
    return anndata.AnnData(x, obs=pd.DataFrame(index=names[:n_obs]), var=var)


def mudata_of(container=sparse.csr_matrix, dtype="float32"):
    return mudata.MuData({mod: adata_of(container(x.astype(dtype)), mod) for mod, x in COUNTS.items()})


def fit(data):
    model = mt.tl.MTM(data, 3, n_jobs=1, verbose=False)
    model.VI(4, tol=None)
    return model


def digest(x):
    parts = [x.data, x.indices, x.indptr] if sparse.issparse(x) else [x]
    return [(hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest(), part.dtype) for part in parts]


@pytest.fixture(scope="module")
def expected():
    return fit(mudata_of())


@pytest.fixture(scope="module")
def expected_prepared():
    return prepared(mudata_of())


def prepared(mdata):
    mt.pp.tfidf(mdata, mod="rna")
    mt.pp.clr(mdata, mod="prot")
    mt.pp.scale_counts(mdata)
    return {mod: np.asarray(sparse.csr_array(mdata[mod].X).todense()) for mod in mdata.mod}


@pytest.mark.parametrize(("container", "dtype"), FORMS)
def test_containers_and_dtypes_give_the_same_fit(container, dtype, expected):
    mdata = mudata_of(CONTAINERS[container], dtype)
    before = {mod: digest(mdata[mod].X) for mod in mdata.mod}
    model = fit(mdata)
    np.testing.assert_array_equal(model.gamma, expected.gamma)
    assert model.elbo == expected.elbo
    assert {mod: digest(mdata[mod].X) for mod in mdata.mod} == before


@pytest.mark.parametrize(("container", "dtype"), FORMS)
def test_containers_and_dtypes_are_prepared_alike(container, dtype, expected_prepared):
    mdata = mudata_of(CONTAINERS[container], dtype)
    originals = {mod: mdata[mod].X for mod in mdata.mod}
    before = {mod: digest(x) for mod, x in originals.items()}
    result = prepared(mdata)
    for mod, x in result.items():
        np.testing.assert_allclose(x, expected_prepared[mod], rtol=1e-5)
        assert mdata[mod].X.format == "csr"
        assert mdata[mod].X.dtype == ("float64" if dtype == "float64" else "float32")
        assert digest(originals[mod]) == before[mod]
        assert digest(mdata[mod].layers["counts"]) == before[mod]


def test_one_modality_in_single_precision_is_used_in_place():
    x = sparse.csr_matrix(COUNTS["rna"].astype(np.float32))
    model = mt.tl.MTM(adata_of(x), 3, verbose=False)
    rows = model._run.fit.posterior.corpus.rows
    assert np.shares_memory(rows.data, x.data)
    assert np.shares_memory(rows.indices, x.indices)


def test_unsorted_duplicated_and_explicitly_zero_entries():
    dense = COUNTS["rna"].astype(float)
    coo = sparse.coo_array(dense)
    order = np.random.default_rng(1).permutation(coo.nnz)
    rows, columns, values = coo.row[order], coo.col[order], coo.data[order]
    halves = np.concatenate([values / 2, values / 2, np.zeros(3)])
    rows, columns = np.concatenate([rows, rows, [0, 1, 2]]), np.concatenate([columns, columns, [0, 0, 0]])
    by_row = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=30))])
    x = sparse.csr_matrix((halves[by_row], columns[by_row].astype(np.int32), indptr), shape=dense.shape)
    assert not x.has_canonical_format
    before = digest(x)
    adata, clean = adata_of(x), adata_of(sparse.csr_matrix(dense))
    np.testing.assert_allclose(fit(adata).gamma, fit(clean).gamma, rtol=1e-4)
    for data in (adata, clean):
        mt.pp.tfidf(data)
    assert digest(x) == before
    np.testing.assert_allclose(adata.X.toarray(), clean.X.toarray(), rtol=1e-6)


@pytest.mark.parametrize("dtype", [">f4", ">i8", ">u2", "float16", "longdouble"])
def test_dtypes_that_scipy_or_compiled_code_does_not_take(dtype, expected, expected_prepared):
    """Numbers in the byte order of other machines, as files may hold them, of half or of more than double precision."""
    mdata = mudata_of(np.array, dtype)
    assert fit(mdata).elbo == expected.elbo
    for mod, x in prepared(mdata).items():
        np.testing.assert_allclose(x, expected_prepared[mod], rtol=1e-5)


def test_entries_of_zero_change_no_bit():
    dense = COUNTS["rna"].astype(np.float32)
    n_obs, n_vars = dense.shape
    x = sparse.csr_matrix((dense.ravel(), np.tile(np.arange(n_vars), n_obs), n_vars * np.arange(n_obs + 1)))
    before = digest(x)
    assert x.nnz == dense.size
    model = fit(adata_of(x))
    assert digest(x) == before
    np.testing.assert_array_equal(model.gamma, fit(adata_of(dense)).gamma)


def test_observations_of_modalities_are_aligned_by_name(expected):
    order = np.random.default_rng(2).permutation(30)
    parts = {mod: adata_of(sparse.csr_matrix(x.astype("float32")), mod) for mod, x in COUNTS.items()}
    mdata = mudata.MuData({"rna": parts["rna"], "prot": parts["prot"][order].copy()})
    assert list(mdata["prot"].obs_names) != list(mdata["rna"].obs_names)
    model = fit(mdata)
    aligned = model.gamma[pd.Index(model.barcodes).get_indexer(NAMES)]
    np.testing.assert_array_equal(aligned, expected.gamma)


def test_observations_that_lack_a_modality_have_an_empty_block():
    parts = {mod: adata_of(sparse.csr_matrix(x.astype("float32")), mod) for mod, x in COUNTS.items()}
    mdata = mudata.MuData({"rna": parts["rna"][:20].copy(), "prot": parts["prot"][10:].copy()})
    model = fit(mdata)
    rna_total = pd.Series(COUNTS["rna"].sum(axis=1), index=NAMES)[:20]
    prot_total = pd.Series(COUNTS["prot"].sum(axis=1), index=NAMES)[10:]
    total = rna_total.add(prot_total, fill_value=0)[model.barcodes]
    np.testing.assert_allclose(model.gamma.sum(axis=1), total + 1, rtol=1e-5)


def test_a_view_is_read_and_prepared_without_touching_its_source():
    mdata = mudata_of()
    view = mdata[:20]
    fit(view)
    adata = adata_of(sparse.csr_matrix(COUNTS["rna"]))
    part = adata[:20]
    mt.pp.tfidf(part)
    assert "counts" not in adata.layers
    assert part.layers["counts"].sum() == COUNTS["rna"][:20].sum()


def test_a_backed_matrix(tmp_path):
    adata_of(sparse.csr_matrix(COUNTS["rna"].astype("float32"))).write_h5ad(tmp_path / "a.h5ad")
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    np.testing.assert_array_equal(fit(backed).gamma, fit(backed.to_memory()).gamma)


counts = hnp.arrays(
    st.sampled_from([np.int32, np.float32, np.float64]),
    st.tuples(st.integers(2, 12), st.integers(1, 8)),
    elements=st.integers(0, 50),
).filter(lambda x: x.any())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    x=counts, container=st.sampled_from(list(CONTAINERS)), n_topics=st.integers(2, 30), depth=st.sampled_from([1, 1e4])
)
@pytest.mark.filterwarnings("ignore:.*observations have no counts")
def test_any_counts_are_fitted(x, container, n_topics, depth):
    x = (x * depth).astype(x.dtype)
    given_x = CONTAINERS[container](x)
    before = digest(given_x)
    adata = adata_of(given_x, names=pd.Index([f"c{d}" for d in range(20)]))
    model = mt.tl.MTM(adata, n_topics, n_jobs=1, verbose=False)
    model.VI(3, tol=None)
    assert digest(given_x) == before
    assert np.isfinite(model.gamma).all()
    assert np.isfinite(model.elbo).all()
    np.testing.assert_allclose(model.gamma.sum(axis=1), x.sum(axis=1, dtype=float) + 1, rtol=1e-3)
    mt.tl.export_params(model, adata, filter_topics=False)
    np.testing.assert_allclose(adata.obsm["topics"].sum(axis=1), 1, rtol=1e-9)


READERS = {
    "fit": lambda data: mt.tl.MTM(data, 3, verbose=False),
    "topic_model": lambda data: mt.tl.topic_model(data, 3, verbose=False),
    "tfidf": lambda data: mt.pp.tfidf(data, "rna"),
    "clr": lambda data: mt.pp.clr(data, "rna"),
    "scale_counts": mt.pp.scale_counts,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("value", "said"),
    [(-1.0, "2 values are negative"), (np.nan, "2 values are not finite"), (np.inf, "2 values are not finite")],
)
def test_bad_values_are_counted_and_located(reader, value, said, fingerprint):
    mdata = mudata_of()
    x = COUNTS["rna"].astype("float32")
    x[4, 7] = x[9, 1] = value
    mdata["rna"].X = sparse.csr_matrix(x)
    before = fingerprint(mdata)
    with pytest.raises(ValueError, match=rf"X of modality 'rna': {said}.*\('cell_4', 'rna_7'\)"):
        READERS[reader](mdata)
    assert fingerprint(mdata) == before


@pytest.mark.parametrize("value", [1j, "a"])
def test_values_that_are_not_real_numbers(value):
    x = np.full((30, 12), value)
    adata = adata_of(x)
    with pytest.raises(TypeError, match="modality 'X' has dtype"):
        mt.tl.MTM(adata, 3)


def test_a_modality_without_x():
    adata = anndata.AnnData(obs=pd.DataFrame(index=NAMES), var=pd.DataFrame(index=["a", "b"]))
    with pytest.raises(ValueError, match="modality 'X' has no X"):
        mt.tl.MTM(adata, 3)


def test_modalities_without_features_or_counts():
    empty = mudata.MuData(
        {"rna": adata_of(sparse.csr_matrix(COUNTS["rna"])), "gone": adata_of(sparse.csr_matrix((30, 0)), "gone")}
    )
    with pytest.raises(ValueError, match="modality 'gone' has no features"):
        mt.tl.MTM(empty, 3)
    zero = mudata.MuData(
        {"rna": adata_of(sparse.csr_matrix(COUNTS["rna"])), "zero": adata_of(sparse.csr_matrix((30, 4)), "zero")}
    )
    with pytest.raises(ValueError, match="modality 'zero' holds no counts"):
        mt.tl.MTM(zero, 3)
    with pytest.raises(ValueError, match="modality 'zero' holds no counts"):
        mt.pp.scale_counts(zero)
    assert "counts" not in zero["rna"].layers
    with pytest.raises(ValueError, match="holds no modality"):
        mt.tl.MTM(mudata.MuData({}), 3)


def test_counts_are_read_quietly_and_a_model_warns_once_of_what_is_empty(recwarn):
    x = COUNTS["rna"].astype("float32")
    full = Counts.read(adata_of(sparse.csr_matrix(x)))
    x[[3, 8]] = 0
    adata = adata_of(sparse.csr_matrix(x))
    empty = Counts.read(adata)
    full.warn_empty()
    assert not [w for w in recwarn if "have no counts" in str(w.message)]
    with pytest.warns(UserWarning, match="^2 of 30 observations have no counts: their topics are the prior$"):
        empty.warn_empty()
    adata.obsm["spatial"] = np.random.default_rng(0).random((30, 2))
    adata.layers["counts"] = adata.X.copy()
    for options in ({}, {"raw": True}):
        with pytest.warns(UserWarning) as caught:
            mt.tl.sMTM(adata, 3, n_neighbors=3, verbose=False, **options)
        assert sum("have no counts" in str(w.message) for w in caught) == 1


def test_observations_without_counts_get_the_prior_and_a_warning():
    x = COUNTS["rna"].astype("float32")
    x[[3, 8]] = 0
    adata = adata_of(sparse.csr_matrix(x))
    with pytest.warns(UserWarning, match="2 of 30 observations have no counts"):
        model = mt.tl.MTM(adata, 3, verbose=False)
    model.VI(3)
    np.testing.assert_allclose(model.gamma[[3, 8]], 1 / 3, rtol=1e-6)
    mt.tl.export_params(model, adata)
    np.testing.assert_allclose(adata.obsm["topics"].iloc[3], 1 / 3)


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize("axis", ["obs", "var"])
def test_names_that_occur_twice(axis):
    adata = adata_of(sparse.csr_matrix(COUNTS["rna"]))
    names = getattr(adata, f"{axis}_names").to_list()
    names[1] = names[0]
    setattr(adata, f"{axis}_names", names)
    with pytest.raises(
        ValueError, match=rf"occur twice, the first is '{names[0]}': make them unique with {axis}_names_make_unique"
    ):
        mt.tl.MTM(adata, 3)


def test_other_objects_and_axes():
    with pytest.raises(TypeError, match="expected an AnnData or a MuData, got DataFrame"):
        mt.tl.MTM(pd.DataFrame(COUNTS["rna"]), 3)
    by_feature = mudata.MuData({mod: adata_of(sparse.csr_matrix(COUNTS["rna"]), "g") for mod in ("a", "b")}, axis=1)
    with pytest.raises(ValueError, match="shares axis 1"):
        mt.tl.MTM(by_feature, 3)


def test_unknown_modality():
    with pytest.raises(KeyError, match="no modality 'rnaa' in the data; did you mean 'rna'"):
        mt.pp.tfidf(mudata_of(), mod="rnaa")
    with pytest.raises(ValueError, match=r"say which modality is meant: mod is one of \['prot', 'rna'\]"):
        mt.pp.tfidf(mudata_of())
