"""Input that is not allowed: an error that names what is wrong, before anything is changed."""

from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse
from tests.fuzz.generated import PLANNED, Case, Part, attempt, first_of, fuzz, parts_of

import mtopic as mt

pytestmark = pytest.mark.slow

READERS = {
    "MTM": lambda data, mod: mt.tl.MTM(data, 3, verbose=False),
    "sMTM": lambda data, mod: mt.tl.sMTM(data, 3, n_neighbors=2, verbose=False),
    "topic_model": lambda data, mod: mt.tl.topic_model(data, 3, n_iter=1, verbose=False),
    "spatial topic_model": lambda data, mod: mt.tl.topic_model(data, 3, spatial_key="coords", n_iter=1, verbose=False),
    "tfidf": mt.pp.tfidf,
    "clr": mt.pp.clr,
    "scale_counts": lambda data, mod: mt.pp.scale_counts(data),
    "permute": lambda data, mod: mt.pp.permute(data),
    "filter_var_list": lambda data, mod: mt.pp.filter_var_list(
        data, {mod: parts_of(data)[mod].var_names[:1]}, verbose=False
    ),
    "zscores": lambda data, mod: mt.tl.zscores(data, mod=mod),
    "transform": lambda data, mod: mt.tl.transform(reference_of(data), data, key_added="new", verbose=False),
    "perplexity": lambda data, mod: mt.tl.perplexity(reference_of(data), data),
    "uncertainty": lambda data, mod: mt.tl.uncertainty(data, n_jobs=1),
    "modality_agreement": lambda data, mod: mt.tl.modality_agreement(data, n_jobs=1),
    "select_n_topics": lambda data, mod: mt.tl.select_n_topics(
        data, (2, 3), n_folds=2, n_iter=1, n_jobs=1, verbose=False
    ),
}


@cache
def reference(n_parts, wrapped):
    """Valid data with a fit and coordinates, not to be changed."""
    data = Case(1, 12, (Part("dense", "float64", 6, 50.0),) * n_parts, wrapped=wrapped).build()
    mt.tl.topic_model(data, 3, n_iter=1, n_jobs=1, verbose=False)
    data.obsm["coords"] = np.random.default_rng(0).random((12, 2))
    return data


def reference_of(data):
    return reference(len(parts_of(data)), hasattr(data, "mod"))


def made(n_parts, wrapped, form, dtype):
    """Valid data with a fit and coordinates."""
    data = reference(n_parts, wrapped or n_parts > 1).copy()
    for adata in parts_of(data).values():
        adata.X = Part(form, dtype).laid_out(adata.X.astype(dtype))
    return data


def value(number):
    def put(data, mod, rng):
        x = parts_of(data)[mod].X
        dense = x.toarray() if sparse.issparse(x) else np.array(x)
        dense = dense.astype(np.float64)
        dense[rng.integers(12), rng.integers(6)] = number
        parts_of(data)[mod].X = type(x)(dense) if sparse.issparse(x) else dense

    return put


def filled(x):
    def put(data, mod, rng):
        parts_of(data)[mod].X = x

    return put


def twice(axis):
    def put(data, mod, rng):
        adata = parts_of(data)[mod]
        names = list(getattr(adata, f"{axis}_names"))
        names[0] = names[1]
        setattr(adata, f"{axis}_names", names)

    return put


def raw_layer(number):
    def put(data, mod, rng):
        layer = np.ones((12, 6))
        layer[3, 4] = number
        parts_of(data)[mod].layers["counts"] = layer

    return put


VALUES = {
    "nan": (value(np.nan), "not finite"),
    "inf": (value(np.inf), "not finite"),
    "-inf": (value(-np.inf), ""),
    "negative": (value(-1.0), "negative"),
    "complex": (filled(np.full((12, 6), 1j)), "dtype complex128"),
    "text": (filled(np.full((12, 6), "a", dtype=object)), "dtype object"),
    "dates": (filled(np.full((12, 6), np.datetime64("2020-01-01"))), "dtype datetime64"),
}
FORMS_ = st.sampled_from(["csr_matrix", "csc_array", "dense", "Fortran"])
DATA = {
    "seed": st.integers(0, 10**6),
    "n_parts": st.sampled_from([1, 2, 3]),
    "wrapped": st.booleans(),
    "form": FORMS_,
    "dtype": st.sampled_from(["float32", "float64", "int64", "uint8"]),
}


@fuzz(200, reader=st.sampled_from(list(READERS)), wrong=st.sampled_from(list(VALUES)), which=st.integers(0, 2), **DATA)
def test_values(reader, wrong, which, seed, **how):
    data = made(**how)
    mod = list(parts_of(data))[which % len(parts_of(data))]
    change, said = VALUES[wrong]
    change(data, mod, np.random.default_rng(seed))
    assert not attempt(lambda data: READERS[reader](data, mod), data, said=repr(mod))


