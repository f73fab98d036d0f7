"""Simulated data of the shapes that are measured, and the form of all tables."""

from collections.abc import Sequence

import numpy as np
from mudata import MuData
from scipy.sparse import csr_matrix, hstack

import mtopic as mt

# observations, topics, features and mean count units by modality: about 20, 4.9 and 35 million non-zeros
SHAPES = {
    "p22": (9215, 50, {"rna": 10_000, "atac": 50_000}, {"rna": 1500, "atac": 1500}),
    "tonsil": (4194, 20, {"rna": 5_000, "prot": 27}, {"rna": 3800, "prot": 500}),
    "pbmc": (7349, 20, {"rna": 37_123, "atac": 110_000}, {"rna": 2500, "atac": 3400}),
}


def prepared(shape: str, small: bool = False) -> tuple[MuData, int]:
    """Simulated data of a shape, ready to be fitted, and its number of topics."""
    n_obs, n_topics, modalities, depth = SHAPES[shape]
    n_obs = n_obs // 20 if small else n_obs
    return prepare(mt.datasets.simulate(n_obs, n_topics, modalities=modalities, depth=depth, rng=1)), n_topics


def prepare(mdata: MuData) -> MuData:
    """Weigh and scale the counts in place."""
    for mod in mdata.mod:
        (mt.pp.clr if mod == "prot" else mt.pp.tfidf)(mdata, mod=mod)
    mt.pp.scale_counts(mdata)
    return mdata


def side_by_side(mdata: MuData) -> csr_matrix:
    """The counts of all modalities, which have the same observations."""
    return hstack([mdata[mod].X for mod in mdata.mod], format="csr", dtype=np.float32)


def table(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """Markdown; numbers of four digits, NaN blank, what is infinite was not reached."""

    def text(cell: object) -> str:
        if not isinstance(cell, float):
            return str(cell)
        return {"nan": "", "inf": "not reached"}.get(str(cell), f"{cell:.4g}")

    cells = [[text(cell) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *cells])
