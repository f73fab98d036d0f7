"""Factors of features in batches as tables, features × batches, and as those of the columns of a corpus."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic.inference import Corpus, Double

Names = Mapping[str, Sequence[str]]


def as_tables(
    factors: Double, corpus: Corpus, features: Mapping[str, pd.Index], batches: Names
) -> dict[str, pd.DataFrame]:
    """Of each modality features × batches, NaN where a batch has not measured a feature."""
    tables = {mod: pd.DataFrame(np.nan, names, pd.Index(batches[mod])) for mod, names in features.items()}
    for mod, batch, columns, names in _columns(corpus, features, batches):
        tables[mod].loc[names, batch] = factors[columns]
    return tables


def of_columns(
    tables: Mapping[str, pd.DataFrame], corpus: Corpus, features: Mapping[str, pd.Index], batches: Names
) -> Double:
    """Of each column, NaN where nothing is known of its batch; 1 where a known batch has not measured the feature."""
    factors = np.full(corpus.measured_sets.of_features(np.arange(corpus.n_features)).size, np.nan)
    for mod, batch, columns, names in _columns(corpus, features, batches):
        if batch in tables[mod]:
            factors[columns] = tables[mod][batch].reindex(names).fillna(1.0)
    return factors


def _columns(
    corpus: Corpus, features: Mapping[str, pd.Index], batches: Names
) -> Iterator[tuple[str, str, slice, pd.Index]]:
    """Modality and batch of each measured set, its columns, and the names of their features."""
    feature = corpus.measured_sets.of_features(np.arange(corpus.n_features))
    for m, (mod, names) in enumerate(features.items()):
        for s, batch in zip(corpus.measured_sets.within([m]), batches[mod], strict=True):
            columns = corpus.column_blocks[s]
            own: NDArray[np.int64] = feature[columns] - corpus.blocks[m].start
            yield mod, batch, columns, names[own]
