"""Do topics follow known cell types? MTM on SNARE-seq of the mouse cortex (GSE126074), both schedules, several seeds.

python benchmarks/cell_types.py --data FOLDER  (FOLDER holds snareseq_mouse_cortex.h5mu with labels in obs["cell_type"])
"""

import argparse
from pathlib import Path

from sklearn.metrics import normalized_mutual_info_score

import mtopic as mt

NOT_SCORED = ["Mis", "ambiguous", "undetermined", "unassigned"]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2291, 1, 2])
    arguments = parser.parse_args()

    mdata = mt.read.h5mu(arguments.data / "snareseq_mouse_cortex.h5mu")
    for mod in mdata.mod:
        mt.pp.tfidf(mdata, mod=mod)
    mt.pp.scale_counts(mdata)
    labels = mdata.obs["cell_type"]
    scored = ~labels.isin(NOT_SCORED).to_numpy()

    print("schedule  iterations  seed  ELBO per count  NMI(dominant topic, cell type)")
    for schedule, n_iter in (("original", 20), ("fast", 20), ("fast", 200)):
        for seed in arguments.seeds:
            model = mt.tl.MTM(mdata, n_topics=20, seed=seed, n_jobs=-1, verbose=False)
            model.VI(n_iter, schedule=schedule)
            score = normalized_mutual_info_score(labels[scored], model.gamma[scored].argmax(axis=1))
            bound = model.elbo[-1] / model.n_counts
            print(f"{schedule:<8}  {len(model.elbo):>10}  {seed:>4}  {bound:>14.5f}  {score:.4f}", flush=True)


if __name__ == "__main__":
    main()
