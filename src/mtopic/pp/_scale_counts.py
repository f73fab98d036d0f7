import numpy as np

from mtopic._api import public
from mtopic._data import Data, DataLike
from mtopic._data.count_matrix import count_matrix
from mtopic._data.preparation import Preparation, as_real, replace_counts
from mtopic._data.slots import modalities
from mtopic._data.writable import writable

from ._prepare import require_memory


@public
def scale_counts(mdata: DataLike, counts_per_cell: float = 10_000, copy: bool = False) -> Data | None:
    """Scale each modality as a whole so that its observations have ``counts_per_cell`` on average.

    Each modality has one factor, n_obs · counts_per_cell / total: differences in depth between observations stay.

    Parameters
    ----------
    mdata
        MuData or AnnData; counts or prepared counts in ``X``.
    counts_per_cell
        Mean total of an observation after scaling.
    {copy}

    Returns
    -------
    None, or the copy. Sets, in every modality, ``X`` (CSR, single precision unless it was double), ``layers["counts"]``
    (the counts, unless there is such a layer), ``uns["mtopic"]["scale"]`` (the factor) and ``uns["mtopic"]["steps"]``.

    Raises
    ------
    ValueError
        If ``counts_per_cell`` is not positive, values are negative or not finite, or a modality holds no counts. In
        this case, no modality has been changed.

    {Examples:data}
    >>> mt.pp.scale_counts(mdata)
    >>> round(float(mdata["rna"].X.sum()) / mdata.n_obs)
    10000
    """
    if not 0 < counts_per_cell < np.inf:
        raise ValueError(f"counts_per_cell={counts_per_cell}: it must be positive")
    scaled = {}
    for mod, adata in modalities(mdata).items():
        require_memory(adata, mod)
        x = as_real(count_matrix(adata, mod))
        total = x.data.sum(dtype=np.float64)
        if not total > 0:
            raise ValueError(f"X of modality {mod!r} holds no counts: leave the modality out")
        factor = adata.n_obs * counts_per_cell / total
        x.data *= x.dtype.type(factor)
        scaled[mod] = x, factor
    target = writable(mdata, copy=copy)
    for mod, adata in modalities(target).items():
        x, factor = scaled[mod]
        replace_counts(adata, x, "scale_counts", scale=float(Preparation.of(adata).scale * factor))
    return target if copy else None
