"""What can be read from a default fit of tissue, when it stops and after further iterations.

python benchmarks/going_on.py --data FOLDER            (FOLDER holds the sets named in SETS and MORE)

Sets, selection of genes and radius are those of `spatial_domains.py`, and two more: osmFISH of the somatosensory cortex
(Codeluppi et al. 2018; its regions, and its cell types) and DLPFC 151507 with 151508 as two sections (spatialLIBD, 200
genes). Topics by `topic_model`, strength and priors learned. The readings, each with the labels: dominant topics by
either rule, `spatial_domains` with as many domains as labels, and k-means with as many clusters on the square roots of
the proportions, which knows the number but not the space. `--strength 0` is the model without neighbours;
`--all-genes` fits all genes in place of the selected ones.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from joblib import Parallel, delayed
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from spatial_domains import N_TOPICS, NOT_SCORED, SETS, clustered, domains, load, neighbours

import mtopic as mt

MORE = {
    "osmFISH": ("osmfish_sscortex", "region"),
    "cell types": ("osmfish_sscortex", "cell_type"),
    "2 sections": ("dlpfc_151507_508_2sections", "layer"),
}
SECTION = "section"
FURTHER = 300


def fit(adata: AnnData, n_topics: int, radius: float, seed: int, **how: object) -> AnnData:
    """The default fit, and what follows from it."""
    data = adata.copy()
    sections = {"library_key": SECTION} if SECTION in adata.obs else {}
    mt.tl.topic_model(
        data, n_topics, spatial_key="spatial", radius=radius, rng=seed, n_jobs=1, verbose=False, **sections, **how
    )
    return data


def graph_of(adata: AnnData, radius: float) -> csr_array:
    """Who is within the radius of whom, in each section by itself."""
    if SECTION not in adata.obs:
        return neighbours(adata, radius)
    graph = csr_array((adata.n_obs, adata.n_obs))
    for part in adata.obs.groupby(SECTION, observed=True).indices.values():
        near = neighbours(adata[part], radius).tocoo()
        graph += csr_array((near.data, (part[near.row], part[near.col])), shape=graph.shape)
    return graph


def by_section(adata: AnnData) -> float:
    """1.6 × the median distance to the nearest, in units of the longer side of a section; their mean."""
    radii = []
    for part in adata.obs.groupby(SECTION, observed=True).indices.values():
        points = adata.obsm["spatial"][part]
        radii.append(1.6 * np.median(cKDTree(points).query(points, 2)[0][:, 1]) / np.ptp(points, axis=0).max())
    return float(np.mean(radii))


def readings(data: AnnData, labels: pd.Series, graph: csr_array, seed: int) -> dict[str, float]:
    """Scores of what a user reads from a fit."""
    proportions, scored = data.obsm["topics"].to_numpy(), ~labels.isin(NOT_SCORED).to_numpy()
    found: dict[str, float] = {}
    for by in ("deviation", "proportion"):
        mt.tl.dominant_topics(data, key_added=by, by=by)
        pair = labels[scored], data.obs[by].astype(str)[scored]
        found[f"{by} NMI"], found[f"{by} ARI"] = normalized_mutual_info_score(*pair), adjusted_rand_score(*pair)
    regions = domains(data, proportions, labels, graph, seed)
    found["spatial_domains ARI"] = adjusted_rand_score(labels[scored], regions[scored])
    found["k-means ARI"] = adjusted_rand_score(labels[scored], clustered(proportions, labels, seed)[scored])
    found["largest topic"] = float(np.bincount(proportions.argmax(axis=1)).max() / len(proportions))
    return found


def evaluate(options: argparse.Namespace, name: str, seed: int) -> list[dict[str, object]]:
    """The readings when the fit stops and after further iterations, and what these have changed."""
    warnings.simplefilter("ignore")
    adata, labels, radius = load(options.data, *(SETS | MORE)[name], all_genes=options.all_genes)
    how = {"inference": options.inference, "strength": options.strength}
    radius = by_section(adata) if SECTION in adata.obs else radius
    graph = graph_of(adata, radius)
    ended = fit(adata, options.n_topics, radius, seed, **how)
    rounds = len(ended.uns["mtopic"]["elbo"])
    later = fit(adata, options.n_topics, radius, seed, n_iter=rounds + FURTHER, tol=None, **how)
    rows = []
    for when, data in {"when it stops": ended, f"{FURTHER} more": later}.items():
        row: dict[str, object] = {"set": name, "seed": seed, "when": when} | readings(data, labels, graph, seed)
        rows.append(row | {"iterations": len(data.uns["mtopic"]["elbo"])})
    rows[1]["θ moved"] = float(abs(later.obsm["topics"] - ended.obsm["topics"]).to_numpy().sum(axis=1).mean() / 2)
    for by in ("deviation", "proportion"):
        rows[1][f"{by} changed"] = float((later.obs[by].astype(str) != ended.obs[by].astype(str)).mean())
    return rows


def _strength(given: str) -> float | str:
    return given if given == "auto" else float(given)


def main() -> None:
    """Print the means over the seeds, and over the sets that `spatial_domains.py` has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--n-topics", type=int, default=N_TOPICS)
    parser.add_argument("--inference", default="variational", choices=["variational", "collapsed"])
    parser.add_argument("--strength", type=_strength, default="auto")
    parser.add_argument("--all-genes", action="store_true")
    parser.add_argument("--sets", nargs="+", default=list(SETS | MORE), choices=list(SETS | MORE))
    parser.add_argument("--out", type=Path, help="a CSV of all fits, from which a run that was ended goes on")
    arguments = parser.parse_args()
    jobs = [(name, seed) for seed in range(arguments.seeds) for name in arguments.sets]
    known = pd.read_csv(arguments.out) if arguments.out and arguments.out.exists() else pd.DataFrame()
    done = set(zip(known["set"], known["seed"], strict=True)) if len(known) else set()
    calls = (delayed(evaluate)(arguments, *job) for job in jobs if job not in done)
    for rows in Parallel(n_jobs=2, return_as="generator")(calls):
        known = pd.concat([known, pd.DataFrame(rows)], ignore_index=True)
        if arguments.out:
            known.to_csv(arguments.out, index=False)
    by_set = known.drop(columns="seed").groupby(["when", "set"], sort=False)
    print(by_set.mean().round(3).to_string(), "\n\nstandard errors\n", by_set.sem().round(3).to_string())
    six = known[known["set"].isin(SETS)].drop(columns="set").groupby(["when", "seed"], sort=False).mean()
    print("\nmean over", *SETS, "\n", six.groupby("when", sort=False).mean().round(3).to_string())
    print("standard errors\n", six.groupby("when", sort=False).sem().round(3).to_string())


if __name__ == "__main__":
    main()
