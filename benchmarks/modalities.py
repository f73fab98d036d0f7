"""Is a joint model as good as its best modality? Known cell types in real sets, and errors where the truth is known.

python benchmarks/modalities.py --data FOLDER             (FOLDER holds the sets named in SETS)
python benchmarks/modalities.py --data FOLDER --cost      (time of learning the weights and of fits, nothing else)
python benchmarks/modalities.py --simulated
python benchmarks/modalities.py --calibration
The peers: pip install mofapy2 muon igraph

Sources: SNARE-seq of the adult mouse cortex (GSE126074, as packaged in scMoMaT) and a stratified subset of it; CITE-seq
of PBMC (10x Genomics, as packaged in scarf), whose labels are gates on its proteins and so favour them; TEA-seq of PBMC
(Swanson et al. 2021, as packaged in Matilda; RNA and proteins, the 2,000 genes that vary most). 20 topics, 15
components; every method fits all cells. Only labelled cells are scored, and only they are neighbours: on the square
roots of the proportions or on the components, by Euclidean distance, the share of the 15 nearest with the cell's own
label; NMI and ARI of k-means (as many clusters as labels, 10 starts), and those of the best of six Leiden clusterings
of the graph of the 15 nearest. WNN is a graph and has no k-means.

The peers get what muon's tutorials prepare: logarithms of normalised RNA, muon's tfidf of ATAC, muon's clr of proteins.
Components are PCA, for ATAC LSI without the first, which is depth. MOFA+ gets the 2,000 genes and the 2,000 peaks that
vary most, in single precision. In the simulated pairs errors are the mean total variation between true and found
proportions, of 8 topics in 600 cells. The share of the evidence is the mean over cells.

Calibration is of 600 simulated cells with RNA at a depth and ATAC at a quarter of it: the share of the true
proportions, of all and of those above 0.02, that lie within their intervals.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import mudata
import muon
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import mtopic as mt

SETS = {
    "SNARE-seq": ("snareseq_mouse_cortex", "cell_type"),
    "SNARE-seq small": ("snareseq_small", "cell_type"),
    "CITE-seq": ("cite_pbmc1k_small", "protein_gate"),
    "TEA-seq": ("teaseq_pbmc_rna_prot", "cell_type"),
}
SELECTED = ["TEA-seq"]
NOT_SCORED = ["Mis", "ambiguous", "undetermined", "unassigned", "nan"]
N_TOPICS, N_COMPONENTS, N_NEAREST = 20, 15, 15
RESOLUTIONS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
N_VARIABLE = 2000
MEASURES = (
    "15-NN purity",
    "NMI of k-means",
    "ARI of k-means",
    "NMI of the best Leiden",
    "ARI of the best Leiden",
)
CASES: dict[str, dict[str, object]] = {
    "both good": {},
    "one weak": {"depth": {"atac": 50}},
    "one noise": {"resolved": {"atac": []}},
    "complementary": {"resolved": {"rna": [0, 1, 2, 3], "atac": [4, 5, 6, 7]}},
    "depth 50": {"depth": 50},
    "depth 5,000": {"depth": 5000},
    "overdispersed": {"overdispersion": {"atac": 10}},
    "three": {"modalities": {"rna": 300, "atac": 600, "prot": 50}},
}
LEVELS = (0.5, 0.9, 0.95)
DEPTHS = (50, 500, 5000)
CALIBRATED = {"rna": 400, "atac": 400}
LARGE = 0.02

Table = NDArray[np.float64]


def load(folder: Path, name: str) -> mudata.MuData:
    """A set with obs "label" and "scored"."""
    file, column = SETS[name]
    mdata = mt.read.h5mu(folder / f"{file}.h5mu")
    if name in SELECTED:
        rna = mdata.mod["rna"]
        variable = _values("rna", rna).var["highly_variable"].to_numpy()
        mdata = mudata.MuData(dict(mdata.mod) | {"rna": rna[:, variable].copy()}, obs=mdata.obs)
    mdata.obs["label"] = mdata.obs[column].astype(str)
    mdata.obs["scored"] = ~mdata.obs["label"].isin(NOT_SCORED)
    return mdata


def scored(mdata: mudata.MuData, points: Table) -> AnnData:
    """The cells that are scored, as points."""
    cells = AnnData(obs=mdata.obs[["label"]], obsm={"X_points": points})
    return cells[mdata.obs["scored"].to_numpy()].copy()


def near(cells: AnnData) -> AnnData:
    """Points with the graph of their nearest; scanpy counts a cell among its own."""
    sc.pp.neighbors(cells, N_NEAREST + 1, use_rep="X_points", transformer="sklearn")
    return cells


def fitted(
    data: AnnData | mudata.MuData, seed: int, n_topics: int = N_TOPICS, **how: object
) -> AnnData | mudata.MuData:
    """Data with topics of raw counts through `topic_model`."""
    return mt.tl.topic_model(data, n_topics, rng=seed, n_jobs=1, verbose=False, copy=True, **how)


def topics(mdata: mudata.MuData, seed: int, part: int | None = None, **how: object) -> AnnData:
    """Proportions from raw counts, of all modalities or of one."""
    found = fitted(mdata if part is None else list(mdata.mod.values())[part], seed, **how)
    cells = scored(mdata, np.sqrt(found.obsm["topics"].to_numpy()))
    if part is None:
        cells.uns["shares"] = found.obsm["modality_shares"].mean().to_dict()
    return near(cells)


def prepared(
    mdata: mudata.MuData, seed: int, n_topics: int = N_TOPICS, **how: object
) -> tuple[mudata.MuData, mt.tl.MTM]:
    """Topics as the original's users get them: prepared counts, `VI`, export."""
    target = mdata.copy()
    for mod in target.mod:
        (mt.pp.clr if mod == "prot" else mt.pp.tfidf)(target, mod=mod)
    mt.pp.scale_counts(target)
    model = mt.tl.MTM(target, n_topics, seed=seed, n_jobs=1, verbose=False, **how)
    model.VI(500)
    mt.tl.export_params(model, target)
    return target, model


