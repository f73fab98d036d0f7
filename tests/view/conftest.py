"""Planted topics, and a browser to look at their page with."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

import mtopic as mt

SIDE = 20
NO_BROWSER = "no browser found: install chromium, or set MTOPIC_BROWSER to its path"
HOSTILE = '<img src=x onerror="window.hostile=1">\'"&\n</script>,'


def planted(hostile: bool = False) -> AnnData:
    """A square of 20 × 20 spots: topic_1 in the left third, topic_2 in the middle, topic_3 at the right."""
    rng = np.random.default_rng(0)
    column, row = np.tile(np.arange(SIDE), SIDE), np.repeat(np.arange(SIDE), SIDE)
    theta = rng.dirichlet(np.ones(3), SIDE * SIDE) * 0.2
    theta[np.arange(SIDE * SIDE), column * 3 // SIDE] += 0.8
    beta = rng.dirichlet(np.full(12, 0.3), 3).T
    names = [f"{HOSTILE if hostile else 'gene '}{v}" for v in range(12)]
    spots = [f"{HOSTILE if hostile else 'spot '}{i}" for i in range(SIDE * SIDE)]
    topics = [HOSTILE if hostile else "topic_1", "topic_2", "topic_3"]
    adata = AnnData(
        csr_matrix(rng.poisson(50 * theta @ beta.T).astype(np.float32)),
        obs=pd.DataFrame(index=spots),
        var=pd.DataFrame(index=names),
        obsm={"spatial": np.column_stack([column, row]) * 10.0 + 5},
    )
    adata.obsm["X_umap"] = theta[:, :2] * 7
    adata.obsm["topics"] = pd.DataFrame(theta, index=spots, columns=topics)
    adata.varm["signatures"] = pd.DataFrame(1000 * beta, index=names, columns=topics)
    labels = np.array([HOSTILE if hostile else "upper", "lower"])[(row >= SIDE // 2).astype(int)]
    adata.obs["half"] = pd.Categorical(labels)
    adata.obs["depth"] = np.asarray(adata.X.sum(axis=1)).ravel()
    return adata


def executable() -> str | None:
    """The browser: MTOPIC_BROWSER, or one on the path."""
    named = os.environ.get("MTOPIC_BROWSER")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the tests of a module."""
    playwright = pytest.importorskip("playwright.sync_api", reason=NO_BROWSER)
    path = executable()
    if path is None:
        pytest.skip(NO_BROWSER)
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a page from a file, without a network; any complaint of the browser fails the test."""
    contexts, said = [], []

    def show(data: Any, width: int = 1300, height: int = 900, address: str = "", scheme: str = "light", **options: Any):
        path = tmp_path / "view.html"
        mt.view(data, path, **options)
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, offline=True, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto(f"{path.as_uri()}{address}")
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        return page

    yield show
    for context in contexts:
        context.close()
    assert said == []
