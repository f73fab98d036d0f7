"""Groups that have no batch in common, whose difference a fit may have taken for effects of batches."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._data import Data
from mtopic._data.record import Params
from mtopic._data.slots import categories
from mtopic._warn import warn

from ._samples import MOST_NAMED, Samples

HARDLY_ANY_EFFECTS = 1e4
"""As a strength: factors differ from 1 by 1 %."""
HARDLY_VARIES = 0.1
"""A standard deviation. Of differences .96 were found at .09 and .63 at .04 (`benchmarks/confounded.py`).

These are true ones in the group. Over all samples, fits have .07 at both, and .16 at .23, where all was found.
"""


def warn_if_confounded(
    data: Data, fit: Params, theta: pd.DataFrame, design: Samples, groupby: str, group: str, reference: str | None
) -> None:
    """Say so if no batch has samples of both groups, and the fit has learned effects of batches.

    Where groups have several batches each, only if a topic hardly varies within samples.
    """
    key, strengths = fit.batch_key, fit.batch_strengths
    if key is None or strengths is None or min(strengths.values()) > HARDLY_ANY_EFFECTS:
        return
    inside, outside = _batches_of_sides(categories(data, key).codes, design)
    if inside & outside:
        return
    other = "all others" if reference is None else repr(reference)
    said = (
        f"groups {group!r} and {other} of obs[{groupby!r}] have no batch of obs[{key!r}] in common, and the fit set "
        "effects of batches apart"
    )
    if min(len(inside), len(outside)) == 1:
        warn(
            f"{said}: a group is a single batch. What all its observations have alike may be missing from topics, and "
            "signatures may differ by the batch alone. Let each batch have samples of both groups, or fit with "
            "batch_effects=False and say that groups cannot be told from batches"
        )
    elif len(flat := _hardly_varying(theta, design)):
        names = ", ".join(map(repr, flat[:MOST_NAMED])) + (", …" if len(flat) > MOST_NAMED else "")
        warn(
            f"{said}: a topic that all observations of a sample have nearly alike may in part be taken for such "
            "effects. Its difference is then too small, and other topics' signatures differ in its place. Topics that "
            f"vary little: {names}. See whether a fit with batch_effects=False agrees, or let each batch have samples "
            "of both groups"
        )


def _hardly_varying(theta: pd.DataFrame, design: Samples) -> pd.Index:
    """Topics whose proportions observations of a sample have nearly alike, these first that vary least."""
    values = theta.to_numpy()
    squares = np.sum([values[rows].var(axis=0) * len(rows) for rows in design.rows], axis=0)
    freedom = sum(len(rows) - 1 for rows in design.rows)
    spread = pd.Series(np.sqrt(squares / max(freedom, 1)), theta.columns).sort_values(kind="stable")
    return spread.index[spread < HARDLY_VARIES]


def _batches_of_sides(codes: NDArray[np.integer], design: Samples) -> tuple[set[int], set[int]]:
    """The batches of the group, and those of the reference."""
    sides: tuple[set[int], set[int]] = set(), set()
    for rows, in_group in zip(design.rows, design.in_group, strict=True):
        sides[0 if in_group else 1].update(np.unique(codes[rows]).tolist())
    return sides
