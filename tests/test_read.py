import os
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import mudata
import numpy as np
import pytest
from anndata import AnnData

import mtopic
from mtopic import cli


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "tissue.h5mu"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mtopic.datasets.simulate(40, 3, modalities={"rna": 6, "prot": 4}).write_h5mu(path)
    return path


@pytest.mark.parametrize("kind", [str, Path])
def test_reads(written, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        mdata = mtopic.read.h5mu(kind(written))
    assert isinstance(mdata, mudata.MuData)
    assert list(mdata.mod) == ["rna", "prot"]
    assert mdata["rna"].X.sum() == mtopic.datasets.simulate(40, 3, modalities={"rna": 6, "prot": 4})["rna"].X.sum()


def test_leaves_options_and_warnings_alone(written):
    options = getattr(mudata, "settings", None) or mudata._core.config.OPTIONS
    before, filters = str(options), list(warnings.filters)
    mtopic.read.h5mu(written)
    assert str(options) == before
    assert warnings.filters == filters


def test_absent_file_offers_the_nearest(written):
    with pytest.raises(FileNotFoundError, match=r"no file 'tisue.h5mu' in .*; did you mean 'tissue.h5mu'\?"):
        mtopic.read.h5mu(written.with_name("tisue.h5mu"))
    with pytest.raises(FileNotFoundError, match="did you mean 'tissue.h5mu'"):
        mtopic.read.h5mu(written.with_name("zzz"))
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        mtopic.read.h5mu(written.parent / "nowhere" / "tissue.h5mu")


def test_absent_file_in_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="the folder holds no h5mu"):
        mtopic.read.h5mu(tmp_path / "tissue.h5mu")


def test_folder(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        mtopic.read.h5mu(tmp_path)


def test_h5ad(tmp_path):
    AnnData(np.ones((3, 2), dtype=np.float32)).write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match="holds an AnnData.*anndata.read_h5ad"):
        mtopic.read.h5mu(tmp_path / "cells.h5ad")


HOLD = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"


def read_by_command(path):
    assert cli.main(["report", str(path), "-o", str(path.with_suffix(".html"))]) == 2


READERS = {
    "h5mu": mtopic.read.h5mu,
    "load_model": mtopic.tl.load_model,
    "filter_var_list": lambda path: mtopic.pp.filter_var_list(path, ["rna_1"]),
    "report": read_by_command,
}


def said(reader, path, capsys):
    """What is said of a file that cannot be read."""
    try:
        READERS[reader](path)
    except OSError as error:
        return str(error)
    return capsys.readouterr().err


@pytest.fixture
def files(written, tmp_path):
    data, model = mtopic.read.h5mu(written), tmp_path / "model.h5"
    mtopic.tl.MTM(data, 3, verbose=False).save(model)
    copy = tmp_path / "tissue.h5mu"
    copy.write_bytes(written.read_bytes())
    return {reader: model if reader == "load_model" else copy for reader in READERS}


@pytest.mark.parametrize("reader", READERS)
def test_locked_file(files, reader, monkeypatch, capsys):
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "TRUE")
    command = [sys.executable, "-c", HOLD, str(files[reader])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        message = said(reader, files[reader], capsys)
        way_out = {**os.environ, "HDF5_USE_FILE_LOCKING": "FALSE"}
        script = f"import h5py; h5py.File({str(files[reader])!r})"
        assert subprocess.run([sys.executable, "-c", script], env=way_out).returncode == 0
        other.stdin.close()
    assert "cannot be read: it is locked" in message
    assert not any(word in message for word in ("damaged", "incomplete", "whole", "anew"))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_file_that_the_system_refuses(files, reader, error, monkeypatch, capsys):
    def refuse(*args, **options):
        raise error

    monkeypatch.setattr("pathlib.Path.open", refuse)
    message = said(reader, files[reader], capsys)
    assert "cannot be read: " in message
    assert ("there is no permission" in message) == isinstance(error, PermissionError)
    assert not any(word in message for word in ("damaged", "incomplete", "whole", "anew"))


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")])
def test_model_that_the_system_does_not_let_be_written(files, error, monkeypatch, tmp_path):
    def refuse(*args, **options):
        raise error

    model = mtopic.tl.load_model(files["load_model"])
    monkeypatch.setattr("h5py.File", refuse)
    with pytest.raises(type(error), match=r"other.h5' cannot be written: (there is no permission|No space left)"):
        model.save(tmp_path / "other.h5")


@pytest.mark.parametrize("content", [b"", b"barcode,gene,count\n"])
def test_other_format(tmp_path, content):
    (tmp_path / "table.h5mu").write_bytes(content)
    with pytest.raises(ValueError, match="not an HDF5 file"):
        mtopic.read.h5mu(tmp_path / "table.h5mu")


def test_other_hdf5(tmp_path):
    with h5py.File(tmp_path / "other.h5mu", "w") as file:
        file["matrix"] = np.ones(3)
    with pytest.raises(ValueError, match="without modalities"):
        mtopic.read.h5mu(tmp_path / "other.h5mu")


def test_truncated(written, tmp_path):
    content = written.read_bytes()
    (tmp_path / "half.h5mu").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="half.h5mu' is damaged or incomplete.*truncated"):
        mtopic.read.h5mu(tmp_path / "half.h5mu")


@pytest.mark.parametrize("part", ["obs", "mod/rna/X/indices", "mod/prot/var"])
def test_incomplete(written, tmp_path, part):
    path = tmp_path / "holes.h5mu"
    path.write_bytes(written.read_bytes())
    with h5py.File(path, "a") as file:
        del file[part]
    with pytest.raises(ValueError, match="damaged or incomplete"):
        mtopic.read.h5mu(path)


def test_real_data(shared):
    mdata = mtopic.read.h5mu(shared / "data" / "cite_pbmc1k_small.h5mu")
    assert {mod: adata.shape for mod, adata in mdata.mod.items()} == {"rna": (892, 2000), "prot": (892, 10)}


FULL = """
import resource, signal, sys
import matplotlib
matplotlib.use("Agg")
import mtopic as mt

data = mt.datasets.simulate(200, 3)
model = mt.tl.MTM(data, 3, verbose=False)
model.VI(2)
mt.tl.export_params(model, data)
writers = {
    "model.h5": model.save,
    "map.png": lambda path: mt.pl.topics(data, "spatial", save=path),
    "map.pdf": lambda path: mt.pl.topics(data, "spatial", save=path),
    "page.html": lambda path: mt.report(data, path),
}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
for name, write in writers.items():
    for path in (f"{sys.argv[1]}/{name}", f"{sys.argv[1]}/none/{name}"):
        try:
            write(path)
        except OSError as error:
            print(f"{name}|{error}", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of files")
def test_files_that_have_no_room_or_folder(tmp_path):
    # -B: what Python compiles under the limit would be cut without a word and stay for later imports
    run = subprocess.run([sys.executable, "-B", "-c", FULL, str(tmp_path)], capture_output=True, text=True)
    said = [line.partition("|") for line in run.stdout.splitlines()]
    assert [name for name, _, _ in said[::2]] == ["model.h5", "map.png", "map.pdf", "page.html"]
    assert all(f"{name}' cannot be written: File too large" in message for name, _, message in said[::2])
    assert all("reate it first" in message for _, _, message in said[1::2])
    assert run.returncode == 0 and not (tmp_path / "model.h5").exists()
