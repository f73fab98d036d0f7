"""How much of the evidence on an observation each modality has."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ._counts import Counts


def modality_shares(counts: Counts, weights: Mapping[str, float]) -> pd.DataFrame:
    """Counts × weight over their sum, observations × modalities; a modality without a weight has 1.

    Rows sum to 1; those of observations without counts are NaN.
    """
    rows = counts.corpus.rows
    evidence = np.column_stack(
        [
            float(weights.get(mod, 1.0)) * np.asarray(rows[:, block].sum(axis=1, dtype=np.float64)).ravel()
            for mod, block in zip(counts.features, counts.corpus.blocks, strict=True)
        ]
    )
    total = evidence.sum(axis=1, keepdims=True)
    return pd.DataFrame(
        evidence / np.where(total > 0, total, np.nan), index=counts.obs_names, columns=list(counts.features)
    )
