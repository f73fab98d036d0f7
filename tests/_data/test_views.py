"""What is written to a view stays there, whatever it is a view of."""

from functools import cache

import numpy as np
import pytest
from anndata import AnnData
from mudata import MuData
from tests.fuzz.generated import content

import mtopic as mt

KEEP = np.arange(30) < 20


def first(data):
    return next(iter(data.mod)) if isinstance(data, MuData) else "X"


def exported(data):
    model = mt.tl.MTM(data, 3, n_jobs=1, verbose=False)
    model.VI(1)
    mt.tl.export_params(model, data)


def transformed(data):
    mt.tl.transform(made(type(data), True, False), data, key_added="new", n_jobs=1, verbose=False)


WRITERS = {
    "tfidf": lambda data: mt.pp.tfidf(data, first(data)),
    "clr": lambda data: mt.pp.clr(data, first(data)),
    "scale_counts": mt.pp.scale_counts,
    "permute": mt.pp.permute,
    "topic_model": lambda data: mt.tl.topic_model(data, 3, n_iter=1, n_jobs=1, verbose=False),
    "export_params": exported,
    "transform": transformed,
    "uncertainty": lambda data: mt.tl.uncertainty(data, n_jobs=1),
    "signature_uncertainty": mt.tl.signature_uncertainty,
    "modality_agreement": lambda data: mt.tl.modality_agreement(data, n_jobs=1),
    "denoise": lambda data: mt.tl.denoise(data, first(data), ["rna_1"]),
    "compare_topics": lambda data: mt.tl.compare_topics(data, "half", "u", sample_key="sample"),
    "rename_topics": lambda data: mt.tl.rename_topics(data, {"topic_1": "one"}),
    "zscores": lambda data: mt.tl.zscores(data, mod=first(data)),
    "umap": lambda data: mt.tl.umap(data, n_neighbors=5),
    "dominant_topics": mt.tl.dominant_topics,
    "spatial_domains": lambda data: mt.tl.spatial_domains(data, 2),
    "topic_autocorr": mt.tl.topic_autocorr,
    "topic_neighborhoods": mt.tl.topic_neighborhoods,
    "borders": mt.tl.borders,
    "topic_quality": mt.tl.topic_quality,
    "select_n_topics": lambda data: mt.tl.select_n_topics(data, (2, 3), n_folds=2, n_iter=1, n_jobs=1, verbose=False),
}
VIEWS = {
    "a view": lambda data: data[KEEP],
    "a view of a view": lambda data: data[KEEP][2:],
    "a view of a modality": lambda data: data["rna"][KEEP],
    "a modality of a view": lambda data: data[KEEP].mod["rna"],
    "views as modalities": lambda data: MuData({mod: adata[KEEP] for mod, adata in data.mod.items()}),
}


@cache
def made(kind, whole, layers):
    """Fitted data, never to be changed, whose counts are whole numbers in X, in a layer, or in both."""
    data = mt.datasets.simulate(n_obs=30, n_topics=3, modalities={"rna": 12, "atac": 15}, rng=0)
    for holder in (data, data["rna"]):
        holder.obs["half"], holder.obs["sample"] = list("uv") * 15, [str(d % 6) for d in range(30)]
    for adata in data.mod.values():
        adata.obsm["spatial"] = data.obsm["spatial"].copy()
        adata.X = adata.X.astype(np.int32 if whole else np.float32)
        if layers:
            adata.layers["counts"] = adata.X.copy()
    parts = {MuData: data, AnnData: data["rna"]}
    for one in (data, data["rna"]):
        mt.tl.topic_model(one, 3, spatial_key="spatial", n_iter=2, n_jobs=1, verbose=False)
        mt.tl.dominant_topics(one)
    return parts[kind]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("writer", WRITERS)
def test_the_source_of_a_view_stays(writer, view):
    for whole, layers in ((True, False), (False, True)):
        data = made(MuData, whole, layers)
        before, seen = content(data), VIEWS[view](data)
        if writer == "modality_agreement" and isinstance(seen, AnnData):
            return
        if view == "views as modalities" and writer not in ("tfidf", "clr", "scale_counts", "permute", "topic_model"):
            WRITERS["export_params"](seen)
            seen.obsm["spatial"] = data.obsm["spatial"][KEEP]
            seen.obs["half"], seen.obs["sample"] = list("uv") * 10, [str(d % 6) for d in range(20)]
            mt.tl.topic_model(seen, 3, spatial_key="spatial", n_iter=1, n_jobs=1, verbose=False)
            mt.tl.dominant_topics(seen)
        alone = seen.copy()
        if writer == "transform":
            for holder in (seen, *getattr(seen, "mod", {}).values()):
                holder.varm.pop("signatures", None)
        WRITERS[writer](seen)
        assert content(data) == before
        if writer in ("tfidf", "clr", "scale_counts"):
            WRITERS[writer](alone)
            parts = [one["rna"] if isinstance(one, MuData) else one for one in (seen, alone)]
            np.testing.assert_array_equal(*(part.X.toarray() for part in parts))


@pytest.mark.parametrize("writer", ["tfidf", "topic_model"])
def test_copies_are_made_quietly(writer, recwarn):
    data = made(MuData, False, True)
    before = content(data)
    if writer == "tfidf":
        mt.pp.tfidf(data, "rna", copy=True)
    else:
        mt.tl.topic_model(data, 2, n_iter=1, n_jobs=1, verbose=False, copy=True)
    assert not [w for w in recwarn if issubclass(w.category, FutureWarning)]
    assert content(data) == before
