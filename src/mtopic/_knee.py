"""The curve of over-represented features, and where it bends."""

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mtopic._data.names import look_up

if TYPE_CHECKING:
    from mtopic.model.model import Model


def importance(model: "Model", mod: str) -> pd.Series:
    """Each feature's probability, summed over the topics, in units of the largest, falling."""
    if not model.fitted:
        raise ValueError("the model is not fitted: call model.VI() first")
    lam = np.asarray(look_up(model.lambda_, mod, "modality", "the model"), dtype=np.float64)
    total = (lam / lam.sum(axis=1, keepdims=True)).sum(axis=0)
    curve = pd.Series(total / total.max(), index=model.features[mod])
    return curve.sort_values(ascending=False, kind="stable")


def knee(curve: pd.Series, sensitivity: float) -> int | None:
    """Number of features before the knee of a falling convex curve (kneedle; Satopää et al. 2011), or None."""
    from kneed import KneeLocator

    if not sensitivity > 0:
        raise ValueError(f"the knee has a sensitivity of {sensitivity}: it must be positive, such as 5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = KneeLocator(
            np.arange(len(curve)), curve.to_numpy(), S=sensitivity, curve="convex", direction="decreasing"
        ).knee
    return None if found is None else int(found)
