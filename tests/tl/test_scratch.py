"""Fits of counts that are read from a working copy on disk."""

import errno
import subprocess
import sys
from typing import Any

import anndata
import dask.array as da
import numpy as np
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import mtopic as mt
from mtopic.inference import stored

FIT: dict[str, Any] = {"n_topics": 4, "n_iter": 15, "n_jobs": 1, "verbose": False}


@pytest.fixture(scope="module")
def tissue():
    return mt.datasets.simulate(n_obs=600, n_topics=4, modalities={"rna": 60, "atac": 90}, depth=150, rng=0)


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def fitted(data, **how):
    found = mt.tl.topic_model(data, **(FIT | how), copy=True)
    return found.obsm["topics"].to_numpy()


def ragged(tissue):
    """Modalities in orders of their own, and observations that lack one."""
    rng = np.random.default_rng(0)
    parts = {mod: tissue[mod][rng.permutation(600)[:n]].copy() for mod, n in (("rna", 570), ("atac", 590))}
    return MuData(parts)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"spatial_key": "spatial"},
        {"spatial_key": "spatial", "smoothing": "original", "eta": "auto"},
        {"modality_weights": "equal", "n_init": 2},
        {"dtype": "float64"},
    ],
    ids=["cells", "tissue", "correction", "starts", "double"],
)
def test_one_block_gives_the_bits_of_counts_in_memory(tissue, scratch, how):
    np.testing.assert_array_equal(fitted(tissue, scratch=scratch, **how), fitted(tissue, **how))
    assert not list(scratch.iterdir())


def test_modalities_of_other_observations(tissue, scratch, monkeypatch):
    data = ragged(tissue)
    known = fitted(data)
    np.testing.assert_array_equal(fitted(data, scratch=scratch), known)
    monkeypatch.setattr(stored, "BLOCK", 5000)
    np.testing.assert_allclose(fitted(data, scratch=scratch), known, atol=1e-5)


def test_a_modality_with_two_observations_in_each_others_place(tissue, scratch):
    order = np.arange(600)
    order[[100, 101]] = 101, 100
    data = MuData({"rna": tissue["rna"].copy(), "atac": tissue["atac"][order].copy()})
    np.testing.assert_array_equal(fitted(data, scratch=scratch), fitted(data))


@pytest.mark.parametrize("how", [{}, {"spatial_key": "spatial"}], ids=["cells", "tissue"])
def test_many_blocks_give_the_same_topics_and_threads_the_same_bits(tissue, scratch, monkeypatch, how):
    known = fitted(tissue, **how)
    monkeypatch.setattr(stored, "BLOCK", 5000)
    found = fitted(tissue, scratch=scratch, **how)
    np.testing.assert_allclose(found, known, atol=1e-5)
    np.testing.assert_array_equal(fitted(tissue, scratch=scratch, **how, n_jobs=2), found)


def test_batches(tissue, scratch, monkeypatch):
    models = [mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False, scratch=folder) for folder in (None, scratch)]
    for model in models:
        model.SVI(n_batches=12, batch_size=100)
    np.testing.assert_array_equal(models[1].gamma, models[0].gamma)
    monkeypatch.setattr(stored, "BLOCK", 5000)
    several = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False, scratch=scratch)
    several.SVI(n_batches=12, batch_size=100)
    np.testing.assert_allclose(several.gamma, models[0].gamma, rtol=1e-3, atol=1e-3)


def forms(x, path):
    """The same counts wherever they may be."""
    for dtype in (np.int8, np.uint16, np.int64, np.float32, np.float64):
        yield f"{np.dtype(dtype)}", AnnData(sparse.csr_matrix(x, dtype=dtype))
    yield "by column", AnnData(sparse.csc_matrix(x, dtype=np.float32))
    yield "dense", AnnData(x.astype(np.float32))
    yield "sparse chunks", AnnData(da.from_array(x, chunks=(170, 60)).map_blocks(sparse.csr_matrix))
    yield "dense chunks", AnnData(da.from_array(x, chunks=(100, 25)))
    for name, values in (
        ("rows", sparse.csr_matrix(x, dtype=np.uint16)),
        ("columns", sparse.csc_matrix(x, dtype=np.int32)),
        ("table", x.astype(np.float32)),
    ):
        AnnData(values).write_h5ad(path / f"{name}.h5ad")
        yield f"{name} in a file", anndata.read_h5ad(path / f"{name}.h5ad", backed="r")


def test_counts_wherever_they_are(tissue, scratch, tmp_path):
    x = tissue["rna"].X.toarray()
    known = fitted(AnnData(sparse.csr_matrix(x, dtype=np.float32)))
    for form, adata in forms(x, tmp_path):
        mt.tl.topic_model(adata, **FIT, scratch=scratch)
        np.testing.assert_array_equal(adata.obsm["topics"].to_numpy(), known, err_msg=form)
        assert not list(scratch.iterdir())


def test_counts_that_are_not_whole(tissue, scratch):
    adata = tissue["rna"].copy()
    adata.X = adata.X * 0.7
    with pytest.warns(UserWarning, match="not whole numbers"):
        known = fitted(adata)
    with pytest.warns(UserWarning, match="not whole numbers"):
        found = fitted(adata, scratch=scratch)
    np.testing.assert_array_equal(found, known)


