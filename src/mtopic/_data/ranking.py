"""Which features are characteristic of a topic: one ranking for tables, plots and the report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, TypeAlias, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import rankdata

from . import Data
from .slots import choose, find_signatures

By: TypeAlias = Literal["FREX", "exclusivity", "lift", "divergence", "probability", "share"]
COMPARING = ("FREX", "exclusivity", "lift")
TIE = 1e-9
"""Weight of exclusivity in FREX: it decides between equal ranks, which are frequent with few features."""


@dataclass(frozen=True)
class Measure:
    """How characteristic a feature is of a topic, by the features' shares in the topics.

    ``added`` is the share that is added to all before they are compared, ``of_topic`` the weight of each topic in the
    mean with which they are compared. Features are ranked together with ``others``: their exclusivities and shares in
    so many ``draws``, sorted by topic.
    """

    by: By
    added: float
    of_topic: NDArray[np.float64]
    others: tuple[NDArray[np.float64], ...] | None = None
    draws: int = 1

    @classmethod
    def of(cls, weights: NDArray[np.float64], by: By) -> Self:
        """The measure for signatures λ, features × topics."""
        if by not in get_args(By):
            raise ValueError(f"by={by!r}: choose {', '.join(map(repr, get_args(By)[:-1]))}")
        totals = weights.sum(axis=0)
        of_topic = totals / totals.sum() if by == "lift" else np.full(len(totals), 1 / len(totals))
        return cls(by, added_share(weights) if by in COMPARING else 0.0, of_topic)

    def beside(self, share: NDArray[np.float64]) -> Self:
        """The same measure for features beside others, which have these shares, draws × features × topics."""
        both = (values.reshape(-1, share.shape[-1]) for values in (exclusivity(share + self.added), share))
        return replace(self, others=tuple(np.sort(values, axis=0) for values in both), draws=len(share))

    def scores(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of shares, … × features × topics."""
        if self.by in ("probability", "share"):
            return share
        mean = (share @ self.of_topic)[..., None]
        if self.by == "divergence":
            return xlogy(share, share / np.where(mean > 0, mean, 1))
        if self.by == "lift":
            return ratio(share + self.added, mean + self.added)
        exclusive = exclusivity(share + self.added)
        return exclusive if self.by == "exclusivity" else self._frex(exclusive, share)

    def _frex(self, exclusive: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
        others = self.others or (share[:0], share[:0])
        both = zip((exclusive, share), others, strict=True)
        ranks = [_distribution(values, beside, self.draws) for values, beside in both]
        return 2 / (1 / ranks[0] + 1 / ranks[1]) + TIE * exclusive


def _distribution(values: NDArray[np.float64], others: NDArray[np.float64], draws: int) -> NDArray[np.float64]:
    """The share of these and other features that have at most the value, in each topic."""
    ranks = np.asarray(rankdata(values, "max", axis=-2), np.float64)
    for k in range(values.shape[-1] if others.size else 0):
        ranks[..., k] += np.searchsorted(others[:, k], values[..., k], side="right") / draws
    return ranks / (values.shape[-2] + len(others) / draws)


def exclusivity(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of a feature is in a topic, … × features × topics; of a feature of no topic nothing is."""
    return ratio(share, share.sum(axis=-1, keepdims=True))


def ratio(share: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares over others, 0 where both are 0."""
    return np.divide(share, to, out=np.zeros(share.shape), where=to > 0)


def added_share(weights: NDArray[np.float64]) -> float:
    """The share by which few counts say little: α pseudo-counts a feature, shared by the topics as all counts are.

    The counts of a feature fall on the topics as a Dirichlet-multinomial, with the topics' sizes as the mean and one α
    for all features, which the mean of Pearson's statistic tells. Shares say nothing of counts and get no addition.
    """
    totals = weights.sum(axis=0)
    counts = weights[weights.sum(axis=1) >= 1]
    if np.allclose(totals, 1) or len(totals) < 2 or not len(counts):
        return 0.0
    of_feature = counts.sum(axis=1, keepdims=True)
    expected = of_feature * totals / totals.sum()
    statistic = ((counts - expected) ** 2 / expected).sum() / (len(totals) - 1)
    apart = max(float(of_feature.sum() - statistic), 0.0)
    alike = max(float(statistic - len(counts)), apart / totals.sum())
    return float(apart / alike / totals.sum()) if apart else 0.0


def first_features(
    data: Data, mod: str | None, key: str, by: By, n_top: int | None, topics: str | Sequence[str] | None
) -> pd.DataFrame:
    """The first features of each topic: ``topic``, ``feature``, ``rank``, ``share`` of the topic, ``score``."""
    if n_top is not None and n_top < 1:
        raise ValueError(f"n_top={n_top}: ask for at least 1 feature of each topic, or None for all")
    name, _, table = find_signatures(data, mod, key)
    where = f"varm[{key!r}] of modality {name!r}"
    columns = table.columns.get_indexer(choose(table, topics, where).columns)
    share = shares(table, where)
    scores = Measure.of(table.to_numpy(np.float64), by).scores(share)
    order = np.argsort(-scores[:, columns], axis=0, kind="stable")[:n_top]
    return tidy(table, columns, order, {"share": share, "score": scores})


def tidy(
    table: pd.DataFrame, columns: NDArray[np.intp], order: NDArray[np.intp], values: dict[str, NDArray[np.float64]]
) -> pd.DataFrame:
    """Features of topics (columns of the table) in ``order``, rows × chosen topics, with their values."""
    n_rows, n_topics = order.shape
    head = {
        "topic": np.repeat(table.columns[columns].to_numpy(), n_rows),
        "feature": table.index.to_numpy()[order.T.ravel()],
        "rank": np.tile(np.arange(1, n_rows + 1), n_topics),
    }
    return pd.DataFrame({**head, **{name: found[order, columns].T.ravel() for name, found in values.items()}})


def shares(table: pd.DataFrame, where: str) -> NDArray[np.float64]:
    """Signatures with columns scaled to sum 1."""
    weights = table.to_numpy(np.float64)
    totals = weights.sum(axis=0)
    if not (totals > 0).all():
        bad = int(np.argmin(totals > 0))
        raise ValueError(f"{where}: the weights of {table.columns[bad]!r} sum to {totals[bad]}, not more than 0")
    return weights / totals
