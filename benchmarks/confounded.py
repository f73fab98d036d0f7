"""What effects of batches take away from a difference between groups, by how much cells differ in the topic.

python benchmarks/confounded.py

Eight donors of 150 cells, five topics, 200 features, 500 counts a cell. Four donors, the group, have more of one topic
than the others. Batches read features differently (logarithms of factors with standard deviation .2), and nothing else
differs between groups. Batches are donors, or groups, or halves of the donors that have both groups in each.

*Mean*: of the topic's proportion, in the group and in others. *True*, *found*: its standard deviation between cells of
a donor of the group, and between cells within all donors by the fits in which each donor is a batch. *Warned*: the
share of these fits at which `compare_topics` warns. The rest: the difference of means that was found over the true one;
in brackets, the correlation of the topic with the true one, and the share of all topics and features with p < .05.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from shapes import table

import mtopic as mt

N_DONORS, N_CELLS, N_TOPICS, N_FEATURES, DEPTH, EFFECTS = 8, 150, 5, 200, 500, 0.2
DONOR = np.repeat(np.arange(N_DONORS), N_CELLS)
IN_GROUP = DONOR < N_DONORS // 2
BATCHES = {"each donor": DONOR, "each group": IN_GROUP.astype(int), "both groups in each": DONOR % 2}
COLUMNS = [*((name, True) for name in BATCHES), ("each donor", False), ("each group", False)]
ROWS = [((0.2, 0.02), spread) for spread in (0.01, 0.04, 0.09, 0.23)]
ROWS += [((0.05, 0.005), spread) for spread in (0.04, 0.09)]

Table = NDArray[np.float64]


def proportions(means: tuple[float, float], spread: float, rng: np.random.Generator) -> Table:
    """Of each cell; the first topic is the one that differs."""
    weights = np.exp(rng.normal(0, 0.3, (N_DONORS, N_TOPICS - 1)))
    weights *= 0.8 / weights.sum(axis=1, keepdims=True)
    others = np.vstack([rng.dirichlet(one, N_CELLS) for one in weights])
    mean = np.where(IN_GROUP, *means) * np.exp(rng.normal(0, 0.2, N_DONORS))[DONOR]
    precision = means[0] * (1 - means[0]) / spread**2 - 1
    first = rng.beta(mean * precision, (1 - mean) * precision)[:, None]
    return np.hstack([first, others * (1 - first)])


def drawn(theta: Table, batch: NDArray[np.int_], seed: int, rng: np.random.Generator) -> AnnData:
    """Counts of cells."""
    source = mt.datasets.simulate(50, N_TOPICS, modalities={"rna": N_FEATURES}, spatial=False, rng=seed)
    read = source["rna"].varm["true_signatures"].to_numpy().T * np.exp(
        rng.normal(0, EFFECTS, (batch.max() + 1, 1, N_FEATURES))
    )
    read /= read.sum(axis=2, keepdims=True)
    counts = rng.poisson(DEPTH * np.einsum("dk,dkv->dv", theta, read[batch])).astype(np.float32)
    obs = {"donor": DONOR, "batch": batch, "state": np.where(IN_GROUP, "ill", "well")}
    return AnnData(csr_matrix(counts), obs=pd.DataFrame(obs).astype(str).set_axis(map(str, range(len(DONOR)))))


def found(adata: AnnData, theta: Table, effects: bool) -> dict[str, float]:
    """By a fit."""
    how = {"n_jobs": 1, "verbose": False}
    data = mt.tl.topic_model(adata, N_TOPICS, batch_key="batch", batch_effects=effects, copy=True, **how)
    topics, true = data.obsm["topics"].to_numpy(), theta[:, 0]
    correlations = np.corrcoef(true, topics.T)[0, 1:]
    topic = topics[:, correlations.argmax()]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        mt.tl.compare_topics(data, "state", "ill", sample_key="donor", features=list(data.var_names), **how)
    (signatures,) = data.uns["mtopic"]["comparison"]["signatures"].values()
    differences = [values[IN_GROUP].mean() - values[~IN_GROUP].mean() for values in (topic, true)]
    return {
        "spread": np.sqrt(np.mean([topic[donor == DONOR].var() for donor in range(N_DONORS)])),
        "warned": any("batch_effects=False" in str(one.message) for one in said),
        "difference": differences[0] / differences[1],
        "correlation": correlations.max(),
        "significant": (signatures["p"] < 0.05).mean(),
    }


def line(means: tuple[float, float], spread: float, seeds: int) -> list[object]:
    """Means over data sets."""
    of: dict[tuple[str, bool], pd.Series] = {}
    for name, effects in COLUMNS:
        fits = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            theta = proportions(means, spread, rng)
            fits.append(found(drawn(theta, BATCHES[name], seed, rng), theta, effects))
        of[name, effects] = pd.DataFrame(fits).astype(float).mean()
    first = of[COLUMNS[0]]
    cells = [f"{one['difference']:.2f} ({one['correlation']:.2f}; {one['significant']:.2f})" for one in of.values()]
    return [f"{means[0]:g}, {means[1]:g}", f"{spread:g}", f"{first['spread']:.2f}", f"{first['warned']:g}", *cells]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    head = [f"{name}{'' if effects else ', no effects'}" for name, effects in COLUMNS]
    print(table(["mean", "true", "found", "warned", *head], [line(*row, given.seeds) for row in ROWS]))


if __name__ == "__main__":
    main()
