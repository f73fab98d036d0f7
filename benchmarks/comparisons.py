"""False positives, power and intervals of `tl.compare_topics`, by what topics are compared with and by samples.

python benchmarks/comparisons.py

The first table: eight topics in 25 cells a sample, of which none, one (four times as much in one group), three (three
times as much), or one more that half of the samples lack; shares of topics differ tenfold, and vary between samples by
a standard deviation of about .4 in their logarithm; of pairs, donors by .7 more. The second: features of signatures
that differ between samples and not between groups, by their expected counts in a sample.
"""

import argparse
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.stats import ttest_ind, ttest_rel
from shapes import table

import mtopic as mt

N_TOPICS, N_CELLS, DEPTH, ALPHA = 8, 25, 200, 1 / 8
SCALES = ("median", "clr", "log")
COUNTS = {"below 3": 3, "3 to 10": 10, "10 to 30": 30, "30 to 100": 100, "100 and more": np.inf}


@dataclass(frozen=True)
class Case:
    """Simulated tables.

    Samples of the group and of the reference, whether paired, topics that change and by what, whether half of the
    samples lack another one, and how much more samples of the group vary.
    """

    n: int
    of_reference: int
    paired: bool = False
    changed: int = 0
    times: float = 1.0
    lacking: bool = False
    spread: float = 1.0

    @property
    def line(self) -> list[object]:
        """What the table says of it."""
        n = f"{self.n} pairs" if self.paired else f"{self.n} and {self.of_reference}"
        if self.spread != 1:
            n += f", {self.spread:g} times the spread"
        what = f"{self.changed} × {self.times:g}" if self.changed else "none"
        return [n, what + (", 1 lacking" if self.lacking else "")]


CASES = [
    *(Case(n, n) for n in (2, 3, 5, 10)),
    Case(3, 8, spread=2),
    *(Case(n, n, changed=1, times=4) for n in (2, 3, 5, 10)),
    *(Case(n, n, changed=3, times=3) for n in (3, 10)),
    Case(5, 5, changed=1, times=4, lacking=True),
    *(Case(n, n, paired=True) for n in (2, 3, 5)),
    *(Case(n, n, paired=True, changed=1, times=4) for n in (2, 3, 5)),
]