@pytest.mark.parametrize(("value", "what"), [(np.nan, "not finite"), (-1, "negative")])
def test_bad_values_deep_in_a_file_are_named(tissue, scratch, tmp_path, monkeypatch, value, what):
    adata = tissue["rna"].copy()
    adata.X = adata.X.astype(np.float32)
    row = 555
    adata.X[row, adata.X[row].indices[0]] = value
    feature = adata.var_names[adata.X[row].indices[0]]
    adata.write_h5ad(tmp_path / "bad.h5ad")
    monkeypatch.setattr(stored, "BLOCK", 1000)
    backed = anndata.read_h5ad(tmp_path / "bad.h5ad", backed="r")
    with pytest.raises(ValueError, match=rf"values are {what}.*'{adata.obs_names[row]}', '{feature}'"):
        mt.tl.topic_model(backed, **FIT, scratch=scratch)
    assert not list(scratch.iterdir())


def test_a_full_disk_is_said_and_left_as_it_was(tissue, scratch, monkeypatch):
    save, calls = np.save, []

    def full(name, values):
        calls.append(name)
        if len(calls) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(name, values)

    monkeypatch.setattr(stored, "BLOCK", 1000)
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match=r"scratch='.*scratch': No space left on device.*a folder with more room"):
        mt.tl.topic_model(tissue.copy(), **FIT, scratch=scratch)
    assert not list(scratch.iterdir())


def test_folders_and_options_that_do_not_fit(tissue, scratch):
    with pytest.raises(ValueError, match="no such folder. Create it first"):
        mt.tl.topic_model(tissue.copy(), **FIT, scratch=scratch / "none")
    with pytest.raises(ValueError, match="batch_key='batch'.*leave scratch out"):
        mt.tl.topic_model(tissue.copy(), **FIT, scratch=scratch, batch_key="batch")


def test_a_call_that_fails_later_leaves_nothing(tissue, scratch):
    def stop(model):
        raise RuntimeError("enough")

    for wrong in ({"spatial_key": "elsewhere"}, {"eta": {"rna": np.ones(3)}}, {"callback": stop}):
        with pytest.raises((KeyError, ValueError, RuntimeError)) as error:
            mt.tl.topic_model(tissue.copy(), **FIT, scratch=scratch, **wrong)
        assert not list(scratch.iterdir()), error


def test_the_copy_goes_with_the_call_whoever_still_refers_to_it(tissue, scratch):
    kept = []
    fitted(tissue, scratch=scratch, callback=lambda model: kept.append(model._run.given))
    assert kept and not list(scratch.iterdir())


def test_a_fit_goes_on_to_the_same_bits(tissue, scratch, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "BLOCK", 5000)
    options = {"n_jobs": 1, "verbose": False, "scratch": scratch}
    model = mt.tl.MTM(tissue, 4, **options)
    model.VI(6)
    model.save(tmp_path / "model.h5")
    again = mt.tl.load_model(tmp_path / "model.h5", tissue, scratch)
    for one in (model, again):
        one.VI(6)
    np.testing.assert_array_equal(again.gamma, model.gamma)
    other = tissue.copy()
    other["rna"].X[3, 3] += 1
    with pytest.raises(ValueError, match="not those that the model was fitted to"):
        mt.tl.load_model(tmp_path / "model.h5", other, scratch)
    with pytest.raises(ValueError, match="scratch: observations and features of the data are in another order"):
        mt.tl.load_model(tmp_path / "model.h5", tissue[::-1].copy(), scratch)
    assert mt.tl.load_model(tmp_path / "model.h5", tissue[::-1].copy()).n_topics == 4
    del one, model, again
    assert not list(scratch.iterdir())


def test_a_checkpoint_is_gone_on_from(tissue, scratch, tmp_path):
    known = fitted(tissue)
    file = tmp_path / "fit.h5"
    mt.tl.topic_model(tissue.copy(), **(FIT | {"n_iter": 6}), scratch=scratch, checkpoint=file)
    np.testing.assert_array_equal(fitted(tissue, scratch=scratch, checkpoint=file), known)


GROWTH = r"""
import re, sys
from pathlib import Path
import anndata
import mtopic as mt
from mtopic.inference import stored
stored.BLOCK = 2**17
small = mt.datasets.simulate(n_obs=300, modalities={"rna": 40}, rng=0)
mt.tl.topic_model(small, 5, n_iter=3, n_jobs=1, verbose=False, scratch=sys.argv[2])
def peak():
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
adata = anndata.read_h5ad(sys.argv[1], backed="r")
mt.tl.topic_model(adata, 5, n_iter=3, n_jobs=1, verbose=False, scratch=sys.argv[2])
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_memory_does_not_grow_with_the_counts(tmp_path, scratch):
    """20,000 × 400 non-zeros are 128 MB by row and by column, and half of that suffices for all that a fit needs."""
    rng = np.random.default_rng(0)
    indices = np.sort(rng.permuted(np.tile(np.arange(800, dtype=np.int32), (20_000, 1)), axis=1)[:, :400], axis=1)
    data = rng.integers(1, 4, indices.size).astype(np.float32)
    x = sparse.csr_matrix((data, indices.ravel(), np.arange(0, indices.size + 1, 400)), shape=(20_000, 800))
    AnnData(x).write_h5ad(tmp_path / "large.h5ad")
    arguments = [sys.executable, "-c", GROWTH, str(tmp_path / "large.h5ad"), str(scratch)]
    growth = int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()[-1])
    assert growth < 8 * x.nnz
