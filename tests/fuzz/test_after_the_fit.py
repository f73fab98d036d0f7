"""What users do to data after a fit: numbers stay what they were, or something is said."""

import functools
import warnings

import numpy as np
import pytest
from hypothesis import strategies as st
from mudata import MuData
from tests.fuzz.generated import fuzz

import mtopic as mt

pytestmark = pytest.mark.slow

MODS = {"rna": 24, "atac": 36}
N_OBS, N_TOPICS = 60, 3


@functools.cache
def _fitted(kind):
    mdata = mt.datasets.simulate(n_obs=N_OBS, n_topics=N_TOPICS, modalities=MODS, depth=200)
    data = mdata["rna"].copy() if kind == "AnnData" else mdata
    data.obs["donor"] = [f"donor_{d % 6}" for d in range(N_OBS)]
    data.obs["state"] = ["ill" if d % 6 < 3 else "well" for d in range(N_OBS)]
    data.obsm["spatial"] = np.asarray(mdata.obsm["spatial"])
    mt.tl.topic_model(data, N_TOPICS, n_iter=10, modality_weights="equal", n_jobs=1, verbose=False)
    return data


def parts(data):
    return data.mod if isinstance(data, MuData) else {"X": data}


def matrix(data, change):
    for adata in parts(data).values():
        adata.X = change(adata.X.toarray())
    return data


def renamed(data):
    copy = data.copy()
    for adata in parts(copy).values():
        adata.obs_names = "a_" + adata.obs_names.astype(str)
    if isinstance(copy, MuData):
        copy.obs_names = "a_" + copy.obs_names.astype(str)
    return copy


def features(data):
    if not isinstance(data, MuData):
        return data[:, ::2].copy()
    return data[:, np.concatenate([adata.var_names[::2] for adata in data.mod.values()])].copy()


CHANGES = {
    "nothing": lambda data: data.copy(),
    "logarithms": lambda data: matrix(data.copy(), np.log1p),
    "normalised": lambda data: matrix(data.copy(), lambda x: x / np.maximum(x.sum(axis=1, keepdims=True), 1) * 1e4),
    "doubled": lambda data: matrix(data.copy(), lambda x: 2 * x),
    "some features": features,
    "a view": lambda data: data[: N_OBS // 2],
    "a view of a view": lambda data: data[: N_OBS // 2][::2],
    "renamed": renamed,
}


def table(name):
    return lambda data: data.obsm[name].to_numpy()


def comparison(data):
    return data.uns["mtopic"]["comparison"]["signatures"][next(iter(parts(data)))]["difference"].to_numpy()


TOOLS = {
    "uncertainty": (lambda data: mt.tl.uncertainty(data, n_jobs=1), table("topics_sd")),
    "signature_uncertainty": (
        lambda data: mt.tl.signature_uncertainty(data, n_jobs=1),
        lambda data: next(iter(parts(data).values())).varm["signatures_sd"].to_numpy(),
    ),
    "compare_topics": (
        lambda data: mt.tl.compare_topics(data, "state", "ill", sample_key="donor", min_counts=1, n_jobs=1),
        comparison,
    ),
    "zscores": (
        lambda data: mt.tl.zscores(data, mod=next(iter(parts(data)))),
        lambda data: next(iter(parts(data).values())).obsm["zscores"].to_numpy(),
    ),
    "topic_quality": (
        lambda data: mt.tl.topic_quality(data),
        lambda data: data.uns["topic_quality"]["modalities"].to_numpy(dtype=float),
    ),
    "dominant_topics": (
        lambda data: mt.tl.dominant_topics(data),
        lambda data: np.asarray(data.obs["topic"]).astype(str),
    ),
}
OF_ALL_OBSERVATIONS = {"signature_uncertainty", "compare_topics", "zscores", "topic_quality"}


def outcome(kind, change, tool):
    """Numbers, and what was said; an error is a word too."""
    call, read = TOOLS[tool]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = CHANGES[change](_fitted(kind))
        del said[:]
        try:
            call(data)
        except (ValueError, KeyError) as error:
            return None, [str(error)]
        words = [str(w.message) for w in said if issubclass(w.category, UserWarning)]
        return read(data), [word for word in words if "of the fit" in word]


@fuzz(
    90,
    kind=st.sampled_from(["AnnData", "MuData"]),
    change=st.sampled_from(list(CHANGES)),
    tool=st.sampled_from(list(TOOLS)),
)
def test_other_numbers_do_not_come_without_a_word(kind, change, tool):
    expected, said = outcome(kind, "nothing", tool)
    assert expected is not None and not said
    found, said = outcome(kind, change, tool)
    if found is None or said:
        return
    if "view" in change and tool in OF_ALL_OBSERVATIONS:
        return  # numbers of a part of the observations are others, and are asked for
    rows = slice(None, N_OBS // 2, 2 if "of a" in change else None) if "view" in change else slice(None)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected[rows], rtol=1e-4, atol=1e-6)
    else:
        np.testing.assert_array_equal(found, expected[rows])


@pytest.mark.parametrize("change", ["a view", "a view of a view"])
@pytest.mark.parametrize("tool", TOOLS)
def test_the_source_of_a_view_stays(change, tool, fingerprint):
    whole = _fitted("MuData").copy()
    before = fingerprint(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            TOOLS[tool][0](CHANGES[change](whole))
        except (ValueError, KeyError):
            pass
    assert fingerprint(whole) == before


@fuzz(20, away=st.sampled_from([0, 7, 1000]), n_sections=st.integers(2, 3), key=st.sampled_from(["section", None]))
def test_sections_that_lie_on_each_other(away, n_sections, key):
    """With ``library_key`` no neighbour is of another section; without it something is said where they overlap."""
    one = mt.datasets.simulate(n_obs=40, n_topics=2, modalities={"rna": 20})["rna"]
    sections = {}
    for s in range(n_sections):
        sections[f"s{s}"] = one.copy()
        sections[f"s{s}"].obs_names = [f"s{s}_{d}" for d in range(40)]
        sections[f"s{s}"].obsm["spatial"] = np.indices((8, 5)).reshape(2, -1).T + s * away
    data = mt.pp.concat(sections, label="section")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        mt.tl.topic_model(
            data,
            2,
            spatial_key="spatial",
            n_neighbors=3,
            library_key=key,
            strength=0.5,
            n_iter=2,
            n_jobs=1,
            verbose=False,
        )
    words = [str(w.message) for w in said if "library_key" in str(w.message)]
    edges = data.obsp["spatial_connectivities"].tocoo()
    between = (data.obs["section"].to_numpy()[edges.row] != data.obs["section"].to_numpy()[edges.col]).any()
    assert bool(words) == (key is None and away == 0)
    assert not (key and between)
