"""Priors of signatures that go by the frequencies of the features."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .backend import Double
from .corpus import Corpus
from .guide import Guide
from .priors import LOWEST


def by_frequency(counts: Corpus, shares: Sequence[float] | Double, n_topics: int) -> Double:
    """η of each feature: of the counts that a topic would have if all were alike, the share of the modality."""
    by_column = counts.by_column.reshape(-1, 1)
    begun = np.ones((counts.n_features, 1))
    expected, *_ = counts.measured_sets.most_likely(by_column, begun, LOWEST, counts.blocks, np.log)
    return np.maximum(LOWEST, np.repeat(shares, np.diff(counts.offsets)) * expected[:, 0] / n_topics)


def guide_of(counts: Corpus, guide: Guide | None, n_topics: int) -> Guide | None:
    """A guide for these counts."""
    return guide and replace(guide, mean=by_frequency(counts, np.ones(len(counts.blocks)), n_topics))
