"""Links of genes and peaks at real size: seconds, and growth of peak resident memory. Linux only.

python benchmarks/links.py

Genes and peaks lie at random on 23 chromosomes of 2.7 Gb together. Each window has a process of its own, which has
compiled and imported everything before. Growth counts from just before the mask is made.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from associations import SETTINGS, signatures
from memory import resident
from numpy.typing import NDArray
from scipy.sparse import random_array
from shapes import table

import mtopic as mt

N_TOPICS, N_MOTIFS, CHROMOSOMES, GENOME = 20, 800, 23, 2_700_000_000
WINDOWS = 100_000, 250_000
PROFILES = SETTINGS["by feature, no penalties"]
HEAD = [
    "genes",
    "peaks",
    "K",
    "window, kb",
    "pairs allowed",
    "links above .01",
    "mask, s",
    "links as the original's, s",
]
HEAD += ["links by profile, s", "tidy table, s", f"{N_MOTIFS} motifs, s", "growth, MB", "one dense table, MB"]


def places(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Chromosome, start and end of so many intervals of 500 base pairs."""
    start = rng.choice(GENOME // 500, n, replace=False) * 500
    of = GENOME // CHROMOSOMES + 1
    return pd.DataFrame({"chrom": [f"chr{c + 1}" for c in start // of], "start": start % of, "end": start % of + 500})


def timed(what: Callable[..., Any], *args: object, **options: object) -> tuple[Any, float]:
    """The result, and the seconds it took."""
    start = perf_counter()
    result = what(*args, **options)
    return result, perf_counter() - start


def motifs_of(peaks: NDArray, names: pd.Index, rng: np.random.Generator) -> float:
    """Seconds of the test of motifs, each of which a twentieth of the peaks have."""
    adata = AnnData(var=pd.DataFrame(index=names))
    adata.varm["signatures"] = pd.DataFrame(1e5 * peaks.T, names).add_prefix("topic_")
    has = random_array((len(names), N_MOTIFS), density=0.05, format="csr", rng=rng)
    motifs = AnnData(has, obs=pd.DataFrame(index=names))
    return timed(mt.tl.motif_enrichment, adata, motifs=motifs)[1]


def case(n_genes: int, n_peaks: int, window: int) -> list[object]:
    """A line of the table, measured in this process."""
    rng = np.random.default_rng(0)
    genes, at = places(n_genes, rng).add_prefix("gene_", axis=0), places(n_peaks, rng)
    names = pd.Index(at["chrom"] + ":" + at["start"].astype(str) + "-" + at["end"].astype(str))
    a, b = signatures(N_TOPICS, n_genes, rng), signatures(N_TOPICS, n_peaks, rng)
    options: dict[str, Any] = {"n_threads": -1, "verbose": False}
    few = mt.tl.distance_mask(genes[:9], names[:9], GENOME)
    mt.get.links(mt.tl.feature_associations(a[:, :9], genes[:9], b[:, :9], names[:9], few, **options))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    mask, of_mask = timed(mt.tl.distance_mask, genes, names, window)
    _, of_original = timed(mt.tl.feature_associations, a, genes, b, names, mask, **options)
    weights, of_profiles = timed(mt.tl.feature_associations, a, genes, b, names, mask, **options, **PROFILES)
    links, of_table = timed(mt.get.links, weights, None, min_weight=0.01)
    growth = (resident("VmHWM") - before) / 1e6
    seconds = [of_mask, of_original, of_profiles, of_table, motifs_of(b, names, rng)]
    sizes = [n_genes, n_peaks, N_TOPICS, window // 1000, mask.nnz, len(links)]
    return [*sizes, *(f"{taken:.2f}" for taken in seconds), f"{growth:.0f}", f"{8 * n_genes * n_peaks / 1e6:.0f}"]


def main() -> None:
    """Print one table; with ``--window``, one line of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a tenth of the genes and of the peaks")
    parser.add_argument("--window", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.window is not None:
        sizes = (2_000, 20_000) if given.small else (20_000, 200_000)
        print(*case(*sizes, given.window), sep="\t")
        return
    command = [sys.executable, __file__, *(["--small"] if given.small else [])]
    runs = [[*command, "--window", str(window)] for window in WINDOWS]
    lines = [subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\t") for run in runs]
    print(table(HEAD, [[value.strip() for value in line] for line in lines]))


if __name__ == "__main__":
    main()
