"""Do topics become what they are guided to, and what does a wrong guide cost?

python benchmarks/guides.py                         (simulations; chooses the default strength by the first two)
python benchmarks/guides.py --data FOLDER           (TEA-seq: teaseq_pbmc_rna_prot.h5mu)

Of the topics of each simulation, 3 are guided by their 10 (5) best markers, or by as many features drawn at random.
*Found*: how many of the guided topics have a signature that correlates above .95 with the true one, under the name of
the guide; *least*: the lowest correlation. *Error* of θ: the mean absolute difference, topics matched to the true ones,
over that of a fit without guide; and the same with random guides, the mean and the most of the seeds. TEA-seq: cell
types by few well-known genes; the area under the ROC curve of the guided topic for the cells of the type, and of the
best topic of a fit without guide; the lift of the guide's genes. *Signatures*: guides are three topics of a fit to
1,000 other cells, wrong ones the same with the genes exchanged at random; infinite strength is "not reached" in print.
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
    "signatures": ({"n_topics": 8, "modalities": {"rna": 300}}, 0),
}
CHOSEN_ON = ("cells", "tissue")
STRENGTHS = dict.fromkeys(CHOSEN_ON, (0.01, 0.03, 0.1, 0.3, 1.0)) | {"signatures": (STRENGTH, 0.3, np.inf)}
N_GUIDED = 3
CELL_TYPES = {
    "NK": ("NK", ["GNLY", "NKG7", "KLRD1", "PRF1"]),
    "B cells": ("B.", ["MS4A1", "CD79A", "BANK1", "PAX5"]),
    "monocytes": ("Mono.", ["LYZ", "S100A8", "CD14", "VCAN"]),
    "CD8 T cells": ("T.CD8", ["CD8A", "CD8B"]),
    "CD4 T cells": ("T.CD4", ["CD4", "IL7R"]),
}
Guide = Mapping[str, list[str]] | pd.DataFrame


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


def by_markers(true: pd.DataFrame, guided: NDArray[np.int64], n: int, rng: np.random.Generator) -> tuple[Guide, Guide]:
    """The best features of these topics, and as many others."""
    known = {f"known {k}": best_markers(true, k, n) for k in guided}
    return known, {f"wrong {k}": [*rng.choice(true.index, n, replace=False)] for k in guided}


def by_signatures(
    mdata: MuData, where: Mapping[str, str], guided: NDArray[np.int64], seed: int, rng: np.random.Generator
) -> tuple[Guide, Guide]:
    """Topics of a fit to these observations, and the same with the features exchanged at random."""
    reference = fitted(mdata, where, mdata.obsm["true_topics"].shape[1], seed, None, STRENGTH)
    pairs = mt.datasets.recovery(reference)["topic"]
    known = reference["rna"].varm["signatures"][pairs.iloc[guided]]
    wrong = {f"wrong {k}": rng.permutation(known.iloc[:, n]) for n, k in enumerate(guided)}
    return known.set_axis([f"known {k}" for k in guided], axis=1), pd.DataFrame(wrong, known.index)


def one_seed(name: str, strength: float, seed: int) -> tuple[list[float], ...]:
    """Likeness of guided topics to the true ones; errors without, with right and with wrong guides; lifts."""
    options, n_markers = SIMULATIONS[name]
    where, rng = {"spatial_key": "spatial"} if name == "tissue" else {}, np.random.default_rng(seed)
    n_obs = 1000 if n_markers else 2000
    mdata = mt.datasets.simulate(n_obs=n_obs, spatial=name == "tissue", rng=seed, **options)
    true, guided = mdata["rna"].varm["true_signatures"], rng.choice(options["n_topics"], N_GUIDED, replace=False)
    if n_markers:
        guides = by_markers(true, guided, n_markers, rng)
    else:
        guides = by_signatures(mdata[1000:].copy(), where, guided, seed, rng)
        mdata = mdata[:1000].copy()
    fits = [fitted(mdata, where, options["n_topics"], seed, guide, strength) for guide in (None, *guides)]
    found = fits[1]["rna"].varm["signatures"]
    alike = [np.corrcoef(found.iloc[:, n], true.iloc[:, k])[0, 1] for n, k in enumerate(guided)]
    lifts = [data.uns["mtopic"]["guides"]["lift"].tolist() for data in fits[1:]]
    return alike, [error(data) for data in fits], *lifts


def simulated(name: str, strength: float, seeds: int) -> dict[str, float | str]:
    """A row of the table."""
    rows = [one_seed(name, strength, seed) for seed in range(seeds)]
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
        for strength in arguments.strengths or STRENGTHS.get(name, (STRENGTH,)):
            rows.append(simulated(name, strength, arguments.seeds))
            print(*rows[-1].values(), flush=True)
    print(table([*rows[0]], [[*row.values()] for row in rows]))


if __name__ == "__main__":
    main()
