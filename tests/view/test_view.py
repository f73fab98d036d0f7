"""What the viewer's page holds, read without a browser."""

import base64
import gzip
import json
import re

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import mtopic as mt
from mtopic import cli

from .conftest import HOSTILE, planted

DATA = re.compile(r'<script id="data" type="text/plain">(.*?)</script>', re.DOTALL)


def held(page):
    """The header of a page, with arrays in the places where it names them."""
    content = gzip.decompress(base64.b64decode(DATA.search(page)[1]))
    length = int.from_bytes(content[:4], "little")
    begin = 4 + length + -length % 4

    def array(value):
        if "array" not in value:
            return value
        return np.frombuffer(content, value["array"], value["size"], begin + value["at"])

    return json.loads(content[4 : 4 + length], object_hook=array)


def numbers(one):
    values = one["low"] + one["step"] * one["values"].astype(float)
    return np.where(one["values"] == one["missing"], np.nan, values)


def labels(one):
    return [one["labels"][code] if code != one["missing"] else None for code in one["values"]]


def test_the_page_holds_what_the_slots_hold():
    adata = planted()
    found = held(mt.view(adata).page)
    assert found["names"] == adata.obs_names.tolist()
    for one, name in zip(found["topics"], adata.obsm["topics"], strict=True):
        assert one["name"] == name
        np.testing.assert_allclose(numbers(one), adata.obsm["topics"][name], atol=1e-5)
    dominant, half, depth = found["columns"]
    assert dominant["name"] == "dominant topic"
    assert labels(half) == adata.obs["half"].tolist()
    np.testing.assert_allclose(numbers(depth), adata.obs["depth"], rtol=1e-3)
    for one in found["features"]:
        np.testing.assert_array_equal(numbers(one), adata[:, one["name"]].X.toarray().ravel())
    place = found["places"][0]
    section = place["sections"][0]
    xy = np.column_stack([section["x"], section["y"]]) * place["unit"] + [place["left"], place["top"]]
    np.testing.assert_allclose(xy, adata.obsm["spatial"][section["rows"]], atol=0.01)
    assert [one["name"] for one in found["places"]] == ["spatial", "umap"]


def test_signatures_are_kept_closely():
    adata = planted()
    (found,) = held(mt.view(adata).page)["signatures"]
    share = (adata.varm["signatures"] / adata.varm["signatures"].sum()).to_numpy()
    coded = found["shares"].reshape(3, -1).T
    kept = np.where(coded > 0, np.exp(found["low"] + (coded - 1.0) * found["step"]), 0)
    np.testing.assert_allclose(kept, share, rtol=1e-3, atol=1e-9)
    top = mt.get.top_features(adata, n_top=5)
    for topic, first in zip(adata.varm["signatures"], found["first"], strict=True):
        expected = top.loc[top["topic"] == topic, "feature"].tolist()
        assert [found["names"][v] for v in first[:5]] == expected


def test_modalities_with_other_observations_and_missing_values():
    adata = planted()
    part = planted()[:100].copy()
    part.var_names = [f"peak {v}" for v in range(12)]
    mdata = MuData({"rna": adata, "atac": part})
    mdata.obsm["topics"] = adata.obsm["topics"].copy()
    mdata.obsm["topics"].iloc[3] = np.nan
    mdata.obsm["spatial"] = adata.obsm["spatial"]
    found = held(mt.view(mdata, features=["atac:peak 1", "gene 2"], columns=["rna:half"]).page)
    assert np.isnan(numbers(found["topics"][0])).tolist() == [i == 3 for i in range(400)]
    peak, gene = found["features"]
    assert (peak["mod"], peak["name"], gene["mod"]) == ("atac", "peak 1", "rna")
    expected = pd.Series(part.X.toarray()[:, 1], part.obs_names).reindex(mdata.obs_names)
    np.testing.assert_array_equal(numbers(peak), expected)
    assert [one["name"] for one in found["columns"]] == ["dominant topic", "rna:half"]
    assert {one["mod"] for one in found["signatures"]} == {"rna", "atac"}


