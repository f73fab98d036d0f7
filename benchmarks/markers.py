"""Which ranking of features tells topics apart? Held-out counts of real data, planted markers of simulated cells.

python benchmarks/markers.py --data FOLDER      (FOLDER holds the files named below; without it, only simulated cells)

Real data: each count goes to one of two halves with probability 1/2. Topics and rankings are those of one half. In the
other, the share that the ten first features of a topic have in an observation tells how well they find the observations
whose dominant topic it is (AUC, mean over topics; .5 is by chance). Simulated cells: 300 features of 8 topics, 100
housekeeping features that have as many counts again, and 500 features of one to five counts. The score is the share of
first features that are markers: the topic has more than half of the feature, and more of it than of the mean feature.

"Nothing added": c = 0 in the definitions of `mtopic.get.top_features`, of shares, which have no counts.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from scipy.stats import rankdata
from shapes import table

import mtopic as mt
from mtopic._data import Data

N_TOP, FEW = 10, 10
FILES = {
    "her2st_H1.h5ad": 8,  # Andersson et al. 2021
    "her2st_G2.h5ad": 10,
    "snareseq_small.h5mu": 10,  # GSE126074
    "teaseq_pbmc_rna_prot.h5mu": 10,  # Swanson et al. 2021
}
MEASURES = [
    ("probability", True),
    ("divergence", True),
    *((by, False) for by in ("exclusivity", "FREX")),
    *((by, True) for by in ("lift", "exclusivity", "FREX")),
]


def halves(data: Data, rng: np.random.Generator) -> tuple[Data, dict[str, csr_matrix]]:
    """One half of the counts, and the other by modality."""
    first, second = data.copy(), {}
    for mod, adata in first.mod.items() if hasattr(first, "mod") else [("X", first)]:
        counts = csr_matrix(adata.X)
        half = counts.copy()
        half.data = rng.binomial(counts.data.astype(int), 0.5).astype(np.float32)
        second[mod], adata.X = csr_matrix(counts - half), half
    return first, second


def first_features(data: Data, mod: str) -> Iterator[tuple[str, bool, NDArray[np.intp]]]:
    """Measure, whether a share is added, and the first features, topics × n."""
    adata = data[mod] if hasattr(data, "mod") else data
    adata.varm["shares"] = adata.varm["signatures"] / adata.varm["signatures"].sum()
    for by, added in MEASURES:
        top = mt.get.top_features(data, mod, by=by, n_top=N_TOP, key="signatures" if added else "shares")
        yield by, added, adata.var_names.get_indexer(top["feature"]).reshape(-1, N_TOP)


def auc(values: NDArray[np.float64], of: NDArray[np.bool_]) -> float:
    """The probability that a value of these exceeds one of the others."""
    inside, ranks = of.sum(), rankdata(values)
    return float((ranks[of].mean() - (inside + 1) / 2) / (len(of) - inside))


def of_real(name: str, data: Data, n_topics: int, seed: int) -> Iterator[dict[str, object]]:
    """Scores of one data set."""
    half, other = halves(data, np.random.default_rng(seed))
    mt.tl.topic_model(half, n_topics, seed=seed, verbose=False)
    mt.tl.dominant_topics(half)
    for mod, held_out in other.items():
        adata = half[mod] if hasattr(half, "mod") else half
        dominant = half.obs["topic"].reindex(adata.obs_names)
        total, counts = held_out.sum(axis=1).A1.clip(1), csr_matrix(adata.X).sum(axis=0).A1
        for by, added, top in first_features(half, mod):
            scores = [
                auc(held_out[:, features].sum(axis=1).A1 / total, (dominant == topic).to_numpy())
                for topic, features in zip(half.obsm["topics"], top, strict=True)
                if (dominant == topic).sum() >= 5
            ]
            leads = pd.Series(top[:, 0])
            yield {
                "data": name if mod in ("X", "rna") else f"{name}, {mod}", "by": by, "added": added,
                "score": np.mean(scores), "first of several": leads.duplicated(keep=False).mean(),
                "few": (counts[top] < FEW).mean(),
            }  # fmt: skip


def of_simulated(seed: int) -> Iterator[dict[str, object]]:
    """Scores of cells with known markers."""
    rng = np.random.default_rng(1000 + seed)
    known = mt.datasets.simulate(1000, 8, modalities={"rna": 300}, depth=200, spatial=False, rng=seed)
    counts = known["rna"].X
    house = rng.dirichlet(np.full(100, 0.5))
    housekeeping = np.stack([rng.multinomial(n, house) for n in counts.sum(axis=1).A1.astype(int)])
    sizes = rng.integers(1, 6, 500)
    cells = rng.integers(counts.shape[0], size=sizes.sum())
    rare = csr_matrix((np.ones(len(cells)), (cells, np.repeat(np.arange(500), sizes))), (counts.shape[0], 500))
    data = ad.AnnData(hstack([counts, housekeeping, rare], format="csr", dtype=np.float32))
    data.obs_names = known.obs_names
    true = known["rna"].varm["true_signatures"].to_numpy()
    marker = (true > 1 / 300) & (true > 0.5 * true.sum(axis=1, keepdims=True))
    marker = np.vstack([marker, np.zeros((600, 8), bool)])
    mt.tl.topic_model(data, 8, seed=seed, verbose=False)
    match = np.corrcoef(data.obsm["topics"].T, known.obsm["true_topics"].T)[:8, 8:].argmax(axis=1)
    for by, added, top in first_features(data, "X"):
        hits = [marker[features, k].mean() for features, k in zip(top, match, strict=True)]
        leads = pd.Series(top[:, 0])
        yield {
            "data": "simulated", "by": by, "added": added, "score": np.mean(hits),
            "first of several": leads.duplicated(keep=False).mean(), "few": (data.X.sum(axis=0).A1[top] < FEW).mean(),
        }  # fmt: skip


def main() -> None:
    """Print three tables: the scores, the share of topics whose first feature is another's too, and few counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for seed in arguments.seeds:
        rows += of_simulated(seed)
        for file, n_topics in FILES.items() if arguments.data else ():
            path = arguments.data / file
            data = ad.read_h5ad(path) if path.suffix == ".h5ad" else mt.read.h5mu(path)
            rows += of_real(path.stem, data, n_topics, seed)
    means = pd.DataFrame(rows).groupby(["by", "added", "data"], sort=False).mean().unstack()
    for value in ("score", "first of several", "few"):
        found = means[value].loc[MEASURES]
        lines = [
            [by if added else f"{by}, nothing added", *map(float, line)]
            for (by, added), line in zip(found.index, found.to_numpy(), strict=True)
        ]
        print(f"\n{value}\n{table(['ranked by', *found.columns], lines)}")


if __name__ == "__main__":
    main()
