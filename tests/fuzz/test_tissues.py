"""Spatial fits and tools at any coordinates: finite, or an error that says what is wrong, and the data as before."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from tests.fuzz.generated import attempt, cases, content, fuzz, require_finite

import mtopic as mt

pytestmark = pytest.mark.slow

PLACES = {
    "plane": lambda rng, n: rng.random((n, 2)),
    "grid": lambda rng, n: np.column_stack([np.arange(n) % 5, np.arange(n) // 5]),
    "space": lambda rng, n: rng.random((n, 3)),
    "line": lambda rng, n: np.outer(rng.random(n), [1, 2]),
    "one axis": lambda rng, n: rng.random((n, 1)),
    "one place": lambda rng, n: np.full((n, 2), 7.0),
    "pairs": lambda rng, n: np.repeat(rng.random((n, 2)), 2, axis=0)[:n],
    "outlier": lambda rng, n: np.vstack([rng.random((n, 2))[1:], [[1e12, -1e12]]]),
    "far away": lambda rng, n: 1e12 + rng.random((n, 2)),
    "whole": lambda rng, n: rng.integers(0, 50, (n, 2)),
}
WHO = st.sampled_from(
    [
        {"radius": 0.3},
        {"radius": 1e-9},
        {"radius": 1e6},
        {"n_neighbors": 1},
        {"n_neighbors": 4},
        {"n_neighbors": 39},
        {"neighbors_method": "delaunay"},
        {"neighbors_method": "grid"},
        {"neighbors_method": "grid", "n_neighbors": 4},
    ]
)
LENT = st.sampled_from(
    [
        {},
        {"strength": 0.0},
        {"strength": 1.0},
        {"strength": 1e6},
        {"smoothing": "original"},
        {"strength": 0.5, "bandwidth": np.inf},
        {"strength": 0.5, "bandwidth": 1e-12},
    ]
)
SPOTS = cases(least=2, most=40)


def placed(case, place, size, sections, tabular):
    """The data with coordinates and sections."""
    data, rng = case.build(), np.random.default_rng(case.seed)
    points = PLACES[place](rng, data.n_obs) * size
    data.obsm["spatial"] = pd.DataFrame(points, data.obs_names) if tabular else points
    data.obs["section"] = pd.Categorical(np.arange(data.n_obs) % sections)
    return data


WHERE = {
    "place": st.sampled_from(list(PLACES)),
    "size": st.sampled_from([1.0, 1e-9, 1e12]),
    "sections": st.sampled_from([1, 1, 2]),
    "tabular": st.booleans(),
}


@fuzz(120, case=SPOTS, who=WHO, lent=LENT, n_topics=st.sampled_from([2, 3, 8]), **WHERE)
def test_spatial_models(case, who, lent, n_topics, **where):
    data = placed(case, **where)
    library = {"library_key": "section"} if where["sections"] > 1 else {}
    made = []

    def fit(data):
        made.append(mt.tl.sMTM(data, n_topics, n_jobs=1, verbose=False, **who, **lent, **library))
        made[0].VI(12 if lent.get("strength") else 3, tol=None)

    before = content(data)
    if not attempt(fit, data):
        return
    assert content(data) == before
    require_finite(made[0])
    mt.tl.export_params(made[0], data)
    topics = data.obsm["topics"]
    assert np.isfinite(topics).all(axis=None)
    np.testing.assert_allclose(topics.sum(axis=1), 1)


TOOLS = {
    "borders": lambda data: mt.tl.borders(data),
    "autocorr": lambda data: mt.tl.topic_autocorr(data),
    "neighborhoods": lambda data: mt.tl.topic_neighborhoods(data, n_perms=5),
    "domains": lambda data: mt.tl.spatial_domains(data, 2, n_runs=2, n_init=1),
    "uncertainty": lambda data: mt.tl.uncertainty(data, n_jobs=1),
    "topic_model": lambda data: mt.tl.topic_model(
        data, 3, spatial_key="spatial", n_iter=2, key_added="other", n_jobs=1, verbose=False
    ),
}


@fuzz(40, case=SPOTS, who=WHO, tool=st.sampled_from(list(TOOLS)), **WHERE)
def test_spatial_tools(case, who, tool, **where):
    data = placed(case, **where)
    options = {"spatial_key": "spatial", "strength": 0.5, "n_iter": 2, "n_jobs": 1, "verbose": False}
    if not attempt(mt.tl.topic_model, data, 3, **who, **options) or not attempt(TOOLS[tool], data):
        return
    if tool == "borders":
        assert not np.isinf(data.obs["topic_border"]).any()
    for key in {"topics_sd", "topics_low", "topics_high", "other_topics"} & set(data.obsm):
        assert np.isfinite(data.obsm[key]).all(axis=None)