def test_sections_are_apart():
    adata = planted()
    adata.obs["section"] = pd.Categorical(np.resize(["one", "two"], 400))
    found = held(mt.view(adata, library_key="section").page)["places"][0]
    assert [one["name"] for one in found["sections"]] == ["one", "two"]
    assert found["sections"][1]["rows"].tolist() == list(range(1, 400, 2))


def test_a_tissue_image_lies_where_the_spots_are():
    adata = planted()
    image = np.zeros((100, 50, 3), np.float32)
    factors = {"tissue_hires_scalef": 0.5, "spot_diameter_fullres": 8.0}
    adata.uns["spatial"] = {"slide": {"images": {"hires": image}, "scalefactors": factors}}
    place = held(mt.view(adata, x="spatial").page)["places"][0]
    (section,) = place["sections"]
    edges = np.array([section["image"][side] for side in ("left", "top", "right", "bottom")])
    corner = np.array([place["left"], place["top"]] * 2)
    np.testing.assert_allclose(edges * place["unit"] + corner, [0, 0, 100, 200], atol=1e-6)
    assert place["upper"] and place["micrometres"]
    assert place["length"] == pytest.approx(place["unit"] * 55 / 8)


def test_a_large_page_keeps_what_it_can(monkeypatch):
    monkeypatch.setattr("mtopic._view.content.FINE", 100)
    monkeypatch.setattr("mtopic._view.content.MOST", 800)
    monkeypatch.setattr("mtopic._view.content.MOST_SHARES", 10)
    monkeypatch.setattr("mtopic._view.content.FIRST_OF_MANY", 2)
    monkeypatch.setattr("mtopic._view.content.FIRST", 2)
    adata = planted()
    adata.obsm["topics_sd"] = adata.obsm["topics"] / 10
    found = held(mt.view(adata).page)
    assert found["topics"][0]["values"].dtype == np.uint8
    np.testing.assert_allclose(numbers(found["topics"][0]), adata.obsm["topics"]["topic_1"], atol=1 / 500)
    assert (len(found["features"]), len(found["columns"]), found["sd"]) == (2, 3, [])
    (signatures,) = found["signatures"]
    assert len(signatures["names"]) < 12
    top = mt.get.top_features(adata, n_top=2).groupby("topic", sort=False)["feature"].agg(list)
    assert [[signatures["names"][v] for v in first] for first in signatures["first"]] == top.tolist()
    assert len(found["left_out"]) == 3


def test_nothing_is_fetched_and_names_are_no_markup():
    page = mt.view(planted(hostile=True), title=HOSTILE).page
    markup = DATA.sub("", page)
    assert "http:" not in markup.replace("http://www.w3.org/2000/svg", "") and "https:" not in markup
    assert 'onerror="' not in markup and "@import" not in markup and "url(" not in markup
    shown = mt.view(planted(hostile=True))._repr_html_()
    assert shown.count("<") == 2 and HOSTILE not in shown


def test_nothing_is_changed_and_nothing_half_written(tmp_path):
    adata = planted()
    before = adata.copy()
    view = mt.view(adata)
    assert (before.obs.columns.tolist(), list(before.uns)) == (adata.obs.columns.tolist(), list(adata.uns))
    view.save(tmp_path / "view.html")
    assert (tmp_path / "view.html").read_text(encoding="utf-8") == view.page
    assert mt.view(adata, tmp_path / "other.html") is None
    assert repr(view).startswith("View of 0.")
    with pytest.raises(OSError, match="there is no such folder"):
        view.save(tmp_path / "none" / "view.html")


