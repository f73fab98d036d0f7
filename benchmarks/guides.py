"""Do topics become what they are guided to, and what does a wrong guide cost?

python benchmarks/guides.py                         (simulations; chooses the default strength by the first two)
python benchmarks/guides.py --data FOLDER           (TEA-seq: teaseq_pbmc_rna_prot.h5mu)

Of the topics of each simulation, 3 are guided by their 10 (5) best markers, or by as many features drawn at random.
*Found*: how many of the guided topics have a signature that correlates above .95 with the true one, under the name of
the guide; *least*: the lowest correlation. *Error* of θ: the mean absolute difference, topics matched to the true ones,
over that of a fit without guide; and the same with random guides, the mean and the most of the seeds. TEA-seq: cell
types by few well-known genes; the area under the ROC curve of the guided topic for the cells of the type, and of the
best topic of a fit without guide; the lift of the guide's genes.
"""

import argparse
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from mudata import MuData, read_h5mu
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from shapes import table
from sklearn.metrics import roc_auc_score

import mtopic as mt
from mtopic.model.guide import STRENGTH

SIMULATIONS = {
    "cells": ({"n_topics": 8, "modalities": {"rna": 300}}, 10),
    "tissue": ({"n_topics": 8, "modalities": {"rna": 300}}, 10),
    "more genes": (
        {"n_topics": 20, "modalities": {"rna": 2000, "protein": 40}, "depth": {"rna": 1000, "protein": 200}},
        5,
    ),
}
CHOSEN_ON = ("cells", "tissue")
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
N_GUIDED = 3
CELL_TYPES = {
    "NK": ("NK", ["GNLY", "NKG7", "KLRD1", "PRF1"]),
    "B cells": ("B.", ["MS4A1", "CD79A", "BANK1", "PAX5"]),
    "monocytes": ("Mono.", ["LYZ", "S100A8", "CD14", "VCAN"]),
    "CD8 T cells": ("T.CD8", ["CD8A", "CD8B"]),
    "CD4 T cells": ("T.CD4", ["CD4", "IL7R"]),
}
Guide = Mapping[str, list[str]]


def fitted(
    mdata: MuData, where: Mapping[str, str], n_topics: int, seed: int, guide: Guide | None, strength: float
) -> MuData:
    """A copy with topics; guided by genes."""
    data = mdata.copy()
    given = None if guide is None else {"rna": guide}
    how = {"guide": given, "guide_strength": strength, "rng": seed, "verbose": False}
    mt.tl.topic_model(data, n_topics, **where, **how)
    return data


def error(data: MuData) -> float:
    """Mean absolute difference of the proportions from the true ones, topics matched."""
    found, true = data.obsm["topics"].to_numpy(), data.obsm["true_topics"].to_numpy()
    distance = np.abs(found[:, :, None] - true[:, None]).mean(axis=0)
    return float(distance[linear_sum_assignment(distance)].mean())


def best_markers(signatures: pd.DataFrame, topic: int, n: int) -> list[str]:
    """The features that tell a topic apart most: large shares that are large beside the others'."""
    share = signatures.iloc[:, topic]
    return [*(share * np.log(share / signatures.mean(axis=1))).nlargest(n).index]


def simulated(name: str, strength: float, seeds: int) -> dict[str, float | str]:
    """A row of the table."""
    options, n_markers = SIMULATIONS[name]
    where, rows = {"spatial_key": "spatial"} if name == "tissue" else {}, []
    for seed in range(seeds):
        mdata = mt.datasets.simulate(n_obs=1000, spatial=name == "tissue", rng=seed, **options)
        true, rng = mdata["rna"].varm["true_signatures"], np.random.default_rng(seed)
        guided = rng.choice(options["n_topics"], N_GUIDED, replace=False)
        guides = (
            None,
            {f"known {k}": best_markers(true, k, n_markers) for k in guided},
            {f"wrong {k}": [*rng.choice(true.index, n_markers, replace=False)] for k in guided},
        )
        fits = [fitted(mdata, where, options["n_topics"], seed, guide, strength) for guide in guides]
        found = fits[1]["rna"].varm["signatures"]
        names = [f"known {k}" for k in guided]
        alike = [
            np.corrcoef(found[name], true.iloc[:, k])[0, 1] if name in found else 0.0
            for name, k in zip(names, guided, strict=True)
        ]
        rows.append(
            (alike, [error(data) for data in fits], *(data.uns["mtopic"]["guides"]["lift"] for data in fits[1:]))
        )
    alike, errors, right, wrong = (np.array(of) for of in zip(*rows, strict=True))
    ratios = errors[:, 1:] / errors[:, :1]
    return {
        "data": name,
        "strength": strength,
        "found": f"{(alike > 0.95).sum()} of {alike.size}",
        "least": alike.min(),
        "error, guided": ratios[:, 0].mean(),
        "error, wrong guides": ratios[:, 1].mean(),
        "at most": ratios[:, 1].max(),
        "lift": right.mean(),
        "lift, wrong guides": wrong.mean(),
    }


def tea_seq(folder: Path, seed: int) -> pd.DataFrame:
    """Of each cell type: AUC of the guided topic, of the best one without guide, and the lift."""
    mdata = read_h5mu(folder / "teaseq_pbmc_rna_prot.h5mu")
    for adata in mdata.mod.values():
        adata.X = csr_matrix(adata.X, dtype=np.float32)
    labels = mdata.obs["cell_type"].astype(str)
    guides = {name: genes for name, (_, genes) in CELL_TYPES.items()}
    with_guide, without = (fitted(mdata, {}, 15, seed, guide, STRENGTH) for guide in (guides, None))
    lift = with_guide.uns["mtopic"]["guides"].set_index("topic")["lift"]

    def auc(prefix: str, proportions: NDArray[np.float64]) -> float:
        return float(roc_auc_score(labels.str.startswith(prefix), proportions))

    rows = {
        name: {
            "seed": seed,
            "guided": auc(prefix, with_guide.obsm["topics"][name].to_numpy()),
            "best without": max(auc(prefix, column) for column in without.obsm["topics"].to_numpy().T),
            "lift": lift[name],
        }
        for name, (prefix, _) in CELL_TYPES.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("type").reset_index()


def main() -> None:
    """Print the tables."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=list(SIMULATIONS), choices=SIMULATIONS)
    parser.add_argument("--strengths", nargs="+", type=float)
    arguments = parser.parse_args()
    if arguments.data is not None:
        found = pd.concat([tea_seq(arguments.data, seed) for seed in range(arguments.seeds)])
        means = found.groupby("type", sort=False).mean().drop(columns="seed").reset_index()
        print(table([*means], means.to_numpy().tolist()))
        return
    rows = []
    for name in arguments.sets:
        for strength in arguments.strengths or (STRENGTHS if name in CHOSEN_ON else (STRENGTH,)):
            rows.append(simulated(name, strength, arguments.seeds))
            print(*rows[-1].values(), flush=True)
    print(table([*rows[0]], [[*row.values()] for row in rows]))


if __name__ == "__main__":
    main()
