"""Samples put together: are the topics those of the tissue, or those of the samples?

python benchmarks/batches.py --data FOLDER            (FOLDER holds the sets named in SETS; needs harmonypy)

her2st (Andersson et al. 2021, almaan/her2st): sections of four patients, pathologists' regions. DLPFC 151507 and 151508
(spatialLIBD): two sections of one donor, layers. One selection of genes for every method: in at least 5 % of the spots
of each sample, of these the top 2,000 by scanpy's "seurat" within samples. 15 topics or components. *Transfer*: of each
sample left out, the share of the spots whose region most of its 15 nearest spots of the other samples have, mean over
samples. *Mixing*: the share of the 15 nearest of all that is of other samples. *Within* and *over all*: adjusted Rand
index of k-means (as many clusters as regions, all samples together), mean over samples and of all spots. *Each alone*:
a fit to each sample by itself. *spatial_domains*: regions by this in place of k-means.

mosaic (simulated by SpaMosaic's authors): three sections, of which one lacks RNA and one proteins. 8 topics.
*transform*: a fit to the section that has both, with which `transform` finds topics of all three.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData, read_h5ad
from mudata import MuData, read_h5mu
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from shapes import table
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import mtopic as mt

SETS = {
    "her2st": (("her2st_B1", "her2st_E1", "her2st_G2", "her2st_H1"), "annotation"),
    "DLPFC": (("dlpfc_151507_508_2sections",), "layer"),
    "mosaic": (("sim_spamosaic_mosaic_r1",), "domain"),
}
COLUMNS = ["transfer", "mixing", "within", "over all", "CPU s"]
NOT_SCORED = ["ambiguous", "undetermined", "unassigned", "nan"]
N_TOPICS, N_TOPICS_OF_MOSAIC, NEIGHBOURS = 15, 8, 15


Table = NDArray[np.float64]
Labels = NDArray[np.object_]


def load(folder: Path, files: tuple[str, ...], column: str) -> AnnData:
    """Counts of the selected genes, with ``obs["label"]`` and ``obs["sample"]``."""
    parts = {file: read_h5ad(folder / f"{file}.h5ad") for file in files}
    adata = anndata.concat(parts, label="file", index_unique="-") if len(parts) > 1 else next(iter(parts.values()))
    adata.obs["sample"] = (adata.obs["file"] if len(parts) > 1 else adata.obs["section"]).astype(str)
    adata.obs["label"] = adata.obs[column].astype(str)
    adata.obsm["spatial"] = np.asarray(adata.obsm["spatial"], np.float64)[:, :2]
    adata.X = csr_matrix(adata.X, dtype=np.float32)
    seen = [adata[adata.obs["sample"] == one].X.getnnz(axis=0) for one in adata.obs["sample"].unique()]
    sizes = adata.obs["sample"].value_counts()[adata.obs["sample"].unique()]
    adata = adata[:, (np.array(seen) >= 0.05 * sizes.to_numpy()[:, None]).all(axis=0)].copy()
    if adata.n_vars > 2000:
        logs = logarithms(adata)
        sc.pp.highly_variable_genes(logs, n_top_genes=2000, flavor="seurat", batch_key="sample")
        adata = adata[:, logs.var["highly_variable"].to_numpy()].copy()
    return adata


def load_mosaic(folder: Path, file: str, column: str) -> MuData:
    """All counts, with ``obs["label"]`` and ``obs["sample"]``."""
    mdata = read_h5mu(folder / f"{file}.h5mu")
    mdata.obs["label"], mdata.obs["sample"] = mdata.obs[column].astype(str), mdata.obs["section"].astype(str)
    return mdata


def logarithms(adata: AnnData) -> AnnData:
    """Of counts scaled to 10,000."""
    logs = AnnData(adata.X.copy(), obs=adata.obs, var=adata.var[[]].copy())
    sc.pp.normalize_total(logs, target_sum=1e4)
    sc.pp.log1p(logs)
    return logs


def harmonized(values: Table, obs: pd.DataFrame) -> Table:
    """Corrected by Harmony (Korsunsky et al. 2019)."""
    import harmonypy

    found = np.asarray(harmonypy.run_harmony(values, obs, ["sample"], verbose=False).Z_corr)
    return found if len(found) == len(obs) else found.T


def fitted(data: AnnData | MuData, n_topics: int, seed: int, **how: object) -> AnnData | MuData:
    """A copy with topics, of neighbours within samples."""
    where = {"spatial_key": "spatial", "library_key": "sample"}
    return mt.tl.topic_model(data, n_topics, rng=seed, n_jobs=1, verbose=False, copy=True, **where, **how)


def topics(data: AnnData | MuData) -> Table:
    """Square roots of the proportions."""
    return np.sqrt(data.obsm["topics"].to_numpy())


def regions_found(values: Table, label: Labels, seed: int) -> NDArray[np.int32]:
    """Clusters, as many as labels."""
    return KMeans(len(np.setdiff1d(label, NOT_SCORED)), n_init=10, random_state=seed).fit_predict(values)


def domains(data: AnnData | MuData, seed: int) -> Labels:
    """Regions by `spatial_domains`, as many as labels."""
    n_domains = len(np.setdiff1d(data.obs["label"].to_numpy(), NOT_SCORED))
    mt.tl.spatial_domains(data, n_domains, rng=seed, verbose=False)
    return data.obs["domain"].astype(str).to_numpy()


def neighbours(values: Table, label: Labels, sample: Labels) -> dict[str, float]:
    """What the nearest spots of an embedding are."""
    known = ~np.isin(label, NOT_SCORED)
    transfer = []
    for one in np.unique(sample):
        of, others = known & (sample == one), known & (sample != one)
        told = KNeighborsClassifier(NEIGHBOURS).fit(values[others], label[others]).predict(values[of])
        transfer.append((told == label[of]).mean())
    nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(values).kneighbors(return_distance=False)
    return {"transfer": float(np.mean(transfer)), "mixing": float((sample[nearest] != sample[:, None]).mean())}


def agreement(clusters: NDArray[np.generic], label: Labels, sample: Labels) -> dict[str, float]:
    """Of clusters with regions."""
    known = ~np.isin(label, NOT_SCORED)
    parts = [known & (sample == one) for one in np.unique(sample)]
    return {
        "within": float(np.mean([adjusted_rand_score(label[part], clusters[part]) for part in parts])),
        "over all": float(adjusted_rand_score(label[known], clusters[known])),
    }


def scores(values: Table, data: AnnData | MuData, seed: int) -> dict[str, float]:
    """Of one embedding."""
    label, sample = data.obs["label"].to_numpy(), data.obs["sample"].to_numpy()
    return neighbours(values, label, sample) | agreement(regions_found(values, label, seed), label, sample)


def joint(data: AnnData | MuData, n_topics: int, seed: int) -> Iterator[dict[str, object]]:
    """Rows of fits to all samples."""
    label, sample = data.obs["label"].to_numpy(), data.obs["sample"].to_numpy()
    for name, effects in (("topic_model", False), ("topic_model, batch_effects", True)):
        began = time.process_time()
        fit = fitted(data, n_topics, seed, batch_key="sample", batch_effects=effects)
        seconds = time.process_time() - began
        yield {"method": name, **scores(topics(fit), data, seed), "CPU s": seconds}
        yield {"method": f"{name}, spatial_domains", **agreement(domains(fit, seed), label, sample)}
        if not effects:
            yield {"method": f"{name}, Harmony", **scores(harmonized(topics(fit), data.obs), data, seed)}


def alone(adata: AnnData, seed: int) -> Iterator[dict[str, object]]:
    """Rows of fits to each sample by itself."""
    found = []
    for one in adata.obs["sample"].unique():
        part = adata[adata.obs["sample"] == one].copy()
        fit, label, sample = fitted(part, N_TOPICS, seed), part.obs["label"].to_numpy(), part.obs["sample"].to_numpy()
        regions = regions_found(topics(fit), label, seed), domains(fit, seed)
        found.append([agreement(clusters, label, sample)["within"] for clusters in regions])
    of_k_means, of_domains = np.mean(found, axis=0)
    yield {"method": "topic_model, each alone", "within": of_k_means}
    yield {"method": "topic_model, each alone, spatial_domains", "within": of_domains}


def of_sections(adata: AnnData, seed: int) -> Iterator[dict[str, object]]:
    """Rows of samples that have all been measured alike."""
    components = np.asarray(sc.pp.pca(logarithms(adata), n_comps=N_TOPICS, copy=True).obsm["X_pca"], np.float64)
    yield {"method": "PCA", **scores(components, adata, seed)}
    yield {"method": "PCA, Harmony", **scores(harmonized(components, adata.obs), adata, seed)}
    yield from joint(adata, N_TOPICS, seed)
    yield from alone(adata, seed)


def of_mosaic(mdata: MuData, seed: int) -> Iterator[dict[str, object]]:
    """Rows of samples that lack a modality, which neither PCA nor a fit of one sample compares."""
    yield from joint(mdata, N_TOPICS_OF_MOSAIC, seed)
    began = time.process_time()
    has_all = np.all([mdata.obsm[mod] for mod in mdata.mod], axis=0)
    reference, found = fitted(mdata[has_all].copy(), N_TOPICS_OF_MOSAIC, seed), mdata.copy()
    mt.tl.transform(reference, found, spatial_key="spatial", library_key="sample", n_jobs=1, verbose=False)
    seconds = time.process_time() - began
    label, sample = mdata.obs["label"].to_numpy(), mdata.obs["sample"].to_numpy()
    yield {"method": "transform", **scores(topics(found), mdata, seed), "CPU s": seconds}
    yield {"method": "transform, spatial_domains", **agreement(domains(found, seed), label, sample)}


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the sets")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    lines = []
    for name in given.sets:
        files, column = SETS[name]
        if name == "mosaic":
            data, rows = load_mosaic(given.data, files[0], column), of_mosaic
        else:
            data, rows = load(given.data, files, column), of_sections
        found = [row for seed in range(given.seeds) for row in rows(data, seed)]
        means = pd.DataFrame(found).groupby("method", sort=False).mean().reindex(columns=COLUMNS)
        lines += [[name, method, *map(float, row)] for method, row in means.iterrows()]
    print(table(["set", "method", *COLUMNS], lines))


if __name__ == "__main__":
    main()
