"""What belongs together is recognised, or a word says that it is not."""

from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import mtopic as mt

FIT: dict[str, Any] = {"n_topics": 2, "n_iter": 2, "n_jobs": 1, "verbose": False}


@pytest.fixture
def data():
    return mt.datasets.simulate(n_obs=40, n_topics=2, modalities={"rna": 20, "atac": 30}, rng=0)


def renamed(data, rename):
    rna, atac = data["rna"].copy(), data["atac"].copy()
    atac.obs_names = [rename(name, number) for number, name in enumerate(atac.obs_names)]
    return MuData({"rna": rna, "atac": atac})


@pytest.mark.parametrize(
    ("rename", "why"),
    [
        (lambda name, number: f"{name}-1-s1", "suffixes"),
        (lambda name, number: name.upper(), "case"),
        (lambda name, number: f"cell{number}", ""),
    ],
)
def test_no_observation_has_both_modalities(data, rename, why):
    with pytest.warns(UserWarning, match=f"none of the 40 observations of modality 'rna' .*'spot_0' here.*{why}"):
        mt.tl.topic_model(renamed(data, rename), **FIT)


def test_few_observations_have_both_modalities(data):
    with pytest.warns(UserWarning, match="1 of the 40 observations of modality 'atac'"):
        mt.tl.topic_model(renamed(data, lambda name, number: f"cell{number}" if number else name), **FIT)


def test_nothing_is_said_where_half_have_both(data, recwarn):
    mt.tl.topic_model(renamed(data, lambda name, number: f"cell{number}" if number % 2 else name), **FIT)
    assert not [w for w in recwarn if "modality" in str(w.message)]


def test_new_data_with_other_names(data):
    mt.tl.topic_model(data, **FIT)
    new = data["rna"].copy()
    new.var_names = new.var_names.str.upper()
    new.varm.clear()
    with pytest.raises(ValueError, match="no feature of the training.*alike but for upper and lower case"):
        mt.tl.transform(data, MuData({"rna": new}), key_added="new", n_jobs=1)


def test_priors_go_by_name(data):
    given = pd.Series({"topic_2": 3.0, "topic_1": 1.0})
    model = mt.tl.MTM(data, 2, alpha=given, verbose=False)
    np.testing.assert_array_equal(model.alpha, [1.0, 3.0])
    with pytest.raises(ValueError, match="alpha has no number for 1 of 2 topics, the first is 'topic_2'"):
        mt.tl.MTM(data, 2, alpha=pd.Series({"topic_1": 1.0}), verbose=False)
    eta = pd.Series(0.1, data["rna"].var_names.str.upper())
    with pytest.raises(ValueError, match=r"eta\['rna'\] has no number for 20.*alike but for upper"):
        mt.tl.MTM(data, 2, eta={"rna": eta}, verbose=False)
    weights = pd.Series({"rna": 2.0, "atac": 1.0})
    assert mt.tl.MTM(data, 2, modality_weights=weights, verbose=False).modality_weights == weights.to_dict()


CATEGORIES = {
    "batch_key": lambda data: mt.tl.MTM(data, 2, batch_key="mixed", verbose=False),
    "library_key": lambda data: mt.tl.sMTM(data, 2, library_key="mixed", n_neighbors=2, verbose=False),
    "groupby": lambda data: mt.pl.composition(data, "mixed", show=False),
    "sample_key": lambda data: mt.tl.compare_topics(data, "half", "u", sample_key="mixed"),
}


@pytest.mark.parametrize("reader", CATEGORIES)
def test_a_column_that_mixes_numbers_and_text(data, reader):
    mt.tl.topic_model(data, **FIT)
    data.obs["half"] = list("uv") * 20
    data.obs["mixed"] = pd.Series([1, "1"] * 20, data.obs_names, dtype=object)
    with pytest.raises(ValueError, match=r"obs\['mixed'\] has both 1 and '1'"):
        CATEGORIES[reader](data)