def test_the_command_writes_the_same(tmp_path, capsys):
    planted().write_h5ad(tmp_path / "planted.h5ad")
    given = ["view", str(tmp_path / "planted.h5ad"), "-o", str(tmp_path / "view.html"), "--x", "spatial"]
    assert cli.main([*given, "--feature", "gene 3", "--column", "half"]) == 0
    found = held((tmp_path / "view.html").read_text(encoding="utf-8"))
    assert found["title"] == "planted"
    assert [one["name"] for one in found["features"]] == ["gene 3"]
    assert [one["name"] for one in found["columns"]] == ["dominant topic", "half"]
    assert "written to" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"x": "spatiel"}, KeyError, "spatial"),
        ({"topics": "topic"}, KeyError, "topics"),
        ({"features": ["gene 99"]}, KeyError, "gene 9"),
        ({"columns": ["halt"]}, KeyError, "half"),
    ],
)
def test_wrong_names_are_said_with_near_ones(options, error, said):
    with pytest.raises(error, match=said):
        mt.view(planted(), **options)


def test_without_coordinates_there_is_no_map():
    adata = planted()
    del adata.obsm["spatial"], adata.obsm["X_umap"]
    with pytest.raises(ValueError, match="mtopic.tl.umap"):
        mt.view(adata)


def test_without_counts_and_signatures_topics_are_shown():
    adata = planted()
    adata.X = None
    found = held(mt.view(adata).page)
    assert found["features"] == [] and found["left_out"] == ["There are no counts."]
    del adata.varm["signatures"]
    found = held(mt.view(adata).page)
    assert found["signatures"] == [] and len(found["topics"]) == 3


def test_a_selection_is_read_back(tmp_path):
    adata = planted(hostile=True)
    chosen = adata.obs_names[[2, 5]]
    pd.DataFrame({"name": chosen, "selection": ["B", "A"]}).to_csv(tmp_path / "selection.csv", index=False)
    adata.obs["region"] = mt.read.selection(tmp_path / "selection.csv")
    assert adata.obs["region"].iloc[[2, 5]].tolist() == ["B", "A"]
    assert adata.obs["region"].notna().sum() == 2
    assert adata.obs["region"].cat.categories.tolist() == ["A", "B"]


@pytest.mark.parametrize("text", ["", "name,other\nx,A\n", "name,selection\nx,C\n"])
def test_another_file_is_no_selection(tmp_path, text):
    (tmp_path / "selection.csv").write_text(text)
    with pytest.raises(ValueError, match="is no selection"):
        mt.read.selection(tmp_path / "selection.csv")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scales", [None, [2, 2]])
def test_images_of_a_spatialdata_lie_where_the_spots_are(scales, monkeypatch):
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Scale, Sequence, Translation

    monkeypatch.setattr("mtopic._data.spatialdata_images.WIDEST", 50)
    adata = planted()
    adata.obs["element"], adata.obs["spot"] = pd.Categorical(["spots"] * 400), np.arange(400)
    of_spots = {"global": Scale([4, 4], ("x", "y"))}
    of_image = {"global": Sequence([Scale([8, 8], ("x", "y")), Translation([-40, 80], ("x", "y"))])}
    spots = ShapesModel.parse(adata.obsm["spatial"], geometry=0, radius=3, transformations=of_spots)
    pixels = np.zeros((3, 100, 80), np.uint8)
    image = Image2DModel.parse(pixels, dims=("c", "y", "x"), transformations=of_image, scale_factors=scales)
    table = TableModel.parse(adata, region="spots", region_key="element", instance_key="spot")
    sdata = SpatialData(images={"slide": image}, shapes={"spots": spots}, tables={"table": table})
    place = held(mt.view(sdata, x="spatial").page)["places"][0]
    (section,) = place["sections"]
    edges = np.array([section["image"][side] for side in ("left", "top", "right", "bottom")])
    corner = np.array([place["left"], place["top"]] * 2)
    np.testing.assert_allclose(edges * place["unit"] + corner, [-10, 20, 150, 220], atol=1e-6)
    assert place["upper"]


