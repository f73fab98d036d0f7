"""How far topics of other fits to the same counts are those of this one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mtopic.inference import Array, Corpus


def of_matched(similar: NDArray[np.floating]) -> NDArray[np.floating]:
    """Similarities of rows and columns matched one to one for the largest sum, in the order of rows."""
    return np.asarray(similar[linear_sum_assignment(similar, maximize=True)])


def stability(kept: Array, others: Sequence[Array], corpus: Corpus) -> NDArray[np.float64]:
    """For each topic the mean over ``others`` of the correlation of its signature with that of the topic matched to it.

    They are λ of other fits, V × K. Of several modalities, each counts by its share of the evidence in the corpus.
    """
    evidence = corpus.by_modality.sum(axis=0) * corpus.modality_weights
    tables = [_centred(lam, corpus) for lam in (kept, *others)]
    found = []
    for other in tables[1:]:
        parts = zip(evidence, tables[0], other, strict=True)
        found.append(of_matched(sum(share * (a.T @ b) for share, a, b in parts) / evidence.sum()))
    return np.mean(found, axis=0)


def _centred(lam: Array, corpus: Corpus) -> list[NDArray[np.float64]]:
    """Signatures with mean 0 and length 1, whose products are correlations; zero without variance."""
    parts = []
    for block in corpus.blocks:
        beta = lam[block] / lam[block].sum(axis=0, dtype=np.float64)
        beta -= beta.mean(axis=0)
        length = np.sqrt((beta**2).sum(axis=0))
        parts.append(np.divide(beta, length, out=np.zeros_like(beta), where=length > 1e-12))
    return parts
