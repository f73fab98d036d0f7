"""Fits of counts that are read from a working copy on disk."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata
import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pytest
import zarr
from anndata import AnnData
from mudata import MuData
from pandas.testing import assert_frame_equal
from scipy import sparse

import mtopic as mt
from mtopic._data import by_row, count_matrix, in_rows
from mtopic._data.slots import modalities
from mtopic._files import read
from mtopic.cli import main
from mtopic.inference import stored
from mtopic.inference.stored import StoredCounts
from mtopic.model import new_counts

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
        yield f"{name} in a lazy file", mt.read.lazy(path / f"{name}.h5ad")
        AnnData(values).write_zarr(path / f"{name}.zarr")
        yield f"{name} in a lazy store", mt.read.lazy(path / f"{name}.zarr")


def test_counts_wherever_they_are(tissue, scratch, tmp_path):
    x = tissue["rna"].X.toarray()
    known = fitted(AnnData(sparse.csr_matrix(x, dtype=np.float32)))
    for form, adata in forms(x, tmp_path):
        mt.tl.topic_model(adata, **FIT, scratch=scratch)
        np.testing.assert_array_equal(adata.obsm["topics"].to_numpy(), known, err_msg=form)
        assert not list(scratch.iterdir())


@pytest.mark.parametrize("form", ["h5mu", "zarr"])
def test_modalities_on_disk(tissue, scratch, tmp_path, form):
    data, path = ragged(tissue), tmp_path / f"tissue.{form}"
    data["atac"].X = sparse.csc_matrix(data["atac"].X)
    known = fitted(data)
    getattr(data, f"write_{form}")(path)
    on_disk = mt.read.lazy(path)
    assert list(on_disk.mod) == list(data.mod)
    mt.tl.topic_model(on_disk, **FIT, scratch=scratch)
    np.testing.assert_array_equal(on_disk.obsm["topics"].to_numpy(), known)
    assert not list(scratch.iterdir())


def test_a_matrix_by_column_is_sorted_piece_by_piece(tissue, scratch, tmp_path, monkeypatch):
    known = fitted(tissue["rna"])
    for size in (5000, 100):
        monkeypatch.setattr(by_row, "AT_ONCE", size)
        adata = tissue["rna"].copy()
        adata.X = sparse.csc_matrix(adata.X)
        adata.write_h5ad(tmp_path / f"{size}.h5ad")
        adata = mt.read.lazy(tmp_path / f"{size}.h5ad")
        mt.tl.topic_model(adata, **FIT, scratch=scratch)
        np.testing.assert_array_equal(adata.obsm["topics"].to_numpy(), known)
        assert not list(scratch.iterdir())


def by_column_on_disk(x, path):
    AnnData(sparse.csc_matrix(x, dtype=np.float32)).write_h5ad(path)
    return mt.read.lazy(path)


def test_nothing_is_left_of_a_matrix_by_column_that_cannot_be_taken(tissue, scratch, tmp_path, monkeypatch):
    x = tissue["rna"].X.toarray()
    x[399, 7] = -1
    with pytest.raises(ValueError, match=r"1 values are negative.*'399', '7'"):
        mt.tl.topic_model(by_column_on_disk(x, tmp_path / "bad.h5ad"), **FIT, scratch=scratch)
    assert not list(scratch.iterdir())

    opened, full = Path.open, OSError(errno.ENOSPC, "No space left on device")

    def open_until_full(path, mode="r", *args, **kwargs):
        if mode == "ab":
            raise full
        return opened(path, mode, *args, **kwargs)

    data = by_column_on_disk(np.abs(x), tmp_path / "good.h5ad")
    monkeypatch.setattr(Path, "open", open_until_full)
    with pytest.raises(OSError, match=r"scratch='.*scratch': No space left on device.*a folder with more room"):
        mt.tl.topic_model(data, **FIT, scratch=scratch)
    assert not list(scratch.iterdir())


def never(*_, **__):
    raise AssertionError("counts are written again")


def test_a_copy_that_is_kept_serves_the_next_fit_of_the_same_files(tissue, scratch, tmp_path, monkeypatch):
    path = tmp_path / "tissue.h5mu"
    tissue.write_h5mu(path)
    known = fitted(tissue)
    mt.tl.topic_model(mt.read.lazy(path), **FIT, scratch=scratch, keep_scratch=True)
    (folder,) = scratch.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(StoredCounts, "write", never)
        again = mt.read.lazy(path)
        mt.tl.topic_model(again, **FIT, scratch=scratch)
        np.testing.assert_array_equal(again.obsm["topics"].to_numpy(), known)
    assert [*scratch.iterdir()] == [folder]

    other = mt.datasets.simulate(n_obs=600, n_topics=4, modalities={"rna": 60, "atac": 90}, depth=150, rng=1)
    for changed in (lambda: tissue[::-1].copy().write_h5mu(path), lambda: other.write_h5mu(path)):
        path.unlink()
        changed()
        data = mt.read.lazy(path)
        mt.tl.topic_model(data, **FIT, scratch=scratch)
        np.testing.assert_array_equal(data.obsm["topics"].to_numpy(), fitted(mt.read.h5mu(path)))
    assert [*scratch.iterdir()] == [folder]


def test_the_same_counts_are_kept_once(tissue, scratch, tmp_path, monkeypatch):
    adata = tissue["rna"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    for data in (adata.copy(), mt.read.lazy(tmp_path / "a.h5ad"), mt.read.lazy(tmp_path / "a.zarr")):
        mt.tl.topic_model(data, **FIT, scratch=scratch, keep_scratch=True)
        assert len([*scratch.iterdir()]) == 1
    monkeypatch.setattr(StoredCounts, "write", never)
    for name in ("a.h5ad", "a.zarr"):
        mt.tl.topic_model(mt.read.lazy(tmp_path / name), **FIT, scratch=scratch)


def fit_until_killed(path, **options):
    def die(model):
        if len(model.elbo) == 9:
            os.kill(os.getpid(), signal.SIGKILL)

    mt.tl.topic_model(mt.read.lazy(path), **FIT, **options, checkpoint_every=4, callback=die)


def test_a_killed_process_is_gone_on_with_from_checkpoint_and_copy(tissue, scratch, tmp_path, monkeypatch, killed):
    path, checkpoint = tmp_path / "cells.h5ad", tmp_path / "fit.h5"
    tissue["rna"].write_h5ad(path)
    known = fitted(tissue["rna"])
    killed(lambda: fit_until_killed(path, scratch=scratch, keep_scratch=True, checkpoint=checkpoint))
    monkeypatch.setattr(StoredCounts, "write", never)

    model = mt.tl.load_model(checkpoint, scratch=scratch)
    model.VI(15 - len(model.elbo))
    small = AnnData(obs=tissue["rna"].obs, var=tissue["rna"].var)
    mt.tl.export_params(model, small)
    np.testing.assert_array_equal(small.obsm["topics"].to_numpy(), known)

    data = mt.read.lazy(path)
    mt.tl.topic_model(data, **FIT, scratch=scratch, checkpoint=checkpoint)
    np.testing.assert_array_equal(data.obsm["topics"].to_numpy(), known)


def test_a_copy_of_other_counts_is_refused(tissue, scratch, tmp_path):
    model = mt.tl.MTM(tissue["rna"], 4, n_jobs=1, verbose=False)
    model.VI(2)
    model.save(tmp_path / "fit.h5")
    fitted(tissue["atac"], scratch=scratch, keep_scratch=True)
    with pytest.raises(ValueError, match="no working copy of the counts that the model was fitted to.*give the data"):
        mt.tl.load_model(tmp_path / "fit.h5", scratch=scratch)
    again = mt.tl.load_model(tmp_path / "fit.h5", tissue["rna"], scratch)
    again.VI(2)
    assert len(again.elbo) == 4
    with pytest.raises(ValueError, match="keep_scratch=True: there is no working copy.*scratch"):
        mt.tl.MTM(tissue["rna"], 4, keep_scratch=True)


@pytest.mark.parametrize("form", ["h5ad", "zarr", "dask"])
def test_what_follows_a_fit_reads_counts_some_rows_at_a_time(tissue, tmp_path, monkeypatch, form):
    known = mt.tl.topic_model(tissue["rna"], **FIT, copy=True)
    if form == "dask":
        found = known.copy()
        found.X = da.from_array(known.X.toarray(), chunks=(70, 25))
    else:
        getattr(known, f"write_{form}")(tmp_path / f"cells.{form}")
        found = mt.read.lazy(tmp_path / f"cells.{form}")
    most = []
    monkeypatch.setattr(in_rows, "ROWS_AT_ONCE", 110)
    monkeypatch.setattr(in_rows, "loaded", lambda x: most.append(x.shape[0]) or count_matrix.loaded(x))
    for data in (known, found):
        mt.tl.zscores(data)
        mt.tl.topic_quality(data)
        mt.tl.denoise(data, features=["rna_1", "rna_5"])
    assert max(most) <= 110 and sum(most) == 3 * 600
    assert_frame_equal(found.obsm["zscores"], known.obsm["zscores"])
    assert_frame_equal(found.uns["topic_quality"]["topics"], known.uns["topic_quality"]["topics"])
    np.testing.assert_array_equal(found.layers["denoised"].toarray(), known.layers["denoised"].toarray())


@pytest.mark.parametrize("form", ["h5mu", "zarr"])
def test_new_data_on_disk_are_placed_and_scored_some_rows_at_a_time(tissue, tmp_path, monkeypatch, form):
    reference = mt.tl.topic_model(tissue, **FIT, copy=True)
    new = mt.datasets.simulate(n_obs=400, n_topics=4, modalities={"rna": 60, "atac": 90}, depth=150, rng=5)
    new = MuData({"rna": new["rna"][:350].copy(), "atac": new["atac"][np.r_[30:10:-1, 40:400]].copy()})
    getattr(new, f"write_{form}")(tmp_path / f"new.{form}")
    most = []
    monkeypatch.setattr(new_counts, "ROWS_AT_ONCE", 110)
    monkeypatch.setattr(count_matrix, "loaded", lambda x, load=count_matrix.loaded: most.append(x.shape[0]) or load(x))
    on_disk = mt.read.lazy(tmp_path / f"new.{form}")
    how = {"n_jobs": 1, "verbose": False}
    mt.tl.transform(reference, on_disk, **how)
    assert 8 == len(most) and max(most) <= 110
    mt.tl.transform(reference, new, **how)
    assert_frame_equal(on_disk.obsm["topics"], new.obsm["topics"])
    known, found = (mt.tl.perplexity(reference, data, **how) for data in (new, on_disk))
    np.testing.assert_allclose(found["log_likelihood"], known["log_likelihood"], rtol=0.01)
    np.testing.assert_allclose(found["n_counts"], known["n_counts"], rtol=0.01)


def test_warnings_of_new_data_on_disk_are_those_of_data_in_memory(tissue, tmp_path, monkeypatch):
    reference = mt.tl.topic_model(tissue["rna"], **FIT, copy=True)
    new = tissue["rna"][:250, 5:].copy()
    new.X[[3, 200]] = 0
    new.write_h5ad(tmp_path / "new.h5ad")
    monkeypatch.setattr(new_counts, "ROWS_AT_ONCE", 110)
    on_disk = mt.read.lazy(tmp_path / "new.h5ad")
    said = []
    for data in (new, on_disk):
        with pytest.warns(UserWarning) as caught:
            mt.tl.transform(reference, data, n_jobs=1, verbose=False)
        messages = (str(one.message) for one in caught)
        said.append([message for message in messages if "have no counts" in message or "lacks" in message])
    assert said[0] == said[1] and len(said[0]) == 2
    assert_frame_equal(on_disk.obsm["topics"], new.obsm["topics"])
    assert on_disk.obs["mtopic_empty"].tolist() == new.obs["mtopic_empty"].tolist()


@pytest.mark.parametrize("keep", [True, False])
def test_uncertainty_by_blocks_is_that_in_memory(tissue, scratch, tmp_path, monkeypatch, keep):
    known = mt.tl.topic_model(tissue, **FIT, copy=True)
    tissue.write_h5mu(tmp_path / "tissue.h5mu")
    found = mt.read.lazy(tmp_path / "tissue.h5mu")
    monkeypatch.setattr(stored, "BLOCK", 5000)
    mt.tl.topic_model(found, **FIT, scratch=scratch, keep_scratch=keep)
    for key, table in known.obsm.items():
        found.obsm[key] = table
    for mod in known.mod:
        found[mod].varm["signatures"] = known[mod].varm["signatures"]
    found.uns["mtopic"] = known.uns["mtopic"]
    if keep:
        monkeypatch.setattr(StoredCounts, "write", never)
    for measure in (mt.tl.uncertainty, mt.tl.signature_uncertainty):
        measure(known, n_jobs=1, verbose=False)
        measure(found, n_jobs=1, verbose=False, scratch=scratch)
    for name in ("sd", "low", "high"):
        assert_frame_equal(found.obsm[f"topics_{name}"], known.obsm[f"topics_{name}"], rtol=1e-6)
        for mod in known.mod:
            one, other = (data[mod].varm[f"signatures_{name}"] for data in (found, known))
            assert_frame_equal(one, other, rtol=1e-6)
    with pytest.raises(ValueError, match="scratch='.*': there is no such folder"):
        mt.tl.uncertainty(found, scratch=scratch / "none")


def test_data_on_disk_are_reported_and_have_no_copy(tissue, scratch, tmp_path):
    tissue.write_h5mu(tmp_path / "tissue.h5mu")
    on_disk, in_memory = mt.read.lazy(tmp_path / "tissue.h5mu"), tissue.copy()
    for data in (on_disk, in_memory):
        mt.tl.topic_model(data, **FIT)
    assert mt.report(on_disk, title="tissue") == mt.report(in_memory, title="tissue")
    with pytest.raises(ValueError, match="copy=True: matrices that stay on disk have no copy"):
        mt.tl.topic_model(mt.read.lazy(tmp_path / "tissue.h5mu"), **FIT, scratch=scratch, copy=True)
    assert not list(scratch.iterdir())


def test_a_report_of_data_without_counts_says_so(tissue):
    data = tissue["rna"].copy()
    mt.tl.topic_model(data, **FIT)
    mt.tl.topic_quality(data)
    known = mt.report(data)
    data.X = None
    assert mt.report(data) == known
    del data.uns["topic_quality"]
    assert "call <code>mtopic.tl.topic_quality</code> before they are left out" in mt.report(data)


def test_folders_that_are_no_store_of_data(tmp_path):
    with pytest.raises(ValueError, match="is a folder, and no Zarr store of an AnnData or a MuData"):
        mt.read.lazy(tmp_path)
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    with pytest.raises(ValueError, match="is a Zarr store, and not one of an AnnData or a MuData"):
        mt.read.lazy(tmp_path / "other.zarr")
    with pytest.raises(FileNotFoundError, match=r"no file 'cells\.h5ad'"):
        mt.read.lazy(tmp_path / "cells.h5ad")


def test_a_feature_is_drawn_without_loading_the_others(tissue, tmp_path, monkeypatch):
    x, coordinates = tissue["rna"].X.toarray(), np.asarray(tissue.obsm["spatial"])
    read = []
    monkeypatch.setattr(in_rows, "ROWS_AT_ONCE", 170)
    monkeypatch.setattr(in_rows, "loaded", lambda x, load=count_matrix.loaded: read.append(x.shape) or load(x))
    for form, adata in forms(x, tmp_path):
        adata.obsm["spatial"] = coordinates
        (ax,) = mt.pl.feature_activity(adata, "spatial", [adata.var_names[7]], show=False)
        np.testing.assert_array_equal(np.sort(ax.collections[0].get_array()), np.sort(x[:, 7]), err_msg=form)
        plt.close("all")
    assert {shape for shape in read if min(shape) > 1} == {(170, 60), (90, 60)}


def test_the_command_fits_files_that_it_never_loads(tissue, scratch, tmp_path, capsys):
    tissue.write_h5mu(tmp_path / "in.h5mu")
    tissue["rna"].write_zarr(tmp_path / "in.zarr")
    own = ["--n-topics", "4", "--n-iter", "15", "--n-jobs", "1", "--quiet", "--scratch", str(scratch)]
    for name, out, data in (("in.h5mu", "out.h5mu", tissue), ("in.zarr", "out.h5ad", tissue["rna"])):
        assert main(["fit", str(tmp_path / name), "-o", str(tmp_path / out), *own]) == 0
        found = read(tmp_path / out)
        np.testing.assert_array_equal(found.obsm["topics"].to_numpy(), fitted(data, rng=2291))
        assert all(adata.X is None for adata in modalities(found).values())
        assert main(["report", str(tmp_path / out), "-o", str(tmp_path / "report.html")]) == 0
    assert not list(scratch.iterdir())
    assert main(["fit", str(tmp_path / "in.h5mu"), "-o", str(tmp_path / "x.h5mu"), "--prepare", "rna=clr", *own]) == 2
    assert "leave out --scratch" in capsys.readouterr().err


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


def test_folders_that_are_not_there(tissue, scratch):
    with pytest.raises(ValueError, match="no such folder. Create it first"):
        mt.tl.topic_model(tissue.copy(), **FIT, scratch=scratch / "none")


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


def test_what_loads_all_counts_says_so(tissue, tmp_path):
    data = mt.tl.topic_model(tissue, **FIT, copy=True)
    data.obs["slide"] = np.char.add("slide_", (np.arange(600) % 6).astype(str))
    data.obs["half"] = np.where(np.arange(600) % 6 < 3, "left", "right")
    data.write_h5mu(tmp_path / "tissue.h5mu")
    on_disk = mt.read.lazy(tmp_path / "tissue.h5mu")
    for call in (
        lambda data: mt.tl.modality_agreement(data, n_jobs=1, verbose=False),
        lambda data: mt.tl.select_n_topics(data, [3], n_folds=2, n_iter=3, n_jobs=1, verbose=False),
        lambda data: mt.tl.compare_topics(data, "half", "left", sample_key="slide", n_jobs=1, verbose=False),
    ):
        call(data)
        with pytest.warns(UserWarning, match=r"loads all counts of 'rna' and 'atac'.*data\[chosen\].copy\(\)"):
            call(on_disk)
    np.testing.assert_array_equal(on_disk.obsm["modality_agreement"], data.obsm["modality_agreement"])
    data["rna"].write_h5ad(tmp_path / "rna.h5ad")
    for whole in (on_disk, mt.read.lazy(tmp_path / "rna.h5ad")):
        sample = whole[:100].copy()
        mt.tl.select_n_topics(sample, [3], n_folds=2, n_iter=3, n_jobs=1, verbose=False)
        assert all(sparse.issparse(adata.X) for adata in modalities(sample).values())


UNDER_A_LIMIT = r"""
import re, resource, sys
from pathlib import Path
import anndata
import mtopic as mt
from mtopic._data import in_rows, working_copy
from mtopic.inference import stored
from mtopic.model import new_counts
stored.BLOCK, in_rows.ROWS_AT_ONCE, new_counts.ROWS_AT_ONCE, working_copy.ROWS_AT_ONCE = 2**17, 128, 128, 128
path, scratch, more = sys.argv[1], sys.argv[2] or None, int(sys.argv[3])
options = {"n_iter": 2, "n_jobs": 1, "verbose": False, "scratch": scratch}
def everything(adata, new):
    mt.tl.topic_model(adata, 3, **options)
    mt.tl.topic_quality(adata)
    mt.tl.uncertainty(adata, n_jobs=1, verbose=False, scratch=scratch)
    new.obs_names = new.obs_names + "_new"
    mt.tl.transform(adata, new, n_jobs=1, verbose=False)
