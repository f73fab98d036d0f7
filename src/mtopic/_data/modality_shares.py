"""How much of the evidence on an observation each modality has."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .counts import Counts


def modality_totals(counts: Counts) -> pd.DataFrame:
    """Counts of each observation in each modality, float64."""
    return pd.DataFrame(counts.corpus.by_modality, index=counts.obs_names, columns=list(counts.features))


def modality_shares(totals: pd.DataFrame, weights: Mapping[str, float]) -> pd.DataFrame:
    """Counts × weight over their sum, observations × modalities; a modality without a weight has 1.

    Rows sum to 1; those of observations without evidence are NaN.
    """
    evidence = totals * [float(weights.get(mod, 1.0)) for mod in totals.columns]
    return evidence.div(evidence.sum(axis=1).replace(0, np.nan), axis=0)


def without_evidence(shares: pd.DataFrame) -> NDArray[np.bool_]:
    """Which observations have no counts that tell of topics."""
    return np.asarray(shares.isna().all(axis=1))
