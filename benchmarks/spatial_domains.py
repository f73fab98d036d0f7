"""Do topics find the regions that anatomists and pathologists drew? How far are they from the truth if it is known?

python benchmarks/spatial_domains.py --data FOLDER            (FOLDER holds the sets named in SETS)
python benchmarks/spatial_domains.py --simulated

Sources: her2st (Andersson et al. 2021, almaan/her2st), DLPFC 151673 (spatialLIBD, 73 genes as in JuanXie19/spaDesign),
mouse olfactory bulb (Ståhl et al. 2016, from STdeconvolve). One selection of genes for every method: in at least 5 % of
the spots, of these the top 2,000 by scanpy's "seurat". One graph: all spots within 1.6 × the median distance to the
nearest. 15 topics or components. k-means (as many clusters as labels, 10 starts) on the square roots of the
proportions, or on the components.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData, read_h5ad
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array, csr_matrix, eye_array
from scipy.spatial import cKDTree
from sklearn.cluster import KMeans
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import mtopic as mt

SETS = {
    "B1": ("her2st_B1", "annotation"),
    "E1": ("her2st_E1", "annotation"),
    "G2": ("her2st_G2", "annotation"),
    "H1": ("her2st_H1", "annotation"),
    "DLPFC": ("dlpfc151673_73genes", "layer"),
    "bulb": ("mob_st", "layer"),
}
NOT_SCORED = ["Mis", "ambiguous", "undetermined", "unassigned", "nan"]
N_TOPICS = 15
TISSUES = ("smooth", "sharp", "gradient", "scattered", "noise")
DEPTHS = (100, 500, 2000)
SPATIAL = {"spatial_key": "spatial", "n_jobs": 1, "verbose": False}

Table = NDArray[np.float64]


def load(folder: Path, file: str, column: str, *, all_genes: bool = False) -> tuple[AnnData, pd.Series, float]:
    """Counts of the selected genes or of all, labels, and the radius in units of the longer side."""
    adata = read_h5ad(folder / f"{file}.h5ad")
    adata.X = csr_matrix(adata.X, dtype=np.float32)
    adata = adata[:, adata.X.getnnz(axis=0) >= (1 if all_genes else 0.05 * adata.n_obs)].copy()
    if adata.n_vars > 2000 and not all_genes:
        logs = logarithms(adata)
        sc.pp.highly_variable_genes(logs, n_top_genes=2000, flavor="seurat")
        adata = adata[:, logs.var["highly_variable"].to_numpy()].copy()
    points = np.asarray(adata.obsm["spatial"], dtype=np.float64)[:, :2]
    adata.obsm["spatial"] = points
    nearest = cKDTree(points).query(points, 2)[0][:, 1]
    return adata, adata.obs[column].astype(str), 1.6 * float(np.median(nearest) / np.ptp(points, axis=0).max())


def logarithms(adata: AnnData) -> AnnData:
    """Of counts scaled to 10,000."""
    logs = AnnData(adata.X.copy(), var=adata.var[[]].copy())
    sc.pp.normalize_total(logs, target_sum=1e4)
    sc.pp.log1p(logs)
    return logs


def prepared(adata: AnnData) -> mudata.MuData:
    """As the original's users prepare counts."""
    mdata = mudata.MuData({"rna": adata.copy()})
    mdata.obsm["spatial"] = adata.obsm["spatial"]
    mt.pp.tfidf(mdata, mod="rna")
    mt.pp.scale_counts(mdata)
    return mdata


def topics(adata: AnnData, seed: int, **how: object) -> Table:
    """Proportions from raw counts through `topic_model`."""
    data = adata.copy()
    mt.tl.topic_model(data, N_TOPICS, rng=seed, n_jobs=1, verbose=False, **how)
    return data.obsm["topics"].to_numpy()


def script(mdata: mudata.MuData, seed: int, schedule: str = "fast", **how: object) -> Table:
    """Proportions by the original's script: a model of prepared counts, `VI`, export."""
    model: mt.tl.MTM | mt.tl.sMTM
    if how:
        model = mt.tl.sMTM(mdata, N_TOPICS, seed=seed, **SPATIAL, **how)
    else:
        model = mt.tl.MTM(mdata, N_TOPICS, seed=seed, n_jobs=1, verbose=False)
    model.VI(30 if schedule == "original" else 500, schedule=schedule)
    target = mdata.copy()
    mt.tl.export_params(model, target)
    return target.obsm["topics"].to_numpy()


