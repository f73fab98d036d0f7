"""Document completion: topics are inferred from one half of an observation's counts, and the other half is scored."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from mtopic._data.count_matrix import CSR
from mtopic.inference import Corpus, Double, Posterior
from mtopic.inference.fold_in import fold_in


def require_whole(x: CSR, mod: str) -> None:
    """Only whole counts can be divided into halves."""
    if not np.array_equal(x.data, np.trunc(x.data)):
        raise ValueError(f"counts of modality {mod!r} are not whole numbers: they are divided into halves at random")


def halves(x: CSR, rng: np.random.Generator) -> tuple[csr_array, csr_array]:
    """Every unit of whole counts in one of two matrices at random."""
    half = csr_array(x, copy=True)
    half.data = rng.binomial(x.data.astype(np.int64), 0.5).astype(np.float32)
    return half, csr_array(x - half)


def completed(inferred: Posterior, scored: Corpus) -> Double:
    """Log-likelihood in nats and number of the scored counts of each modality, under topics that `fold_in` infers."""
    fold_in(inferred)
    logs = inferred.log_likelihood(scored).sum(axis=0)
    return np.stack([logs, scored.summed(np.array([scored.by_column[b].sum() for b in scored.column_blocks]))])


def scores(sums: Double, names: list[str]) -> pd.DataFrame:
    """What a scored count has on average, in each modality and in all."""
    found = pd.DataFrame(sums.T, index=names, columns=["log_likelihood", "n_counts"])
    found.loc["total"] = found.sum()
    found["log_likelihood"] /= found["n_counts"].replace(0, np.nan)
    return found
