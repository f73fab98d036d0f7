"""Does cross-validation find the number of topics? Simulated tissues and cells of 10 known topics, and real data.

python benchmarks/n_topics.py --data FOLDER      (FOLDER holds snareseq_small.h5mu, cells of GSE126074;
                                                  without it, only simulated data)
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from mudata import MuData
from shapes import table

import mtopic as mt

KNOWN = (4, 6, 8, 10, 12, 14, 20, 30)
HEAD = ["data", "seed", "observations", "K", "recommended", "plateau", "r²", "mean score by K", "stability by K", "s"]


def data_sets(
    folder: Path | None, seeds: list[int], n_obs: int
) -> Iterator[tuple[str, int, MuData, tuple[int, ...], bool]]:
    """Name, seed, counts, the numbers of topics to be tried, and whether counts are prepared."""
    for seed in seeds:
        yield "simulated tissue", seed, mt.datasets.simulate(n_obs, 10, rng=seed), KNOWN, True
        yield "simulated tissue, 200 counts", seed, mt.datasets.simulate(n_obs, 10, depth=200, rng=seed), KNOWN, True
    if folder is not None:
        cells = mt.read.h5mu(folder / "snareseq_small.h5mu")
        for prepare in (True, False):
            yield "SNARE-seq" if prepare else "SNARE-seq, raw counts", 2291, cells, (5, 10, 15, 20, 30, 40, 60), prepare


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n-obs", type=int, default=1500)
    arguments = parser.parse_args()
    lines: list[list[object]] = []
    for name, seed, mdata, Ks, prepare in data_sets(arguments.data, arguments.seeds, arguments.n_obs):
        start = perf_counter()
        mt.tl.select_n_topics(mdata, Ks, prepare=prepare, n_jobs=-1, verbose=False)
        seconds = perf_counter() - start
        info = mdata.uns["CV_fit_info"]
        by_K = [
            " ".join(f"{value:.{digits}f}" for value in info["scores"][column])
            for column, digits in (("mean", 4), ("stability", 2))
        ]
        tried = " ".join(map(str, Ks))
        lines.append(
            [name, seed, mdata.n_obs, tried, info["recommended"], info["plateau"], round(info["r2"], 3), *by_K, seconds]
        )
    print(table(HEAD, lines))


if __name__ == "__main__":
    main()
