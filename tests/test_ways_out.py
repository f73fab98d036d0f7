"""Errors and warnings that name a way out: it leads out."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

import mtopic as mt

N_OBS = 60
QUIET: dict[str, Any] = {"n_jobs": 1, "verbose": False}
FIT: dict[str, Any] = {"n_topics": 3, "n_iter": 2, **QUIET}


class Case(NamedTuple):
    said: str
    """What the message names."""
    make: Callable[..., object]
    """Meets the error."""
    way_out: Callable[..., object]
    """Does what the message says, on the same data."""


def prepared(data):
    mt.pp.tfidf(data, "rna")
    mt.pp.tfidf(data, "atac")


def model(data, **options):
    made = mt.tl.MTM(data, 3, **{**QUIET, **options})
    made.VI(2)
    return made


def spatial(data, **options):
    return mt.tl.sMTM(data, 3, spatial_key="spatial", n_neighbors=6, **{**QUIET, **options})


def fit(data, **options):
    mt.tl.topic_model(data, **{**FIT, **options})


def sections(data):
    data.obs["slide"] = np.resize(["a", "b"], N_OBS)
    fit(data, spatial_key="spatial", library_key="slide")


def on_axes(data, **options):
    sections(data)
    mt.pl.dominant_topics(data, "spatial", ax=plt.figure().gca(), show=False, **options)


def two_graphs(data, key):
    import squidpy as sq

    for n_neighs, adata in zip((4, 6), data.mod.values(), strict=True):
        adata.obsm["spatial"] = data.obsm["spatial"]
        sq.gr.spatial_neighbors(adata, n_neighs=n_neighs, coord_type="generic")
    fit(data, neighbors_key=key)


def two_bases(data, key):
    del data.obsm["spatial"]
    rng = np.random.default_rng(0)
    for adata in data.mod.values():
        adata.obsm["spatial"] = rng.random((N_OBS, 2))
    fit(data, spatial_key=key)


def two_columns(data, key):
    fit(data)
    for mod, adata in data.mod.items():
        adata.obs["kind"] = np.resize([mod, "other"], N_OBS)
    mt.pl.composition(data, key, show=False)


def one_name(data, name):
    for adata in data.mod.values():
        adata.var_names = ["Gad1", *adata.var_names[1:]]
    data.update_var()
    mt.pl.feature_activity(data, "spatial", [name], show=False)


def new(data):
    """Other observations of the same tissue."""
    other = mt.datasets.simulate(30, 3, modalities={"rna": 40, "atac": 50}, rng=1)
    for mod, adata in other.mod.items():
        adata.var_names = data[mod].var_names
    return other


def placed(data, other, **options):
    mt.tl.transform(data, other, **{**QUIET, **options})


def of_raw_fit(data, by):
    fit(data)
    other = new(data)
    prepared(other)
    for adata in other.mod.values():
        counts = adata.layers.pop("counts")
        if by == "layers":
            adata.layers["counts"] = counts
        elif by == "X":
            adata.X = counts
            del adata.uns["mtopic"]["steps"]
    placed(data, other)


def named_as_trained(data, names):
    fit(data)
    other = new(data)
    other["rna"].var_names = names(data["rna"].var_names)
    placed(data, other)


def without_weights_of_tfidf(data, *, raw):
    prepared(data)
    if raw:
        fit(data)
    else:
        mt.tl.export_params(model(data), data)
    del data["rna"].var["mtopic_idf"]
    placed(data, new(data))


def as_if_raw(data, *, raw):
    prepared(data)
    counts = {mod: adata.layers.pop("counts") for mod, adata in data.mod.items()}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*was prepared by")
        if raw == "put back":
            for mod, adata in data.mod.items():
                adata.layers["counts"] = counts[mod]
        if raw is False:
            mt.tl.MTM(data, 3, raw=False, **QUIET).VI(2)
        else:
            fit(data)


def original(data, make, schedule="original"):
    make(data).VI(2, schedule=schedule)


def twice_the_names(data, slot):
    for adata in data.mod.values():
        names = ["a", *getattr(adata, slot)[1:-1], "a"]
        setattr(adata, slot, names)
    return data


def batches(data, **options):
    parts = {"a": data[:30].copy(), "b": data[30:].copy()}
    parts["a"].mod["rna"] = parts["a"]["rna"][:, :30].copy()
    joined = mt.pp.concat(parts)
    joined.obs["donor"], joined.obs["state"] = np.arange(N_OBS).astype(str), np.resize(["ill", "well"], N_OBS)
    joined.obs["donor"] = [f"d{i % 8}" for i in range(N_OBS)]
    fit(joined, batch_key="batch")
    mt.tl.compare_topics(joined, "state", "ill", sample_key="donor", n_jobs=1, verbose=False, **options)


def of_one_sample(data, show):
    fit(data)
    data.obs["donor"], data.obs["state"] = np.resize(["a", "b"], N_OBS), np.resize(["ill", "well"], N_OBS)
    if show:
        mt.pl.composition(data, "state", show=False)
    else:
        mt.tl.compare_topics(data, "state", "ill", sample_key="donor", n_jobs=1, verbose=False)


def measured_nowhere(data, *, leave_out):
    joined = mt.pp.concat({"a": data[:30].copy(), "b": data[30:].copy()})
    measured = pd.DataFrame(True, joined["rna"].var_names, ["a", "b"])
    measured.iloc[0] = False
    joined["rna"].varm["measured"] = measured
    if leave_out:
        joined.mod["rna"] = joined["rna"][:, joined["rna"].varm["measured"].any(axis=1)].copy()
    fit(joined, batch_key="batch")


def backed(data, path, *, loaded):
    data["rna"].write_h5ad(path / "rna.h5ad")
    adata = read_h5ad(path / "rna.h5ad", backed="r+")
    mt.pp.tfidf(adata.to_memory() if loaded else adata)


def in_a_file(data, path, reader):
    data["rna"].write_h5ad(path / "rna.h5ad")
    fit(reader(path / "rna.h5ad"))


def large(data, dtype):
    data["rna"].X = data["rna"].X.astype(np.float64) * 1e39
    mt.tl.MTM(data, 3, dtype=dtype, **QUIET).VI(2)


def of_prior(data, form):
    names = data["rna"].var_names
    given = {
        "other names": pd.Series(0.1, [f"x{name}" for name in names]),
        "names": pd.Series(0.1, names),
        "array": np.full(len(names), 0.1),
    }
    fit(data, eta={"rna": given[form]})


def written_anew(data, *, anew):
    fit(data)
    found = model(data)
    data["rna"].varm["signatures"].iloc[0, 0] = -1
    if anew:
        mt.tl.export_params(found, data)
    mt.get.expected_counts(data, "rna", data["rna"].var_names[:2])


def neighbours_of_new(data, **options):
    fit(data)
    placed(data, new(data), **options)


def halves(data, layer):
    prepared(data)
    mt.tl.export_params(model(data), data)
    other = new(data)
    prepared(other)
    for adata in other.mod.values():
        counts = adata.layers.pop("counts")
        if layer:
            adata.layers["counts"] = counts
    mt.tl.perplexity(data, other, **QUIET)


def started(data, n_init, *, first=False):
    made = mt.tl.MTM(data, 3, n_init=n_init, **QUIET)
    if first:
        made.VI(2)
    made.SVI(2, 20)


def loaded(data, path, *args):
    made = model(data)
    made.save(path / "model.h5")
    mt.tl.load_model(path / "model.h5", *args).VI(2)


def solid(data, **options):
    data.obsm["spatial"] = np.random.default_rng(0).random((N_OBS, 3))
    fit(data, spatial_key="spatial", **options)


def scored(data, *, made):
    fit(data)
    if made:
        mt.tl.select_n_topics(data, (2, 3), n_folds=2, n_iter=2, verbose=False, n_jobs=1)
    mt.pl.select_n_topics(data, show=False)


def at_sections(data, **options):
    data.obs["slide"] = np.resize(["a", "b"], N_OBS)
    mt.pl.topics(data, "spatial", "true_topics", library_id="a", show=False, **options)


def of_maps(data, **options):
    del data.obsm["spatial"]
    data.obsm["X_umap"], data.obsm["X_tsne"] = np.random.default_rng(0).random((2, N_OBS, 2))
    mt.pl.topics(data, topics="true_topics", show=False, **options)


def own_fit(data, key):
    fit(data)
    other = new(data)
    fit(other)
    placed(data, other, key_added=key)


def with_table(data, table, tool=None):
    fit(data, spatial_key="spatial")
    if tool is not None:
        tool(data)
    table(data)


def taken(data, **options):
    data.uns["mtopic"] = "mine"
    fit(data, **options)


def scaled_by_fit(data, **options):
    mt.tl.export_params(model(data), data, filter_threshold=0.9999, **options)


CASES = {
    "dtype": Case("use dtype='float64'", lambda d: large(d, "float32"), lambda d: large(d, "float64")),
    "delaunay": Case(
        "leave one of them out",
        lambda d: fit(d, spatial_key="spatial", neighbors_method="delaunay", n_neighbors=5),
        lambda d: fit(d, spatial_key="spatial", neighbors_method="delaunay"),
    ),
    "grid": Case(
        "use radius, n_neighbors or method='delaunay'",
        lambda d: solid(d, neighbors_method="grid"),
        lambda d: [solid(d, **how) for how in ({"radius": 0.3}, {"n_neighbors": 5}, {"neighbors_method": "delaunay"})],
    ),
    "graphs": Case(
        "neighbors_key='rna:spatial'",
        lambda d: two_graphs(d, "spatial"),
        lambda d: [two_graphs(d, f"{mod}:spatial") for mod in d.mod],
    ),
    "bases": Case("'rna:spatial'", lambda d: two_bases(d, "spatial"), lambda d: two_bases(d, "rna:spatial")),
    "columns": Case("'rna:kind'", lambda d: two_columns(d, "kind"), lambda d: two_columns(d, "rna:kind")),
    "features": Case("'rna:Gad1'", lambda d: one_name(d, "Gad1"), lambda d: one_name(d, "rna:Gad1")),
    "observation names": Case(
        r"obs_names_make_unique\(\)",
        lambda d: fit(twice_the_names(d, "obs_names")["rna"]),
        lambda d: (d["rna"].obs_names_make_unique(), fit(d["rna"])),
    ),
    "feature names": Case(
        r"var_names_make_unique\(\)",
        lambda d: fit(twice_the_names(d, "var_names")["rna"]),
        lambda d: (d["rna"].var_names_make_unique(), fit(d["rna"])),
    ),
    "measured nowhere": Case(
        "leave them out",
        lambda d: measured_nowhere(d, leave_out=False),
        lambda d: measured_nowhere(d, leave_out=True),
    ),
    "weights of tfidf": Case(
        "train on raw counts with mtopic.tl.topic_model",
        lambda d: without_weights_of_tfidf(d, raw=False),
        lambda d: without_weights_of_tfidf(d, raw=True),
    ),
    "as if raw: counts": Case(
        "put the raw counts back", lambda d: as_if_raw(d, raw=None), lambda d: as_if_raw(d, raw="put back")
    ),
    "as if raw: MTM": Case(
        "fit mtopic.tl.MTM with raw=False", lambda d: as_if_raw(d, raw=None), lambda d: as_if_raw(d, raw=False)
    ),
    "prepared: layers": Case(
        r"in layers\['counts'\]", lambda d: of_raw_fit(d, None), lambda d: of_raw_fit(d, "layers")
    ),
    "prepared: X": Case("or in X without", lambda d: of_raw_fit(d, None), lambda d: of_raw_fit(d, "X")),
    "names of features": Case(
        "give var_names the names that they had there",
        lambda d: named_as_trained(d, lambda names: [f"x{name}" for name in names]),
        lambda d: named_as_trained(d, list),
    ),
    "eta: names": Case(
        "index the Series by var_names", lambda d: of_prior(d, "other names"), lambda d: of_prior(d, "names")
    ),
    "eta: array": Case(
        "give an array in their order", lambda d: of_prior(d, "other names"), lambda d: of_prior(d, "array")
    ),
    "original: weights": Case(
        "modality_weights='equal'",
        lambda d: original(d, lambda d: mt.tl.MTM(d, 3, modality_weights="auto", **QUIET)),
        lambda d: (
            original(d, lambda d: mt.tl.MTM(d, 3, modality_weights="equal", **QUIET)),
            original(d, lambda d: mt.tl.MTM(d, 3, modality_weights="auto", **QUIET), "fast"),
        ),
    ),
    "original: inference": Case(
        "inference='variational'",
        lambda d: original(d, lambda d: mt.tl.MTM(d, 3, inference="collapsed", eta="auto", **QUIET)),
        lambda d: (
            original(d, lambda d: mt.tl.MTM(d, 3, inference="variational", **QUIET)),
            original(d, lambda d: mt.tl.MTM(d, 3, inference="collapsed", eta="auto", **QUIET), "fast"),
        ),
    ),
    "original: smoothing": Case(
        "smoothing=None or 'original'",
        lambda d: original(d, lambda d: spatial(d, smoothing="prior")),
        lambda d: (
            original(d, lambda d: spatial(d)),
            original(d, lambda d: spatial(d, smoothing="original")),
            original(d, lambda d: spatial(d, smoothing="prior", strength=1), "fast"),
        ),
    ),
    "original: SVI": Case(
        "fit with schedule='fast'",
        lambda d: spatial(d, smoothing="original").SVI(2, 20, schedule="original"),
        lambda d: spatial(d, smoothing="original").SVI(2, 20, schedule="fast"),
    ),
    "strength": Case(
        "leave it out or choose smoothing='prior'",
        lambda d: spatial(d, smoothing="original", strength=1),
        lambda d: (spatial(d, smoothing="original"), spatial(d, smoothing="prior", strength=1)),
    ),
    "SVI of several starts": Case(
        "call VI first, or fit models with n_init=1",
        lambda d: started(d, 2),
        lambda d: (started(d, 2, first=True), started(d, 1)),
    ),
    "axes: section": Case("library_id='a'", on_axes, lambda d: on_axes(d, library_id="a")),
    "axes: none": Case(
        "leave ax out", on_axes, lambda d: (sections(d), mt.pl.dominant_topics(d, "spatial", show=False))
    ),
    "sections": Case("name their column with library_key", at_sections, lambda d: at_sections(d, library_key="slide")),
    "maps": Case("x='umap' or x='tsne'", of_maps, lambda d: [of_maps_at(d, x) for x in ("umap", "tsne")]),
    "scores": Case("mtopic.tl.select_n_topics", lambda d: scored(d, made=False), lambda d: scored(d, made=True)),
    "features of batches": Case("features={}", batches, lambda d: batches(d, features={})),
    "samples": Case(
        "mtopic.pl.composition shows groups", lambda d: of_one_sample(d, False), lambda d: of_one_sample(d, True)
    ),
    "filter": Case("use filter_topics=False", scaled_by_fit, lambda d: scaled_by_fit(d, filter_topics=False)),
    "signatures": Case(
        "export the fit again", lambda d: written_anew(d, anew=False), lambda d: written_anew(d, anew=True)
    ),
    "neighbours of new data": Case(
        "leave it out", lambda d: neighbours_of_new(d, spatial_key="spatial"), neighbours_of_new
    ),
    "halves": Case(r"put them into layers\['counts'\]", lambda d: halves(d, False), lambda d: halves(d, True)),
    "a fit of its own": Case(
        "give another name than key_added='topics'", lambda d: own_fit(d, "topics"), lambda d: own_fit(d, "placed")
    ),
    "umap": Case(
        "give another name",
        lambda d: mt.tl.umap(d, "true_topics", "rna"),
        lambda d: mt.tl.umap(d, "true_topics", "map"),
    ),
    "key_added": Case("give another key_added", taken, lambda d: taken(d, key_added="P")),
    "not fitted": Case(
        r"call model.VI\(\)",
        lambda d: mt.tl.export_params(mt.tl.MTM(d, 3, **QUIET), d),
        lambda d: mt.tl.export_params(model(d), d),
    ),
    "borders": Case(
        "mtopic.tl.borders writes them",
        lambda d: with_table(d, lambda d: mt.pl.borders(d, "spatial", show=False)),
        lambda d: with_table(d, lambda d: mt.pl.borders(d, "spatial", show=False), mt.tl.borders),
    ),
    "enrichment": Case(
        "mtopic.tl.topic_neighborhoods writes it",
        lambda d: with_table(d, lambda d: mt.pl.topic_neighborhoods(d, show=False)),
        lambda d: with_table(d, lambda d: mt.pl.topic_neighborhoods(d, show=False), mt.tl.topic_neighborhoods),
    ),
    "agreement": Case(
        "mtopic.tl.modality_agreement writes it",
        lambda d: with_table(d, lambda d: mt.pl.modality_agreement(d, show=False)),
        lambda d: with_table(d, lambda d: mt.pl.modality_agreement(d, show=False), mt.tl.modality_agreement),
    ),
    "z-scores": Case(
        "mtopic.tl.zscores writes it",
        lambda d: with_table(d, lambda d: mt.pl.zscores(d, "rna", "spatial", show=False)),
        lambda d: with_table(d, lambda d: mt.pl.zscores(d, "rna", "spatial", show=False), mt.tl.zscores),
    ),
}
OF_FILES = {
    "backed": Case(
        r"call to_memory\(\) first",
        lambda d, path: backed(d, path, loaded=False),
        lambda d, path: backed(d, path, loaded=True),
    ),
    "an AnnData": Case(
        "read it with anndata.read_h5ad",
        lambda d, path: in_a_file(d, path, mt.read.h5mu),
        lambda d, path: in_a_file(d, path, read_h5ad),
    ),
    "a path": Case(
        "read the file with mtopic.read.h5mu",
        lambda d, path: fit(str(path / "data.h5mu")),
        lambda d, path: (d.write_h5mu(path / "data.h5mu"), fit(mt.read.h5mu(path / "data.h5mu"))),
    ),
    "without its data": Case(r"mtopic.tl.load_model\(path, data\)", loaded, lambda d, path: loaded(d, path, d)),
}


def of_maps_at(data, x):
    data = data.copy()
    data.obsm["X_umap"], data.obsm["X_tsne"] = np.random.default_rng(0).random((2, N_OBS, 2))
    data.obsm.pop("spatial", None)
    mt.pl.topics(data, x, "true_topics", show=False)


@pytest.fixture
def data():
    made = mt.datasets.simulate(N_OBS, 3, modalities={"rna": 40, "atac": 50})
    made.obs_names = [f"spot {i}" for i in range(N_OBS)]
    return made


def leads_out(case, data, *args):
    met = data.copy()
    with pytest.raises((ValueError, TypeError, KeyError, UserWarning), match=case.said):
        case.make(met, *args)
    plt.close("all")
    case.way_out(data, *args)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_it_leads_out(data, name):
    leads_out(CASES[name], data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OF_FILES)
def test_it_leads_out_of_files(data, name, tmp_path):
    leads_out(OF_FILES[name], data, tmp_path)