def script(mdata: mudata.MuData, seed: int) -> AnnData:
    """Proportions as the original's users get them."""
    target, _ = prepared(mdata, seed)
    return near(scored(mdata, np.sqrt(target.obsm["topics"].to_numpy())))


def _values(mod: str, adata: AnnData) -> AnnData:
    """A modality as muon's tutorials prepare it, with var "highly_variable"."""
    values = AnnData(adata.X.copy(), obs=adata.obs[[]].copy(), var=adata.var[[]].copy())
    if mod == "prot":
        values.X = values.X.toarray().astype(np.float64)
        muon.prot.pp.clr(values)
        values.var["highly_variable"] = True
        return values
    counts = values.X.copy()
    sc.pp.normalize_total(values, target_sum=1e4)
    sc.pp.log1p(values)
    sc.pp.highly_variable_genes(values, n_top_genes=min(N_VARIABLE, values.n_vars), flavor="seurat")
    if mod == "atac":
        values.X = counts
        values = values[:, values.X.getnnz(axis=0) > 0].copy()
        muon.atac.pp.tfidf(values)
    return values


def mofa(mdata: mudata.MuData, seed: int) -> AnnData:
    """Factors of MOFA+."""
    parts = {mod: _values(mod, adata) for mod, adata in mdata.mod.items()}
    joint = mudata.MuData({mod: part[:, part.var["highly_variable"]].copy() for mod, part in parts.items()})
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        out = str(Path(folder) / "model.hdf5")
        muon.tl.mofa(
            joint,
            use_var=None,
            likelihoods="gaussian",
            n_factors=N_COMPONENTS,
            use_float32=True,
            seed=seed,
            save_data=False,
            outfile=out,
        )
    return near(scored(mdata, np.asarray(joint.obsm["X_mofa"])))


def _components(mdata: mudata.MuData) -> dict[str, Table]:
    """Components of each modality by itself."""
    found = {}
    for mod, adata in mdata.mod.items():
        values = _values(mod, adata)
        if mod == "atac":
            muon.atac.tl.lsi(values, n_comps=N_COMPONENTS + 1)
            found[mod] = values.obsm["X_lsi"][:, 1:].astype(np.float64)
        else:
            sc.pp.pca(values, min(N_COMPONENTS, values.n_vars - 1))
            found[mod] = values.obsm["X_pca"].astype(np.float64)
    return found


def concatenated(mdata: mudata.MuData, seed: int) -> AnnData:
    """Components side by side, those of each modality scaled to a total variance of 1."""
    blocks = [values / np.sqrt(values.var(axis=0).sum()) for values in _components(mdata).values()]
    return near(scored(mdata, np.hstack(blocks)))


def wnn(mdata: mudata.MuData, seed: int) -> AnnData:
    """Weighted nearest neighbours; muon counts n_neighbors without the first."""
    parts = {mod: near(scored(mdata, _unit(values))) for mod, values in _components(mdata).items()}
    joint = mudata.MuData(parts)
    muon.pp.neighbors(joint, N_NEAREST - 1, random_state=seed)
    graph = {key: csr_matrix(joint.obsp[key]) for key in ("distances", "connectivities")}
    return AnnData(obs=parts["rna"].obs[["label"]], obsp=graph, uns={"neighbors": joint.uns["neighbors"]})


def _unit(values: Table) -> Table:
    """Rows of length 1, as muon advises for WNN."""
    return values / np.linalg.norm(values, axis=1, keepdims=True)


