"""How likely counts are under the topics of a posterior."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from . import kernels
from .corpus import Corpus
from .posterior import Posterior


def log_likelihood(of: Posterior, hidden: Corpus) -> NDArray[np.float64]:
    """Σ_v x_dv ln Σ_k θ_dk β_kv of counts of the observations, D × M, with the means of θ and β."""
    of, one_modality_per_set = of.one_modality_per_set(), hidden.one_modality_per_set
    theta, beta = (np.zeros((n, kernels.padded(of.n_topics)), of.lam.dtype) for n in (len(of.gamma), len(of.lam)))
    theta[:, : of.n_topics] = of.gamma / of.gamma.sum(axis=1, keepdims=True)
    for block in of.corpus.blocks:
        beta[block, : of.n_topics] = of.lam[block] / of.lam[block].sum(axis=0, dtype=np.float64)
    scores = np.empty((len(one_modality_per_set.blocks), len(theta)))
    for block, out in zip(one_modality_per_set.blocks, scores, strict=True):
        x = csr_array(hidden.rows[:, block])
        of.threads.run(kernels.log_likelihood, x.indptr, x.indptr, x.indices, x.data, theta, beta[block], out)
    return hidden.summed(scores.T)
