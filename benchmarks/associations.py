"""Feature associations: objective and time beside the original's gradient steps; simulated links beside correlation.

python benchmarks/associations.py

The first table: 50 features explained by 200, and 1,000 by 5,000. The original's descent (softmax of logits / 0.2,
10,000 steps of Adam of 1e-4, in NumPy, all features at once and, as the original does, one at a time) only on the
first. The second: genes are mixtures of 1 to 5 peaks with noise on each topic; of as many pairs a gene as it has links,
the share that is true.
"""

import argparse
from time import perf_counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from shapes import table

import mtopic as mt

EPSILON, SPARSITY, SPREAD, TEMPERATURE = 1e-6, 1e-4, 0.049, 0.2

SETTINGS: dict[str, dict[str, object]] = {
    "the original's": {},
    "by feature": {"normalize": "features"},
    "by feature, no penalties": {"normalize": "features", "lambda_reg": 0.0, "lambda_spread": 1e-3},
}


def objective(a: NDArray, b: NDArray, w: NDArray) -> NDArray:
    """The objective for each feature of ``a``."""
    fit = (a * np.log((a + EPSILON) / (b @ w + EPSILON))).sum(axis=0)
    entropy = (w * np.log(np.where(w > 0, w, 1))).sum(axis=0)
    return fit + SPARSITY * ((w + EPSILON) ** 0.1 + np.log(w + EPSILON)).sum(axis=0) + SPREAD * entropy


def adam(a: NDArray, b: NDArray, steps: int = 10_000, size: float = 1e-4) -> NDArray:
    """Weights after the original's descent from equal logits."""
    logits = np.zeros((b.shape[1], a.shape[1]))
    first, second = np.zeros_like(logits), np.zeros_like(logits)
    for step in range(1, steps + 1):
        w = np.exp((logits - logits.max(axis=0)) / TEMPERATURE)
        w /= w.sum(axis=0)
        slope = SPARSITY * (0.1 * (w + EPSILON) ** -0.9 + 1 / (w + EPSILON)) + SPREAD * (1 + np.log(w))
        slope -= b.T @ (a / (b @ w + EPSILON))
        slope = w * (slope - (w * slope).sum(axis=0)) / TEMPERATURE
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        logits -= size * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return w


def signatures(n_topics: int, n_features: int, rng: np.random.Generator) -> NDArray:
    """Topics × features, each topic summing to 1."""
    drawn = rng.gamma(0.3, 1, (n_topics, n_features)) + 1e-4
    return drawn / drawn.sum(axis=1, keepdims=True)


def associations(a: NDArray, b: NDArray, **options: object) -> tuple[NDArray, float]:
    """Our weights, and the seconds they took."""
    start = perf_counter()
    w = mt.tl.feature_associations(a, np.arange(a.shape[1]), b, np.arange(b.shape[1]), n_threads=-1, **options)
    return w.to_numpy(), perf_counter() - start


def descents(sizes: list[tuple[int, int]], n_topics: int, steps: int) -> list[list[object]]:
    """Lines of the first table."""
    lines: list[list[object]] = []
    for i, (n_a, n_b) in enumerate(sizes):
        rng = np.random.default_rng(0)
        a, b = signatures(n_topics, n_a, rng), signatures(n_topics, n_b, rng)
        ours, seconds = associations(a, b)
        line = [f"{n_a} by {n_b}", seconds, 1e3 * seconds / n_a, objective(a, b, ours).mean()]
        if i == 0:
            start = perf_counter()
            theirs = adam(a, b, steps)
            taken = perf_counter() - start
            lower = (objective(a, b, ours) <= objective(a, b, theirs)).mean()
            start = perf_counter()
            adam(a[:, :1], b, steps)
            alone = perf_counter() - start
            line += [1e3 * taken / n_a, 1e3 * alone, objective(a, b, theirs).mean(), f"{lower:.0%}"]
            line += [taken / seconds, alone * n_a / seconds]
        lines.append(line + [""] * (10 - len(line)))
    return lines


def linked(n_genes: int, n_peaks: int, n_topics: int, noise: float, seed: int) -> tuple[NDArray, NDArray, NDArray]:
    """Signatures of genes and of peaks, and the true links (peaks × genes)."""
    rng = np.random.default_rng(seed)
    peaks = signatures(n_topics, n_peaks, rng)
    links = np.zeros((n_peaks, n_genes))
    for g in range(n_genes):
        chosen = rng.choice(n_peaks, rng.integers(1, 6), replace=False)
        links[chosen, g] = rng.dirichlet(np.full(chosen.size, 3.0))
    genes = peaks @ links * rng.lognormal(0, noise, (n_topics, n_genes))
    return genes / genes.sum(axis=1, keepdims=True), peaks, links > 0


def precision(scores: NDArray, links: NDArray) -> float:
    """Share of true links among as many of the best scores of each gene."""
    numbers = links.sum(axis=0)
    order = np.argsort(-scores, axis=0, kind="stable")
    return float(sum(links[order[:n, g], g].sum() for g, n in enumerate(numbers)) / numbers.sum())


def correlation(a: NDArray, b: NDArray) -> NDArray:
    """Pearson correlation over topics of each feature of ``b`` with each of ``a``."""
    a, b = ((x - x.mean(axis=0)) / x.std(axis=0) for x in (a, b))
    return b.T @ a / len(a)


def found(cases: list[tuple[int, int, int, float]], seeds: int) -> pd.DataFrame:
    """The second table."""
    lines = []
    for case in cases:
        runs = [linked(*case, seed) for seed in range(seeds)]
        by_method = [
            [precision(associations(a, b, **options)[0], links) for a, b, links in runs]
            for options in SETTINGS.values()
        ]
        by_method.append([precision(correlation(a, b), links) for a, b, links in runs])
        lines.append([*case, seeds, *(np.mean(shares) for shares in by_method)])
    return pd.DataFrame(lines, columns=["genes", "peaks", "topics", "noise", "seeds", *SETTINGS, "correlation"])


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a tenth of the steps and of the features")
    small = parser.parse_args().small
    associations(*(signatures(20, 5, np.random.default_rng(0)) for _ in range(2)))  # compiles
    sizes = [(50, 200), (100, 500) if small else (1000, 5000)]
    head = ["features of A by B", "s", "ms a feature", "objective", "Adam: ms a feature, all at once", "one alone"]
    head += ["objective", "ours at most that", "times faster, all at once", "one by one"]
    print(table(head, descents(sizes, 20, 1000 if small else 10_000)))
    cases = [
        (300, n_peaks, n_topics, noise) for n_topics in (20, 50) for n_peaks in (200, 2000) for noise in (0.0, 0.1, 0.3)
    ]
    frame = found(cases[:2] if small else cases, 1 if small else 3)
    print("\n" + table(list(frame.columns), frame.to_numpy().tolist()))


if __name__ == "__main__":
    main()
