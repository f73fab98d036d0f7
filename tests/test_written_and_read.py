"""Data with a fit that were written and read: every tool and every plot finds in them what it found before."""

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad
from mudata import read_h5mu, read_zarr

import mtopic as mt

QUIET: dict[str, Any] = {"n_jobs": 1, "verbose": False}
NEW = mt.datasets.simulate(50, 4, modalities={"rna": 60, "atac": 90}, depth=300, rng=7)


def new(data):
    if hasattr(data, "mod"):
        return NEW.copy()
    cells = NEW["rna"].copy()
    cells.obsm["spatial"] = NEW.obsm["spatial"]
    return cells


def first(data):
    return next(iter(data.mod)) if hasattr(data, "mod") else None


def adata_of(data):
    return data[first(data)] if hasattr(data, "mod") else data


def model_of(data):
    model = mt.tl.MTM(data, 4, **QUIET)
    model.VI(2)
    return model


def spatial_model(data):
    model = mt.tl.sMTM(data, 4, neighbors_key="spatial", strength=1, **QUIET)
    model.VI(2)
    return model.gamma


def associations(data):
    mods = list(data.mod) if hasattr(data, "mod") else ["X"]
    parts = mt.pp.feature_associations_data(data, mods)
    (a, a_var), (b, b_var) = parts[mods[0]], parts[mods[-1]]
    return mt.tl.feature_associations(a[:, :5], a_var[:5], b, b_var)


def exported(data):
    mt.tl.export_params(model_of(data), data, "again")


def transformed(data):
    cells = new(data)
    mt.tl.transform(data, cells, spatial_key="spatial", **QUIET)
    return cells.obsm["topics"]


def renamed(data):
    """Two topics swap their names."""
    one, other = data.obsm["topics"].columns[:2]
    mt.tl.rename_topics(data, {one: other, other: one})


def enrichment(data):
    names = adata_of(data).var_names
    net = pd.DataFrame({"source": [f"set_{v % 5}" for v in range(len(names))], "target": names})
    mt.tl.enrichment(data, first(data), net=net)
    return adata_of(data).uns["enrichment"]


def motif_enrichment(data):
    """Of the last modality, peaks where there are two."""
    mod = list(data.mod)[-1] if hasattr(data, "mod") else None
    adata = data[mod] if mod else data
    adata.var["length"] = 500
    has = np.random.default_rng(0).random((adata.n_vars, 6)) < 0.3
    motifs = pd.DataFrame(has, adata.var_names, [f"motif_{i}" for i in range(6)])
    options = {"length_key": "length", "key_added": "motifs"}
    mt.tl.motif_enrichment(data, mod, motifs=motifs, **options)
    return adata.uns["motifs"]


TOOLS = {
    "MTM": lambda data: model_of(data).gamma,
    "sMTM": spatial_model,
    "borders": mt.tl.borders,
    "compare_topics": lambda data: mt.tl.compare_topics(data, "state", "ill", sample_key="donor", n_jobs=1),
    "denoise": lambda data: mt.tl.denoise(data, first(data), ["rna_1", "rna_2"]),
    "dominant_topics": mt.tl.dominant_topics,
    "enrichment": enrichment,
    "export_params": exported,
    "feature_associations": associations,
    "modality_agreement": lambda data: mt.tl.modality_agreement(data, "region", n_jobs=1),
    "motif_enrichment": motif_enrichment,
    "perplexity": lambda data: mt.tl.perplexity(data, new(data), n_jobs=1),
    "rename_topics": renamed,
    "select_n_topics": lambda data: mt.tl.select_n_topics(data, (2, 3), n_folds=2, n_iter=2, **QUIET),
    "signature_uncertainty": lambda data: mt.tl.signature_uncertainty(data, n_jobs=1),
    "spatial_domains": lambda data: mt.tl.spatial_domains(data, 2, n_runs=2, n_init=1),
    "topic_autocorr": mt.tl.topic_autocorr,
    "topic_model": lambda data: mt.tl.topic_model(data, 3, n_iter=2, key_added="again", **QUIET),
    "topic_neighborhoods": lambda data: mt.tl.topic_neighborhoods(data, n_perms=10),
    "topic_quality": mt.tl.topic_quality,
    "transform": transformed,
    "umap": lambda data: mt.tl.umap(data, n_jobs=1),
    "uncertainty": lambda data: mt.tl.uncertainty(data, n_jobs=1),
    "zscores": lambda data: mt.tl.zscores(data, mod=first(data)),
}
OF_OTHER_THINGS = {"distance_mask", "load_model"}
PLOTS = {
    "batch_effects": lambda data: mt.pl.batch_effects(data, first(data), show=False),
    "borders": lambda data: mt.pl.borders(data, "spatial", show=False),
    "compare_topics": lambda data: mt.pl.compare_topics(data, show=False),
    "composition": lambda data: mt.pl.composition(data, "region", show=False),
    "convergence": lambda data: mt.pl.convergence(data, show=False),
    "corr_heatmap": lambda data: mt.pl.corr_heatmap(data.obsm["topics"], adata_of(data).obsm["zscores"], show=False),
    "dominant_topics": lambda data: mt.pl.dominant_topics(data, "spatial", show=False),
    "dotplot": lambda data: mt.pl.dotplot(data, show=False),
    "enrichment": lambda data: mt.pl.enrichment(data, first(data), show=False),
    "feature_activity": lambda data: mt.pl.feature_activity(data, "spatial", ["rna_1", "rna_2"], show=False),
    "filter_topics": lambda data: mt.pl.filter_topics(model_of(data), show=False),
    "filter_var_knee": lambda data: mt.pl.filter_var_knee(model_of(data), first(data) or "X", show=False),
    "modality_agreement": lambda data: mt.pl.modality_agreement(data, "region", show=False),
    "scatter_pie": lambda data: mt.pl.scatter_pie(data, x="spatial", radius=None, show=False),
    "select_n_topics": lambda data: mt.pl.select_n_topics(data, show=False),
    "signatures": lambda data: mt.pl.signatures(data, first(data), show=False),
    "topic_neighborhoods": lambda data: mt.pl.topic_neighborhoods(data, show=False),
    "topics": lambda data: mt.pl.topics(data, "spatial", show=False),
    "zscores": lambda data: mt.pl.zscores(data, first(data), "spatial", show=False),
}
FORMATS = {
    "h5mu": (lambda data, path: data.write(path), read_h5mu),
    "mudata zarr": (lambda data, path: data.write_zarr(path), read_zarr),
    "h5ad": (lambda data, path: data.write_h5ad(path), read_h5ad),
}


