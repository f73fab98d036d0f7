"""How likely counts are under the topics of a posterior."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .corpus import Corpus
from .posterior import Posterior


def log_likelihood(of: Posterior, hidden: Corpus) -> NDArray[np.float64]:
    """Σ_v x_dv ln Σ_k θ_dk β_kv of counts of the observations, D × M, with the means of θ and β."""
    of = of.one_modality_per_set()
    theta = (of.gamma / of.gamma.sum(axis=1, keepdims=True)).astype(of.lam.dtype)
    scores = []
    for block in hidden.column_blocks:
        beta = (of.lam[block] / of.lam[block].sum(axis=0, dtype=np.float64)).astype(of.lam.dtype)
        scores.append(of.backend.log_likelihood(csr_array(hidden.rows[:, block]), theta, beta))
    return hidden.summed(np.stack(scores).T)
