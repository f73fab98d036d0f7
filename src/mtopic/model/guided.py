"""How far guided topics have stayed with their guides."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mtopic._warn import warn
from mtopic.inference import Posterior

COLUMNS = ("topic", "modality", "n_features", "strength", "lift", "rank")


def guided(of: Posterior, topics: Sequence[str], features: Mapping[str, pd.Index]) -> pd.DataFrame | None:
    """A row for each guided topic and modality, by the counts that topics have without the guide's; None without guide.

    ``lift``: how many times as large the shares of the guide's features are in the topic as in all topics, the
    geometric mean by their weights. ``rank``: that of the topic among all by this.
    """
    guide = of.guide
    if guide is None:
        return None
    counts = of.lam.astype(np.float64) - guide.pseudocounts(of.n_topics)
    counts, rows = np.maximum(counts, np.finfo(of.lam.dtype).tiny), []
    modality = {block.start: mod for mod, block in zip(features, of.corpus.blocks, strict=True)}
    for k, block, logs, gains in guide.found(counts, of.corpus.blocks):
        n_features, rank = np.count_nonzero(guide.weights[block, k]), 1 + int((gains > gains[k]).sum())
        rows.append((topics[k], modality[block.start], n_features, guide.strengths[k], float(np.exp(logs[k])), rank))
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def warn_left(table: pd.DataFrame) -> None:
    """Say which topics have become something else than what they were guided to."""
    for row in table[(table["rank"] > 1) | (table["lift"] < 1)].itertuples():
        warn(
            f"topic {row.topic!r} has left its guide: the {row.n_features} features of guide[{row.modality!r}] are "
            f"{row.lift:.2g} times as common in it as in all topics, no. {row.rank} of these. See "
            "uns['mtopic']['guides']; a larger guide_strength holds it"
        )
