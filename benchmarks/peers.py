"""One modality against other programs for topics: held-out log-likelihood against seconds of training.

python benchmarks/peers.py --data FOLDER     (FOLDER holds corpus_ap.h5ad: Associated Press texts of R's topicmodels,
                                              and snareseq_mouse_cortex.h5mu: SNARE-seq, GSE126074)
The peers: pip install scikit-learn gensim tomotopy     (measured with 1.9.1, 4.4.0 and 0.14.0)

A tenth of the observations is held out, and `held_out.py` judges the topics of every program alike. Reading the data
into a program's own form, scoring and compiling are not timed; mtopic's is (it is part of `MTM`). A clock starts after
a short run on a few observations that compiles code and starts workers. Where a program knows no learned priors, its
run with fixed ones stands in.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import tomotopy
from gensim.models import LdaModel, LdaMulticore
from held_out import Trajectory, halves, hold_out, steps
from scipy.sparse import csr_matrix
from sklearn.decomposition import LatentDirichletAllocation

import mtopic as mt

ETA = 0.01
SETS = {"AP": ("corpus_ap.h5ad", None, 50), "SNARE-seq RNA": ("snareseq_mouse_cortex.h5mu", "rna", 20)}


class Passes(list):
    """Texts that call back at the start of every pass over them but the first, when all before are merged."""

    def __init__(self, texts: list, call: Callable[[], None]) -> None:
        super().__init__(texts)
        self.call, self.begun = call, False

    def __iter__(self) -> Iterator:
        if self.begun:
            self.call()
        self.begun = True
        return super().__iter__()


def mtopic(x: csr_matrix, n_topics: int, cores: int, most: int, run: Trajectory, tol: str | None, **options) -> None:
    """One fit, gone on with."""
    adata = ad.AnnData(x)
    run.start()
    model = mt.tl.MTM(adata, n_topics, n_jobs=cores, verbose=False, **options)
    for step in steps(most):
        model.VI(step, tol=tol)
        run.report(lambda: (model.lambda_["X"], model.alpha))
        if model.converged:
            break


def scikit_learn(x: csr_matrix, n_topics: int, cores: int, most: int, run: Trajectory, batch: bool) -> None:
    """Batch and online: its defaults, but as many iterations as are asked for."""
    # one batch of everything at decay 0 is an iteration of learning_method="batch"; else an epoch of "online"
    one_batch = {"batch_size": x.shape[0], "learning_decay": 0.0} if batch else {}
    model = LatentDirichletAllocation(
        n_topics, topic_word_prior=ETA, total_samples=x.shape[0], n_jobs=cores, random_state=0, **one_batch
    )
    run.start()
    for step in steps(most):
        for _ in range(step):
            model.partial_fit(x)
        run.report(lambda: (model.components_, model.doc_topic_prior_))


def gensim(x: csr_matrix, n_topics: int, cores: int, most: int, run: Trajectory, learned: bool) -> None:
    """One call of update, scored after every pass over the texts."""
    texts = [list(zip(row.indices.tolist(), row.data.astype(int).tolist(), strict=True)) for row in x]
    chunks = cores * math.ceil(len(texts) / (2000 * cores))  # of 2,000 by default; equal ones keep all cores busy
    options = {"num_topics": n_topics, "id2word": {v: str(v) for v in range(x.shape[1])}, "random_state": 0}
    options |= {"passes": most, "chunksize": math.ceil(len(texts) / chunks), "eval_every": None}
    run.start()
    if learned:
        model = LdaModel(alpha="auto", eta="auto", **options)
    else:
        model = LdaMulticore(alpha="symmetric", eta=ETA, workers=cores, **options)
    call = partial(run.report, lambda: (model.state.get_lambda(), model.alpha))
    model.update(Passes(texts, call))
    call()


def gibbs(x: csr_matrix, n_topics: int, cores: int, most: int, run: Trajectory, learned: bool) -> None:
    """Tomotopy's collapsed Gibbs sampler; learned priors are its defaults: α from 0.1, learned every 10 iterations."""
    model = tomotopy.LDAModel(k=n_topics, seed=0, eta=ETA, **({} if learned else {"alpha": 1 / n_topics}))
    if not learned:
        model.optim_interval = 0
    names = np.array([str(v) for v in range(x.shape[1])])
    for row in x:
        model.add_doc(np.repeat(names[row.indices], row.data.astype(int)).tolist())

    def topics_and_prior() -> tuple:
        topics = np.zeros((n_topics, x.shape[1]))
        topics[:, [int(name) for name in model.used_vocabs]] = [model.get_topic_word_dist(k) for k in range(n_topics)]
        return topics, model.alpha

    run.start()
    for step in steps(most, first=10):
        model.train(step, workers=cores)
        run.report(topics_and_prior)


