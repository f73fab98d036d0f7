"""The viewer's page in a browser without a network: what it draws, says, selects and saves."""

import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import mtopic as mt

from .conftest import HOSTILE, SIDE, planted

PIXELS = """({x, y}) => {
  const {canvas, ratio} = mtopic.panels[0];
  return [...canvas.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data];
}"""
PLACE = """(i) => {
  const {section, projection, ratio} = mtopic.panels[0];
  const [x, y] = projection.pixel(section.x[section.at(i)], section.y[section.at(i)]);
  return {x: x / ratio, y: y / ratio};
}"""


def place_of(page, i):
    return page.evaluate(PLACE, i)


def settled(page):
    page.wait_for_function("!mtopic.frame")


def show(page, **state):
    page.evaluate("(state) => mtopic.set(state)", state)
    settled(page)


def point_at(page, i, click=False):
    box, place = page.locator("canvas").first.bounding_box(), place_of(page, i)
    act = page.mouse.click if click else page.mouse.move
    act(box["x"] + place["x"], box["y"] + place["y"])


def lasso(page, corners):
    """Draw round places in units of the coordinates, which begin at the spot in the corner."""
    box = page.locator("canvas").first.bounding_box()
    for step, (x, y) in enumerate(corners):
        there = page.evaluate(
            """([x, y]) => {
              const {section, projection, ratio} = mtopic.panels[0];
              const {left, top, unit} = section.place;
              return projection.pixel((x - left) / unit, (y - top) / unit).map((at) => at / ratio);
            }""",
            [x, y],
        )
        page.mouse.move(box["x"] + there[0], box["y"] + there[1])
        if step == 0:
            page.mouse.down()
    page.mouse.up()


def rows_of(page, heading):
    """Cells of the table that follows a heading."""
    table = page.locator(f"#side h2:text-is('{heading}') ~ .wide").first
    lines = table.locator("tbody tr")
    return [lines.nth(r).locator("td").all_inner_texts() for r in range(lines.count())]


def saved(page, act):
    with page.expect_download() as download:
        act()
    return download.value.path()


