import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from mtopic._api import public
from mtopic._data import DataLike, graph, record
from mtopic._data.proportions import proportions
from mtopic._progress import MANY

STATISTICS = {"moran": ("I", "moranI"), "geary": ("C", "gearyC")}
"""For each of squidpy's modes the statistic's name in its table and in ours."""


@public
def topic_autocorr(
    data: DataLike,
    topics: str = "topics",
    *,
    neighbors_key: str = "spatial",
    key_added: str = "topic_autocorr",
    n_perms: int | None = None,
    two_tailed: bool = False,
    rng: int | np.random.Generator = 0,
    n_jobs: int = 1,
    verbose: bool = True,
) -> None:
    """Test whether neighbours have similar proportions of each topic: Moran's I and Geary's C, by squidpy.

    Moran's I is near 1 where neighbours have similar proportions of a topic, near 0 where a topic is placed at random,
    and negative where neighbours avoid each other. Geary's C is then near 0, 1 and above 1; it weighs differences
    between neighbours more.

    {Parameters data:graph topics}
        Rows need not sum to 1.
    {neighbors_key:graph key_added:uns}
    n_perms
        Number of permutations for p-values that assume no distribution; None leaves them out.
    two_tailed
        p-values of both sides, not only of similarity.
    {rng:permutations n_jobs:permutations}
    verbose
        Show progress of many permutations.

    Returns
    -------
    None. Sets ``uns[key_added]``: DataFrame, float64, a row for each topic in the order of the proportions. Its columns
    are ``moranI`` and ``gearyC``, each with the columns of `squidpy.gr.spatial_autocorr`: ``moranI_pval_norm`` (under
    normality), ``moranI_pval_norm_fdr_bh`` (adjusted over the topics), ``moranI_var_norm`` and, with permutations,
    ``moranI_pval_sim`` and others. Observations whose proportions are missing are left out. A topic that is equal
    everywhere has NaN.

    {Raises KeyError:graph}
    ValueError
        If the proportions are not valid, no topic varies, no two observations are neighbours, the graph lacks
        observations, or ``n_perms`` is less than 1.

    {Examples:tissue}
    >>> mt.tl.topic_autocorr(mdata)
    >>> bool((mdata.uns["topic_autocorr"]["moranI"] > 0.5).all())
    True
    """
    if n_perms is not None and n_perms < 1:
        raise ValueError(f"n_perms={n_perms}: give at least 1 permutation, or None for none")
    theta = proportions(data, topics)
    varying = theta.columns[theta.max() > theta.min()]
    if not len(varying):
        raise ValueError(f"obsm[{topics!r}]: every topic is equal everywhere, there is nothing to compare")
    known = np.flatnonzero(theta.notna().all(axis=1))
    weights = graph.find(data, neighbors_key).connectivities[known][:, known]
    if not weights.nnz:
        raise ValueError(
            f"obsp['{neighbors_key}_connectivities'] is empty: no two observations are neighbours, build it with a "
            "larger radius"
        )
    private = AnnData(theta.iloc[known][varying], obsp={"spatial_connectivities": csr_matrix(weights)})
    shows = verbose and (n_perms or 0) * len(theta) > MANY
    options = {"n_perms": n_perms, "two_tailed": two_tailed, "n_jobs": n_jobs, "show_progress_bar": shows}
    seed = int(np.random.default_rng(rng).integers(2**31))
    with graph.quiet_squidpy() as sq:
        found = {
            mode: sq.gr.spatial_autocorr(private, mode=mode, seed=seed, copy=True, **options) for mode in STATISTICS
        }
    data.uns[key_added] = pd.concat([_renamed(*item) for item in found.items()], axis=1).reindex(theta.columns)
    record.note(data, record.head_of(topics), f"uns:{key_added}", names_topics=True)


def _renamed(mode: str, result: pd.DataFrame) -> pd.DataFrame:
    theirs, ours = STATISTICS[mode]
    names = {name: ours if name == theirs else f"{ours}_{name}" for name in result.columns}
    return result.rename(columns=names).astype(np.float64)
