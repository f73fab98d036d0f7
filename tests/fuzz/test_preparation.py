"""Preparation of whatever counts are allowed."""

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse
from tests.fuzz.generated import attempt, cases, content, fuzz, parts_of

import mtopic as mt

pytestmark = pytest.mark.slow

STEPS = {"tfidf": mt.pp.tfidf, "clr": mt.pp.clr}


def values(adata, layer=None):
    x = adata.X if layer is None else adata.layers[layer]
    return np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float64)


def prepared(data, steps, scaled):
    for mod, step in zip(parts_of(data), steps, strict=False):
        if step is not None:
            STEPS[step](data, mod)
    if scaled is not None:
        mt.pp.scale_counts(data, scaled)
    return data


@fuzz(
    200,
    case=cases(),
    steps=st.lists(st.sampled_from(["tfidf", "clr", None]), min_size=5, max_size=5),
    scaled=st.sampled_from([None, 1.0, 1e4]),
)
def test_preparation(case, steps, scaled):
    data, plain = case.build(), prepared(case.build(plain=True), steps, scaled)
    before = content(data)
    copied = data.copy()
    assert content(data) == before
    prepared(copied, steps, scaled)
    assert content(data) == before
    for mod, adata in parts_of(copied).items():
        x = values(adata)
        assert np.isfinite(x).all()
        assert (x >= 0).all()
        np.testing.assert_allclose(x, values(parts_of(plain)[mod][adata.obs_names]), rtol=2e-4, atol=1e-30)
        if "counts" in adata.layers:
            np.testing.assert_array_equal(values(adata, "counts"), values(parts_of(data)[mod]))
            assert adata.layers["counts"].dtype == parts_of(data)[mod].X.dtype


@fuzz(120, case=cases(), part=st.floats(0.05, 1), seed=st.integers(0, 9))
def test_permuted_and_filtered(case, part, seed):
    data = case.build()
    before = content(data)
    mod, first = next(iter(parts_of(data).items()))
    features = list(first.var_names[: max(1, int(part * first.n_vars))])
    less = mt.pp.filter_var_list(data, {mod: features}, verbose=False)
    assert content(data) == before
    np.testing.assert_allclose(values(parts_of(less)[mod]), values(first[:, features]), rtol=1e-6)
    null = data.copy()
    if attempt(mt.pp.permute, null, seed=seed, said="no observation has counts in all modalities"):
        for mod, adata in parts_of(null).items():
            there = values(parts_of(data)[mod][:, adata.var_names])
            assert set(np.unique(values(adata))) <= {0, *np.unique(there)}
            assert (values(adata) > 0).any(axis=0).all()


@fuzz(80, case=cases(least=2, view=False), step=st.sampled_from(["tfidf", "clr", None]), layer=st.booleans())
def test_parts_are_prepared_and_the_whole_stays(case, step, layer):
    """Views of data, of views, and of modalities."""
    data = case.build()
    for adata in parts_of(data).values():
        if layer:
            adata.layers["counts"] = adata.X.copy()
    before = content(data)
    half = data[np.arange(data.n_obs) < (data.n_obs + 1) // 2]
    mod = next(iter(parts_of(data)))
    for part in (half, half[:1], parts_of(data[: data.n_obs - 1])[mod]):
        attempt(lambda part: prepared(part, [step], None if step else 10.0), part)
        assert content(data) == before