SHAPES = {
    "no counts": filled(np.zeros((12, 6))),
    "no counts, sparse": filled(sparse.csr_matrix((12, 6))),
    "observations twice": twice("obs"),
    "features twice": twice("var"),
    "raw nan": raw_layer(np.nan),
    "raw negative": raw_layer(-2.0),
    "raw in parts": raw_layer(0.5),
}


@fuzz(180, reader=st.sampled_from(list(READERS)), wrong=st.sampled_from(list(SHAPES)), which=st.integers(0, 2), **DATA)
def test_shapes_and_names(reader, wrong, which, seed, **how):
    data = made(**how)
    mod = list(parts_of(data))[which % len(parts_of(data))]
    SHAPES[wrong](data, mod, np.random.default_rng(seed))
    succeeded = attempt(lambda data: READERS[reader](data, mod), data)
    if reader in ("MTM", "sMTM") and not wrong.startswith("raw") or reader == "topic_model" and wrong[4:5] == "n":
        assert not succeeded


def without(axis):
    def made_empty(data):
        if axis == "obs":
            return data[[]].copy()
        parts = {mod: adata[:, []].copy() for mod, adata in parts_of(data).items()}
        return MuData(parts) if hasattr(data, "mod") else parts["X"]

    return made_empty


@fuzz(60, reader=st.sampled_from(list(READERS)), axis=st.sampled_from(["obs", "var"]), **DATA)
def test_nothing_at_all(reader, axis, seed, **how):
    data = without(axis)(made(**how))
    mod = first_of(data)
    succeeded = attempt(lambda data: READERS[reader](data, mod), data)
    may = {"tfidf", "clr"} | ({"zscores", "filter_var_list"} if axis == "obs" else set())
    assert not succeeded or reader in may


GARBAGE = st.sampled_from([None, -1, 0, np.nan, np.inf, -np.inf, "x", "", 1.5, (), {}, [], object(), 3])
CALLS = {
    "MTM": (mt.tl.MTM, ("n_topics", "dtype", "inference", "alpha", "eta", "modality_weights")),
    "VI": (None, ("n_iter", "max_iter_d", "tol", "schedule", "callback", "checkpoint_every")),
    "SVI": (None, ("n_batches", "batch_size", "tau", "kappa", "max_iter_d")),
    "sMTM": (
        mt.tl.sMTM,
        ("radius", "n_neighbors", "spatial_key", "neighbors_key", "neighbors_method", "library_key")
        + ("bandwidth", "strength", "smoothing"),
    ),
    "topic_model": (mt.tl.topic_model, ("n_topics", "spatial_key", "alpha", "eta", "key_added", "tol", "radius")),
    "scale_counts": (mt.pp.scale_counts, ("counts_per_cell",)),
    "permute": (mt.pp.permute, ("subset",)),
    "zscores": (mt.tl.zscores, ("signatures", "mod", "n_top", "thr")),
    "dominant_topics": (mt.tl.dominant_topics, ("topics",)),
    "uncertainty": (mt.tl.uncertainty, ("level", "prefix")),
    "modality_agreement": (mt.tl.modality_agreement, ("groupby", "prefix")),
    "rename_topics": (mt.tl.rename_topics, ("names",)),
    "topic_quality": (mt.tl.topic_quality, ("topics", "signatures", "n_top")),
}  # fmt: skip
ARGUMENTS = st.sampled_from([(call, name) for call, (_, names) in CALLS.items() for name in names])
QUICK = {"topic_model": {"n_iter": 1, "verbose": False}, "MTM": {"verbose": False}, "sMTM": {"verbose": False}}


@fuzz(250, argument=ARGUMENTS, given=GARBAGE, wrapped=st.booleans())
def test_arguments(argument, given, wrapped):
    call, name = argument
    data = made(1, wrapped, "csr_matrix", "float32")
    options = {**QUICK.get(call, {}), name: given}
    if call in ("VI", "SVI"):
        model = mt.tl.MTM(data, 3, verbose=False)
        attempt(lambda data: getattr(model, call)(**options), data)
        assert np.isfinite(model.gamma).all()
        return
    if attempt(lambda data: CALLS[call][0](data, **options), data) and "topics" in data.obsm:
        assert np.isfinite(data.obsm["topics"]).all(axis=None)


@pytest.mark.parametrize(
    "thing", [None, 1, "data.h5mu", pd.DataFrame([[1]]), np.ones((3, 2)), sparse.csr_matrix((3, 2))]
)
@pytest.mark.parametrize("reader", READERS)
def test_other_things(reader, thing):
    if reader in ("transform", "perplexity", "filter_var_list"):
        return
    with pytest.raises(TypeError, match="expected an AnnData or a MuData"):
        READERS[reader](thing, None)


def test_how_many_cases_there_are():
    for path in Path(__file__).parent.glob("test_*.py"):
        import_module(f"tests.fuzz.{path.stem}")
    assert sum(PLANNED.values()) >= 2000
