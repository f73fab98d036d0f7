import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mtopic._api import public
from mtopic._data import DataLike, graph, record
from mtopic._data.proportions import proportions


@public
def borders(
    data: DataLike, topics: str = "topics", *, neighbors_key: str = "spatial", key_added: str = "topic_border"
) -> None:
    """Measure how much the topics change around each observation: high at borders, low inside regions.

    The measure is the mean Hellinger distance √(½ Σ_k (√p_k - √q_k)²) between an observation's proportions p and those
    of each neighbour, q: 0 where all are equal, 1 where they share no topic.

    {Parameters data:graph topics}
        Rows need not sum to 1.
    {neighbors_key:graph}
        Weights do not matter.
    {key_added:obs}

    Returns
    -------
    None. Sets ``obs[key_added]``: float64, in [0, 1]. Neighbours whose proportions are missing do not count. An
    observation without proportions, or without a neighbour that has them, has NaN.

    {Raises KeyError:graph}
    ValueError
        If the proportions are not valid, or the graph lacks observations of the data.

    {Examples:tissue}
    >>> mt.tl.borders(mdata)
    >>> bool(mdata.obs["topic_border"].between(0, 1).all())
    True
    """
    theta = proportions(data, topics)
    neighbours = graph.find(data, neighbors_key).neighbours()
    data.obs[key_added] = _mean_distance(np.sqrt(theta.to_numpy()), neighbours)
    record.note(data, record.head_of(topics), f"obs:{key_added}")


def _mean_distance(roots: NDArray[np.float64], neighbours: csr_array) -> NDArray[np.float64]:
    """Mean Hellinger distance of each row to its neighbours' rows, NaN where there is none."""
    n_obs = len(roots)
    here = np.repeat(np.arange(n_obs), np.diff(neighbours.indptr))
    there = neighbours.indices
    known = ~np.isnan(roots[:, 0])
    both = known[here] & known[there]
    here, there = here[both], there[both]
    squares = np.zeros(here.size)
    for root in roots.T:  # a topic at a time: memory as for the graph
        squares += (root[here] - root[there]) ** 2
    total = np.bincount(here, np.sqrt(squares / 2), minlength=n_obs)
    number = np.bincount(here, minlength=n_obs)
    mean = np.full(n_obs, np.nan)
    np.divide(total, number, out=mean, where=number > 0)
    return np.minimum(mean, 1)
