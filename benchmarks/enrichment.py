"""By which measure are sets of genes tested? Planted sets that are found, and others that are not to be found.

python benchmarks/enrichment.py --data FOLDER      (FOLDER holds the files named below)

Each count goes to one of two halves with probability 1/2. Topics and tests are those of one half. In the other, genes
that are twice as frequent in the observations of a topic as in others make up a third of five sets of 30 genes for each
topic. Besides, there are 100 sets of any genes, and 100 of the 500 most frequent ones. With decoupler's linear model,
q < 0.05 and a score above 0: the share of planted sets that are found in their topic, of topics whose first set is one
of theirs, and of tests of the other sets.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import decoupler as dc
import mudata as md
import numpy as np
import pandas as pd
from markers import halves
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, t
from shapes import table

import mtopic as mt

FILES = ["her2st_H1.h5ad", "her2st_G2.h5ad", "teaseq_pbmc_rna_prot.h5mu"]  # Andersson et al. 2021, Swanson et al. 2021
N_TOPICS, SIZE, N_SETS = 8, 30, 100
HEAD = ["data", "measure", "planted, found", "planted, first", "any genes", "frequent genes"]


def sets_of(data: ad.AnnData, other: NDArray[np.float64], rng: np.random.Generator) -> pd.DataFrame:
    """Planted sets, sets of any genes and of frequent ones; ``other`` are the counts of the other half by topic."""
    total, names = other.sum(axis=0), data.var_names
    sets = {}
    for topic, counts in zip(data.obsm["topics"], other, strict=True):
        beside = (total - counts) / (total - counts).sum()
        own = np.flatnonzero((counts >= 10) & (counts / counts.sum() > 2 * beside))
        for i in range(5 if len(own) >= SIZE else 0):
            sets[f"planted {topic} {i}"] = [
                *rng.choice(own, SIZE // 3, False),
                *rng.choice(len(names), 2 * SIZE // 3, False),
            ]
    frequent = np.argsort(-total)[:500]
    for i in range(N_SETS):
        sets[f"any {i}"] = rng.choice(len(names), SIZE, False)
        sets[f"frequent {i}"] = rng.choice(frequent, SIZE, False)
    pairs = [(source, names[v]) for source, genes in sets.items() for v in np.unique(genes)]
    return pd.DataFrame(pairs, columns=["source", "target"])


def tables(data: ad.AnnData, net: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """What `tl.enrichment` finds by each measure, and the same by logarithms."""
    for by in ("probability", "divergence", "exclusivity", "lift"):
        mt.tl.enrichment(data, net=net, by=by)
        yield by, data.uns["enrichment"]
    features = mt.get.top_features(data, n_top=data.n_vars, by="lift")
    lift = features.pivot(index="topic", columns="feature", values="score")
    profiles = mt.get.profiles(data)
    for name, values in (("logarithm of lift", np.log(lift)), ("logarithm, nothing added", profiles.to_df())):
        score, _ = dc.mt.ulm(values, net)
        found = score.rename_axis("topic").melt(ignore_index=False, var_name="source", value_name="score").reset_index()
        p = 2 * t.sf(np.abs(found["score"]), values.shape[1] - 2)
        yield name, found.assign(q=false_discovery_control(p))


def shares(found: pd.DataFrame) -> list[float]:
    """The columns of the table."""
    sure = (found["q"] < 0.05) & (found["score"] > 0)
    kind = found["source"].str.split(" ").str[0]
    own = (kind == "planted") & (found["source"].str.split(" ").str[1] == found["topic"])
    with_sets = found[found["topic"].isin(found.loc[own, "topic"])]
    first = with_sets.loc[with_sets.groupby("topic")["score"].idxmax()].index
    return [sure[own].mean(), own[first].mean(), sure[kind == "any"].mean(), sure[kind == "frequent"].mean()]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    rows = []
    for file in FILES:
        path = arguments.data / file
        counted = ad.read_h5ad(path) if path.suffix == ".h5ad" else md.read_h5mu(path)["rna"].copy()
        for seed in arguments.seeds:
            rng = np.random.default_rng(seed)
            data, other = halves(counted, rng)
            kept = data.X.sum(axis=0).A1 > 0
            data, held_out = data[:, kept].copy(), other["X"][:, kept]
            mt.tl.topic_model(data, N_TOPICS, seed=seed, verbose=False)
            mt.tl.dominant_topics(data)
            of_topic = [
                held_out[(data.obs["topic"] == topic).to_numpy()].sum(axis=0).A1 for topic in data.obsm["topics"]
            ]
            net = sets_of(data, np.stack(of_topic), rng)
            rows += [[path.stem, name, *shares(found)] for name, found in tables(data, net)]
    means = pd.DataFrame(rows, columns=HEAD).groupby(HEAD[:2], sort=False).mean().reset_index()
    print(table(HEAD, means.to_numpy().tolist()))


if __name__ == "__main__":
    main()