def drawn(case: Case, rng: np.random.Generator) -> tuple[AnnData, NDArray[np.float64]]:
    """Cells with topics, and the true changes (log2)."""
    n = case.n + case.of_reference
    spread = 0.4 * np.where(np.arange(n) < case.n, case.spread, 1)[:, None]
    base = rng.normal(0, 1, N_TOPICS)
    change = np.zeros(N_TOPICS)
    change[rng.choice(N_TOPICS, case.changed, replace=False)] = np.log2(case.times)
    logs = base + rng.normal(size=(n, N_TOPICS)) * spread * np.exp(rng.normal(0, 0.3, N_TOPICS))
    logs[: case.n] += change * np.log(2)
    if case.paired:
        logs += np.tile(rng.normal(0, 0.7, (case.n, N_TOPICS)), (2, 1))
    shares = np.exp(logs)
    if case.lacking:
        rare = np.where(change > 0, np.inf, base).argmin()
        shares[rng.permutation(n) < n // 2, rare] = 1e-9
    shares /= shares.sum(axis=1, keepdims=True)
    of_cells = np.vstack([rng.dirichlet(5 * row, N_CELLS) for row in np.maximum(shares, 1e-9)])
    counts = rng.multinomial(DEPTH, of_cells / of_cells.sum(axis=1, keepdims=True))
    sample = np.repeat(np.arange(n), N_CELLS)
    obs = pd.DataFrame({"sample": [f"s{s}" for s in sample]}, index=[f"cell_{d}" for d in range(len(sample))])
    obs["state"] = np.where(sample < case.n, "a", "b")
    obs["donor"] = [f"d{s % case.n}" for s in sample]
    adata = AnnData(csr_matrix(np.full((len(obs), 1), DEPTH, np.float32)), obs=obs)
    gamma = pd.DataFrame(counts + ALPHA, obs.index, [f"topic_{k + 1}" for k in range(N_TOPICS)])
    adata.obsm["topics"] = gamma.div(gamma.sum(axis=1), axis=0)
    adata.uns["mtopic"] = {"params": {"alpha": ALPHA, "n_topics": N_TOPICS, "raw": True}}
    return adata, change


def compared(adata: AnnData, case: Case, **options: object) -> dict[str, pd.DataFrame]:
    """The comparison's tables."""
    paired_by = "donor" if case.paired else None
    mt.tl.compare_topics(
        adata, "state", "a", sample_key="sample", paired_by=paired_by, n_jobs=1, verbose=False, **options
    )
    return adata.uns["mtopic"]["comparison"]


def plain(adata: AnnData, case: Case) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The p-values and widths of intervals by Welch's or Student's test of the logarithms alone."""
    means = np.log2(adata.obsm["topics"].groupby(adata.obs["sample"].to_numpy()).mean())
    means = means.loc[[f"s{s}" for s in range(case.n + case.of_reference)]]
    a, b = means.iloc[: case.n], means.iloc[case.n :]
    test = ttest_rel(a, b) if case.paired else ttest_ind(a, b, equal_var=False)
    interval = test.confidence_interval()
    return test.pvalue, interval.high - interval.low


def of_topics(case: Case, seeds: int) -> list[object]:
    """A line of the first table: means over the seeds."""
    false, anyway, power, covered, width, plain_width = ([] for _ in range(6))
    for seed in range(seeds):
        adata, change = drawn(case, np.random.default_rng(seed))
        tables = [compared(adata, case, scale=scale, features={})["topics"] for scale in SCALES]
        p, plain_widths = plain(adata, case)
        false.append([(values < 0.05)[change == 0].mean() for values in (*(one["p"] for one in tables), p)])
        anyway.append([(one["q"] < 0.05)[change == 0].any() for one in tables])
        power.append([(one["p"] < 0.05)[change != 0].mean() for one in tables])
        ours = tables[0]
        covered.append(((ours["low"] <= change) & (change <= ours["high"])).mean())
        width.append(ours["high"] - ours["low"])
        plain_width.append(plain_widths)
    means = [np.round(np.mean(values, axis=0), 3).tolist() for values in (false, anyway, power)]
    widths = [float(np.round(np.median(values), 2)) for values in (width, plain_width)]
    return [*case.line, *sum(means, []), round(float(np.mean(covered)), 3), *widths]


def counted(n: int, rng: np.random.Generator) -> AnnData:
    """Counts of 300 features whose signatures differ between samples by a standard deviation of .2, four topics."""
    n_cells, n_features, n_topics = 40, 300, 4
    beta = rng.dirichlet(np.full(n_features, 0.3), n_topics)
    theta = rng.dirichlet(np.full(n_topics, 0.5), 2 * n * n_cells) + 1e-6
    theta /= theta.sum(axis=1, keepdims=True)
    own = beta * np.exp(rng.normal(0, 0.2, (2 * n, *beta.shape)))
    own /= own.sum(axis=2, keepdims=True)
    x = rng.poisson(400 * np.einsum("sdk,skv->sdv", theta.reshape(2 * n, n_cells, n_topics), own))
    sample = np.repeat(np.arange(2 * n), n_cells)
    obs = pd.DataFrame({"sample": [f"s{s}" for s in sample]}, index=[f"cell_{d}" for d in range(len(sample))])
    obs["state"] = np.where(sample < n, "a", "b")
    var = pd.DataFrame(index=[f"gene_{v}" for v in range(n_features)])
    adata = AnnData(csr_matrix(x.reshape(len(obs), -1).astype(np.float32)), obs=obs, var=var)
    adata.obsm["topics"] = pd.DataFrame(theta, obs.index, [f"topic_{k + 1}" for k in range(n_topics)])
    adata.varm["signatures"] = pd.DataFrame(1e4 * beta.T + 1e-3, var.index, adata.obsm["topics"].columns)
    return adata


def of_signatures(n: int, seeds: int) -> list[list[object]]:
    """Lines of the second table: a line for each range of counts."""
    tables = []
    for seed in range(seeds):
        adata = counted(n, np.random.default_rng(seed))
        one = compared(adata, Case(n, n), features=list(adata.var_names))["signatures"]["X"]
        per_sample = 40 * 400 * adata.obsm["topics"].mean().loc[one["topic"]].to_numpy()
        one["counts"] = per_sample * (one["group"] + one["reference"]) / 2
        tables.append(one)
    every = pd.concat(tables)
    lines = []
    for of, part in every.groupby(pd.cut(every["counts"], [-1, *COUNTS.values()], labels=list(COUNTS)), observed=True):
        width = (part["high"] - part["low"]).median()
        lines.append([n, of, len(part), round((part["p"] < 0.05).mean(), 3), round(width, 2)])
    return lines


def main() -> None:
    """Print two tables."""
    warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)  # of a topic that is lacking in one group
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=500, help="simulated tables of each case")
    seeds = parser.parse_args().seeds
    head = ["samples", "topics that change"]
    head += [f"false positives, {scale}" for scale in (*SCALES, "log and not moderated")]
    head += [f"{what}, {scale}" for what in ("any q < .05", "power") for scale in SCALES]
    head += ["coverage, median", "width, median", "width, log and not moderated"]
    print(table(head, [of_topics(case, seeds) for case in CASES]))
    head = ["samples a group", "counts", "tests", "false positives", "width"]
    lines = [line for n in (2, 3, 5) for line in of_signatures(n, max(seeds // 50, 1))]
    print("\n" + table(head, lines))


if __name__ == "__main__":
    main()
