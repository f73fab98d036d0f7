"""What do cells lose that lack a modality or features? SNARE-seq with parts hidden, and simulated panels.

python benchmarks/mosaic.py --data FOLDER       (FOLDER holds the sets named in SETS)
python benchmarks/mosaic.py --simulated
python benchmarks/mosaic.py --common 3 10 30 100 300 --seeds 0 1 2 3

Source: SNARE-seq of the adult mouse cortex (GSE126074, as packaged in scMoMaT) and a stratified subset of it; 20 topics
of raw counts by `topic_model`. Halves are of the barcodes: drawn at random, or the first and the last in alphabetical
order, which know nothing of cell types. Features of batches: a random fifth that both halves measured, and the others
dealt out, so that each has 60 %.

Purity: on the square roots of the proportions of all labelled cells, the share of the 15 nearest with the cell's own
label, mean over the labelled cells of either half. Own half: the share of the 15 nearest that are of the cell's own
half; 0.5 if topics are not halves.

Simulated: 800 cells, 8 topics, two batches with 60 % of the features each. Errors are the mean total variation between
true and found proportions and signatures, topics matched one to one; fits to all features, to what is left with zeros
in the place of the others, and with batches named.

Common: two simulated batches of 300 cells each, 8 topics, with so many of 300 features in common. Mean correlation of
true and found proportions, topics matched one to one over all cells, or over each batch by itself.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from mudata import MuData
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from shapes import table
from sklearn.neighbors import NearestNeighbors

import mtopic as mt

SETS = {"SNARE-seq small": ("snareseq_small", (2291, 1, 2)), "SNARE-seq": ("snareseq_mouse_cortex", (2291,))}
NOT_SCORED = ["Mis", "ambiguous", "undetermined", "unassigned", "nan"]
N_TOPICS, N_NEAREST = 20, 15
SHARED, DEPTHS = 0.2, (50, 200, 1000)

Half = NDArray[np.bool_]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--common", type=int, nargs="+", help="features in common, of simulated batches")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of simulated data")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--n-jobs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.simulated:
        rows = Parallel(arguments.n_jobs)(
            delayed(simulated)(depth, seed) for depth in DEPTHS for seed in arguments.seeds
        )
        found = pd.concat(rows).groupby(["depth", "fit"], sort=False).mean()
    elif arguments.common:
        rows = Parallel(arguments.n_jobs)(
            delayed(in_common)(n_common, seed) for n_common in arguments.common for seed in arguments.seeds
        )
        found = pd.DataFrame(rows).groupby("features in common", sort=False).mean()
    elif arguments.data:
        chosen = {name: SETS[name] for name in arguments.sets}
        sets = [(name, mt.read.h5mu(arguments.data / f"{file}.h5mu"), seeds) for name, (file, seeds) in chosen.items()]
        rows = Parallel(arguments.n_jobs)(
            delayed(scores)(name, mdata, seed) for name, mdata, seeds in sets for seed in seeds
        )
        found = pd.concat(rows).groupby(["data", "halves", "hidden", "fit"], sort=False).mean()
    else:
        parser.error("give --data FOLDER, --simulated or --common N")
    print(table(list(found.reset_index().columns), found.reset_index().to_numpy().tolist()))


def scores(name: str, mdata: MuData, seed: int) -> pd.DataFrame:
    """The scores of all fits to one set, with what is hidden drawn by the seed."""
    rng = np.random.default_rng(seed)
    halves = {"at random": rng.permutation(mdata.n_obs) % 2 == 0, "by barcode": by_barcode(mdata)}
    complete = {"both modalities": fitted(mdata, seed), "RNA alone": fitted(mdata["rna"], seed)}
    rows = []
    for split, half in halves.items():
        fits = {("nothing", fit): found for fit, found in complete.items()}
        fits[("ATAC of the first half", "both modalities")] = fitted(without(mdata, "atac", half), seed)
        fits[("RNA of the first half", "both modalities")] = fitted(without(mdata, "rna", half), seed)
        fits[("RNA of the first half", "both, of equal weight")] = fitted(
            without(mdata, "rna", half), seed, modality_weights="equal"
        )
        both = panels(mdata, half, rng)
        fits[("40 % of the features", "zeros")] = fitted(both, seed)
        fits[("40 % of the features", "batch_key")] = fitted(both, seed, batch_key="batch")
        for (hidden, fit), found in fits.items():
            scored = purity(mdata, half, found.obsm["topics"])
            rows.append({"data": name, "halves": split, "hidden": hidden, "fit": fit, **scored})
    return pd.DataFrame(rows)


def by_barcode(mdata: MuData) -> Half:
    """The first half of the barcodes in alphabetical order."""
    return np.argsort(np.argsort(mdata.obs_names.to_numpy(str))) < mdata.n_obs // 2


def without(mdata: MuData, mod: str, half: Half) -> MuData:
    """One half lacks a modality."""
    other = next(name for name in mdata.mod if name != mod)
    return quiet(
        {other: mdata[other].copy(), mod: mdata[mod][mdata[mod].obs_names.isin(mdata.obs_names[~half])].copy()}
    )


def panels(mdata: MuData, half: Half, rng: np.random.Generator) -> MuData:
    """Each half has measured 60 % of the features, a third of them common to both."""
    kept: tuple[dict[str, NDArray[np.intp]], ...] = ({}, {})
    for mod, adata in mdata.mod.items():
        order = rng.permutation(adata.n_vars)
        common, rest = np.split(order, [int(SHARED * order.size)])
        for features, own in zip(kept, np.array_split(rest, 2), strict=True):
            features[mod] = np.sort(np.concatenate([common, own]))
    parts = {}
    for name, features, rows in zip("ab", kept, (half, ~half), strict=True):
        names = mdata.obs_names[rows]
        parts[name] = quiet({mod: mdata[mod][names][:, features[mod]].copy() for mod in mdata.mod})
    return mt.pp.concat(parts)


def quiet(parts: dict[str, object]) -> MuData:
    """A MuData, without what mudata announces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return MuData(parts)


