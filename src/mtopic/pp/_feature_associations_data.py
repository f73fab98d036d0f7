from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import DataLike
from mtopic._data.slots import find_signatures


@public
def feature_associations_data(
    mdata: DataLike, mod_list: Iterable[str], normalize: bool = True, *, signatures: str = "signatures"
) -> dict[str, tuple[NDArray[np.float64], pd.DataFrame]]:
    """Signatures and annotations of features, as `mtopic.tl.feature_associations` takes them.

    {Parameters mdata=data:signatures}
    mod_list
        Names of modalities.
    normalize
        Scale each topic to sum 1 over the modality's features.
    {signatures}

    Returns
    -------
    For each modality the matrix (topics × features, float64) and ``var``.

    Raises
    ------
    KeyError
        If there is no such modality, or it has no signatures.

    {Examples:data}
    >>> parts = mt.pp.feature_associations_data(mdata, ["rna", "atac"], signatures="true_signatures")
    >>> A, A_var = parts["rna"]
    >>> A.shape[0], A.shape[1] == len(A_var)
    (3, True)
    """
    parts = {}
    for mod in [mod_list] if isinstance(mod_list, str) else mod_list:
        _, adata, table = find_signatures(mdata, mod, signatures)
        matrix = np.ascontiguousarray(table.to_numpy(dtype=np.float64).T)
        parts[mod] = (matrix / matrix.sum(axis=1, keepdims=True) if normalize else matrix, adata.var)
    return parts
