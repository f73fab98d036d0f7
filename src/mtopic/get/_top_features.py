from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import xlogy

from mtopic._api import public
from mtopic._data import Data, DataLike
from mtopic._data.names import absent
from mtopic._data.slots import find_signatures

from ._signatures import choose

MADE_BY = "mtopic.tl.signature_uncertainty"
NUMBERS_AT_ONCE = 4_000_000
DEVIATIONS, MARGIN = 4, 5
"""Features are drawn if they are among a topic's first ``MARGIN * n_top`` with a share this many deviations larger."""

CERTAIN = 1e12
"""Counts behind a share whose standard deviation is 0."""


@public
def top_features(
    data: DataLike,
    mod: str | None = None,
    *,
    n_top: int = 10,
    by: Literal["divergence", "share"] = "divergence",
    key: str = "signatures",
    topics: str | Sequence[str] | None = None,
    min_probability: float = 0.0,
    n_draws: int = 1000,
    rng: int | np.random.Generator = 0,
) -> pd.DataFrame:
    r"""The most characteristic features of each topic as a tidy table, with the probability that each belongs there.

    A feature with few counts easily gets a high rank by chance. So signatures are drawn from their posterior, features
    are ranked in each draw, and the probability is the share of draws in which a feature is among the first ``n_top``.
    A draw consists of independent gamma variables with the means and standard deviations of the shares, scaled to sum 1
    in a topic. This is a Dirichlet distribution where counts are the only source of uncertainty.

    Parameters
    ----------
    data
        MuData or AnnData with signatures and the tables that `mtopic.tl.signature_uncertainty` writes beside them.
    {mod n_top}
    by
        What makes a feature characteristic. ``"share"``: its share :math:`\beta_{kv}` in the topic, which is also large
        for housekeeping genes. ``"divergence"``: its term :math:`\beta_{kv} \ln (\beta_{kv} / \bar\beta_v)` of the
        Kullback-Leibler divergence between the topic and the mean of all topics. It is large for features that are
        frequent in the topic and more frequent there than in others.
    {key:signatures topics:chosen}
        The mean is always over all topics.
    min_probability
        Leave out features whose probability is lower.
    n_draws
        Number of draws. The error of a probability p is about √(p (1 − p) / n_draws).
    {rng}

    Returns
    -------
    DataFrame
        A row for each topic and feature with columns ``topic``, ``feature``, ``rank`` (1 is the most probable; equally
        probable ones follow the point estimate), ``share`` of the topic's total, its ``sd``, ``low`` and ``high`` from
        `mtopic.tl.signature_uncertainty`, and ``probability``.

    {Raises KeyError:topic}
    ValueError
        If the modality is not named where there are several, or a number or ``by`` is out of range.

    {Examples:fit}
    >>> mt.tl.signature_uncertainty(mdata)
    >>> top = mt.get.top_features(mdata, "rna", n_top=3)
    >>> top.shape, bool(top["probability"].between(0, 1).all())
    ((9, 8), True)
    """
    if by not in ("divergence", "share"):
        raise ValueError(f"by={by!r}: choose 'divergence' or 'share'")
    for name, number in (("n_top", n_top), ("n_draws", n_draws)):
        if number < 1:
            raise ValueError(f"{name}={number}: it must be at least 1")
    if not 0 <= min_probability <= 1:
        raise ValueError(f"min_probability={min_probability}: give a probability, 0 to 1")
    share, sd, low, high = _tables(data, mod, key)
    names = choose(share, topics, f"varm[{key!r}]").columns
    drawn = _drawn(share.to_numpy(), sd.to_numpy(), by, n_top)
    probability = np.zeros(share.shape)
    for values in _draws(share.to_numpy(), sd.to_numpy(), drawn, n_draws, np.random.default_rng(rng)):
        probability[drawn] += _among_first(_scores(values, by), n_top).sum(axis=0)
    probability /= n_draws
    point = _scores(share.to_numpy(), by)
    columns = {"share": share, "sd": sd, "low": low, "high": high}
    rows = []
    for topic in names:
        k = share.columns.get_loc(topic)
        order = np.lexsort([-point[:, k], -probability[:, k]])[:n_top]
        order = order[probability[order, k] >= min_probability]
        head = {"topic": topic, "feature": share.index[order], "rank": np.arange(1, len(order) + 1)}
        numbers = {name: table.to_numpy()[order, k] for name, table in columns.items()}
        rows.append(pd.DataFrame({**head, **numbers, "probability": probability[order, k]}))
    return pd.concat(rows, ignore_index=True)


def _tables(data: Data, mod: str | None, key: str) -> list[pd.DataFrame]:
    """Shares of all features, standard deviations and limits, features × topics."""
    name, adata, weights = find_signatures(data, mod, key)
    weights = weights.astype(np.float64)
    tables = [weights / weights.sum()]
    for suffix in ("sd", "low", "high"):
        slot = f"{key}_{suffix}"
        if slot not in adata.varm:
            missing = absent(slot, list(adata.varm.keys()), "table", f"varm of modality {name!r}")
            raise KeyError(f"{missing}; {MADE_BY} writes it")
        tables.append(adata.varm[slot][weights.columns])
    return tables


def _drawn(share: NDArray[np.float64], sd: NDArray[np.float64], by: str, n_top: int) -> NDArray[np.intp]:
    """The features that may be among the first of any topic."""
    raised = DEVIATIONS * sd
    scores = _scores(share + raised, by, share.mean(axis=1, keepdims=True) + raised / share.shape[1])
    return np.unique(np.argsort(-scores, axis=0, kind="stable")[: MARGIN * n_top])


def _draws(
    share: NDArray[np.float64],
    sd: NDArray[np.float64],
    drawn: NDArray[np.intp],
    n_draws: int,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.float64]]:
    """Blocks of draws of the shares of features ``drawn``, draws × features × topics; the others are one feature."""
    some = sd > 0
    size = np.divide(share * (1 - share), sd**2, out=np.full(share.shape, CERTAIN), where=some) - some
    left = np.delete(np.arange(len(share)), drawn)
    others = share[left].sum(axis=0)
    shape = np.vstack([(share * size)[drawn], (share * size)[left].sum(axis=0)])
    scale = np.vstack([1 / size[drawn], others / np.where(others > 0, shape[-1], 1)])
    at_once = max(1, NUMBERS_AT_ONCE // shape.size)
    for start in range(0, n_draws, at_once):
        values = rng.standard_gamma(shape, (min(at_once, n_draws - start), *shape.shape)) * scale
        yield values[:, :-1] / values.sum(axis=1, keepdims=True)


def _scores(shares: NDArray[np.float64], by: str, mean: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """How characteristic features are, … × features × topics."""
    if by == "share":
        return shares
    mean = shares.mean(axis=-1, keepdims=True) if mean is None else mean
    return xlogy(shares, shares / np.where(mean > 0, mean, 1))


def _among_first(scores: NDArray[np.float64], n_top: int) -> NDArray[np.bool_]:
    """Whether a feature is among the ``n_top`` of the topic, draws × features × topics."""
    if n_top >= scores.shape[1]:
        return np.ones(scores.shape, bool)
    least = np.partition(scores, -n_top, axis=1)[:, -n_top, None]
    return np.asarray(scores >= least)
