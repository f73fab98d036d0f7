from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._check import at_least
from mtopic._data import DataLike
from mtopic._data.names import absent
from mtopic._data.ranking import By, Measure, first_features, shares, tidy
from mtopic._data.slots import choose, find_signatures

MADE_BY = "mtopic.tl.signature_uncertainty"
NUMBERS_AT_ONCE = 4_000_000
ALL, FIRST_DRAWS = 500, 20
"""Of more features than ``ALL``, the first draws tell which may be among the first; only these are drawn further."""

CERTAIN = 1e12
"""Counts behind a share whose standard deviation is 0."""


@public
def top_features(
    data: DataLike,
    mod: str | None = None,
    *,
    n_top: int = 10,
    by: By = "FREX",
    key: str = "signatures",
    topics: str | Sequence[str] | None = None,
    min_probability: float = 0.0,
    n_draws: int = 1000,
    rng: int | np.random.Generator = 0,
) -> pd.DataFrame:
    r"""The most characteristic features of each topic as a tidy table, with the probability that each belongs there.

    With :math:`\beta_{kv} = \lambda_{kv} / \sum_w \lambda_{kw}` the share of feature v in topic k, features are ranked
    by

    - ``"probability"``: :math:`\beta_{kv}`, which is also large for features that are frequent everywhere,
    - ``"lift"``: :math:`(\beta_{kv} + c) / (f_v + c)`, with :math:`f_v` the frequency of the feature, the mean of
      :math:`\beta_{kv}` over the topics weighted by their counts :cite:p:`taddy2012`,
    - ``"exclusivity"``: :math:`(\beta_{kv} + c) / \sum_j (\beta_{jv} + c)`, how much of the feature is in this topic
      :cite:p:`bischof2012`,
    - ``"FREX"``: the harmonic mean of the feature's ranks by exclusivity and by probability, both as the share of the
      features that have no more in the topic, in (0, 1] :cite:p:`bischof2012,roberts2016`,
    - ``"divergence"``: :math:`\beta_{kv} \ln (\beta_{kv} / \bar\beta_v)`, the term of the feature in the
      Kullback-Leibler divergence between the topic and the mean of all topics.

    A feature with two counts may have both in one topic, and would lead by lift and by exclusivity. So a share c is
    added to all, which a few counts hardly exceed: that of α counts of a feature, shared by the topics as all counts
    are, :math:`c = \alpha / \sum_{kv} \lambda_{kv}`. If the counts of a feature fall on the topics by a
    Dirichlet-multinomial distribution, which has the topics' counts as its mean, α is its moment estimate over all
    features: large if most features are in all topics. Signatures that sum to 1 say nothing of counts: c is then 0.

    A feature with few counts may also be first by chance. After `mtopic.tl.signature_uncertainty`, signatures are drawn
    from their posterior and features ranked in each draw. The probability of a feature is the share of draws in which
    it is among the first ``n_top``. A draw consists of independent gamma variables with the means and standard
    deviations of the shares, scaled to sum 1 in a topic. This is a Dirichlet distribution where counts are the only
    source of uncertainty. Of more than 500 features, only those are drawn to which twenty first draws give a chance. If
    thousands have few counts, and so a small chance each, probabilities by FREX, lift and exclusivity may be .1 off.

    Parameters
    ----------
    data
        MuData or AnnData with signatures; for probabilities also the tables that `mtopic.tl.signature_uncertainty`
        writes beside them.
    {mod n_top}
    by
        What makes a feature characteristic, by the definitions above. ``"share"`` means ``"probability"``.
    {key:signatures topics:chosen}
        They are compared with all topics.
    min_probability
        Leave out features that are less probably among the first.
    n_draws
        Number of draws. The error of a probability p is about √(p (1 − p) / n_draws).
    {rng}

    Returns
    -------
    DataFrame
        A row for each topic and feature with columns ``topic``, ``feature``, ``rank`` (1 is the first), ``share`` of
        the topic's total and ``score``, the value of ``by``. With uncertainties ranks are by the column
        ``probability``, and by the score where this is equal; there are also ``sd``, ``low`` and ``high`` of the share.

    {Raises KeyError:topic}
        So it is if ``min_probability`` is given and uncertainties were not measured.
    ValueError
        If the modality is not named where there are several, or a number or ``by`` is out of range.

    {Examples:fit}
    >>> mt.get.top_features(mdata, "rna", n_top=3, by="lift").columns.to_list()
    ['topic', 'feature', 'rank', 'share', 'score']
    >>> mt.tl.signature_uncertainty(mdata)
    >>> top = mt.get.top_features(mdata, "rna", n_top=3)
    >>> top.shape, bool(top["probability"].between(0, 1).all())
    ((9, 9), True)
    """
    at_least(1, n_top=n_top, n_draws=n_draws)
    if not 0 <= min_probability <= 1:
        raise ValueError(f"min_probability={min_probability}: give a probability, 0 to 1")
    name, adata, table = find_signatures(data, mod, key)
    if f"{key}_sd" not in adata.varm and not min_probability:
        return first_features(data, name, key, by, n_top, topics)
    where = f"varm[{key!r}] of modality {name!r}"
    columns = table.columns.get_indexer(choose(table, topics, where).columns)
    share, measure = shares(table, where), Measure.of(table.to_numpy(np.float64), by)
    values = {"share": share, **_uncertainty(adata, name, table, key)}
    values["probability"] = _probabilities(share, values["sd"], measure, n_top, n_draws, np.random.default_rng(rng))
    values["score"] = measure.scores(share)
    order = np.lexsort([-values["score"][:, columns], -values["probability"][:, columns]], axis=0)[:n_top]
    top = tidy(table, columns, order, values)
    return top[top["probability"] >= min_probability].reset_index(drop=True)


