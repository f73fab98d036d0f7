"""Observations without counts: their topics are the prior, or what neighbours have, and no finding."""

import numpy as np
from numpy.typing import NDArray

from . import Data, record


def mark_empty(data: Data, head: str, empty: NDArray[np.bool_]) -> None:
    """Write ``obs["mtopic_empty"]`` if any observation of the fit has no counts."""
    slot = _slot(head)
    if slot in data.obs:
        del data.obs[slot]
    if empty.any():
        data.obs[slot] = empty


def is_empty(data: Data, topics: str) -> NDArray[np.bool_]:
    """Which observations had no counts in the fit of the proportions ``obsm[topics]``."""
    slot = _slot(record.head_of(topics))
    if slot not in data.obs:
        return np.zeros(data.n_obs, bool)
    return np.asarray(data.obs[slot].eq(True).to_numpy(dtype=bool, na_value=False))


def _slot(head: str) -> str:
    return f"{head}mtopic_empty"
