"""Known effects of batches: how well are topics and effects found, and what do effects cost where there are none?

python benchmarks/batch_effects.py
python benchmarks/batch_effects.py --time

Simulated cells of 8 topics in three batches: 300 genes, 500 counts a cell, and 100 proteins, 200 counts. Batches read
each feature by a factor, log-normal with the standard deviation *sd*, or alike (0). *Moved*: 70 % of the cells in which
one of the first three topics is largest are in one batch. *Error*: the mean share of a cell that is given to the wrong
topics. *Same*: the share of nearest neighbours in topics that are of the same batch; by chance it is that of *by
chance*. *Factors*: the correlation of their logarithms with the true ones, each beside the mean of the batches.
*Time*: CPU seconds and iterations of fits to their end, one thread, with and without effects in turn, of 10,000 cells
with 2,000 genes, and with 100 proteins besides, whose batches read alike.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from mudata import MuData
from shapes import table
from sklearn.neighbors import NearestNeighbors

import mtopic as mt

N_TOPICS, N_BATCHES = 8, 3


def simulated(sd: float, moved: bool, seed: int) -> MuData:
    """Cells with ``obs["batch"]``."""
    sizes = {"modalities": {"rna": 300, "protein": 100}, "depth": {"rna": 500, "protein": 200}}
    n_obs = 6000 if moved else 1500
    batches = {"n_batches": N_BATCHES, "batch_effects": sd}
    mdata = mt.datasets.simulate(n_obs=n_obs, n_topics=N_TOPICS, spatial=False, **sizes, **batches, rng=seed)
    if not moved:
        return mdata
    rng, lead = np.random.default_rng(seed), mdata.obsm["true_topics"].to_numpy().argmax(axis=1)
    batch = mdata.obs["batch"].cat.codes.to_numpy()
    away = (lead < N_BATCHES) & (lead != batch) & (rng.random(n_obs) < 0.7)
    return mdata[np.flatnonzero(~away)[:1500]].copy()


def correlation(mdata: MuData, mod: str) -> float:
    """Of found and true factors, by feature."""
    found, true = (np.log(mdata[mod].varm[key]) for key in ("batch_effects", "true_batch_effects"))
    values = [of.sub(of.mean(axis=1), axis=0).to_numpy().ravel() for of in (found, true[found.columns])]
    return float(np.corrcoef(*values)[0, 1])


def fit(mdata: MuData, n_topics: int, effects: bool) -> None:
    """Topics beside batches, with and without effects."""
    mt.tl.topic_model(mdata, n_topics, batch_key="batch", batch_effects=effects, n_jobs=1, verbose=False)


def row(mdata: MuData, n_topics: int, effects: bool) -> dict[str, float]:
    """What one fit finds."""
    fit(mdata, n_topics, effects)
    pairs, batch = mt.datasets.recovery(mdata), mdata.obs["batch"].to_numpy()
    found, true = mdata.obsm["topics"][pairs["topic"]].to_numpy(), mdata.obsm["true_topics"][pairs["truth"]].to_numpy()
    nearest = NearestNeighbors(n_neighbors=15).fit(mdata.obsm["topics"]).kneighbors(return_distance=False)
    own = np.nan
    if effects and mdata["rna"].varm["true_batch_effects"].to_numpy().std():
        own = np.mean([correlation(mdata, mod) for mod in mdata.mod])
    return {
        "error": float(np.abs(found - true).sum(axis=1).mean() / 2),
        "same": float((batch[nearest] == batch[:, None]).mean()),
        "by chance": float(mdata.obs["batch"].value_counts(normalize=True).pow(2).sum()),
        "factors": float(own),
    }


def timed() -> None:
    """Print the time of fits to batches that do not differ."""
    for modalities in ({"rna": 2000}, {"rna": 2000, "protein": 100}):
        depth = {mod: {"rna": 1000, "protein": 200}[mod] for mod in modalities}
        options = {"modalities": modalities, "depth": depth, "spatial": False, "rng": 0}
        mdata = mt.datasets.simulate(10_000, N_TOPICS, n_batches=N_BATCHES, batch_effects=0.0, **options)
        for effects in (False, True, False, True, False, True):
            began = time.process_time()
            fit(mdata, 12, effects)
            print(*modalities, effects, time.process_time() - began, mdata.uns["mtopic"]["params"]["n_iter"])


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--time", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.time:
        timed()
        return
    lines, head = [], []
    for sd, moved in ((0.0, False), (0.5, False), (0.5, True)):
        for n_topics in (N_TOPICS, 12):
            for effects in (False, True):
                rows = [row(simulated(sd, moved, seed), n_topics, effects) for seed in range(arguments.seeds)]
                means = pd.DataFrame(rows).mean()
                head = ["sd", "moved", "K", "batch_effects", *means.index]
                lines.append([sd, "yes" if moved else "no", n_topics, effects, *means.tolist()])
                print(*lines[-1], flush=True)
    print(table(head, lines))


if __name__ == "__main__":
    main()
