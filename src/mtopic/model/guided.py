"""How far guided topics have stayed with their guides."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mtopic._warn import warn
from mtopic.inference import Posterior
from mtopic.inference.priors import by_row

COLUMNS = ("topic", "modality", "n_features", "strength", "lift", "asked", "rank")
KEPT = 1 / 4
"""Of the logarithm of the lift that a guide asks for; wrong lists in `benchmarks/guides.py` have less on average."""


def guided(of: Posterior, topics: Sequence[str], modalities: Sequence[str]) -> pd.DataFrame | None:
    """A row for each guided topic and modality, by the counts that topics have without the guide's; None without guide.

    ``lift``: how many times as common the guide's features are in the topic as in all topics, the geometric mean by
    their weights; ``asked``: what the guide says of it. ``rank``: that of the topic among all by `Guide.found`.
    """
    guide = of.guide
    if guide is None:
        return None
    counts = np.maximum(of.lam - guide.pseudocounts(of.n_topics), by_row(of.eta, np.float64))
    rows = []
    for k, m, logs, gains in guide.found(counts, of.corpus.blocks):
        block = of.corpus.blocks[m]
        n_features, rank = np.count_nonzero(guide.weights[block, k]), 1 + int((gains > gains[k]).sum())
        lifts = float(np.exp(logs[k])), float(guide.asked(block)[k])
        rows.append((topics[k], modalities[m], n_features, guide.strengths[k], *lifts, rank))
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def warn_left(table: pd.DataFrame) -> None:
    """Say which topics have become something else than what they were guided to."""
    left = (table["rank"] > 1) | (table["lift"] < table["asked"] ** KEPT)
    for row in table[left & np.isfinite(table["strength"])].itertuples():
        warn(
            f"topic {row.topic!r} has left its guide: the {row.n_features} features of guide[{row.modality!r}] are "
            f"{row.lift:.2g} times as common in it as in all topics, no. {row.rank} of these; the guide asks for "
            f"{row.asked:.2g}. If the data have such a topic, guide it by other features"
        )