def test_what_cannot_be_shown_is_left_out_and_said():
    adata = planted()
    adata.obs["odd"] = pd.Series([1, "1"] * 200, adata.obs_names, dtype=object)
    adata.obs["donor"] = [f"d{i % 4}" for i in range(400)]
    adata.obs["flag"] = np.arange(400) % 2 == 0
    adata.obs["one"] = "the same"
    adata.X = -adata.X
    found = held(mt.view(adata).page)
    assert [one["name"] for one in found["columns"]] == ["dominant topic", "half", "donor", "flag", "depth"]
    assert found["features"] == []
    assert found["left_out"] == [
        "The column odd is left out: it holds neither groups nor numbers.",
        "Values are no counts and left out.",
    ]
    with pytest.raises(ValueError, match="odd"):
        mt.view(adata, columns="odd")


def test_columns_of_modalities_have_their_full_names():
    mdata = MuData({"rna": planted(), "atac": planted()})
    mdata.obsm["topics"], mdata.obsm["spatial"] = mdata["rna"].obsm["topics"], mdata["rna"].obsm["spatial"]
    names = [one["name"] for one in held(mt.view(mdata).page)["columns"]]
    assert sorted(names[1:]) == ["atac:depth", "atac:half", "rna:depth", "rna:half"]


def test_whole_numbers_are_exact_and_others_close():
    adata = planted()
    adata.obs["count"] = np.r_[60_000, np.arange(399)]
    adata.obs["score"] = np.linspace(-3, 5, 400)
    found = {one["name"]: one for one in held(mt.view(adata).page)["columns"]}
    np.testing.assert_array_equal(numbers(found["count"]), adata.obs["count"])
    np.testing.assert_allclose(numbers(found["score"]), adata.obs["score"], atol=1e-4)


def test_rare_topics_are_kept_in_bytes_too(monkeypatch):
    monkeypatch.setattr("mtopic._view.content.FINE", 10)
    adata = planted()
    theta = adata.obsm["topics"].to_numpy() * [1e-3, 1, 1]
    adata.obsm["topics"].iloc[:] = theta / theta.sum(axis=1, keepdims=True)
    rare = held(mt.view(adata).page)["topics"][0]
    expected = adata.obsm["topics"]["topic_1"]
    np.testing.assert_allclose(numbers(rare), expected, atol=expected.max() / 400)


def test_enrichment_of_this_fit_above_chance():
    adata = planted()
    adata.uns["mtopic"] = {"topic_shares": pd.DataFrame({"X": [1, np.nan, 1]}, index=adata.obsm["topics"].columns)}
    rows = [("topic_1", "up", 3.0, 0.01), ("topic_1", "down", -9.0, 0.0), ("topic_2", "none", np.inf, 0.0)]
    adata.uns["enrichment"] = pd.DataFrame(rows, columns=["topic", "source", "score", "q"])
    found = held(mt.view(adata).page)
    assert [row["source"] for row in found["enrichment"][0]["rows"]] == ["up"]
    assert list(found["topic_shares"]) == ["topic_1", "topic_3"]


def test_signatures_of_other_topics_are_left_out():
    adata = planted()
    adata.varm["signatures"].columns = ["a", "b", "c"]
    found = held(mt.view(adata).page)
    assert found["signatures"] == [] and found["left_out"] == ["Signatures are of other topics and left out."]
    adata.varm["signatures"] = adata.varm["signatures"].to_numpy()
    assert [one["names"] for one in held(mt.view(adata).page)["signatures"]] == [adata.var_names.tolist()]


def test_coordinates_that_modalities_do_not_share_are_passed_over():
    first, second = planted(), planted()
    second.obsm["X_umap"] = -second.obsm["X_umap"]
    mdata = MuData({"rna": first, "atac": second})
    mdata.obsm["topics"] = first.obsm["topics"]
    assert [one["name"] for one in held(mt.view(mdata).page)["places"]] == ["spatial"]
    assert [one["name"] for one in held(mt.view(mdata, x="atac:X_umap").page)["places"]] == ["atac:X_umap"]
