"""Are new cells as well placed by `transform` as by a fit of all cells? And how well are their counts predicted?

python benchmarks/transform.py --data FOLDER      (FOLDER holds the sets named in modalities.py;
                                                   SNARE-seq is run with the first seed only)

A random two thirds of the cells are fitted and the others transformed; and all are fitted together. Sets, labels and
preparations are those of `modalities.py`: 20 topics, by `topic_model` with its defaults, or by `MTM` of counts prepared
as the original's users do, with equal or with learned weights of the modalities. Purity is that of held-out cells, on
the square roots of the proportions: the share of the 15 nearest that have the cell's own label, the nearest of the
held-out cells or, as when labels are transferred, of the fitted ones. Cells without a label are not scored and no
neighbours.

*Again*: total variation between the topics that the fit has and those that `transform` gives the fitted cells once
more, mean over cells. Perplexity: of held-out raw counts, by `perplexity`, of all modalities together; by frequencies,
as if every cell had those of the fitted ones together.
"""

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from modalities import N_NEAREST, N_TOPICS, SETS, fitted, load, prepared
from modalities import _means as means
from sklearn.neighbors import NearestNeighbors

import mtopic as mt

FITS: dict[str, Callable[[mudata.MuData, int], mudata.MuData]] = {
    "topic_model": fitted,
    "prepared": lambda mdata, seed: prepared(mdata, seed)[0],
    "prepared, weights": lambda mdata, seed: prepared(mdata, seed, modality_weights="auto")[0],
}
NUMBERS = (2, 5, 10, N_TOPICS, 40)
ONCE = ["SNARE-seq"]


def divided(mdata: mudata.MuData, seed: int) -> tuple[mudata.MuData, mudata.MuData]:
    """Two thirds of the cells, and the others."""
    order = np.random.default_rng(seed).permutation(mdata.n_obs)
    cut = 2 * mdata.n_obs // 3
    return mdata[np.sort(order[:cut])].copy(), mdata[np.sort(order[cut:])].copy()


def transformed(reference: mudata.MuData, new: mudata.MuData, mods: list[str]) -> pd.DataFrame:
    """Topics of cells by a fit, told from some modalities."""
    cells = mudata.MuData({mod: new[mod].copy() for mod in mods})
    mt.tl.transform(reference, cells, n_jobs=1, verbose=False)
    return cells.obsm["topics"].loc[new.obs_names]


def purity(points: pd.DataFrame, others: pd.DataFrame | None, labels: pd.Series) -> float:
    """Share of the nearest of the others, if any, with the cell's own label; ``labels`` are those of scored cells."""
    points = np.sqrt(points[points.index.isin(labels.index)])
    there = points if others is None else np.sqrt(others[others.index.isin(labels.index)])
    search = NearestNeighbors(n_neighbors=N_NEAREST, algorithm="brute").fit(there.to_numpy())
    nearest = search.kneighbors(None if others is None else points.to_numpy(), return_distance=False)
    known, own = labels[there.index].to_numpy(), labels[points.index].to_numpy()
    return float((known[nearest] == own[:, None]).mean())


def evaluate(folder: Path, name: str, how: str, seed: int) -> dict[str, object]:
    """Purities of held-out cells of one set with one seed."""
    warnings.simplefilter("ignore")
    mdata = load(folder, name)
    labels = mdata.obs.loc[mdata.obs["scored"], "label"]
    train, new = divided(mdata, seed)
    reference, joint = FITS[how](train, seed), FITS[how](mdata, seed).obsm["topics"]
    known, mods = reference.obsm["topics"], list(mdata.mod)
    row: dict[str, object] = {"set": name, "fit": how}
    points = transformed(reference, new, mods)
    together, fit_together = joint.loc[new.obs_names], joint.loc[train.obs_names]
    row["by transform"], row["in a joint fit"] = purity(points, None, labels), purity(together, None, labels)
    row["by transform, among fitted"] = purity(points, known, labels)
    row["in a joint fit, among fitted"] = purity(together, fit_together, labels)
    for place, mod in zip(("first", "second"), mods, strict=True):
        has_say = reference.uns["mtopic"]["params"]["modality_weights"][mod] > 0
        points = transformed(reference, new, [mod]) if has_say else None
        row[f"{place} modality only"] = np.nan if points is None else purity(points, None, labels)
        row[f"{place} only, among fitted"] = np.nan if points is None else purity(points, known, labels)
    row["again"] = float(abs(transformed(reference, train, mods) - known).sum(axis=1).mean()) / 2
    return row


def predicted(folder: Path, name: str, seed: int) -> dict[str, object]:
    """Perplexity of held-out cells by fits with several numbers of topics, and by frequencies."""
    warnings.simplefilter("ignore")
    train, new = divided(load(folder, name), seed)
    row: dict[str, object] = {"set": name, "frequencies": by_frequencies(train, new)}
    for n_topics in NUMBERS:
        score = mt.tl.perplexity(fitted(train, seed, n_topics), new, n_jobs=1)
        row[f"K = {n_topics}"] = score.loc["total", "perplexity"]
    return row


def by_frequencies(train: mudata.MuData, new: mudata.MuData) -> float:
    """Perplexity of all counts of new cells if every cell had the frequencies of the fitted ones, none of them 0."""
    logs = total = 0.0
    for mod in train.mod:
        seen, counts = (np.asarray(data[mod].X.sum(axis=0), dtype=np.float64).ravel() for data in (train, new))
        logs += float(counts @ np.log((seen + 0.5) / (seen + 0.5).sum()))
        total += float(counts.sum())
    return float(np.exp(-logs / total))


def report(rows: list[dict[str, object]], by: list[str], title: str) -> None:
    """Mean ± standard error over seeds."""
    print(f"\n{title}\n{means(pd.DataFrame(rows).groupby(by, sort=False)).T.to_string()}", flush=True)


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--fits", nargs="+", default=list(FITS), choices=list(FITS))
    parser.add_argument("--n-jobs", type=int, default=2)
    arguments = parser.parse_args()
    parallel = Parallel(n_jobs=arguments.n_jobs)
    jobs = [(name, seed) for name in arguments.sets for seed in range(1 if name in ONCE else arguments.seeds)]
    found = parallel(
        delayed(evaluate)(arguments.data, name, how, seed) for name, seed in jobs for how in arguments.fits
    )
    report(found, ["set", "fit"], "15-NN purity of held-out cells; topics of fitted cells again")
    scores = parallel(delayed(partial(predicted, arguments.data))(*job) for job in jobs)
    report(scores, ["set"], "Perplexity of held-out cells")


if __name__ == "__main__":
    main()
