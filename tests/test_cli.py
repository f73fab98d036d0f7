import io
import os
import subprocess
import sys

import numpy as np
import pytest
from anndata import read_h5ad

import mtopic as mt
from mtopic import cli
from mtopic._log import logger


@pytest.fixture
def raw(tmp_path):
    mdata = mt.datasets.simulate(120, 3, modalities={"rna": 40, "atac": 60})
    mdata.write_h5mu(tmp_path / "raw.h5mu")
    return tmp_path / "raw.h5mu"


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def test_fit_raw_counts(raw, tmp_path, capsys):
    assert run("fit", raw, "-o", tmp_path / "out.h5mu", "--n-topics", 3, "--quiet") == 0
    trained = mt.read.h5mu(tmp_path / "out.h5mu")
    expected = mt.read.h5mu(raw)
    mt.tl.topic_model(expected, 3, verbose=False)
    np.testing.assert_array_equal(trained.obsm["topics"], expected.obsm["topics"])
    captured = capsys.readouterr()
    assert "MTM(120 observations × [rna 40, atac 60], 3 topics" in captured.out
    assert captured.err == ""


def test_fit_raw_counts_in_space(raw, tmp_path, capsys):
    """Neighbours are those of topic_model, of which a small tissue has some."""
    assert run("fit", raw, "-o", tmp_path / "out.h5mu", "--n-topics", 3, "--spatial-key", "spatial", "--quiet") == 0
    trained = mt.read.h5mu(tmp_path / "out.h5mu")
    expected = mt.read.h5mu(raw)
    mt.tl.topic_model(expected, 3, spatial_key="spatial", verbose=False)
    np.testing.assert_array_equal(trained.obsm["topics"], expected.obsm["topics"])
    assert trained.uns["mtopic"]["params"]["n_neighbors"] == 6
    assert capsys.readouterr().err == ""


def test_fit_prepared_counts_in_space(raw, tmp_path):
    options = [
        "--n-topics",
        3,
        "--radius",
        0.2,
        "--prepare",
        "rna=tfidf",
        "--prepare",
        "atac=clr",
        "--n-iter",
        8,
        "--seed",
        5,
    ]
    assert run("fit", raw, "-o", tmp_path / "out.h5mu", *options) == 0
    trained = mt.read.h5mu(tmp_path / "out.h5mu")
    params = trained.uns["mtopic"]["params"]
    assert (params["model"], params["n_iter"], params["seed"]) == ("sMTM", 8, 5)
    assert params["modality_weights"] == {"rna": 1, "atac": 1}
    assert [list(trained[mod].uns["mtopic"]["steps"]) for mod in ("rna", "atac")] == [
        ["tfidf", "scale_counts"],
        ["clr", "scale_counts"],
    ]
    assert "spatial_connectivities" in trained.obsp


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--n-topics", 1], "n_topics=1"),
        (["--radius", -1], "radius=-1.0"),
        (["--spatial-key", "spatiall"], "did you mean 'spatial'"),
        (["--prepare", "rnaa=tfidf"], "did you mean 'rna'"),
    ],
)
def test_errors_are_one_line_and_status_2(raw, tmp_path, capsys, options, said):
    assert run("fit", raw, "-o", tmp_path / "out.h5mu", *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("mtopic: error: ")
    assert error.count("\n") == 1
    assert said in error
    assert not (tmp_path / "out.h5mu").exists()


def test_files_and_folders_that_are_not_there(raw, tmp_path, capsys):
    assert run("fit", tmp_path / "rwa.h5mu", "-o", tmp_path / "out.h5mu") == 2
    assert "did you mean 'raw.h5mu'" in capsys.readouterr().err
    assert run("fit", raw, "-o", tmp_path / "nowhere" / "out.h5mu") == 2
    assert "create it first" in capsys.readouterr().err
    assert run("fit", raw, "-o", tmp_path / "out.h5ad") == 2
    assert "files are named .h5mu" in capsys.readouterr().err


def test_fit_and_report_of_an_anndata(raw, tmp_path, capsys):
    adata = mt.read.h5mu(raw)["rna"].copy()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    options = ["--n-topics", 3, "--n-iter", 5, "--quiet"]
    assert run("fit", tmp_path / "cells.h5ad", "-o", tmp_path / "out.h5mu", *options) == 2
    assert "files are named .h5ad" in capsys.readouterr().err
    assert run("fit", tmp_path / "cells.h5ad", "-o", tmp_path / "out.h5ad", *options) == 0
    assert run("fit", tmp_path / "cells.h5ad", "-o", tmp_path / "clr.h5ad", "--prepare", "X=clr", *options) == 0
    assert run("report", tmp_path / "out.h5ad", "-o", tmp_path / "page.html") == 0
    mt.tl.topic_model(adata, 3, n_iter=5, verbose=False)
    np.testing.assert_array_equal(read_h5ad(tmp_path / "out.h5ad").obsm["topics"], adata.obsm["topics"])


def test_python_m_runs_the_command_with_standard_output_that_lacks_signs(raw, tmp_path):
    command = ["fit", str(raw), "-o", str(tmp_path / "out.h5mu"), "--n-topics", "3", "--n-iter", "3"]
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", "mtopic", *command], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(b"written to")


def test_help_on_standard_output_that_lacks_signs(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(SystemExit) as stop:
        run("fit", "--help")
    out.flush()
    assert stop.value.code == 0
    assert b"--n-topics" in out.buffer.getvalue()


def test_logger_on_standard_output_that_lacks_signs(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    logger.info("90 × 3")
    out.flush()
    assert out.buffer.getvalue() == b"90 ? 3\n"


@pytest.mark.parametrize("preparation", ["rna", "rna=log", "=tfidf"])
def test_unknown_preparations(raw, preparation, capsys):
    with pytest.raises(SystemExit) as stop:
        run("fit", raw, "-o", "out.h5mu", "--prepare", preparation)
    assert stop.value.code == 2
    assert "give MOD=tfidf or MOD=clr" in capsys.readouterr().err


def test_a_failing_write_leaves_the_old_file(raw, tmp_path, monkeypatch):
    target = tmp_path / "out.h5mu"
    target.write_text("precious")

    def fail(self, path):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr("mudata.MuData.write", fail)
    assert run("fit", raw, "-o", target, "--n-topics", 3, "--n-iter", 2, "--quiet") == 2
    assert target.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5mu", "raw.h5mu"]


@pytest.mark.parametrize("command", [["--help"], ["demo", "--help"], ["fit", "--help"], ["--version"]])
def test_help_and_version(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(command)
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out == f"mtopic {mt.__version__}\n" if command == ["--version"] else "mtopic" in out


@pytest.mark.slow
@pytest.mark.whole_start
def test_demo(tmp_path, capsys):
    assert run("demo", "--out", tmp_path / "demo") == 0
    correlation = float(capsys.readouterr().out.split("mean correlation ")[1].split(",")[0])
    assert correlation > 0.9
    figures = {"convergence", "corr_atac", "corr_rna", "dominant_topics", "signatures_atac", "signatures_rna", "topics"}
    assert {path.stem for path in (tmp_path / "demo").glob("*.png")} == figures
    assert mt.read.h5mu(tmp_path / "demo" / "trained.h5mu").obsm["topics"].shape == (2000, 10)