def _uncertainty(adata: AnnData, mod: str, table: pd.DataFrame, key: str) -> dict[str, NDArray[np.float64]]:
    """Standard deviations and limits of the shares, features × topics."""
    found = {}
    for name in ("sd", "low", "high"):
        slot = f"{key}_{name}"
        if slot not in adata.varm:
            missing = absent(slot, list(adata.varm.keys()), "table", f"varm of modality {mod!r}")
            raise KeyError(f"{missing}; {MADE_BY} writes it")
        found[name] = adata.varm[slot][table.columns].to_numpy(np.float64)
    return found


def _probabilities(
    share: NDArray[np.float64],
    sd: NDArray[np.float64],
    measure: Measure,
    n_top: int,
    n_draws: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """How often features are among the first of a topic, features × topics; only those that may be so are drawn."""
    drawn = np.arange(len(share))
    if len(share) > ALL:
        drawn, measure = _candidates(share, sd, measure, n_top, rng)
    times = np.zeros(share.shape)
    for values in _draws(share, sd, drawn, n_draws, rng):
        scores = measure.scores(values)
        times[drawn] += (scores >= _least(scores, n_top)).sum(axis=0)
    return times / n_draws


def _candidates(
    share: NDArray[np.float64], sd: NDArray[np.float64], measure: Measure, n_top: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], Measure]:
    """The features whose best of some draws would be among the first in another; the measure beside the others."""
    best, least = np.full(share.shape, -np.inf), np.full(share.shape[1], np.inf)
    for values in _draws(share, sd, np.arange(len(share)), FIRST_DRAWS, rng):
        scores = measure.scores(values)
        best = np.maximum(best, scores.max(axis=0))
        least = np.minimum(least, _least(scores, n_top).min(axis=(0, 1)))
    chosen = (best >= least).any(axis=1)
    return np.flatnonzero(chosen), measure.beside(values[:, ~chosen])


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


def _least(scores: NDArray[np.float64], n_top: int) -> NDArray[np.float64]:
    """The score that the ``n_top`` first of a topic reach, draws × 1 × topics."""
    n_top = min(n_top, scores.shape[1])
    return np.asarray(np.partition(scores, -n_top, axis=1)[:, -n_top, None])
