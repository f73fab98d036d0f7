"""Make the figures of the documentation from simulated data: ``python docs/figures.py [NAME ...]``; or all."""

import io
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from mudata import MuData
from PIL import Image

import mtopic as mt

STATIC = Path(__file__).parent / "_static"
DPI = 110

warnings.simplefilter("ignore", FutureWarning)  # what mudata announces of its next version


@cache
def tissue() -> MuData:
    """The tissue of the first page and of the five-minute start, fitted."""
    mdata = mt.datasets.simulate(n_obs=1500, n_topics=8)
    mt.tl.topic_model(mdata, n_topics=8, spatial_key="spatial", verbose=False)
    return mdata


def topics() -> Figure:
    return mt.pl.topics(tissue(), x="spatial", ncols=4, figsize=(11, 5), return_fig=True)


def dominant_topics() -> Figure:
    return mt.pl.dominant_topics(tissue(), x="spatial", figsize=(5.5, 4), return_fig=True)


def signatures() -> Figure:
    return mt.pl.signatures(tissue(), mod="rna", n_top=8, figsize=(10, 4.5), return_fig=True)


def dotplot() -> Figure:
    return mt.pl.dotplot(tissue(), mod="rna", n_top=3, figsize=(10, 3.5), return_fig=True)


def batch_effects() -> Figure:
    """What three simulated batches read differently."""
    mdata = mt.datasets.simulate(n_obs=1500, n_topics=8, spatial=False, n_batches=3)
    mt.tl.topic_model(mdata, n_topics=8, batch_key="batch", verbose=False)
    return mt.pl.batch_effects(mdata, "rna", return_fig=True)


def convergence() -> Figure:
    return mt.pl.convergence(tissue(), figsize=(5, 3), return_fig=True)


def neighbours() -> Figure:
    """One topic of a tissue with few counts per spot: the truth, each spot alone, and with neighbours as the prior."""
    mdata = mt.datasets.simulate(n_obs=1200, n_topics=6, depth=8)
    mt.tl.topic_model(mdata, n_topics=6, key_added="alone", verbose=False)
    mt.tl.topic_model(mdata, n_topics=6, spatial_key="spatial", key_added="neighbours", verbose=False)
    truth = mdata.obsm["true_topics"].iloc[:, 0]
    mdata.obsm["shown"] = pd.DataFrame(
        {
            "drawn from": truth,
            "each spot by itself": alike(mdata.obsm["alone_topics"], truth),
            "neighbours as the prior": alike(mdata.obsm["neighbours_topics"], truth),
        }
    )
    return mt.pl.topics(mdata, x="spatial", topics="shown", ncols=3, vmin=0, vmax=1, figsize=(11, 3.4), return_fig=True)


def alike(found: pd.DataFrame, truth: pd.Series) -> pd.Series:
    """The topic that is most like a true one."""
    return found[found.corrwith(truth).idxmax()]


def select_n_topics() -> Figure:
    mdata = mt.datasets.simulate(n_obs=400, n_topics=6, spatial=False, depth=200, concentration=0.4)
    mt.tl.select_n_topics(mdata, Ks=[2, 3, 4, 5, 6, 7, 8, 10, 12], n_iter=100, verbose=False)
    return mt.pl.select_n_topics(mdata, figsize=(6, 3.6), return_fig=True)


def sections() -> Figure:
    """Three sections of one fit, in the same colours."""
    mdata = mt.datasets.simulate(n_obs=1500, n_topics=6, n_sections=3)
    mt.tl.topic_model(mdata, n_topics=6, spatial_key="spatial", library_key="section", verbose=False)
    return mt.pl.dominant_topics(mdata, x="spatial", figsize=(11, 3.6), show=False, return_fig=True)


def viewer() -> Image.Image:
    """The page of the tissue, as a browser shows it."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "view.html"
        mt.view(tissue(), path, title="Simulated tissue")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 800}, color_scheme="light")
        page.goto(f"{path.as_uri()}#what=topic%3Atopic_2&topic=topic_2")
        page.wait_for_selector("html[data-ready]")
        drawn = Image.open(io.BytesIO(page.screenshot()))
        drawn.load()
        browser.close()
    return drawn


FIGURES: dict[str, Callable[[], Figure | Image.Image]] = {
    function.__name__: function
    for function in (
        topics, dominant_topics, signatures, dotplot, batch_effects, convergence, neighbours, select_n_topics, sections,
        viewer,
    )
}  # fmt: skip


def save(name: str) -> None:
    """Write a figure in 256 colours, which a third of the bytes hold."""
    path, drawn = STATIC / f"{name}.png", FIGURES[name]()
    if isinstance(drawn, Figure):
        drawn.savefig(path, dpi=DPI, bbox_inches="tight", pad_inches=0.05)
    else:
        drawn.save(path)
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    plt.close("all")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    for name in sys.argv[1:] or FIGURES:
        save(name)