def impossible(data):
    """What needs several modalities."""
    return set() if hasattr(data, "mod") else {"modality_agreement"}


@cache
def with_all_tools(joint):
    """Data with all that the tools write, never to be changed."""
    data = mt.datasets.simulate(150, 4, modalities={"rna": 60, "atac": 90}, depth=300, tissue="sharp")
    if not joint:
        adata = data["rna"].copy()
        adata.obs["region"], adata.obsm["spatial"] = data.obs["region"], data.obsm["spatial"]
        data = adata
    donors = np.arange(data.n_obs) % 8
    data.obs["donor"], data.obs["state"] = [f"donor_{d}" for d in donors], np.where(donors < 4, "ill", "well")
    data.obs["batch"] = [f"batch_{d}" for d in donors % 2]
    mt.tl.topic_model(data, 4, spatial_key="spatial", strength=1, n_iter=15, batch_key="batch", **QUIET)
    for name, tool in TOOLS.items():
        if name not in {"MTM", "sMTM", "topic_model", "export_params", *impossible(data)}:
            tool(data)
    return data


@pytest.fixture(scope="module", params=FORMATS)
def both(request, tmp_path_factory):
    """Such data, and the same from a file."""
    data = with_all_tools(joint=request.param != "h5ad")
    write, read = FORMATS[request.param]
    path = tmp_path_factory.mktemp("written") / "data"
    write(data, path)
    return data, read(path)


@pytest.fixture(scope="module")
def expected():
    """What the tools make of data that were never written, by tool."""
    return {}


def made_by(call, data, fingerprint):
    """What a call gives and writes."""
    data = data.copy()
    given = call(data)
    tables = {
        key: pd.DataFrame(value) for key, value in sorted(data.obsm.items()) if key not in getattr(data, "mod", ())
    }
    columns = {key: data.obs[key].astype(str) for key in ("topic", "domain", "topic_border")}
    of_features = {key: pd.DataFrame(value) for key, value in sorted(adata_of(data).varm.items())}
    of_cells = {"zscores": adata_of(data).obsm["zscores"], "denoised": adata_of(data).layers["denoised"]}
    compared = data.uns["mtopic"]["comparison"]["topics"]
    return [fingerprint(part) for part in (given, tables, columns, of_features, of_cells, compared)]


def test_all_are_there():
    assert set(TOOLS) | OF_OTHER_THINGS == set(mt.tl.__all__)
    assert set(PLOTS) == set(mt.pl.__all__)


@pytest.mark.parametrize("tool", TOOLS)
def test_tools(both, tool, expected, fingerprint):
    data, again = both
    if tool in impossible(data):
        pytest.skip("one modality")
    key = type(data), tool
    if key not in expected:
        expected[key] = made_by(TOOLS[tool], data, fingerprint)
    assert made_by(TOOLS[tool], again, fingerprint) == expected[key]


OTHER_FORMATS = [pytest.param(name, marks=pytest.mark.weekly) for name in FORMATS if name != "h5mu"]


@pytest.mark.parametrize("both", ["h5mu", *OTHER_FORMATS], indirect=True)
@pytest.mark.parametrize("plot", PLOTS)
def test_plots(both, plot):
    data, again = both
    if plot in impossible(data):
        pytest.skip("one modality")
    pictures = []
    for each in both:
        plt.close("all")
        PLOTS[plot](each)
        figure = plt.gcf()
        figure.canvas.draw()
        pictures.append(np.asarray(figure.canvas.buffer_rgba(), dtype=float))
    np.testing.assert_allclose(*pictures, atol=8)  # edges of letters
    assert len(np.unique(pictures[0].reshape(-1, 4), axis=0)) > 10
