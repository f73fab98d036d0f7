import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from mtopic._api import public
from mtopic._data import DataLike, graph, record
from mtopic._data.dominance import By, dominant
from mtopic._data.proportions import proportions
from mtopic._progress import MANY


@public
def topic_neighborhoods(
    data: DataLike,
    topics: str = "topics",
    *,
    neighbors_key: str = "spatial",
    key_added: str = "topic_neighborhoods",
    n_perms: int = 1000,
    rng: int | np.random.Generator = 0,
    n_jobs: int = 1,
    verbose: bool = True,
    by: By = "deviation",
) -> None:
    """Test which dominant topics are neighbours more or less often than by chance: squidpy's neighbourhood enrichment.

    An observation counts as the topic that dominates in it, as in `mtopic.tl.dominant_topics`. For each pair of
    topics, the pairs of neighbours of these topics are counted and compared with the counts when the topics are
    permuted over the observations.

    {Parameters data:graph topics neighbors_key:graph}
        Weights do not matter.
    {key_added:uns}
    n_perms
        Number of permutations, 2 or more.
    {rng:permutations n_jobs:permutations}
    verbose
        Show squidpy's progress bar of many permutations.
    {by:dominant}

    Returns
    -------
    None. Sets ``uns[key_added]`` to a dict of

    ``"zscore"`` : DataFrame, topics × topics, float64
        The count less the mean of the permuted counts, in units of their standard deviation. NaN where the permuted
        counts do not vary, such as for a topic that is nowhere dominant.
    ``"count"`` : DataFrame, topics × topics, int64
        Number of neighbours of the observations of the row's topic that have the column's.
    ``"params"`` : dict
        ``topics``, ``neighbors_key``, ``n_perms`` and ``by``.

    Observations whose proportions are missing are left out.

    {Raises KeyError:graph}
    ValueError
        If the proportions are not valid or of one topic only, the graph lacks observations, or ``n_perms`` is less than
        2.

    See Also
    --------
    mtopic.pl.topic_neighborhoods

    {Examples:tissue}
    >>> mt.tl.topic_neighborhoods(mdata, n_perms=100)
    >>> zscore = mdata.uns["topic_neighborhoods"]["zscore"]
    >>> zscore.shape, bool(zscore.loc["topic_1", "topic_1"] > 2)
    ((3, 3), True)
    """
    if n_perms < 2:
        raise ValueError(f"n_perms={n_perms}: a standard deviation needs 2 permutations or more")
    theta = proportions(data, topics)
    names = theta.columns
    if len(names) < 2:
        raise ValueError(f"obsm[{topics!r}] has 1 topic: enrichment needs 2 or more")
    known = np.flatnonzero(theta.notna().all(axis=1))
    neighbours = graph.find(data, neighbors_key).neighbours()[known][:, known]
    found = pd.Categorical.from_codes(dominant(data, topics, theta, by)[known], names)
    obs = pd.DataFrame({"topic": found}, index=theta.index[known])
    private = AnnData(obs=obs, obsp={"spatial_connectivities": csr_matrix(neighbours)})
    seed = int(np.random.default_rng(rng).integers(2**31))
    options = {"n_perms": n_perms, "seed": seed, "n_jobs": n_jobs}
    options["show_progress_bar"] = verbose and n_perms * len(obs) > MANY
    with graph.quiet_squidpy() as sq, np.errstate(divide="ignore", invalid="ignore"):
        tested = sq.gr.nhood_enrichment(private, "topic", copy=True, **options)
    scores = np.where(np.isfinite(tested.zscore), tested.zscore, np.nan)
    data.uns[key_added] = {
        "zscore": pd.DataFrame(scores, index=names, columns=names),
        "count": pd.DataFrame(tested.counts.astype(np.int64), index=names, columns=names),
        "params": {"topics": topics, "neighbors_key": neighbors_key, "n_perms": int(n_perms), "by": by},
    }
    record.note(data, record.head_of(topics), f"uns:{key_added}", names_topics=True)
