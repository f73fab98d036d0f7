"""Domains of tissues by other programs, told the number of labels, beside `tl.spatial_domains` on the same genes.

python benchmarks/domain_peers.py --data FOLDER      (FOLDER holds the sets of `going_on.py`, whose genes these are)
The peers: pip install cellcharter nichepca pybanksy igraph   (measured with 0.3.7, 0.0.1 and 1.3.5)

cellcharter: 15 principal components of the logarithms, beside their means over three rings of the graph, and its
mixture, by its defaults. nichepca: its pipeline (normalise, logarithm, average, components) on its graph of 6 or of 25
nearest, 15 components, then its Leiden with so many communities. BANKSY: λ = 0.8, 15 neighbours, gradients of the first
order, 20 components, then Leiden as in nichepca. What ends in another number of domains is scored as it is.
"""

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cellcharter as cc
import nichepca
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from banksy.embed_banksy import generate_banksy_matrix
from banksy.initialize_banksy import initialize_banksy
from going_on import MORE, SECTION, by_section, fit, graph_of
from scipy.sparse import csr_array, csr_matrix
from sklearn.decomposition import PCA
from spatial_domains import N_TOPICS, NOT_SCORED, SETS, domains, load, logarithms, scores

Found = np.ndarray


def cellcharter(adata: AnnData, graph: csr_array, n_domains: int, seed: int) -> Found:
    """Its rings and its mixture."""
    logs = logarithms(adata)
    sc.pp.pca(logs, n_comps=N_TOPICS, random_state=seed)
    logs.obsp["spatial_connectivities"] = csr_matrix(graph)
    cc.gr.aggregate_neighbors(logs, n_layers=3, use_rep="X_pca", out_key="around")
    logs.obsm["around"] = logs.obsm["around"].astype(np.float32)
    mixture = cc.tl.Cluster(n_domains, random_state=seed, trainer_params={"accelerator": "cpu", "logger": False})
    mixture.fit(logs, use_rep="around")
    return np.asarray(mixture.predict(logs, use_rep="around").codes)


def niche_pca(adata: AnnData, graph: csr_array, n_domains: int, seed: int, *, knn: int) -> Found:
    """Its pipeline, and Leiden."""
    data = adata.copy()
    sections = {"sample_key": SECTION} if SECTION in data.obs else {}
    nichepca.wf.nichepca(data, knn=knn, n_comps=N_TOPICS, **sections)
    return _communities(data, "X_npca", n_domains, seed)


def banksy(adata: AnnData, graph: csr_array, n_domains: int, seed: int) -> Found:
    """Its matrix, components, and Leiden."""
    logs = logarithms(adata)
    for axis, name in enumerate("xy"):
        logs.obs[name] = adata.obsm["spatial"][:, axis]
    logs.obsm["spatial"] = adata.obsm["spatial"]
    shown = {"plt_edge_hist": False, "plt_nbr_weights": False, "plt_theta": False}
    weights = initialize_banksy(logs, ("x", "y", "spatial"), 15, max_m=1, **shown)
    _, matrix = generate_banksy_matrix(logs, weights, [0.8], max_m=1, verbose=False)
    logs.obsm["banksy"] = PCA(20, random_state=seed).fit_transform(np.asarray(matrix.X))
    return _communities(logs, "banksy", n_domains, seed)


PEERS: dict[str, Callable[[AnnData, csr_array, int, int], Found]] = {
    "cellcharter": cellcharter,
    "nichepca, 6 nearest": partial(niche_pca, knn=6),
    "nichepca, 25 nearest": partial(niche_pca, knn=25),
    "BANKSY": banksy,
}


def _communities(data: AnnData, key: str, n_domains: int, seed: int) -> Found:
    sc.pp.neighbors(data, use_rep=key, random_state=seed)
    nichepca.cl.leiden_with_nclusters(data, n_domains, seed=seed, max_iter=50)
    return data.obs["leiden"].cat.codes.to_numpy()


def evaluate(folder: Path, name: str, seed: int) -> list[dict[str, object]]:
    """Every program on one set with one seed."""
    warnings.simplefilter("ignore")
    adata, labels, radius = load(folder, *(SETS | MORE)[name])
    adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
    labels = labels[adata.obs_names]
    radius = by_section(adata) if SECTION in adata.obs else radius
    graph, n_domains = graph_of(adata, radius), labels[~labels.isin(NOT_SCORED)].nunique()
    topics = fit(adata, N_TOPICS, radius, seed).obsm["topics"].to_numpy()
    found = {"tl.spatial_domains": domains(adata, topics, labels, graph, seed)}
    for method, call in PEERS.items():
        if method == "BANKSY" and SECTION in adata.obs and adata.obs[SECTION].nunique() > 1:
            continue  # its graph knows no sections
        found[method] = call(adata, graph, n_domains, seed)
    return [{"set": name, "seed": seed, "method": how, **scores(of, labels)} for how, of in found.items()]


def main() -> None:
    """Print means ± standard errors of the ARI over the seeds, for each set and over the first six."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=list(SETS | MORE), choices=list(SETS | MORE))
    parser.add_argument("--out", type=Path, help="a CSV of all runs, from which a run that was ended goes on")
    arguments = parser.parse_args()
    known = pd.read_csv(arguments.out) if arguments.out and arguments.out.exists() else pd.DataFrame()
    done = set(zip(known["set"], known["seed"], strict=True)) if len(known) else set()
    for seed in range(arguments.seeds):
        for name in arguments.sets:
            if (name, seed) not in done:
                known = pd.concat([known, pd.DataFrame(evaluate(arguments.data, name, seed))], ignore_index=True)
                if arguments.out:
                    known.to_csv(arguments.out, index=False)
    cells = known.pivot_table("ARI", ["method", "seed"], "set", sort=False)
    cells["mean of six"] = cells[[name for name in SETS if name in cells]].mean(axis=1, skipna=False)
    by_method = cells.groupby(level="method", sort=False)
    print(by_method.mean().round(3).to_string(), "\n\nstandard errors\n", by_method.sem().round(3).to_string())


if __name__ == "__main__":
    main()
