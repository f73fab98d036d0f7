"""Counts that stay on disk against other programs that read a file piece by piece: held-out score against seconds.

python benchmarks/large_peers.py --folder FOLDER          (takes or makes cells_N.h5ad of large.py)
The peers: pip install scikit-learn gensim pyspark      (measured with 1.9.1, 4.4.0 and 4.3.0; Spark needs Java)

Every program has the file, both cores, 20 topics and as many seconds. mtopic reads the file within its time; Spark
has its own form of it before. Topics are judged alike by `held_out.py`, on 200 other cells, while the clock stands
still. Spark is scored at the ends of fits of their own, as it cannot be asked on the way.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
from gensim.models import LdaMulticore
from held_out import Trajectory, halves, steps
from large import N_TOPICS, ROWS, held_out, make
from pyspark.ml.clustering import LDA
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix
from sklearn.decomposition import LatentDirichletAllocation

import mtopic as mt

ETA, CORES = 0.01, 2


def chunks(path: Path) -> Iterator[csr_matrix]:
    """The rows of a file, some at a time."""
    x = mt.read.lazy(path).X
    for start in range(0, x.shape[0], ROWS):
        yield csr_matrix(x[start : start + ROWS])


def mtopic(path: Path, seconds: float, run: Trajectory) -> None:
    """One fit, gone on with until it stops."""
    options = {"n_jobs": CORES, "verbose": False, "scratch": path.parent}
    options |= {"inference": "collapsed", "alpha": "auto", "eta": "auto"}
    few = mt.datasets.simulate(n_obs=500, modalities={"rna": 60}, rng=0)
    mt.tl.MTM(few, N_TOPICS, **options).VI(3)  # compiles
    run.start()
    model = mt.tl.MTM(mt.read.lazy(path), N_TOPICS, **options)
    for step in steps(1000, first=5):
        model.VI(step)
        run.report(lambda: (model.lambda_["X"], model.alpha))
        if model.converged or run.seconds > seconds:
            break


def scikit_learn(path: Path, seconds: float, run: Trajectory) -> None:
    """Online, scored after every epoch."""
    n_obs = mt.read.lazy(path).n_obs
    model = LatentDirichletAllocation(N_TOPICS, topic_word_prior=ETA, total_samples=n_obs, n_jobs=CORES, random_state=0)
    run.start()
    while run.seconds < seconds:
        for x in chunks(path):
            model.partial_fit(x)
        run.report(lambda: (model.components_, model.doc_topic_prior_))


class Texts:
    """A file as a corpus that is streamed; calls back when a pass begins."""

    def __init__(self, path: Path, call: Callable[[], None]) -> None:
        self.path, self.call, self.n_obs = path, call, mt.read.lazy(path).n_obs

    def __len__(self) -> int:
        return self.n_obs

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        self.call()
        for x in chunks(self.path):
            for row in x:
                yield list(zip(row.indices.tolist(), row.data.astype(int).tolist(), strict=True))


class Enough(Exception):
    """The time is over."""


def gensim(path: Path, seconds: float, run: Trajectory) -> None:
    """LdaMulticore on a streamed corpus, scored after every pass."""
    begun = count()

    def report() -> None:
        if next(begun):
            run.report(lambda: (model.state.get_lambda(), model.alpha))
        if run.seconds > seconds:
            raise Enough

    n_features = mt.read.lazy(path).n_vars
    names = {v: str(v) for v in range(n_features)}
    run.start()
    model = LdaMulticore(num_topics=N_TOPICS, id2word=names, eta=ETA, workers=CORES, passes=1000, random_state=0)
    try:
        model.update(Texts(path, report))
    except Enough:
        pass


def spark(path: Path, seconds: float, run: Trajectory) -> None:
    """MLlib's online LDA, from a file of its own form, with 20, 40, 80, … iterations."""
    own = path.with_suffix(".libsvm")
    if not own.exists():
        with own.open("w") as file:
            for x in chunks(path):
                file.writelines(_lines(x))
    options = {"spark.driver.memory": "8g", "spark.ui.showConsoleProgress": "false"}
    session = SparkSession.builder.master(f"local[{CORES}]").config(map=options).getOrCreate()
    n_features = mt.read.lazy(path).n_vars
    cells = session.read.format("libsvm").option("numFeatures", str(n_features)).load(str(own)).cache()
    cells.count()
    lda = partial(LDA, k=N_TOPICS, seed=0, topicConcentration=ETA, subsamplingRate=0.05)
    n_iter = 20
    while run.seconds < seconds:
        run.seconds = 0.0
        run.start()
        model = lda(maxIter=n_iter).fit(cells)
        prior = np.asarray(model.estimatedDocConcentration())
        run.report(partial(_topics, model, prior))
        n_iter *= 2
    session.stop()


def _lines(x: csr_matrix) -> Iterator[str]:
    for row in x:
        counts = zip(row.indices + 1, row.data.astype(int), strict=True)
        yield "0 " + " ".join(f"{v}:{n}" for v, n in counts) + "\n"


def _topics(model, prior: np.ndarray) -> tuple:
    return model.topicsMatrix().toArray().T, prior


PROGRAMS = {
    "mtopic": mtopic,
    "scikit-learn partial_fit": scikit_learn,
    "gensim LdaMulticore": gensim,
    "Spark MLlib": spark,
}


def rows(runs: dict[str, Trajectory]) -> pd.DataFrame:
    """The best score of each, when it had it, and when the first program had as good a one."""
    first, found = next(iter(runs.values())), {}
    for name, run in runs.items():
        seconds, score = run.best
        there = first.reaches(score)
        found[name] = {"best score": score, "s at best": seconds, "s of mtopic to it": there, "×": seconds / there}
    return pd.DataFrame(found).T


def main() -> None:
    """Print a row for each program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--n-obs", type=int, default=30_000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    arguments = parser.parse_args()
    path = arguments.folder / f"cells_{arguments.n_obs}.h5ad"
    if not path.exists():
        make(path, "cells", arguments.n_obs)
    given, scored = halves(held_out("cells").X[:200])
    runs = {}
    for name in arguments.programs:
        runs[name] = Trajectory(name, given, scored)
        PROGRAMS[name](path, arguments.seconds, runs[name])
    print(rows(runs).to_string())


if __name__ == "__main__":
    main()
