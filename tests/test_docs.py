"""The documentation: the code of most pages runs, each figure has its maker, and what the README links to is there."""

import re
import runpy
import tomllib
import warnings
from pathlib import Path
from urllib.parse import unquote

import pytest
from mudata import MuData

import mtopic as mt

ROOT = Path(__file__).parents[1]
CODE = re.compile(r"^```(?:python|{code-block} python\n:caption: mtopic)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
TOPICS = re.compile(r"(?<=n_topics=)\d+")
SIMULATED = re.compile(r"(?<=n_obs=)\d+")


def tissue(**options):
    return mt.datasets.simulate(n_obs=150, n_topics=3, modalities={"rna": 60, "atac": 90}, **options)


def start():
    tissue().write("tissue.h5mu")
    whole = tissue()
    return {"rna": whole["rna"], "atac": whole["atac"], "adata": whole["rna"]}


def concepts():
    mdata = tissue()
    mt.tl.topic_model(mdata, n_topics=3, spatial_key="spatial", verbose=False)
    return {"mt": mt, "mdata": mdata, "cells": tissue(spatial=False)}


def sections():
    whole = tissue(n_sections=3)
    parts = [whole[whole.obs["section"] == name].copy() for name in whole.obs["section"].cat.categories]
    for part in parts:
        del part.obs["section"]
    return {"mt": mt, **dict(zip(("first", "second", "third"), parts, strict=True))}


def coming_from():
    import scanpy

    whole = tissue()
    return {"mt": mt, "sc": scanpy, "mdata": whole, "adata": whole["rna"].copy(), "atac": whole["atac"].copy()}


def pipelines():
    mdata = tissue()
    mt.tl.topic_model(mdata, n_topics=3, verbose=False)
    Path("results").mkdir()
    mdata.write("results/kidney.h5mu")
    return {}


def saving():
    return {"mt": mt, "mdata": tissue()}


def new_data():
    cells = mt.datasets.simulate(n_obs=300, n_topics=3, modalities={"rna": 60, "atac": 90}, spatial=False)
    cells.obs["cell_type"] = cells.obsm["true_topics"].idxmax(axis=1)
    return {"mt": mt, "reference": cells[:200].copy(), "new": cells[200:].copy()}


def mosaic():
    whole = tissue()
    rna, atac = whole["rna"], whole["atac"]
    panel = MuData({"rna": rna[75:, :40].copy()})
    sections = tissue(n_sections=2)
    sections.obs["section"] = sections.obs["section"].cat.rename_categories(["with both", "with RNA"])
    lacks = (sections.obs["section"] == "with RNA").to_numpy()
    both = MuData({"rna": sections["rna"], "atac": sections["atac"][~lacks].copy()})
    both.obs["section"], both.obsm["spatial"] = sections.obs["section"], sections.obsm["spatial"]
    return {
        "mt": mt,
        "rna": rna,
        "atac": atac[:100].copy(),
        "atlas": MuData({"rna": rna[:75].copy()}),
        "panel": panel,
        "tissue": both,
    }


def large_data():
    from spatialdata import SpatialData
    from spatialdata.models import TableModel

    whole = mt.datasets.simulate(n_obs=1500, n_topics=3, modalities={"rna": 60})
    cells = whole["rna"]
    cells.obsm["spatial"] = whole.obsm["spatial"]
    cells.write_h5ad("large.h5ad")
    SpatialData(tables={"square_008um": TableModel.parse(cells)}).write("sample.zarr")
    Path("scratch").mkdir()
    return {"scratch": "scratch"}


def readme():
    tissue().write("tissue.h5mu")
    return {}


def samples():
    whole = tissue(n_batches=4, rng=1)
    parts = [whole[whole.obs["batch"] == batch].copy() for batch in whole.obs["batch"].cat.categories]
    new = parts[2].copy()
    new.obs["patient"] = "patient_3"
    return {"mt": mt, "first": parts[0], "second": parts[1], "new": new}


def guides():
    import pandas as pd

    cells, modalities = {"n_obs": 150, "n_topics": 3, "spatial": False}, {"rna": 60}
    mdata, reference = (mt.datasets.simulate(**cells, modalities=modalities, rng=rng) for rng in (0, 1))
    mt.tl.topic_model(reference, n_topics=3, verbose=False)
    names = ["CD3D", "CD3E", "TRAC", "MS4A1", "CD79A", *mdata["rna"].var_names[5:]]
    mdata["rna"].var_names = names
    mdata.update()
    sets = [("first", gene) for gene in names[:20]] + [("second", gene) for gene in names[20:40]]
    net = pd.DataFrame(sets, columns=["source", "target"])
    return {"mt": mt, "mdata": mdata, "reference": reference, "tissue": tissue(), "net": net}


PAGES = {
    "README.md": readme,
    "docs/index.md": dict,
    "docs/start.md": start,
    "docs/concepts.md": concepts,
    "docs/sections.md": sections,
    "docs/samples.md": samples,
    "docs/guides.md": guides,
    "docs/coming_from.md": coming_from,
    "docs/pipelines.md": pipelines,
    "docs/saving.md": saving,
    "docs/new_data.md": new_data,
    "docs/mosaic.md": mosaic,
    "docs/large_data.md": large_data,
}


def run_code_of(page, names):
    """All of its code in one go, as a reader would; on small data, with few topics."""
    code = "".join(CODE.findall((ROOT / page).read_text(encoding="utf-8")))
    assert code
    code = TOPICS.sub("3", SIMULATED.sub("150", code))
    code = re.sub(r"Ks=\[.*?\]", "Ks=[2, 3]", code)
    names["__name__"] = "__main__"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code, page, "exec"), names)
    return names


@pytest.mark.slow
@pytest.mark.usefixtures("log_level")
@pytest.mark.parametrize("page", PAGES)
def test_code_of_pages_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_code_of(page, PAGES[page]())


@pytest.mark.slow
@pytest.mark.usefixtures("log_level")
def test_planted_motifs_come_first_on_the_page_of_motifs():
    first = run_code_of("docs/motifs.md", {})["linked"].uns["enrichment"].groupby("topic").head(1)
    assert len(first) == 3
    assert (first["source"] == "motif of " + first["topic"]).all()


def test_the_readme_links_to_what_is_there():
    links = LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_badges_are_true():
    readme, settings = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / "pyproject.toml").read_bytes()
    settings = tomllib.loads(settings.decode())
    badges = {
        text: unquote(shown)
        for text, shown in re.findall(r"\[!\[(.*?)\]\(https://img.shields.io/badge/(\S+)\)\]", readme)
    }
    supported = [kind.rpartition(" ")[2] for kind in settings["project"]["classifiers"] if " :: 3." in kind]
    licence = settings["project"]["license"]
    assert badges["Python " + " | ".join(supported)] == f"python-{'_|_'.join(supported)}-blue"
    assert badges[f"License: {licence}"] == f"license-{licence.replace('-', '--')}-blue"
    assert badges["Checked with mypy, strict"] == "mypy-strict-blue"
    assert settings["tool"]["mypy"]["strict"]


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    for file in ("CITATION.cff", ".github/ecosystem/meta.yaml"):
        assert re.findall(r"^version: (\S+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE) == [version], (
            file
        )


def test_figures_are_small_and_used():
    figures = sorted((ROOT / "docs" / "_static").glob("*.png"))
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    assert set(runpy.run_path(str(ROOT / "docs" / "figures.py"))["FIGURES"]) == {figure.stem for figure in figures}
    for figure in figures:
        assert figure.stat().st_size < 150_000, figure.name
        assert f"_static/{figure.name}" in pages
