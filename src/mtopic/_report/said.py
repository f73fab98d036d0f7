"""What was fitted, and what a reader has to know first, in sentences."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from anndata import AnnData

from mtopic._data import Data, record
from mtopic._data.empty import is_empty
from mtopic._data.slots import modalities, table

UNSTABLE = 0.8
"""Correlation with other starts; below it a topic is another one in some of them."""
NO_SAY = 0.01
"""Share of a modality in all evidence."""


def size(data: Data) -> str:
    """How many topics, observations and features."""
    proportions = table(data, "topics")
    sizes = ", ".join(
        f"{adata.n_vars:,}{'' if isinstance(data, AnnData) else f' {mod}'}" for mod, adata in modalities(data).items()
    )
    empty = int(is_empty(data, "topics").sum())
    without = f", {empty:,} of them without counts," if empty else ""
    return f"{proportions.shape[1]} topics of {len(proportions):,} observations{without} × {sizes} features"


def fitted(data: Data) -> str:
    """What was fitted to what, and how it ended."""
    if "params" not in record.read(data, ""):
        return ""
    params = record.read_params(data, "")
    of = "raw counts" if params.raw else "counts as they were prepared"
    inference = "collapsed" if params.inference == "collapsed" else "variational"
    around = ""
    if params.smoothing is not None:
        strength = "" if params.strength is None else f", with strength {params.strength:.2g}"
        around = f"; neighbours are the prior of an observation's topics{strength}"
    sections = "" if params.library_key is None else f"; sections are those of {params.library_key!r}"
    batches = "" if params.batch_key is None else f"; batches are those of {params.batch_key!r}"
    if params.transformed:
        return f"Topics were inferred from {of} by the signatures of another data set{around}{batches}."
    ended = "" if not params.n_iter else f" It took {params.n_iter} iterations over all observations."
    return f"A topic model was fitted to {of} by {inference} inference{around}{sections}{batches}.{ended}"


def warnings(data: Data) -> Iterator[str]:
    """What a reader has to know first, the gravest at the top."""
    fit = record.read(data, "")
    if "params" in fit:
        params = record.read_params(data, "")
        if params.converged is False:
            yield "The fit did not end by its stopping rule: more iterations would change topics. Go on with it."
        for mod, weight in params.modality_weights.items():
            if not weight:
                yield f"{mod} has no say in topics, its weight is 0: it tells nothing of what the others tell."
        yield from _unheard(data, params.modality_weights)
    counts = fit.get("counts")
    if isinstance(counts, pd.DataFrame) and "whole" in counts:
        for mod in counts.index[~counts["whole"].astype(bool)]:
            yield f"The counts of {mod} are not whole numbers: intervals and tests take them for counts."
    stability = fit.get("stability")
    if isinstance(stability, pd.DataFrame):
        for topic, correlation in stability["correlation"].items():
            if correlation < UNSTABLE:
                yield f"{topic} is another topic in other starts (correlation {correlation:.2f})."
    guides = fit.get("guides")
    if isinstance(guides, pd.DataFrame):
        for row in guides[guides["rank"] > 1].itertuples():
            yield f"{row.topic} is not the topic that has most of its guide in {row.modality}."
    for slot in _outdated(data):
        yield f"{slot} follows from an earlier fit: make it anew."


def _unheard(data: Data, weights: object) -> Iterator[str]:
    shares = data.obsm.get("modality_shares")
    if isinstance(shares, pd.DataFrame) and isinstance(weights, dict):
        for mod, share in shares.mean().items():
            if weights.get(mod, 1) and np.isfinite(share) and share < NO_SAY:
                yield f"{mod} has hardly a say in topics: {share:.1%} of the evidence."


def _outdated(data: Data) -> list[str]:
    known = record.read(data, "").get(record.FOLLOWING)
    slots = list(known.index) if isinstance(known, pd.DataFrame) else []
    return [slot for slot in slots if record.exists(data, slot) and record.is_outdated(data, slot)]
