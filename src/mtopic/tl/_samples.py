"""Observations by sample, for comparisons in which samples are the replicates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtopic._data import Data
from mtopic._data.names import absent
from mtopic._data.slots import categories


@dataclass(frozen=True)
class Samples:
    """The samples of two groups: their names, the positions of their observations, and which are of the first group."""

    names: list[str]
    rows: list[NDArray[np.intp]]
    in_group: NDArray[np.bool_]


def samples(
    data: Data, groupby: str, group: str, reference: str | None, sample_key: str, present: NDArray[np.bool_]
) -> Samples:
    """The samples with observations that are ``present`` in either group; the reference is all other groups if None."""
    groups, sample = categories(data, groupby), categories(data, sample_key)
    for label in (group,) if reference is None else (group, reference):
        if label not in groups.categories:
            raise KeyError(absent(label, groups.categories, "group", f"obs[{groupby!r}]"))
    if group == reference:
        raise ValueError(f"group and reference are both {group!r}: compare two groups")
    labels = np.asarray(groups)
    inside = labels == group
    known = present & (sample.codes >= 0) & (groups.codes >= 0) & (inside | (reference is None) | (labels == reference))
    n_inside, n_outside = (
        np.bincount(sample.codes[known & (inside == side)], minlength=len(sample.categories)) for side in (True, False)
    )
    both = np.flatnonzero((n_inside > 0) & (n_outside > 0))
    if both.size:
        raise ValueError(
            f"sample {sample.categories[both[0]]!r} of obs[{sample_key!r}] has observations in both groups of "
            f"obs[{groupby!r}], as have {both.size - 1} others: groups are compared between samples, and a "
            "comparison within samples takes a paired test"
        )
    for numbers, label in ((n_inside, group), (n_outside, reference if reference is not None else f"all but {group}")):
        n = int((numbers > 0).sum())
        if n < 2:
            raise ValueError(
                f"group {label!r} has {n} {'sample' if n == 1 else 'samples'} in obs[{sample_key!r}]: observations "
                "of one sample are no replicates of each other, so a test takes at least 2 samples a group; "
                "mtopic.pl.composition shows groups without a test"
            )
    found = np.flatnonzero(n_inside + n_outside)
    codes = np.where(known, sample.codes, -1)
    return Samples(
        list(sample.categories[found]), [np.flatnonzero(codes == code) for code in found], n_inside[found] > 0
    )
