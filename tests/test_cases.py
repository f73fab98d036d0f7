"""Cases that others reported of other programs; each is a script that ends with 0 where what happens is right."""

import os
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

CASES = sorted(Path(os.environ.get("MTOPIC_SHARED", "no such folder"), "cases").glob("*.py"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "os.environ[" in case.read_text(encoding="utf-8"):  # set before the package is imported
        done = subprocess.run([sys.executable, case], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return
    monkeypatch.setattr("sys.argv", [str(case)])
    with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
        runpy.run_path(str(case), run_name="__main__")
    plt.close("all")
    assert not ended.value.code, capsys.readouterr().out
