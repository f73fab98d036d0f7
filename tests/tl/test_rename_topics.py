"""Names of topics: they change everywhere at once, and nothing else does."""

import re
import warnings
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from matplotlib.colors import to_hex
from matplotlib.text import Text
from mudata import MuData, read_h5mu
from tests.fuzz.generated import content
from tests.test_written_and_read import FORMATS, PLOTS, TOOLS, impossible

import mtopic as mt
from mtopic._data import record

NAMES = {"topic_1": "T cells", "topic_2": "adipose", "topic_3": "Käse < 3", "topic_4": "x.y:z"}
BACK = {new: old for old, new in NAMES.items()}
NUMBERED = re.compile(r"topic_\d")
OF_MODELS = {"MTM", "sMTM", "topic_model", "export_params", "rename_topics"}
IN_MUDATA = {
    "obs/topic",
    "obsm/topics/columns",
    "obsm/topics_sd/columns",
    "obsm/topics_low/columns",
    "obsm/topics_high/columns",
    *(f"mod/{mod}/varm/signatures{part}/columns" for mod in ("rna", "atac") for part in ("", "_sd", "_low", "_high")),
    "mod/rna/obsm/zscores/columns",
    "mod/rna/uns/enrichment/topic",
    "mod/atac/uns/motifs/topic",
    "uns/mtopic/stability/index",
    "uns/mtopic/mean_roots/index",
    "uns/mtopic/topic_shares/index",
    "uns/mtopic/params/alpha/keys",
    "uns/mtopic/comparison/topics/index",
    *(f"uns/mtopic/comparison/signatures/{mod}/topic" for mod in ("rna", "atac")),
    "uns/topic_quality/topics/index",
    "uns/topic_autocorr/index",
    *(f"uns/topic_neighborhoods/{name}/{axis}" for name in ("zscore", "count") for axis in ("index", "columns")),
}


def places(value, name, path=""):
    """Where a name occurs in an object: in rows, columns, values, categories and keys."""
    if isinstance(value, AnnData | MuData):
        inner = {"layers": value.layers} if isinstance(value, AnnData) else {"mod": dict(value.mod)}
        slots = {slot: getattr(value, slot) for slot in ("obs", "var", "obsm", "varm", "obsp", "varp", "uns")}
        value = {**slots, **inner}
    parts = {}
    if isinstance(value, pd.DataFrame):
        parts = {"index": value.index, "columns": value.columns, **{str(key): value[key] for key in value}}
    elif isinstance(value, pd.Series | pd.Index | np.ndarray | list | str):
        categories = getattr(getattr(value, "dtype", None), "categories", ())
        return {path.lstrip("/")} if name in {*map(str, np.ravel(value)), *map(str, categories)} else set()
    elif hasattr(value, "keys"):
        parts = {"keys": list(value.keys()), **{str(key): value[key] for key in value.keys()}}
    return {place for key, part in parts.items() for place in places(part, name, f"{path}/{key}")}


@cache
def fitted(joint=True):
    """A fit whose record holds all that it can, never to be changed."""
    data = mt.datasets.simulate(150, 4, modalities={"rna": 60, "atac": 90}, depth=300, tissue="sharp")
    for holder, key in ((data.obsm, "true_topics"), *((adata.varm, "true_signatures") for adata in data.mod.values())):
        del holder[key]
    donors = np.arange(data.n_obs) % 8
    data.obs["donor"], data.obs["state"] = [f"donor_{d}" for d in donors], np.where(donors < 4, "ill", "well")
    data.obs["batch"] = [f"batch_{d}" for d in donors % 2]
    if not joint:
        adata = data["rna"].copy()
        adata.obs, adata.obsm["spatial"] = data.obs[["donor", "state", "batch", "region"]].copy(), data.obsm["spatial"]
        data = adata
    options = {"alpha": [0.1, 0.2, 0.3, 0.4], "n_init": 2, "strength": 1, "n_iter": 15, "batch_key": "batch"}
    mt.tl.topic_model(data, 4, spatial_key="spatial", n_jobs=1, verbose=False, **options)
    return data


@cache
def with_results(joint=True):
    """The same with what all tools write, never to be changed."""
    data = fitted(joint).copy()
    for name in TOOLS.keys() - OF_MODELS - impossible(data):
        TOOLS[name](data)
    return data


def called(function, data, *args, **options):
    """The data after a call, which changes a copy."""
    data = data.copy()
    function(data, *args, **options)
    return data


def renamed(data, names=NAMES, **options):
    return mt.tl.rename_topics(data, names, copy=True, **options)