METHODS: dict[str, Callable[[mudata.MuData, int], AnnData]] = {
    "RNA alone": partial(topics, part=0),
    "ATAC or proteins alone": partial(topics, part=1),
    "joint": topics,
    "joint, equal weights": partial(topics, modality_weights="equal"),
    "joint, the original's preparation": script,
    "MOFA+": mofa,
    "WNN": wnn,
    "PCA beside LSI": concatenated,
}


def purity(cells: AnnData) -> float:
    """Share of the nearest that have the cell's own label."""
    edges, labels = cells.obsp["distances"].tocoo(), cells.obs["label"].to_numpy()
    return float((labels[edges.row] == labels[edges.col]).mean())


def agreements(labels: pd.Series, found: NDArray[np.intp] | pd.Series) -> tuple[float, float]:
    """NMI and ARI."""
    return float(normalized_mutual_info_score(labels, found)), float(adjusted_rand_score(labels, found))


def k_means(cells: AnnData, seed: int) -> tuple[float, float]:
    """NMI and ARI of clusters of the points, if there are points."""
    if "X_points" not in cells.obsm:
        return np.nan, np.nan
    labels = cells.obs["label"]
    clusters = KMeans(labels.nunique(), n_init=10, random_state=seed)
    return agreements(labels, clusters.fit_predict(cells.obsm["X_points"]))


def leiden(cells: AnnData, seed: int) -> tuple[float, float]:
    """NMI and ARI of clusters of the graph, each at its best resolution."""
    scores = []
    for resolution in RESOLUTIONS:
        sc.tl.leiden(cells, resolution, random_state=seed, flavor="igraph", n_iterations=2, directed=False)
        scores.append(agreements(cells.obs["label"], cells.obs["leiden"]))
    nmi, ari = zip(*scores, strict=True)
    return max(nmi), max(ari)


def evaluate(folder: Path, name: str, seed: int, methods: list[str]) -> list[dict[str, object]]:
    """Methods on one set with one seed."""
    warnings.simplefilter("ignore")
    mdata = load(folder, name)
    rows = []
    for method in methods:
        cells = METHODS[method](mdata, seed)
        found = zip(MEASURES, (purity(cells), *k_means(cells, seed), *leiden(cells, seed)), strict=True)
        shares = cells.uns.get("shares", {})
        rows.append({"set": name, "seed": seed, "method": method, "shares": shares, **dict(found)})
    return rows


def report(results: pd.DataFrame) -> None:
    """A row for each method, a column for each set; and what each modality says in the joint model."""
    for measure in MEASURES:
        print(f"\n{measure}")
        table = results.pivot_table(measure, ["method", "seed"], "set", sort=False, dropna=False)
        print(_means(table.groupby(level="method", sort=False)).to_string())
    joint = results[results["method"] == "joint"]
    if len(joint):
        print("\nShare of the evidence, joint")
        shares = pd.DataFrame(list(joint["shares"]), index=pd.Index(joint["set"]))
        print(_means(shares.groupby(level="set", sort=False)).to_string())


def _means(groups: "pd.api.typing.DataFrameGroupBy") -> pd.DataFrame:
    """Mean ± standard error over seeds; nothing where there is no value."""
    means, errors = groups.mean(), groups.sem()
    texts = {c: [_text(*pair) for pair in zip(means[c], errors[c], strict=True)] for c in means}
    return pd.DataFrame(texts, index=means.index)


def _text(mean: float, error: float) -> str:
    return "" if np.isnan(mean) else f"{mean:.3f}" + ("" if np.isnan(error) else f"±{error:.3f}")


def times(folder: Path, name: str, repeats: int = 3) -> None:
    """Learning the weights, and a whole fit with weights "auto", over a whole fit with "equal" beside it."""
    warnings.simplefilter("ignore")
    mdata, spent = load(folder, name), []
    for seed in range(repeats + 1):  # the first compiles
        fits = [partial(fitted, mdata, seed, modality_weights=w, n_iter=n) for n in (1, 500) for w in ("auto", "equal")]
        spent.append([seconds(fit) for fit in fits])
    first, first_equal, auto, equal = np.array(spent[1:]).T
    for what, ratios in (("learning the weights", (first - first_equal) / equal), ("whole fit", auto / equal)):
        print(f"{name:<16} {what:<21} {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})", flush=True)


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def simulate(case: str, seed: int) -> dict[str, object]:
    """Errors of the proportions by one modality and by all, and shares of the evidence, where the truth is known."""
    warnings.simplefilter("ignore")
    mdata = mt.datasets.simulate(600, 8, spatial=False, rng=seed, **CASES[case])
    true = mdata.obsm["true_topics"]
    row: dict[str, object] = {"case": case}
    for mod, adata in mdata.mod.items():
        row[mod] = error(fitted(adata, seed, 8).obsm["topics"], true.loc[adata.obs_names])
    for how in ("equal", "auto"):
        found = fitted(mdata, seed, 8, modality_weights=how)
        row[f"joint, {how}"] = error(found.obsm["topics"], true)
    return row | {f"share of {mod}": share for mod, share in found.obsm["modality_shares"].mean().items()}


