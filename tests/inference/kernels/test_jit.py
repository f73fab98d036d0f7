"""Where compiled loops are kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mtopic

FIT = """
import sys, warnings
warnings.simplefilter("ignore")
import numba.core.caching as caching
locator = getattr(caching, "UserProvidedCacheLocator", None) or caching._UserProvidedCacheLocator
caching.CacheImpl._locator_classes = [locator]  # no other folder can be written
import mtopic as mt
data = mt.datasets.simulate(n_obs=40, n_topics=2, modalities={"rna": 20}, rng=1)
mt.tl.topic_model(data, 2, n_iter=2, verbose=False, n_jobs=1, spatial_key="spatial")
mt.tl.umap(data)
mt.report(data, sys.argv[1])
print("done", mt.__file__)
"""


@pytest.mark.slow
@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="nothing is compiled")
@pytest.mark.parametrize("temporary", [pytest.param(True, marks=pytest.mark.weekly), False])
def test_installation_and_home_that_cannot_be_written(tmp_path, temporary):
    """Not even those of scanpy, squidpy and umap-learn; without a temporary folder, too, cells are fitted."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CACHE")}
    script = FIT if temporary else FIT.replace(', spatial_key="spatial"', "").replace("mt.tl.umap(data)", "")
    if not temporary:
        script = script.replace("mt.report(data, sys.argv[1])", "").replace(
            "import mtopic as mt", "import tempfile; tempfile.tempdir = '/dev/null'; import mtopic as mt"
        )
    environment |= {"TMPDIR": str(tmp_path), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-c", script, str(tmp_path / "page.html")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("mtopic-numba")]


@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="nothing is compiled")
def test_kernels_are_made_where_no_folder_can_be(tmp_path):
    copy = tmp_path / "mtopic"
    shutil.copytree(Path(mtopic.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for place in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        (place / "__pycache__").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CACHE")}
    environment |= {"PYTHONPATH": str(tmp_path), "HOME": os.devnull, "XDG_CACHE_HOME": os.devnull}
    script = "import mtopic; from mtopic.inference.kernels import e_step; print(mtopic.__file__)"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(copy) in done.stdout