def test_a_name_changes_everywhere_and_nothing_else_does():
    data = with_results()
    assert places(data, "topic_2") == IN_MUDATA
    found = renamed(data)
    for old, new in NAMES.items():
        assert places(found, old) == set()
        assert places(found, new) == places(data, old)
    assert content(renamed(found, BACK)) == content(data)


def test_an_anndata():
    data = with_results(joint=False)
    assert "varm/signatures_sd/columns" in places(data, "topic_2")
    found = renamed(data)
    assert places(found, "topic_2") == set()
    assert places(found, "adipose") == places(data, "topic_2")


@pytest.mark.parametrize("tool", sorted(TOOLS.keys() - OF_MODELS - {"select_n_topics"}))
def test_tools_write_the_same_before_and_after(tool):
    data = fitted()
    before = called(TOOLS[tool], data)
    assert content(called(TOOLS[tool], renamed(data))) == content(renamed(before))


def test_colours_and_order_stay_with_the_topics():
    data = called(mt.tl.dominant_topics, fitted())
    data.uns["topic_colors"] = ["red", "green", "blue", "black"]
    swap = {"topic_1": "topic_3", "topic_3": "topic_1"}
    found = renamed(data, swap)
    assert list(found.obs["topic"].cat.categories) == ["topic_3", "topic_2", "topic_1", "topic_4"]
    assert found.uns["topic_colors"] == data.uns["topic_colors"]
    assert list(found.obs["topic"]) == [swap.get(name, name) for name in data.obs["topic"]]
    pd.testing.assert_series_equal(found.obsm["topics"]["topic_3"], data.obsm["topics"]["topic_1"], check_names=False)
    legends = [mt.pl.dominant_topics(each, "spatial", show=False).get_legend() for each in (data, found)]
    colours = [{text.get_text(): to_hex(line.get_color()) for text, line in labelled(one)} for one in legends]
    assert colours[1] == {swap.get(name, name): colour for name, colour in colours[0].items()}


def labelled(legend):
    return zip(legend.get_texts(), legend.legend_handles, strict=True)


def test_nothing_is_outdated():
    data = with_results()
    found = renamed(data)
    assert found.uns["mtopic"]["id"] == data.uns["mtopic"]["id"]
    assert not any(record.is_outdated(found, slot) for slot in found.uns["mtopic"]["results"].index)


def test_other_keys_and_a_prefix():
    data = fitted().copy()
    mt.tl.export_params(model_of(data), data, "P")
    mt.tl.dominant_topics(data, "P_topics", key_added="kind")
    mt.tl.topic_quality(data, "P_topics", "P_signatures", key_added="good")
    mt.tl.zscores(data, signatures="P_signatures", out_key="P_scores")
    mt.tl.uncertainty(data, prefix="P", n_jobs=1)
    mt.tl.dominant_topics(data)
    of_both = places(data, "topic_2")
    mt.tl.rename_topics(data, {"topic_2": "adipose"}, prefix="P")
    assert places(data, "topic_2") == places(called(mt.tl.dominant_topics, fitted()), "topic_2")
    assert places(data, "adipose") == of_both - places(data, "topic_2")
    assert {"obs/kind", "uns/good/topics/index", "mod/atac/obsm/P_scores/columns"} < places(data, "adipose")


def model_of(data, **options):
    model = mt.tl.MTM(data, 4, n_jobs=1, verbose=False, **options)
    model.VI(3)
    return model


def test_a_slot_is_that_of_the_fit_that_wrote_it_last():
    data = called(mt.tl.dominant_topics, fitted())
    mt.tl.export_params(model_of(data), data, "P")
    mt.tl.dominant_topics(data, "P_topics")
    mt.tl.rename_topics(data, {"topic_2": "adipose"})
    assert "adipose" not in data.obs["topic"].cat.categories
    mt.tl.rename_topics(data, {"topic_2": "muscle"}, prefix="P")
    assert "muscle" in data.obs["topic"].cat.categories


def test_domains_that_are_called_like_topics_stay():
    data = renamed(fitted(), {f"topic_{k}": str(k) for k in (1, 2, 3, 4)})
    mt.tl.spatial_domains(data, 2, n_init=1)
    before = data.obs["domain"].copy()
    mt.tl.rename_topics(data, {"1": "T cells", "2": "1"})
    pd.testing.assert_series_equal(data.obs["domain"], before)
    assert list(data.obsm["topics"].columns) == ["T cells", "1", "3", "4"]


