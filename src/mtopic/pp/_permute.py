from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from mtopic._api import public
from mtopic._data import Data, DataLike
from mtopic._data.count_matrix import CSR, raw_counts
from mtopic._data.names import unique
from mtopic._data.slots import modalities

from ._prepare import require_memory
from ._subset import Keep, become, with_counts


@public
def permute(
    mdata: DataLike, subset: int | None = None, seed: int = 2291, copy: bool = False, sparse_mode: bool = False
) -> Data | None:
    """Permute the counts of each feature over all observations, independently of the other features.

    How often and how high each feature was counted stays; what features have in common is gone. Topics found in
    permuted counts are topics found by chance. Nothing is densified.

    Parameters
    ----------
    mdata
        MuData or AnnData; ``layers["counts"]`` where it is present, else ``X``.
    subset
        Largest number of observations in the result, drawn at random before the permutation; all if None.
    seed
        Seed of the permutations.
    {copy}
    sparse_mode
        Has no effect: counts are always sparse.

    Returns
    -------
    None, or with ``copy`` or ``subset`` new data. ``X`` of every modality holds the permuted raw counts (CSR). Features
    without counts are dropped, and so are observations without counts in any of the modalities: the modalities have the
    same observations. Tables of the observations (``obs``, ``obsm``, ``obsp``) and of the features stay; layers and
    ``uns["mtopic"]`` go.

    Raises
    ------
    ValueError
        If ``subset`` is out of range, counts are not valid, the data are backed by a file, or nothing would be left.

    {Examples:data}
    >>> null = mt.pp.permute(mdata, copy=True)
    >>> float(null["rna"].X.sum()) == float(mdata["rna"].X.sum())
    True
    """
    parts = modalities(mdata)
    names = unique(mdata.obs_names, "observation names of the data", "obs_names_make_unique()")
    if subset is not None and not 1 <= subset <= len(names):
        raise ValueError(f"subset={subset}: choose 1 to {len(names)} observations, or None for all")
    rng = np.random.default_rng(seed)
    if subset is not None:
        names = names[np.sort(rng.choice(len(names), subset, replace=False))]
    counts: dict[str, CSR] = {}
    for mod, adata in parts.items():
        require_memory(adata, mod)
        unique(adata.obs_names, f"observation names of modality {mod!r}", "obs_names_make_unique()")
        counts[mod] = _permuted(raw_counts(adata, mod), adata.obs_names.isin(names), rng)
    names = names[np.logical_and.reduce([names.isin(adata.obs_names) for adata in parts.values()])]
    rows = {mod: adata.obs_names.get_indexer(names) for mod, adata in parts.items()}
    kept, features = _with_counts(counts, rows)
    new = with_counts(mdata, counts, features, names[kept])
    if copy or subset is not None:
        return new
    become(mdata, new)
    return None


def _permuted(x: CSR, among: Keep, rng: np.random.Generator) -> csr_array:
    """Each column's values put in random rows out of those ``among`` which they are; other rows are left empty."""
    rows = np.flatnonzero(among)
    columns = csc_array(x[rows])
    columns.eliminate_zeros()
    drawn = [rng.choice(rows, n, replace=False) for n in np.diff(columns.indptr)]
    places = np.concatenate(drawn).astype(columns.indices.dtype) if drawn else columns.indices
    shape = (among.size, x.shape[1])
    return csc_array((columns.data, places, columns.indptr), shape=shape).tocsr()


def _with_counts(
    counts: Mapping[str, CSR], rows: Mapping[str, NDArray[np.intp]]
) -> tuple[NDArray[np.intp], dict[str, Keep]]:
    """Which of the common observations have counts in every modality, and which features have counts in those."""
    kept = np.arange(len(next(iter(rows.values()))))
    while True:
        taken = {mod: x[rows[mod][kept]] for mod, x in counts.items()}
        full = np.logical_and.reduce([x.sum(axis=1) > 0 for x in taken.values()])
        if full.all():
            features = {mod: np.asarray(x.sum(axis=0) > 0).ravel() for mod, x in taken.items()}
            break
        kept = kept[full]
    if not kept.size:
        raise ValueError(
            "no observation has counts in all modalities: leave one of them out, or name the same cells alike in all"
        )
    return kept, features
