"""Backed files, Zarr stores, and the paths in HDF5 files that docs/schema.md promises to readers in other languages."""

import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad, read_zarr
from scipy.sparse import csr_matrix

import mtopic as mt

pytestmark = pytest.mark.filterwarnings("ignore")

PAGE = Path(__file__).parents[2] / "docs" / "schema.md"


def test_a_backed_file_is_fitted_as_the_same_in_memory(tmp_path):
    adata = mt.datasets.simulate(100, 3, modalities={"rna": 40}, depth=200)["rna"]
    adata.write_h5ad(tmp_path / "counts.h5ad")
    backed = read_h5ad(tmp_path / "counts.h5ad", backed="r")
    for data in (backed, adata):
        mt.tl.topic_model(data, 3, n_iter=3, n_jobs=1, verbose=False)
    assert backed.isbacked
    np.testing.assert_array_equal(backed.obsm["topics"], adata.obsm["topics"])
    np.testing.assert_array_equal(mt.get.topics(backed).X, adata.obsm["topics"])
    np.testing.assert_array_equal(mt.get.profiles(backed).X, mt.get.profiles(adata).X)
    assert read_h5ad(tmp_path / "counts.h5ad").obsm.keys() == set()


@pytest.mark.parametrize("of", ["data", "topics", "profiles"])
def test_zarr_and_back(rna, tmp_path, of):
    adata = {"data": lambda: rna, "topics": lambda: mt.get.topics(rna), "profiles": lambda: mt.get.profiles(rna)}[of]()
    adata.write_zarr(tmp_path / "a.zarr")
    back = read_zarr(tmp_path / "a.zarr")
    assert list(back.obs_names) == list(adata.obs_names) and list(back.var_names) == list(adata.var_names)
    if of == "data":
        pd.testing.assert_frame_equal(back.obsm["topics"], rna.obsm["topics"], check_index_type=False)
        mt.tl.topic_quality(back)
        assert list(back.uns["topic_quality"]["topics"].index) == list(rna.obsm["topics"].columns)
    else:
        np.testing.assert_array_equal(back.X, adata.X)


@pytest.fixture(scope="module")
def file(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("r") / "trained.h5mu"
    fitted.copy().write(path)
    with h5py.File(path) as file:
        yield file


def texts(values):
    """An array of texts in a file, plain or with a mask of missing ones."""
    values = values if isinstance(values, h5py.Dataset) else values["values"]
    return list(values.asstr()[:])


def table(group):
    """A table, as docs/schema.md says it is stored: the columns in their order, and the names of the rows."""
    columns = list(group.attrs["column-order"])
    values = np.column_stack([group[column][:] for column in columns])
    return pd.DataFrame(values, index=texts(group[group.attrs["_index"]]), columns=columns)


def promised():
    """The paths of the tables of docs/schema.md, with names for what is in angle brackets."""
    page = PAGE.read_text(encoding="utf-8")
    names = {"<mod>": "rna", "<topic>": "topic_1"}
    for path in re.findall(r"^\| `/(\S+)` \|", page, flags=re.MULTILINE):
        yield re.sub("<[a-z]+>", lambda found: names[found[0]], path)


def test_every_path_of_the_page_is_there(file):
    paths = list(promised())
    assert len(paths) > 10
    assert [path for path in paths if path not in file] == []


def test_tables_by_h5py_alone(file, fitted):
    for path, expected in {
        "obsm/topics": fitted.obsm["topics"],
        "obsm/modality_shares": fitted.obsm["modality_shares"],
        "mod/rna/varm/signatures": fitted["rna"].varm["signatures"],
        "mod/atac/varm/signatures": fitted["atac"].varm["signatures"],
    }.items():
        found = table(file[path])
        assert list(found.index) == list(expected.index)
        assert list(found.columns) == list(expected.columns)
        np.testing.assert_array_equal(found, expected)


def test_categories_graph_and_trace_by_h5py_alone(file, fitted):
    topic, graph = file["obs/topic"], file["obsp/spatial_connectivities"]
    names = np.array(texts(topic["categories"]))
    assert list(names[topic["codes"][:]]) == list(fitted.obs["topic"])
    csr = csr_matrix((graph["data"][:], graph["indices"][:], graph["indptr"][:]), shape=tuple(graph.attrs["shape"]))
    assert (csr != fitted.obsp["spatial_connectivities"]).nnz == 0
    np.testing.assert_array_equal(file["uns/mtopic/elbo"][:], fitted.uns["mtopic"]["elbo"])
    assert file["uns/mtopic/params/n_topics"][()] == 4
    assert file["uns/mtopic/version"].asstr()[()] == mt.__version__
    rows = file["obsmap/rna"][:]
    assert texts(file["mod/rna/obs/_index"])[int(rows[5]) - 1] == texts(file["obs/_index"])[5]
