"""What all preparation steps share: the raw counts they keep and the record they leave."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from mtopic._data import Data
from mtopic._data.count_matrix import CSR, count_matrix
from mtopic._data.measured import batches, warn_if_ignored
from mtopic._data.preparation import IDF, RECORD, as_real, replace_counts, steps
from mtopic._data.slots import modality
from mtopic._data.writable import writable
from mtopic._warn import warn

Transform: TypeAlias = Callable[[CSR, AnnData, str, pd.Series | None], NDArray[np.float64] | None]
"""Changes counts in place, and returns the weights of the features if it has any."""


def transform_counts(
    data: Data, mod: str | None, step: str, transform: Transform, batch_key: str | None, *, copy: bool
) -> Data | None:
    """Replace ``X`` of a modality by a transform of its counts; nothing is written if that fails."""
    (name, adata), batch = modality(data, mod), batches(data, batch_key)
    require_memory(adata, name)
    if steps(adata):
        it = "adata" if data is adata else f"mdata[{name!r}]"
        raise ValueError(
            f"X of modality {name!r} has been prepared by {', '.join(steps(adata))} already: {step} wants counts; "
            f"take them back with {it}.X = {it}.layers['counts'] and del {it}.uns['{RECORD}']['steps']"
        )
    warn_if_ignored({name: adata}, batch_key)
    x = count_matrix(adata, name)
    if not np.array_equal(x.data, np.trunc(x.data)):
        warn(f"X of modality {name!r} holds values that are not integers: {step} is meant for raw counts")
    x = as_real(x)
    weights = transform(x, adata, name, batch)
    target = writable(data, copy=copy)
    adata = modality(target, name)[1]
    if weights is not None:
        adata.var[IDF] = weights
    replace_counts(adata, x, step)
    return target if copy else None


def require_memory(adata: AnnData, mod: str) -> None:
    """Preparation replaces ``X``, which must not reach the file behind a backed object."""
    if adata.isbacked:
        raise ValueError(f"modality {mod!r} is backed by a file, whose counts would be lost: call to_memory() first")
