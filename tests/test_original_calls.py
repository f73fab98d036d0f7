"""Every call of the original that the documentation lists runs as it stands there."""

import re
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import mtopic

PAGE = Path(__file__).parents[1] / "docs" / "original.md"
CALLS = re.findall(r"^\| `(mtopic\..+?)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
NAMES = [".".join(filter(None, sum(re.findall(r"mtopic\.([\w.]+)\(|\)\.(\w+)\(", call), ()))) for call in CALLS]
ORIGINAL = {
    "read": ["h5mu"],
    "pp": "tfidf clr scale_counts permute filter_var_knee filter_var_list feature_associations_data".split(),
    "tl": "MTM VI SVI sMTM export_params zscores umap select_n_topics feature_associations".split(),
    "pl": "topics dominant_topics signatures zscores corr_heatmap filter_topics filter_var_knee feature_activity "
    "scatter_pie select_n_topics".split(),
}


def counts():
    """A tissue of three modalities; the coordinates are where the original has them."""
    mdata = mtopic.datasets.simulate(120, 5, modalities={"rna": 60, "atac": 80, "prot": 30}, depth=200)
    mdata.obsm["coords"] = mdata.obsm.pop("spatial")
    return mdata


@pytest.fixture(scope="module")
def trained():
    """The data after a fit, with what plots read, and the model."""
    mdata = counts()
    model = mtopic.tl.MTM(mdata, n_topics=5, verbose=False)
    model.VI(n_iter=20)
    mtopic.tl.export_params(model, mdata)
    mtopic.tl.zscores(mdata, mod="rna")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mtopic.tl.select_n_topics(mdata, Ks=(3, 5), n_folds=2, n_iter=5, verbose=False)
    return mdata, model


@pytest.mark.parametrize("call", CALLS, ids=NAMES)
def test_call(call, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts().write_h5mu("raw.h5mu")
    name = call.split("(")[0].removeprefix("mtopic.")
    reads_slots = name.startswith("pl.") or name in ("tl.export_params", "tl.zscores", "tl.umap")
    known = trained[0].copy() if reads_slots or name == "pp.feature_associations_data" else counts()
    a, b = (trained[0][mod] for mod in ("rna", "atac"))
    scope = {
        "mtopic": mtopic,
        "mdata": known,
        "model": trained[1],
        "names": [name for adata in trained[0].mod.values() for name in adata.var_names[:9]],
        "genes": list(trained[0]["rna"].var_names[:2]),
        "A": a.varm["signatures"].to_numpy().T,
        "A_var": a.var,
        "B": b.varm["signatures"].to_numpy().T,
        "B_var": b.var,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        eval(call, scope)
    if name.startswith("pl."):
        assert (tmp_path / "topics.png").exists() or plt.get_fignums()


def test_no_function_of_the_original_is_missing():
    listed = {name for call in CALLS for name in re.findall(r"(\w+\.\w+)\(|\.(VI|SVI)\(", call)}
    listed = {dotted or f"tl.{method}" for dotted, method in listed}
    assert {f"{room}.{name}" for room, names in ORIGINAL.items() for name in names} <= listed
