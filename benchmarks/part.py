"""Fits of 30,000 cells that begin at a tenth of them, beside fits that begin at all.

python benchmarks/part.py

Cells are held out, and scored by `mtopic.tl.perplexity`. Three topics of *rare* are those of one cell in 2,000, 1,000
and 300; *rare found* counts those with a signature whose cosine with the true one is above 0.9.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from growth import draw
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from shapes import table

import mtopic as mt
from mtopic.inference import part

N_OBS, N_HELD_OUT = 30_000, 3_000
RARE = 0.0005, 0.001, 0.003
SMALLEST = {"a tenth": N_OBS // part.SHARE, "all": N_OBS}
HEAD = ["simulation", "seed", "begins at", "passes", "ELBO a count", "held-out", "rare found"]


@dataclass(frozen=True)
class Cells:
    """Counts, and true signatures of rare topics, features × topics."""

    x: csr_matrix
    n_topics: int
    rare: NDArray[np.float64] | None = None


def simulated(name: str, seed: int) -> Cells:
    """Cells to fit, and after them those to hold out."""
    n = N_OBS + N_HELD_OUT
    if name == "bands":
        return Cells(draw(n, 2000, 130), 20)
    if name == "rare":
        return _with_rare(n, np.random.default_rng(100 + seed))
    n_topics, depth = (50, 500) if name == "50 topics" else (20, 200)
    cells = mt.datasets.simulate(n, n_topics, modalities={"rna": 2000}, depth=depth, spatial=False, rng=0)
    return Cells(csr_matrix(cells["rna"].X), n_topics)


def _with_rare(n: int, rng: np.random.Generator) -> Cells:
    n_common = 17
    beta = rng.dirichlet(np.full(1000, 0.1), n_common + len(RARE))
    theta = np.hstack([rng.dirichlet(np.full(n_common, 0.2), n), np.zeros((n, len(RARE)))])
    for j, share in enumerate(RARE):
        has = rng.random(n) < share
        theta[has] *= 0.2
        theta[has, n_common + j] = 0.8
    theta /= theta.sum(axis=1, keepdims=True)
    return Cells(csr_matrix(rng.poisson(400 * theta @ beta)), len(beta), beta[n_common:].T)


def annotated(x: csr_matrix) -> AnnData:
    """Counts with names."""
    return AnnData(x.astype(np.float32), obs=pd.DataFrame(index=[f"cell_{d}" for d in range(x.shape[0])]))


def n_found(model: mt.tl.MTM, rare: NDArray[np.float64]) -> int:
    """How many of these signatures the model has."""
    lam = model.lambda_["X"].T
    unit = [signatures / np.linalg.norm(signatures, axis=0) for signatures in (lam, rare)]
    return int(((unit[0].T @ unit[1]).max(axis=0) > 0.9).sum())


def fits(name: str, seed: int) -> Iterator[list]:
    """A line for each place to begin at."""
    cells = simulated(name, seed)
    options = {"inference": "collapsed", "alpha": "auto", "eta": "auto", "raw": True, "n_jobs": -1, "verbose": False}
    for where, smallest in SMALLEST.items():
        part.SMALLEST = smallest
        model = mt.tl.MTM(annotated(cells.x[:N_OBS]), cells.n_topics, seed=seed, **options)
        model.VI(500)
        score = mt.tl.perplexity(model, annotated(cells.x[N_OBS:]), n_jobs=-1, verbose=False)
        held_out, bound = score.loc["total", "log_likelihood"], model.elbo[-1] / model.n_counts
        found = "" if cells.rare is None else n_found(model, cells.rare)
        yield [name, seed, where, f"{model.passes:.0f}", f"{bound:.5f}", f"{held_out:.5f}", found]


def main() -> None:
    """Print the table in Markdown."""
    lines = [
        line for name in ("20 topics", "50 topics", "bands", "rare") for seed in range(3) for line in fits(name, seed)
    ]
    print(table(HEAD, lines))


if __name__ == "__main__":
    main()
