"""The workflow of the original's tutorial, as its users wrote it, runs unchanged."""

import runpy

import numpy as np
import pandas as pd
import pytest

import mtopic as mt


@pytest.fixture(scope="module")
def p22_like(tmp_path_factory):
    """A file of the form of the published P22 mouse brain: coordinates as a table, colours and cell types by topic."""
    mdata = mt.datasets.simulate(1000, 10, modalities={"rna": 300, "atac": 600}, depth=400)
    points = mdata.obsm["spatial"]
    del mdata.obsm["spatial"]
    mdata.obsm["coords"] = pd.DataFrame(points, index=mdata.obs_names, columns=["x", "y"])
    numbers = range(1, 11)
    mdata.uns["TOPIC_COLOR"] = {f"topic_{k}": f"#{k * 800_000:06x}" for k in numbers}
    mdata.uns["TOPIC_CELLTYPE"] = {f"topic_{k}": f"cell type {k}" for k in numbers}
    path = tmp_path_factory.mktemp("p22") / "raw.h5mu"
    mdata.write_h5mu(path)
    return path


@pytest.fixture
def run(shared, monkeypatch, capsys):
    def run(path, out, *options):
        script = str(shared / "acceptance" / "seed_tutorial.py")
        monkeypatch.setattr("sys.argv", [script, str(path), str(out), *options])
        runpy.run_path(script, run_name="__main__")
        assert capsys.readouterr().out.startswith("seed tutorial: done;")
        assert len(list(out.glob("*.png"))) == 6
        return mt.read.h5mu(out / "trained.h5mu")

    return run


@pytest.mark.slow
@pytest.mark.whole_start
def test_on_a_tissue_of_two_modalities(run, p22_like, tmp_path):
    trained = run(p22_like, tmp_path, "--topics", "10")
    assert trained.obsm["topics"].shape[0] == 1000
    assert mt.datasets.recovery(trained)["correlation"].median() > 0.9


@pytest.mark.weekly
@pytest.mark.whole_start
def test_on_real_data(run, shared, tmp_path):
    path = shared / "data" / "her2st_H1_twoview_pseudo.h5mu"
    options = ["--x", "spatial", "--mods", "view_a:tfidf,view_b:tfidf", "--topics", "12"]
    trained = run(path, tmp_path, *options)
    assert np.isfinite(trained.obsm["topics"]).all(axis=None)