def neighbours(adata: AnnData, radius: float) -> csr_array:
    """Who is within the radius of whom."""
    points = adata.obsm["spatial"]
    pairs = cKDTree(points).query_pairs(radius * np.ptp(points, axis=0).max(), output_type="ndarray")
    both = np.vstack([pairs, pairs[:, ::-1]])
    return csr_array((np.ones(len(both)), both.T), shape=(len(points), len(points)))


def averaged(values: Table, graph: csr_array) -> Table:
    """Means over each observation and its neighbours."""
    around = graph + eye_array(graph.shape[0], format="csr")
    return (around @ values) / around.sum(axis=1)[:, None]


def ringed(values: Table, graph: csr_array, n_rings: int = 3) -> Table:
    """Values beside their means over the first rings of neighbours, as cellcharter aggregates them."""
    parts, ring = [values], eye_array(graph.shape[0], format="csr")
    seen = ring.copy()
    for _ in range(n_rings):
        ring = (ring @ graph).astype(bool).astype(float)
        ring = csr_array(ring - ring.multiply(seen))
        ring.eliminate_zeros()
        seen = seen + ring
        parts.append((ring @ values) / np.maximum(1, ring.sum(axis=1))[:, None])
    return np.hstack(parts)


def methods(adata: AnnData, radius: float, graph: csr_array, seed: int) -> dict[tuple[str, str], Table]:
    """(Table, method) → proportions or components."""
    components = sc.pp.pca(logarithms(adata), n_comps=N_TOPICS, copy=True).obsm["X_pca"].astype(np.float64)
    lda = LatentDirichletAllocation(N_TOPICS, max_iter=20, random_state=seed).fit_transform(adata.X)
    mdata, near = prepared(adata), {"radius": radius}
    fits: dict[str, Callable[..., Table]] = {
        "raw": lambda **how: topics(adata, seed, **({"spatial_key": "spatial"} | near | how if how else {})),
        "prepared": lambda **how: script(mdata, seed, **(near | how if how else {})),
    }
    found: dict[tuple[str, str], Table] = {}
    for table, fit in fits.items():
        plain = fit()
        rows = {
            "MTM": plain,
            "MTM, averaged afterwards": averaged(plain, graph),
            "original correction": fit(smoothing="original"),
            **{f"prior, strength {strength:g}": fit(strength=strength) for strength in (0.3, 1, 3)},
            "prior, strength auto": fit(strength="auto"),
            "LDA (raw)": lda,
            "LDA (raw), averaged afterwards": averaged(lda, graph),
            "PCA": components,
            "PCA, averaged": averaged(components, graph),
            "PCA, three rings": ringed(components, graph),
        }
        found |= {(table, name): values for name, values in rows.items()}
    found["prepared", "the original's schedule"] = script(mdata, seed, "original", **near)
    return found


def clustered(values: Table, labels: pd.Series, seed: int) -> NDArray[np.int64]:
    """Clusters of the observations that are scored, of the others -1."""
    scored = ~labels.isin(NOT_SCORED).to_numpy()
    points = np.sqrt(values) if (values >= 0).all() else values
    found = np.full(len(labels), -1)
    found[scored] = KMeans(labels[scored].nunique(), n_init=10, random_state=seed).fit_predict(points[scored])
    return found


def domains(adata: AnnData, proportions: Table, labels: pd.Series, graph: csr_array, seed: int) -> NDArray[np.int64]:
    """Regions by `spatial_domains`, as many as there are labels."""
    data = AnnData(obs=adata.obs[[]], obsm={"topics": proportions}, obsp={"spatial_connectivities": graph})
    mt.tl.spatial_domains(data, labels[~labels.isin(NOT_SCORED)].nunique(), rng=seed)
    return data.obs["domain"].cat.codes.to_numpy()


def scores(found: NDArray[np.int64], labels: pd.Series) -> dict[str, float]:
    """ARI and NMI with the labels."""
    scored = ~labels.isin(NOT_SCORED).to_numpy()
    pair = labels[scored], found[scored]
    return {"ARI": adjusted_rand_score(*pair), "NMI": normalized_mutual_info_score(*pair)}


def roughness(of: NDArray[np.int64], graph: csr_array) -> float:
    """Share of neighbours that are of another kind."""
    edges = graph.tocoo()
    return float((of[edges.row] != of[edges.col]).mean())


def evaluate(folder: Path, name: str, seed: int) -> list[dict[str, object]]:
    """All methods on one set with one seed."""
    warnings.simplefilter("ignore")
    adata, labels, radius = load(folder, *SETS[name])
    graph = neighbours(adata, radius)
    rows = []
    for (table, method), values in methods(adata, radius, graph, seed).items():
        smooth = roughness(values.argmax(axis=1), graph) if (values >= 0).all() else np.nan
        row = {"table": table, "set": name, "seed": seed}
        rows.append({**row, "method": method, **scores(clustered(values, labels, seed), labels), "roughness": smooth})
        if method == "prior, strength auto":
            regions = domains(adata, values, labels, graph, seed)
            rough = {"roughness": roughness(regions, graph)}
            rows.append({**row, "method": "the same, tl.spatial_domains", **scores(regions, labels), **rough})
    return rows