def fitted(data: MuData, seed: int, n_topics: int = N_TOPICS, **how: object) -> MuData:
    """Data with topics of raw counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return mt.tl.topic_model(data, n_topics, rng=seed, n_jobs=1, verbose=False, copy=True, **how)


def purity(mdata: MuData, half: Half, topics: pd.DataFrame) -> dict[str, float]:
    """Scores of the two halves."""
    labels = mdata.obs["cell_type"].astype(str)
    scored = ~labels.isin(NOT_SCORED).to_numpy()
    points = np.sqrt(topics.loc[mdata.obs_names[scored]].to_numpy())
    near = NearestNeighbors(n_neighbors=N_NEAREST).fit(points).kneighbors(return_distance=False)
    values, half = labels.to_numpy()[scored], half[scored]
    same = (values[near] == values[:, None]).mean(axis=1)
    own = (half[near] == half[:, None]).mean()
    return {"purity, first half": same[half].mean(), "purity, second half": same[~half].mean(), "own half": own}


def simulated(depth: int, seed: int) -> pd.DataFrame:
    """Errors of fits to simulated panels."""
    full = mt.datasets.simulate(800, 8, modalities={"rna": 300}, depth=depth, spatial=False, rng=seed)
    rng = np.random.default_rng(seed)
    both = panels(full, rng.random(800) < 0.5, rng)
    fits = {
        "all features": fitted(full, seed, 8),
        "zeros": fitted(both, seed, 8),
        "batch_key": fitted(both, seed, 8, batch_key="batch"),
    }
    return pd.DataFrame([{"depth": depth, "fit": fit, **errors(full, found)} for fit, found in fits.items()])


def errors(truth: MuData, found: MuData) -> dict[str, float]:
    """Mean total variation of proportions and of signatures."""
    theta = truth.obsm["true_topics"].loc[found.obs_names].to_numpy()
    pairs = [(theta, found.obsm["topics"].to_numpy())]
    for mod, adata in found.mod.items():
        true = truth[mod].varm["true_signatures"].loc[adata.var_names].to_numpy()
        pairs.append((true / true.sum(axis=0), adata.varm["signatures"].to_numpy()))
    distance = np.abs(theta[:, :, None] - pairs[0][1][:, None]).sum(axis=0)
    order = linear_sum_assignment(distance)[1]
    (one, other), *signatures = pairs
    result = {"proportions": np.abs(one - other[:, order]).sum(axis=1).mean() / 2}
    for mod, (one, other) in zip(found.mod, signatures, strict=True):
        shares = other[:, order] / other[:, order].sum(axis=0)
        result[f"signatures, {mod}"] = np.abs(one - shares).sum(axis=0).mean() / 2
    return result


def in_common(n_common: int, seed: int) -> dict[str, float]:
    """Correlations of a fit to two batches."""
    full = mt.datasets.simulate(600, 8, modalities={"rna": 300}, spatial=False, rng=seed)
    order = np.random.default_rng(seed).permutation(300)
    features = [np.sort(np.concatenate([order[:n_common], order[n_common:][b::2]])) for b in range(2)]
    parts = {name: full["rna"][b::2, own].copy() for b, (name, own) in enumerate(zip("ab", features, strict=True))}
    found = fitted(mt.pp.concat(parts), seed, 8, batch_key="batch", n_iter=100).obsm["topics"]
    theta, batch = full.obsm["true_topics"].loc[found.index].to_numpy(), np.arange(600) // 300
    within = [correlation(theta[batch == b], found.to_numpy()[batch == b]) for b in range(2)]
    everywhere = correlation(theta, found.to_numpy())
    return {"features in common": n_common, "all cells": everywhere, "within a batch": float(np.mean(within))}


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Mean correlation of columns, matched one to one; 0 of a column without any variation."""
    values = np.nan_to_num(np.corrcoef(one.T, other.T)[: one.shape[1], one.shape[1] :])
    return float(values[linear_sum_assignment(-values)].mean())


if __name__ == "__main__":
    main()
