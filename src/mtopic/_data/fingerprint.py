"""By what counts are known again."""

import hashlib

import numpy as np

from mtopic.inference.corpus import Corpus
from mtopic.inference.stored import StoredCounts

from .layout import ROWS_AT_ONCE


def fingerprint(corpus: Corpus) -> str:
    """A digest of all counts, by which the same data are known again, however they are stored."""
    known = corpus.counts.digest if isinstance(corpus.counts, StoredCounts) else None
    if known is not None:
        return known
    digest = hashlib.sha256()
    for start in range(0, corpus.n_obs, ROWS_AT_ONCE):
        part = corpus.part(slice(start, start + ROWS_AT_ONCE)).rows.copy()
        part.eliminate_zeros()
        for values, kind in ((part.indptr, np.int64), (part.indices, np.int64), (part.data, corpus.dtype)):
            digest.update(np.ascontiguousarray(values, dtype=kind).data)
    return digest.hexdigest()