def report(results: pd.DataFrame) -> None:
    """A row for each method: mean ± standard error over seeds, for each set and over all."""
    for (table, measure), rows in {
        (table, measure): results[results["table"] == table]
        for measure in ("ARI", "NMI", "roughness")
        for table in ("raw", "prepared")
    }.items():
        how = "raw counts, tl.topic_model" if table == "raw" else "tfidf, scale_counts, sMTM"
        print(f"\n{measure}, {how}")
        cells = rows.pivot_table(measure, ["method", "seed"], "set", sort=False, dropna=False)[
            list(rows["set"].unique())
        ]
        cells["mean"] = cells.mean(axis=1)
        by_method = cells.groupby(level="method", sort=False)
        means, errors = by_method.mean(), by_method.sem()
        texts = {c: [f"{m:.3f}±{e:.3f}" for m, e in zip(means[c], errors[c], strict=True)] for c in means}
        print(pd.DataFrame(texts, index=means.index).to_string())


def times(folder: Path, name: str, repeats: int = 3) -> None:
    """A whole fit with strength "auto" beside one of MTM, in turn."""
    adata, _, radius = load(folder, *SETS[name])
    mdata, ratios = prepared(adata), {"raw": [], "prepared": []}
    near = {"spatial_key": "spatial", "radius": radius}
    for seed in range(repeats + 1):
        fits = {
            "raw": (partial(topics, adata, seed), partial(topics, adata, seed, **near)),
            "prepared": (partial(script, mdata, seed), partial(script, mdata, seed, radius=radius)),
        }
        for table, (plain, spatial) in fits.items():
            if seed:  # the first compiles
                ratios[table].append(seconds(spatial) / seconds(plain))
            else:
                spatial()
    print(f"{name:<6}", *(f"{table} {np.median(r):.2f} ({min(r):.2f} to {max(r):.2f})" for table, r in ratios.items()))


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def simulate(tissue: str, depth: int, seed: int) -> dict[str, object]:
    """Error of the proportions, in total variation, and the strength chosen, where the truth is known."""
    warnings.simplefilter("ignore")
    mdata = mt.datasets.simulate(600, 8, modalities={"rna": 600}, depth=depth, tissue=tissue, rng=seed)
    row: dict[str, object] = {"tissue": tissue, "depth": depth, "seed": seed}
    for method, how in {
        "MTM": {},
        "original correction": {"spatial_key": "spatial", "smoothing": "original"},
        "strength 1": {"spatial_key": "spatial", "strength": 1},
        "auto": {"spatial_key": "spatial"},
    }.items():
        mt.tl.topic_model(mdata, 8, rng=seed, n_jobs=1, verbose=False, **how)
        row[method] = error(mdata.obsm["topics"].to_numpy(), mdata.obsm["true_topics"].to_numpy())
    row["strength chosen"] = mdata.uns["mtopic"]["params"]["strength"]
    return row


def error(found: Table, true: Table) -> float:
    """Mean total variation to the true proportions, topics matched."""
    distance = np.abs(found[:, :, None] - true[:, None, :]).sum(axis=0)
    matched = linear_sum_assignment(distance)
    missing = np.setdiff1d(np.arange(true.shape[1]), matched[1])
    return float(distance[matched].sum() + true[:, missing].sum()) / 2 / len(true)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    arguments = parser.parse_args()
    if arguments.data:
        jobs = [(name, seed) for name in arguments.sets for seed in range(arguments.seeds)]
        rows = Parallel(n_jobs=2)(delayed(evaluate)(arguments.data, *job) for job in jobs)
        report(pd.DataFrame([row for part in rows for row in part]))
        print("\nTime of a whole fit with strength auto, MTM = 1: median (range)")
        warnings.simplefilter("ignore")
        for name in arguments.sets:
            times(arguments.data, name)
    if arguments.simulated:
        jobs_ = [(tissue, depth, seed) for tissue in TISSUES for depth in DEPTHS for seed in range(arguments.seeds)]
        rows_ = pd.DataFrame(Parallel(n_jobs=2)(delayed(simulate)(*job) for job in jobs_)).drop(columns="seed")
        print("\nError of the proportions, and strength chosen")
        print(rows_.groupby(["tissue", "depth"], sort=False).mean().round(4).to_string())


if __name__ == "__main__":
    main()