NAMED = {
    "topics": lambda data: mt.tl.topic_model(data, **FIT),
    "modality_shares": lambda data: mt.tl.topic_model(data, **FIT),
    "topics_sd": lambda data: mt.tl.topic_model(data, **FIT),
    "mine_topics": lambda data: mt.tl.topic_model(data, **FIT, key_added="mine"),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_modality_named_like_a_table(data, name):
    data = MuData({name: data["rna"].copy(), "atac": data["atac"].copy()})
    with pytest.raises(ValueError, match=f"a modality is named '{name}'"):
        NAMED[name](data)
    assert not data.uns
    mt.tl.topic_model(data, **FIT, key_added="other")
    assert "other_topics" in data.obsm


def slides(data, second):
    """Two slides, the second moved."""
    places = np.stack(np.meshgrid(np.arange(5.0), np.arange(4.0)), -1).reshape(-1, 2)
    data.obsm["spatial"] = np.concatenate([places, places + second])
    data.obs["slide"] = ["a"] * 20 + ["b"] * 20
    return data


SPATIAL = {
    "topic_model": lambda data, **options: mt.tl.topic_model(data, spatial_key="spatial", **FIT, **options),
    "sMTM": lambda data, **options: mt.tl.sMTM(data, 2, n_neighbors=3, verbose=False, **options),
}


@pytest.mark.parametrize("fit", SPATIAL)
def test_slides_on_top_of_each_other(data, fit, recwarn):
    with pytest.warns(UserWarning, match="40 of 40 observations are in places that are taken twice.*library_key"):
        SPATIAL[fit](slides(data, 0))
    moved = slides(data, 100)
    moved.uns["spatial"] = {"a": {}, "b": {}}
    with pytest.warns(UserWarning, match="several sections, such as 'a' and 'b'.*library_key"):
        SPATIAL[fit](moved)
    recwarn.clear()
    SPATIAL[fit](slides(data, 0), library_key="slide")
    assert not [w for w in recwarn if "library_key" in str(w.message)]


def test_counts_in_blocks_are_those_in_memory(data):
    x = data["rna"].X.toarray()
    blocks = {
        "sparse": da.from_array(x, chunks=(10, 20)).map_blocks(sparse.csr_matrix),
        "dense": da.from_array(x, chunks=(10, 10)),
    }
    known = AnnData(sparse.csr_matrix(x))
    mt.tl.topic_model(known, **FIT)
    for form in blocks.values():
        lazy = AnnData(form)
        mt.tl.topic_model(lazy, **FIT)
        np.testing.assert_array_equal(lazy.obsm["topics"], known.obsm["topics"])
        mt.pp.tfidf(lazy)
        assert sparse.issparse(lazy.X)


def test_tables_that_were_read_lazily(data, tmp_path):
    from anndata.experimental import read_lazy

    data["rna"].write_zarr(tmp_path / "rna.zarr")
    with pytest.raises(TypeError, match=r"read lazily.*call to_memory\(\) first"):
        mt.tl.topic_model(read_lazy(tmp_path / "rna.zarr"), **FIT)


def test_names_given_anew_to_modalities(data):
    """The way out that the error names keeps the tables."""
    topics = data.obsm["true_topics"].to_numpy()
    for adata in data.mod.values():
        adata.obs_names = "a_" + adata.obs_names
    with pytest.raises(ValueError, match=r"set mdata\.obs_names to the names"):
        mt.tl.topic_model(data, **FIT)
    data.obs_names = data["rna"].obs_names
    mt.tl.topic_model(data, **FIT)
    np.testing.assert_array_equal(data.obsm["true_topics"], topics)


READERS = {
    "dominant_topics": mt.tl.dominant_topics,
    "uncertainty": lambda data: mt.tl.uncertainty(data, n_jobs=1),
    "umap": lambda data: mt.tl.umap(data, n_neighbors=5),
    "get.topics": mt.get.topics,
    "transform": lambda data: mt.tl.transform(data, data, key_added="new", n_jobs=1, copy=True),
    "permute": mt.pp.permute,
    "filter_var_list": lambda data: mt.pp.filter_var_list(data, {"rna": ["rna_1"]}, verbose=False),
    "concat": lambda data: mt.pp.concat({"a": data}),
    "tfidf": lambda data: mt.pp.tfidf(data, "rna", copy=True),
    "pl.topics": lambda data: mt.pl.topics(data, "spatial", show=False),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS)
def test_tables_whose_index_is_older_than_the_names(data, reader):
    mt.tl.topic_model(data, **FIT)
    topics, before = data.obsm["topics"].to_numpy(), data.obsm["topics"].index.copy()
    data.obs_names = "a_" + data.obs_names
    data.obsm["topics"].index = before
    if reader == "transform":
        data.obsm["topics"].index = data.obs_names
        model, data = data.copy(), data
        for adata in data.mod.values():
            adata.varm.clear()
        data.obsm["topics"].index = before
        mt.tl.transform(model, data, key_added="new", n_jobs=1, copy=True)
        return
    found = READERS[reader](data)
    if reader in ("get.topics", "concat"):
        values = found.X if reader == "get.topics" else found.obsm["topics"]
        np.testing.assert_array_equal(values, topics)