def test_planted_topics_are_drawn_where_they_are(opened):
    page = opened(planted())
    show(page, what="topic:topic_2", map="Greys")
    for column in range(0, SIDE, 3):
        dark = 255 - np.mean(page.evaluate(PIXELS, place_of(page, column))[:3])
        assert (dark > 150) == (column * 3 // SIDE == 1)
    show(page, what="obs:dominant topic")
    drawn = {tuple(page.evaluate(PIXELS, place_of(page, column))[:3]) for column in (1, 10, 18)}
    assert len(drawn) == 3
    assert page.locator(".key li").all_inner_texts() == ["topic_1", "topic_2", "topic_3"]


def test_pointing_tells_the_table(opened):
    adata = planted()
    page = opened(adata)
    for i in (0, 157, 399):
        point_at(page, i)
        said = page.locator("#tip").inner_text()
        first = adata.obsm["topics"].iloc[i].sort_values(ascending=False)
        assert said.splitlines()[0] == f"spot {i}"
        for topic, share in first.items():
            assert f"{topic} {100 * share:.1f}%" in said
    point_at(page, 157, click=True)
    assert page.locator("#side h2").first.inner_text() == "spot 157"
    assert ["half", "upper"] in rows_of(page, "Observed")


def test_lassos_have_the_means_of_numpy(opened, tmp_path):
    adata = planted()
    page = opened(adata)
    show(page, what="topic:topic_1", tool="A", tab="selection")
    lasso(page, [(0, 0), (62, 0), (62, 102), (0, 102)])
    show(page, tool="B")
    lasso(page, [(141, 0), (199, 0), (199, 199), (141, 199)])
    x, y = adata.obsm["spatial"].T
    a, b = (x < 62) & (y < 102), x > 141
    assert page.locator("#side .note").first.inner_text() == f"A: {a.sum()}, B: {b.sum()}"
    theta = adata.obsm["topics"].to_numpy()
    means = theta[a].mean(axis=0), theta[b].mean(axis=0)
    for topic, *said in rows_of(page, "Mean topics"):
        k = list(adata.obsm["topics"]).index(topic)
        assert said == [f"{100 * value:.1f}%" for value in (means[0][k], means[1][k], means[0][k] - means[1][k])]
    beta = (adata.varm["signatures"] / adata.varm["signatures"].sum()).to_numpy()
    expected = [beta @ mean for mean in means]
    floor = 0.1 / len(beta)
    gain = expected[0] * np.log2((expected[0] + floor) / (expected[1] + floor))
    order = [adata.var_names[v] for v in np.argsort(-gain)[:3]]
    assert [name for name, *_ in rows_of(page, "More in A")][:3] == order
    assert rows_of(page, "half") == [
        ["lower", "0", str((b & (y > 100)).sum())],
        ["upper", str(a.sum()), str((b & (y < 100)).sum())],
    ]

    file = saved(page, lambda: page.get_by_role("button", name="Save selection").click())
    adata.obs["region"] = mt.read.selection(file)
    assert (adata.obs["region"] == "A").to_numpy().tolist() == a.tolist()
    assert (adata.obs["region"] == "B").to_numpy().tolist() == b.tolist()
    page.get_by_role("button", name="Clear").click()
    assert page.evaluate("mtopic.selection.any") is False


def test_what_is_shown_is_saved(opened):
    adata = planted()
    page = opened(adata)
    show(page, what="topics")
    table = pd.read_csv(saved(page, lambda: page.get_by_role("button", name="CSV").click()), index_col="name")
    np.testing.assert_allclose(table[list(adata.obsm["topics"])], adata.obsm["topics"], atol=1e-4)
    np.testing.assert_allclose(table[["x", "y"]], adata.obsm["spatial"], atol=0.01)
    show(page, what="feature:X:gene 4")
    table = pd.read_csv(saved(page, lambda: page.get_by_role("button", name="CSV").click()), index_col="name")
    np.testing.assert_array_equal(table["gene 4"], adata[:, "gene 4"].X.toarray().ravel())
    drawing = saved(page, lambda: page.get_by_role("button", name="SVG").click()).read_text()
    assert drawing.count("<circle") == adata.n_obs
    assert ElementTree.fromstring(drawing).tag.endswith("svg")
    page.evaluate("mtopic.set({what: 'obs:half'})")
    drawing = saved(page, lambda: page.get_by_role("button", name="SVG").click()).read_text()
    said = {one.text for one in ElementTree.fromstring(drawing).iter() if one.tag.endswith("text")}
    assert {"half", "upper", "lower"} <= said
    picture = saved(page, lambda: page.get_by_role("button", name="PNG").click()).read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_hostile_names_are_text_everywhere(opened, tmp_path):
    adata = planted(hostile=True)
    page = opened(adata, title=HOSTILE)
    assert page.locator("h1").inner_text() == " ".join(HOSTILE.split())
    names = [f"topic:{HOSTILE}", "topics", "obs:half", f"feature:X:{HOSTILE}3", "obs:dominant topic"]
    for what in names:
        show(page, what=what)
    for tab in ("topic", "observation", "selection"):
        show(page, tab=tab)
    point_at(page, 3, click=True)
    page.locator("#search").fill("img")
    page.locator("#found button").first.click()
    page.evaluate("mtopic.find(mtopic.signatures[0], mtopic.signatures[0].names[2])")
    show(page, tool="A", tab="selection")
    lasso(page, [(0, 0), (62, 0), (62, 102), (0, 102)])
    file = saved(page, lambda: page.get_by_role("button", name="Save selection").click())
    assert set(mt.read.selection(file).index) <= set(adata.obs_names)
    drawing = saved(page, lambda: page.get_by_role("button", name="SVG").click()).read_text()
    assert "<img" not in drawing
    assert page.evaluate("[window.hostile, document.images.length]") == [None, 0]


def test_a_narrow_page_has_all(opened):
    page = opened(planted(), width=420)
    for state in (
        {"what": "topics"},
        {"what": "obs:dominant topic", "place": "all"},
        {"tab": "selection"},
        {"tab": "topic"},
    ):
        show(page, **state)
        assert page.evaluate("document.documentElement.scrollWidth") == 420
        assert page.locator("canvas").first.bounding_box()["width"] > 150


def test_the_address_keeps_what_is_shown(opened):
    page = opened(planted())
    show(page, what="topic:topic_3", map="magma", tab="selection", theme="dark")
    page.mouse.move(300, 400)
    page.mouse.wheel(0, -400)
    page.wait_for_function("location.hash.includes('view=')")
    address, views = page.evaluate("[location.hash, [...mtopic.views.values()]]")
    again = opened(planted(), address=address)
    assert again.evaluate("[mtopic.state.what, mtopic.state.map, mtopic.state.tab, mtopic.theme()]") == [
        "topic:topic_3", "magma", "selection", "dark",
    ]  # fmt: skip
    for one, other in zip(again.evaluate("[...mtopic.views.values()]"), views, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert views[0]["zoom"] > 1.5


def test_sections_and_embedding_are_beside_each_other(opened):
    adata = planted()
    adata.obs["section"] = pd.Categorical(np.resize(["one", "two"], 400))
    page = opened(adata, library_key="section")
    show(page, what="topic:topic_1", place="all")
    assert page.locator("figcaption").all_inner_texts() == ["topic_1 · one", "topic_1 · two", "topic_1 · umap"]
    before = page.evaluate("mtopic.panels.map((panel) => panel.projection.scale)")
    page.locator("canvas").first.hover()
    page.mouse.wheel(0, -300)
    settled(page)
    after = page.evaluate("mtopic.panels.map((panel) => panel.projection.scale)")
    assert np.divide(after, before) == pytest.approx([after[0] / before[0], after[0] / before[0], 1])
    show(page, section="two")
    assert page.locator("figcaption").all_inner_texts()[0] == "topic_1 · two"


def test_topics_are_renamed_in_place(opened):
    adata = planted()
    page = opened(adata)
    page.get_by_label("Name").fill("left")
    page.get_by_label("Name").press("Enter")
    show(page, what="topics")
    assert page.locator("figcaption").first.inner_text() == "left"
    show(page, what="obs:dominant topic")
    assert page.locator(".key li").first.inner_text() == "left"
    page.get_by_label("Name").fill("topic_2")
    page.get_by_label("Name").press("Enter")
    assert "Another topic has this name" in page.locator("#side").inner_text()
    names = json.loads(saved(page, lambda: page.get_by_role("button", name="Save names").click()).read_text())
    assert names == {"topic_1": "left"}


def test_a_feature_is_found_with_its_topics(opened):
    adata = planted()
    page = opened(adata)
    page.locator("#search").fill("GENE 7")
    page.locator("#found button").first.click()
    shares = (adata.varm["signatures"] / adata.varm["signatures"].sum()).loc["gene 7"]
    said = page.locator("#found tbody tr td:first-child").all_inner_texts()
    assert said == shares.sort_values(ascending=False).index.tolist()
    page.get_by_role("button", name="Show its counts").click()
    assert page.evaluate("mtopic.state.what") == "feature:X:gene 7"


@pytest.mark.parametrize(
    "address",
    [
        "#theme=foo&tab=constructor",
        "#place=length&map=constructor&what=topic:topic_1",
        "#size=1e9&view=a,b,1",
        "#place=7",
    ],
)
def test_an_address_that_says_nonsense_is_not_heard(opened, address):
    page = opened(planted(), address=address)
    settled(page)
    assert page.evaluate(PIXELS, place_of(page, 5))[3] == 255
    assert page.evaluate("[mtopic.state.tab, mtopic.state.place, mtopic.state.map]") == ["topic", "0", ""]


def test_a_new_address_is_followed_on_the_open_page(opened):
    page = opened(planted(), address="#opacity=0")
    assert page.evaluate("mtopic.state.opacity") == 0
    page.evaluate("location.hash = '#what=topic:topic_3&size=2'")
    page.wait_for_function("mtopic.state.what === 'topic:topic_3'")
    assert page.evaluate("[mtopic.state.size, mtopic.state.opacity]") == [2, 0.6]


def test_choices_by_hand_keep_the_focus(opened):
    page = opened(planted())
    page.get_by_label("Colour by").select_option(label="topic_2")
    assert page.evaluate("mtopic.state.what") == "topic:topic_2"
    page.get_by_label("Colours", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("mtopic.state.map") == "magma"
    assert page.evaluate("document.activeElement.parentElement.textContent").startswith("Colours")


def test_means_of_groups_are_those_of_numpy(opened):
    adata = planted()
    adata.obsm["topics"].iloc[7] = np.nan
    page = opened(adata)
    show(page, topic="topic_2")
    means = adata.obsm["topics"]["topic_2"].groupby(adata.obs["half"], observed=True).mean()
    assert [row[:2] for row in rows_of(page, "Composition")] == [
        [label, f"{100 * mean:.1f}%"] for label, mean in means.items()
    ]
    page.evaluate("mtopic.pin(7)")
    assert [row[1] for row in rows_of(page, "spot 7")] == ["–"] * 3
    assert page.locator("#side .bar i").first.bounding_box()["width"] == 0


def test_keys(opened):
    page = opened(planted())
    show(page, what="topic:topic_1")
    page.locator("canvas").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("mtopic.state.what") == "topic:topic_2"
    page.keyboard.press("+")
    assert page.evaluate("mtopic.panels[0].view.zoom") > 1
    page.keyboard.press("0")
    assert page.evaluate("mtopic.panels[0].view.zoom") == 1
    page.keyboard.press("b")
    assert page.evaluate("[mtopic.state.tool, mtopic.state.tab]") == ["B", "selection"]


def test_the_image_of_the_tissue_lies_underneath(opened):
    adata = planted()
    red = np.zeros((200, 200, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    adata.uns["spatial"] = {"slide": {"images": {"hires": red}, "scalefactors": {"tissue_hires_scalef": 1.0}}}
    page = opened(adata, x="spatial")
    page.wait_for_function("mtopic.places[0].sections[0].image.loaded")
    beside = """() => {
      const {section, projection, ratio} = mtopic.panels[0];
      const {left, top, unit} = section.place;
      const [x, y] = projection.pixel((1 - left) / unit, (100 - top) / unit);
      return {x: x / ratio, y: y / ratio};
    }"""
    for opacity in (1, 0):
        show(page, opacity=opacity)
        r, g, b, alpha = page.evaluate(PIXELS, page.evaluate(beside))
        assert alpha == 255 * opacity
        assert not opacity or (r > 240 and max(g, b) < 10)


def test_groups_in_colours_for_all_eyes(opened):
    page = opened(planted())
    show(page, what="obs:dominant topic", palette="safe")
    drawn = [bytes(page.evaluate(PIXELS, place_of(page, column))[:3]).hex() for column in (1, 10, 18)]
    assert drawn == ["e69f00", "56b4e9", "009e73"]


def serious(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [one["id"] for one in found if one["impact"] in ("serious", "critical")]


def test_nothing_serious_on_the_report_and_names_are_text(browser, tmp_path):
    adata = planted(hostile=True)
    adata.uns["mtopic"] = {"stability": pd.DataFrame({"correlation": [0.1]}, index=[HOSTILE])}
    mt.report(adata, tmp_path / "report.html", title=HOSTILE, viewer=True)
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    inside = page.frame_locator("iframe")
    inside.locator("canvas").first.wait_for()
    assert inside.locator("h1").inner_text() == " ".join(HOSTILE.split())
    assert page.locator("header h1").inner_text() == " ".join(HOSTILE.split())
    assert page.locator(".warnings li").count() == 1
    assert page.evaluate("[window.hostile, [...document.images].every((one) => one.src.startsWith('data:'))]") == [
        None,
        True,
    ]
    assert serious(page) == []
    page.close()


def test_nothing_serious_bars_anybody(opened):
    for scheme in ("light", "dark"):
        page = opened(planted(), scheme=scheme)
        for state in ({"what": "topics"}, {"what": "obs:dominant topic", "tab": "observation"}, {"tab": "selection"}):
            show(page, **state)
            assert serious(page) == []