# name: (program, iterations at most, options)
LEARNED = {"alpha": "auto", "eta": "auto"}
RUNS = {
    "mtopic variational": (mtopic, 400, {"inference": "variational"}),
    "mtopic collapsed": (mtopic, 400, {"inference": "collapsed"}),
    "mtopic variational, learned": (mtopic, 400, {"inference": "variational"} | LEARNED),
    "mtopic collapsed, learned": (mtopic, 400, {"inference": "collapsed"} | LEARNED),
    "scikit-learn batch": (scikit_learn, 60, {"batch": True}),
    "scikit-learn online": (scikit_learn, 60, {"batch": False}),
    "gensim LdaMulticore": (gensim, 25, {"learned": False}),
    "gensim LdaModel auto, learned": (gensim, 25, {"learned": True}),
    "tomotopy": (gibbs, 1000, {"learned": False}),
    "tomotopy, learned": (gibbs, 1000, {"learned": True}),
}
BLOCKS = {
    "same fixed": [name for name in RUNS if "learned" not in name],
    "own learned": [name for name in RUNS if "learned" in name or "scikit" in name],
}


def trajectories(x: csr_matrix, n_topics: int, cores: int, trial: bool, stop: bool) -> dict[str, Trajectory]:
    """Run all programs on nine tenths of the observations; features that never occur there are left out."""
    train, test = hold_out(x.shape[0])
    seen = np.flatnonzero(x[train].sum(axis=0))
    training, (given, scored) = x[train][:, seen], halves(x[test][:, seen])
    few = training[:100]
    few = few[:, np.flatnonzero(few.sum(axis=0))]
    runs = {}
    for name, (program, most, options) in RUNS.items():
        if program is mtopic:
            options = options | {"tol": "auto" if stop else None}
        program(few, n_topics, cores, 25, Trajectory("", *halves(few)), **options)
        runs[name] = Trajectory(name, given, scored)
        program(training, n_topics, cores, most // 20 if trial else most, runs[name], **options)
    return runs


def table(data: str, runs: dict[str, Trajectory]) -> Iterator[str]:
    """Rows of one data set; the peer's seconds at its best ÷ mtopic's seconds to that score in brackets."""
    for block, names in BLOCKS.items():
        for name in names:
            best, (end, final) = runs[name].best, runs[name].points[-1]
            cells = [data, block, name, f"{best[1]:.4f}", f"{best[0]:.2f}", f"{final:.4f}", f"{end:.2f}"]
            for ours in names[:2]:
                reached = runs[ours].reaches(best[1])
                there = f"{reached:.2f} s (× {best[0] / reached:.1f})" if reached < math.inf else "not reached"
                cells.append("" if name in names[:2] else there)
            yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Print one table in Markdown; trajectories go to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--output", type=Path, help="file that the table is also written to")
    parser.add_argument("--stop", action="store_true", help="end mtopic's fits by its own stopping rule")
    parser.add_argument("--trial", action="store_true", help="400 observations, a twentieth of the iterations")
    arguments = parser.parse_args()

    head = ["data", "priors", "program", "best", "s at best", "final", "s at end"]
    head += ["that best by mtopic variational", "that best by mtopic collapsed"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for data, (file, mod, n_topics) in SETS.items():
        path = arguments.data / file
        x = csr_matrix((ad.read_h5ad(path) if mod is None else mt.read.h5mu(path)[mod]).X)
        x = x[:400] if arguments.trial else x
        runs = trajectories(x, n_topics, arguments.cores, arguments.trial, arguments.stop)
        lines += table(data, runs)
    print("\n".join(lines))
    if arguments.output is not None:
        arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
