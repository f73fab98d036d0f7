"""Cases that others reported of other programs; each is a script that ends with 0 where what happens is right."""

import io
import os
import runpy
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from mtopic import cli

CASES = sorted(Path(os.environ.get("MTOPIC_SHARED", "no such folder"), "cases").glob("*.py"))
COMMAND = [sys.executable, "-m", "mtopic"]
in_a_process = subprocess.run


class Environment(dict[str, str]):
    """What cases set is for libraries that are imported later than here, and is left out."""

    def __setitem__(self, name, value):
        pass


def run(command, *, env=None, text=False, **options):
    """Our command in this process, which has imported and compiled all, on streams of the encoding asked for."""
    if command[:3] != COMMAND:
        return in_a_process(command, env=env, text=text, **options)
    encoding = (env or {}).get("PYTHONIOENCODING", "utf-8")
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.main(command[3:])
    said = []
    for stream in (out, err):
        stream.flush()
        value = stream.buffer.getvalue()
        said.append(value.decode(encoding) if text else value)
    return subprocess.CompletedProcess(command, status, *said)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(case)])
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "TRUE")
    monkeypatch.setattr(os, "environ", Environment(os.environ))
    monkeypatch.setattr("mtopic.tl._umap._embedded", lambda values, *_: values[:, :2])
    with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
        runpy.run_path(str(case), run_name="__main__")
    plt.close("all")
    assert not ended.value.code, capsys.readouterr().out