def test_what_follows_from_an_earlier_fit_stays():
    data = called(mt.tl.dominant_topics, fitted())
    with pytest.warns(UserWarning, match="obs:topic follow from an earlier fit"):
        mt.tl.export_params(model_of(data), data)
    before = data.obs["topic"].copy()
    mt.tl.rename_topics(data, NAMES)
    pd.testing.assert_series_equal(data.obs["topic"], before)
    assert record.is_outdated(data, "obs:topic")


def test_categories_that_became_text_are_renamed():
    data = called(mt.tl.dominant_topics, fitted())
    data.obs["topic"] = data.obs["topic"].astype(str)
    data.obs.loc[data.obs_names[0], "topic"] = np.nan
    found = renamed(data).obs["topic"]
    assert list(found.dropna()) == [NAMES[name] for name in data.obs["topic"].dropna()]
    assert found.isna().sum() == 1


@pytest.mark.parametrize("form", ["h5mu", "h5ad", pytest.param("mudata zarr", marks=pytest.mark.slow)])
def test_names_are_kept_in_files(form, tmp_path):
    found = renamed(with_results(joint=form != "h5ad"))
    write, read = FORMATS[form]
    write(found, tmp_path / "data")
    again = read(tmp_path / "data")
    for name in NAMES.values():
        assert places(again, name) == places(found, name)
    assert list(again.obsm["topics"].columns) == list(NAMES.values())
    mt.tl.rename_topics(again, BACK)
    assert not any(places(again, name) for name in BACK)


def test_new_data_take_the_names():
    data, new = fitted(), mt.datasets.simulate(50, 4, modalities={"rna": 60, "atac": 90}, depth=300, rng=7)
    plain, named = new.copy(), new.copy()
    mt.tl.transform(data, plain, n_jobs=1, verbose=False)
    mt.tl.transform(renamed(data), named, key_added="new", n_jobs=1, verbose=False)
    pd.testing.assert_frame_equal(named.obsm["new"], plain.obsm["topics"].rename(columns=NAMES))
    assert list(named.uns["new_mtopic"]["params"]["alpha"]) == list(NAMES.values())
    scores = [mt.tl.perplexity(each, new, n_jobs=1) for each in (data, renamed(data))]
    pd.testing.assert_frame_equal(*scores)
    mt.tl.dominant_topics(named, "new")
    mt.tl.rename_topics(named, BACK, prefix="new")
    assert list(named.obsm["new"].columns) == list(named.uns["new_mtopic"]["params"]["alpha"]) == list(NAMES)
    assert set(named.obs["topic"].cat.categories) <= set(NAMES)


def test_the_same_topics_of_new_data_once_more():
    data, new = fitted(), mt.datasets.simulate(50, 4, modalities={"rna": 60, "atac": 90}, depth=300, rng=7)
    mt.tl.transform(data, new, n_jobs=1, verbose=False)
    mt.tl.dominant_topics(new)
    mt.tl.transform(renamed(data), new, n_jobs=1, verbose=False)
    assert set(new.obs["topic"].cat.categories) <= set(NAMES.values())
    assert not record.is_outdated(new, "obs:topic")


def test_a_model_exports_numbers_and_results_get_them_back():
    data = fitted().copy()
    model = model_of(data)
    mt.tl.export_params(model, data, "P")
    mt.tl.dominant_topics(data, "P_topics")
    mt.tl.uncertainty(data, prefix="P", n_jobs=1)
    before, quality = content(data.obs), called(mt.tl.topic_quality, data, "P_topics", "P_signatures").uns
    mt.tl.topic_quality(data, "P_topics", "P_signatures")
    mt.tl.rename_topics(data, NAMES, prefix="P")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        mt.tl.export_params(model, data, "P")
    assert list(data.obsm["P_topics"].columns) == list(NAMES)
    assert content(data.obs) == before
    assert content(data.uns["topic_quality"]) == content(quality["topic_quality"])


def test_columns_in_another_order_mislead_no_export():
    data = fitted().copy()
    model = model_of(data)
    mt.tl.export_params(model, data)
    mt.tl.dominant_topics(data)
    before = content(data.obs["topic"])
    data.obsm["topics"] = data.obsm["topics"].iloc[:, ::-1]
    mt.tl.export_params(model, data)
    assert content(data.obs["topic"]) == before