small = mt.read.lazy(path)[:300].to_memory()
everything(small, small.copy())
used = int(re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + more, used + more))
everything(mt.read.lazy(path), mt.read.lazy(path))
print("done")
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """10,000 × 1,200 non-zeros of three topics, 192 MB by row and by column, in a file."""
    rng, n_obs, n_features, of_row = np.random.default_rng(0), 10_000, 1600, 1200
    topics = np.arange(n_obs)[:, None] % 3 * (n_features // 3)
    indices = np.sort((topics + np.arange(of_row, dtype=np.int32)) % n_features, axis=1).ravel()
    data, indptr = rng.integers(1, 4, indices.size).astype(np.float32), np.arange(0, indices.size + 1, of_row)
    path = tmp_path_factory.mktemp("large") / "large.h5ad"
    AnnData(sparse.csr_matrix((data, indices, indptr), shape=(n_obs, n_features))).write_h5ad(path)
    return path, indices.size


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system has no such limit")
def test_a_quarter_of_the_memory_that_counts_need_is_enough(large, scratch):
    path, nnz = large
    ends = {}
    for where in (scratch, ""):
        arguments = [sys.executable, "-c", UNDER_A_LIMIT, str(path), str(where), str(16 * nnz // 4)]
        ends[where] = subprocess.run(arguments, capture_output=True, text=True)
    assert ends[scratch].stdout.endswith("done\n"), ends[scratch].stderr
    assert ends[""].returncode and "MemoryError" in ends[""].stderr
    assert not list(scratch.iterdir())


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
def test_memory_does_not_grow_with_the_counts(large, scratch):
    """Half of what counts need in memory suffices for all that a fit needs."""
    path, nnz = large
    arguments = [sys.executable, "-c", GROWTH, str(path), str(scratch)]
    growth = int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()[-1])
    assert growth < 8 * nnz