def error(found: pd.DataFrame, true: pd.DataFrame) -> float:
    """Mean total variation to the true proportions, topics matched."""
    distance = np.abs(found.to_numpy()[:, :, None] - true.to_numpy()[:, None, :]).sum(axis=0)
    return float(distance[linear_sum_assignment(distance)].sum()) / 2 / len(true)


def by_default(mdata: mudata.MuData, seed: int, n_topics: int) -> tuple[Table, Callable[[float], tuple[Table, Table]]]:
    """Proportions by `topic_model`, and the limits of intervals by `uncertainty`."""
    found = fitted(mdata, seed, n_topics)

    def limits(level: float) -> tuple[Table, Table]:
        mt.tl.uncertainty(found, level=level, n_jobs=1)
        return found.obsm["topics_low"].to_numpy(), found.obsm["topics_high"].to_numpy()

    return found.obsm["topics"].to_numpy(), limits


def by_dirichlet(
    mdata: mudata.MuData, seed: int, n_topics: int
) -> tuple[Table, Callable[[float], tuple[Table, Table]]]:
    """Proportions by the original's preparation, and the quantiles of q(θ)."""
    _, model = prepared(mdata, seed, n_topics)
    gamma = model.gamma.astype(np.float64)
    total = gamma.sum(axis=1, keepdims=True)
    rest = total - gamma

    def limits(level: float) -> tuple[Table, Table]:
        return special.betaincinv(gamma, rest, (1 - level) / 2), special.betaincinv(gamma, rest, (1 + level) / 2)

    return gamma / total, limits


INTERVALS = {"topic_model, uncertainty": by_default, "the original's preparation, Dirichlet": by_dirichlet}


def calibrate(n_topics: int, depth: float, method: str, seed: int) -> dict[str, object]:
    """Shares of the true proportions within their intervals."""
    warnings.simplefilter("ignore")
    mdata = mt.datasets.simulate(
        600, n_topics, spatial=False, rng=seed, depth={"rna": depth, "atac": depth / 4}, modalities=CALIBRATED
    )
    proportions, limits = INTERVALS[method](mdata, seed, n_topics)
    true = mdata.obsm["true_topics"].to_numpy()
    found, match = linear_sum_assignment(np.abs(proportions[:, :, None] - true[:, None, :]).sum(axis=0))
    true = true[:, match]
    row: dict[str, object] = {"topics": n_topics, "depth": depth, "intervals": method}
    for level in LEVELS:
        low, high = (limit[:, found] for limit in limits(level))
        inside = (low <= true) & (true <= high)
        row |= {f"{level} of all": inside.mean(), f"{level} of large": inside[true > LARGE].mean()}
    return row


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--calibration", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    arguments = parser.parse_args()
    if arguments.cost and not arguments.data:
        parser.error("--cost needs --data")
    if arguments.cost:
        print('Time over that of a whole fit with weights "equal": median of 3 (range)')
        for name in arguments.sets:
            times(arguments.data, name)
    elif arguments.data:
        jobs = [(name, seed, arguments.methods) for name in arguments.sets for seed in range(arguments.seeds)]
        rows = Parallel(n_jobs=2)(delayed(evaluate)(arguments.data, *job) for job in jobs)
        report(pd.DataFrame([row for part in rows for row in part]))
    if arguments.simulated:
        jobs_ = [(case, seed) for case in arguments.cases for seed in range(arguments.seeds)]
        results = pd.DataFrame(Parallel(n_jobs=2)(delayed(simulate)(*job) for job in jobs_))
        print("\nError of the proportions by each modality and by all, and shares of the evidence")
        table = _means(results.groupby("case", sort=False))
        order = sorted(table, key=lambda name: name.startswith(("joint", "share")) + name.startswith("share"))
        print(table[order].to_string())
    if arguments.calibration:
        cases = [(n, depth, method) for n in (8, N_TOPICS) for depth in DEPTHS for method in INTERVALS]
        rows_ = Parallel(n_jobs=2)(delayed(calibrate)(*case, seed) for case in cases for seed in range(arguments.seeds))
        print("\nShare of the true proportions within intervals of a level")
        print(_means(pd.DataFrame(rows_).groupby(["topics", "depth", "intervals"], sort=False)).to_string())


if __name__ == "__main__":
    main()