def test_a_topic_that_was_left_out_has_its_name():
    data = fitted().copy()
    model = model_of(data, alpha=[0.1, 0.2, 0.3, 0.4])
    shares = model.gamma / model.gamma.sum(axis=1, keepdims=True)
    threshold = np.sort(shares.max(axis=0))[:2].mean()
    mt.tl.export_params(model, data, "P", filter_threshold=float(threshold))
    (left_out,) = set(NAMES) - set(data.obsm["P_topics"].columns)
    one = data.obsm["P_topics"].columns[0]
    with pytest.raises(
        ValueError, match=rf"names\['{one}'\]='{left_out}': another topic has that name in uns:P_mtopic"
    ):
        mt.tl.rename_topics(data, {one: left_out}, prefix="P")
    with pytest.raises(KeyError, match=f"no topic '{left_out}' in obsm"):
        mt.tl.rename_topics(data, {left_out: "none"}, prefix="P")


REFUSED = {
    "two of one name": ({"topic_1": "fat", "topic_2": "fat"}, ValueError, "calls both 'topic_1' and 'topic_2' 'fat'"),
    "taken": ({"topic_1": "topic_2"}, ValueError, r"names\['topic_1'\]='topic_2': another topic has that name"),
    "taken, of three": ({"topic_1": "topic_2", "topic_2": "topic_3"}, ValueError, r"\['topic_2'\]='topic_3'"),
    "unknown": ({"topic_11": "fat"}, KeyError, r"no topic 'topic_11' in obsm\['topics'\]; did you mean 'topic_1'"),
    "a number": ({"topic_1": 3}, TypeError, "give a name as text"),
    "of a number": ({3: "fat"}, KeyError, "no topic 3 in"),
    "empty": ({"topic_1": " "}, ValueError, r"names\['topic_1'\]=' ': a name is a key in files"),
    "slash": ({"topic_1": "T/NK"}, ValueError, "a name is a key in files"),
    "backslash": ({"topic_1": "T\\NK"}, ValueError, "a name is a key in files"),
    "null": ({"topic_1": "T\0"}, ValueError, "a name is a key in files"),
    "dot": ({"topic_1": "."}, ValueError, "a name is a key in files"),
    "dots": ({"topic_1": ".."}, ValueError, "a name is a key in files"),
    "_index": ({"topic_1": "_index"}, ValueError, "a name is a key in files"),
    "a list": (["fat"], TypeError, "give a mapping of topics to names"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_and_nothing_changed(case):
    names, error, said = REFUSED[case]
    data = with_results().copy()
    before = content(data)
    with pytest.raises(error, match=said):
        mt.tl.rename_topics(data, names)
    assert content(data) == before


def test_an_array_has_no_names():
    data = fitted().copy()
    data["atac"].varm["signatures"] = data["atac"].varm["signatures"].to_numpy()
    before = content(data)
    with pytest.raises(TypeError, match="atac:varm:signatures has no names of topics"):
        mt.tl.rename_topics(data, NAMES)
    assert content(data) == before


def test_without_a_record_what_follows_is_not_known():
    data = mt.datasets.simulate(40, 4, modalities={"rna": 20, "atac": 20})
    mt.tl.dominant_topics(data, "true_topics")
    with pytest.warns(UserWarning, match=r"uns\['true_mtopic'\] does not say what follows"):
        mt.tl.rename_topics(data, NAMES, prefix="true")
    assert list(data.obsm["true_topics"].columns) == list(NAMES.values())
    assert list(data["rna"].varm["true_signatures"].columns) == list(NAMES.values())
    assert set(data.obs["topic"].cat.categories) <= set(NAMES)
    assert "true_mtopic" not in data.uns


def test_records_of_earlier_versions():
    data = with_results().copy()
    data.uns["mtopic"]["results"] = data.uns["mtopic"]["results"][["fit"]]
    found = renamed(data)
    assert places(found, "topic_2") == set()
    assert places(found, "adipose") == IN_MUDATA
    assert content(found.obsm["X_umap"]) == content(data.obsm["X_umap"])


def test_no_names_and_the_same_names():
    data = with_results().copy()
    before = content(data)
    assert mt.tl.rename_topics(data, {}) is None
    mt.tl.rename_topics(data, {"topic_1": "topic_1"})
    mt.tl.rename_topics(data, pd.Series({"topic_1": "topic_1"}))
    assert content(data) == before


def test_a_copy_is_another_object():
    data = with_results()
    before = content(data)
    found = renamed(data)
    assert isinstance(found, MuData) and found is not data
    assert content(data) == before
    found.obsm["topics"].iloc[0, 0] = 2
    found.uns["mtopic"]["elbo"][0] = 2
    found.uns["topic_quality"]["modalities"].iloc[0, 0] = 2
    assert content(data) == before


def texts():
    return [text.get_text() for number in plt.get_fignums() for text in plt.figure(number).findobj(Text)]


@pytest.mark.parametrize("plot", sorted(PLOTS.keys() - {"filter_topics"}))
def test_plots_show_the_names(plot):
    of_features = {"batch_effects", "borders", "convergence", "feature_activity", "filter_var_knee", "select_n_topics"}
    data = renamed(with_results())
    PLOTS[plot](data)
    shown = texts()
    assert not any(NUMBERED.search(text) for text in shown)
    assert ("adipose" in shown) == (plot not in of_features)


@pytest.mark.parametrize("name", NAMES.values())
def test_any_name_is_in_a_legend_and_chosen_by_it(name):
    data = renamed(with_results())
    mt.pl.scatter_pie(data, x="spatial", radius=None, show=False)
    assert name in texts()
    plt.close("all")
    mt.pl.topics(data, "spatial", chosen=name, show=False)
    assert [text for text in texts() if text in NAMES.values()] == [name]
    ax = mt.pl.dominant_topics(data, "spatial", palette=dict.fromkeys(NAMES.values(), "red"), show=False)
    assert ax.get_legend() is not None


def test_get_gives_the_names():
    data = renamed(with_results())
    assert list(mt.get.topics(data).var_names) == list(NAMES.values())
    assert list(mt.get.profiles(data, "rna").obs_names) == list(NAMES.values())
    assert list(pd.unique(mt.get.signatures(data, "rna")["topic"])) == list(NAMES.values())
    assert set(mt.get.top_features(data, "rna", topics="adipose")["topic"]) == {"adipose"}
    assert list(mt.get.signatures(data, "rna", as_net=True, topics=["Käse < 3"])["source"].unique()) == ["Käse < 3"]


@pytest.mark.parametrize("measured", [True, False])
def test_the_report_shows_the_names(measured):
    data = renamed(with_results() if measured else fitted())
    page = mt.report(data, groupby=["region"])
    assert not NUMBERED.search(re.sub(r'"data:image[^"]*"', "", page))
    assert page.count('<th scope="row">Käse &lt; 3</th>') == 3  # features of two modalities, and quality


def test_reports_of_files_show_the_names(tmp_path):
    from mtopic import cli

    renamed(fitted()).write_h5mu(tmp_path / "trained.h5mu")
    assert cli.main(["report", str(tmp_path / "trained.h5mu"), "-o", str(tmp_path / "page.html")]) == 0
    assert '<th scope="row">adipose</th>' in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_models_have_numbers(tmp_path):
    data = fitted().copy()
    model = model_of(data)
    mt.tl.export_params(model, data)
    mt.tl.rename_topics(data, NAMES)
    model.save(tmp_path / "model.h5")
    new = data.copy()
    for adata in new.mod.values():
        del adata.varm["signatures"]
    mt.tl.transform(mt.tl.load_model(tmp_path / "model.h5", data), new, n_jobs=1, verbose=False)
    assert list(new.obsm["topics"].columns) == list(NAMES)


def test_of_views_and_of_files_on_disk(tmp_path):
    data = with_results()
    before = content(data)
    part = data[:100]
    mt.tl.rename_topics(part, NAMES)
    assert places(part, "topic_2") == set()
    assert content(data) == before
    with_results(joint=False).write_h5ad(tmp_path / "cells.h5ad")
    cells = read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(ValueError, match="copy"):
        mt.tl.rename_topics(cells, NAMES, copy=True)
    assert list(cells.obsm["topics"].columns) == list(NAMES)
    mt.tl.rename_topics(cells, NAMES)
    assert places(cells, "topic_2") == set()


def test_files_of_the_first_version(tmp_path):
    import shutil
    from pathlib import Path

    shutil.copy(Path(__file__).parents[1] / "files" / "smtm.h5mu", tmp_path)
    data = read_h5mu(tmp_path / "smtm.h5mu")
    plain = data.copy()
    with pytest.warns(UserWarning, match="does not say what follows from these topics"):
        mt.tl.rename_topics(data, {"topic_1": "adipose"})
    assert list(data.uns["mtopic"]["params"]["alpha"])[0] == "adipose"
    for each in (data, plain):
        mt.tl.uncertainty(each, n_jobs=1)
    pd.testing.assert_frame_equal(
        data.obsm["topics_sd"], plain.obsm["topics_sd"].rename(columns={"topic_1": "adipose"})
    )
