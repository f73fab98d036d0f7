"""How large the viewer's page is, and how soon a browser shows it and other topics.

python benchmarks/viewer.py [--sizes 100000 1000000] [--folder FOLDER] [--browser CHROMIUM]      (needs playwright)

Spots lie on a grid. Logarithms of their 20 topics are smooth fields with noise, 200 genes have 1 count each on average,
and names are random barcodes. *Ready*: from opening the file to the first map, of 1,300 × 900 pixels. *Topic*: from the
choice of another topic to its map, the median of all topics. *All*: to the maps of all topics.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique
from playwright.sync_api import Page, sync_playwright
from scipy.sparse import random as random_matrix
from shapes import table

import mtopic as mt

N_TOPICS, N_GENES, WAVES, NOISE = 20, 200, 3, 0.7
SHOWN = """async (state) => {
  const began = performance.now();
  mtopic.set(state);
  while (mtopic.frame) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""


def tissue(n_obs: int) -> AnnData:
    """Spots with topics and signatures."""
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(n_obs)))
    xy = np.column_stack(np.divmod(np.arange(n_obs), side)).astype(np.float64)
    logs = np.zeros((n_obs, N_TOPICS))
    for k in range(N_TOPICS):
        for direction, phase in zip(rng.normal(0, 6 / side, (WAVES, 2)), rng.uniform(0, 6, WAVES), strict=True):
            logs[:, k] += 2 * np.cos(xy @ direction + phase)
    theta = np.exp(logs + rng.normal(0, NOISE, logs.shape))
    theta /= theta.sum(axis=1, keepdims=True)
    letters = rng.choice(np.frombuffer(b"ACGT", "S1"), (n_obs, 16))
    names = make_index_unique(pd.Index(letters.view("S16").ravel().astype(str)) + "-1")
    genes = [f"gene_{v}" for v in range(N_GENES)]
    counts = random_matrix(n_obs, N_GENES, 0.6, "csr", np.float32, rng=rng)
    counts.data = 1 + rng.poisson(0.7, counts.nnz).astype(np.float32)
    topics = [f"topic_{k + 1}" for k in range(N_TOPICS)]
    adata = AnnData(counts, pd.DataFrame(index=names), pd.DataFrame(index=genes), obsm={"spatial": xy})
    adata.obsm["topics"] = pd.DataFrame(theta, names, topics)
    adata.varm["signatures"] = pd.DataFrame(rng.gamma(0.2, 100, (N_GENES, N_TOPICS)) + 0.01, genes, topics)
    return adata


def measured(page: Page, path: Path) -> list[float]:
    """Seconds to the first map, milliseconds to other topics."""
    began = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=300_000)
    ready = time.perf_counter() - began
    switches = [page.evaluate(SHOWN, {"what": f"topic:topic_{k + 1}"}) for k in range(N_TOPICS)]
    return [ready, statistics.median(switches), page.evaluate(SHOWN, {"what": "topics"})]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where pages stay (default: nowhere)")
    parser.add_argument("--browser", default=shutil.which("chromium"), help="default: chromium on the path")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.browser, args=["--no-sandbox"])
        for n_obs in given.sizes:
            path = (given.folder or Path(folder)) / f"view_{n_obs}.html"
            adata, began = tissue(n_obs), time.perf_counter()
            mt.view(adata, path)
            written = time.perf_counter() - began
            page = browser.new_page(viewport={"width": 1300, "height": 900})
            rows.append([f"{n_obs:,}", path.stat().st_size / 1e6, written, *measured(page, path)])
            page.close()
        browser.close()
    print(table(["spots", "MB", "written, s", "ready, s", "topic, ms", "all, ms"], rows))


if __name__ == "__main__":
    main()
