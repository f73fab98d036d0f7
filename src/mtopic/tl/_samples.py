"""Observations by sample, for comparisons in which samples, or pairs of them, are the replicates."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._data import Data
from mtopic._data.names import absent
from mtopic._data.slots import categories
from mtopic._warn import warn

MOST_NAMED = 5


@dataclass(frozen=True)
class Samples:
    """The samples of two groups. One that has observations in both is two samples of a pair."""

    names: list[str]
    rows: list[NDArray[np.intp]]
    """Positions of each sample's observations."""
    in_group: NDArray[np.bool_]
    """Which samples are of the group; the others are of the reference."""
    pair: NDArray[np.intp] | None = None
    """The pair of each sample, counted from 0."""

    @property
    def paired(self) -> bool:
        """Whether samples are pairs."""
        return self.pair is not None

    def numbers(self) -> dict[str, int]:
        """How many samples each group has, and how many pairs there are."""
        n = int(self.in_group.sum())
        numbers = {"n_group": n, "n_reference": len(self.names) - n}
        return numbers if self.pair is None else {**numbers, "n_pairs": int(self.pair.max()) + 1}

    def sides(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows of the group and of the reference; of pairs the means in each, in one order, NaN where one lacks it."""
        group, reference = values[self.in_group], values[~self.in_group]
        if self.pair is None:
            return group, reference
        group, reference = (
            pd.DataFrame(part).groupby(of).mean().to_numpy()
            for part, of in ((group, self.pair[self.in_group]), (reference, self.pair[~self.in_group]))
        )
        return np.where(np.isnan(reference), np.nan, group), np.where(np.isnan(group), np.nan, reference)


def samples(
    data: Data,
    groupby: str,
    group: str,
    reference: str | None,
    sample_key: str,
    paired_by: str | None,
    present: NDArray[np.bool_],
) -> Samples:
    """The samples with observations that are ``present`` in either group; the reference is all other groups if None."""
    inside, known = _groups(data, groupby, group, reference, present)
    sample = categories(data, sample_key)
    known &= sample.codes >= 0
    pair = None
    if paired_by is not None:
        pair = _pairs(data, sample, sample_key, paired_by, inside, known)
        known &= pair >= 0
    numbers = _numbers(sample, inside, known)
    if pair is None:
        labels = group, reference if reference is not None else f"all but {group}"
        _require_replicates(*numbers, sample.categories, sample_key, groupby, labels)
    codes = np.where(known, 2 * sample.codes + ~inside, -1)
    found = np.flatnonzero(np.column_stack(numbers))
    rows = [np.flatnonzero(codes == code) for code in found]
    of_pairs = None if pair is None else pair[[positions[0] for positions in rows]]
    return Samples(list(sample.categories[found // 2]), rows, found % 2 == 0, of_pairs)


def _groups(
    data: Data, groupby: str, group: str, reference: str | None, present: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which observations are of the group, and which of either."""
    groups = categories(data, groupby)
    for label in (group,) if reference is None else (group, reference):
        if label not in groups.categories:
            raise KeyError(absent(label, groups.categories, "group", f"obs[{groupby!r}]"))
    if group == reference:
        raise ValueError(f"group and reference are both {group!r}: compare two groups")
    labels = np.asarray(groups)
    inside = labels == group
    return inside, present & (groups.codes >= 0) & (inside | (reference is None) | (labels == reference))


def _numbers(
    of: pd.Categorical, inside: NDArray[np.bool_], known: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """How many observations each category has in the group, and in the reference."""
    n = len(of.categories)
    return np.bincount(of.codes[known & inside], minlength=n), np.bincount(of.codes[known & ~inside], minlength=n)


def _require_replicates(
    n_inside: NDArray[np.intp],
    n_outside: NDArray[np.intp],
    names: pd.Index,
    sample_key: str,
    groupby: str,
    labels: tuple[str, str],
) -> None:
    both = np.flatnonzero((n_inside > 0) & (n_outside > 0))
    if both.size:
        raise ValueError(
            f"sample {names[both[0]]!r} of obs[{sample_key!r}] has observations in both groups of "
            f"obs[{groupby!r}], as have {both.size - 1} others: give paired_by={sample_key!r} for a paired test, which "
            "compares within samples, or name samples that are in one group each"
        )
    for numbers, label in zip((n_inside, n_outside), labels, strict=True):
        n = int((numbers > 0).sum())
        if n < 2:
            raise ValueError(
                f"group {label!r} has {n} {'sample' if n == 1 else 'samples'} in obs[{sample_key!r}]: observations "
                "of one sample are no replicates of each other, so a test takes at least 2 samples a group; "
                "mtopic.pl.composition shows groups without a test"
            )


def _pairs(
    data: Data,
    sample: pd.Categorical,
    sample_key: str,
    paired_by: str,
    inside: NDArray[np.bool_],
    known: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """The pair of each observation, counted from 0 over those that have samples of both groups; -1 for others."""
    donor = categories(data, paired_by)
    known = known & (donor.codes >= 0)
    n_donors = pd.Series(donor.codes[known]).groupby(sample.codes[known]).nunique()
    if (n_donors > 1).any():
        raise ValueError(
            f"sample {sample.categories[n_donors.idxmax()]!r} of obs[{sample_key!r}] has observations of "
            f"{n_donors.max()} pairs of obs[{paired_by!r}]: name samples that belong to one pair each"
        )
    n_inside, n_outside = _numbers(donor, inside, known)
    complete, either = (n_inside > 0) & (n_outside > 0), (n_inside > 0) | (n_outside > 0)
    if complete.sum() < 2:
        raise ValueError(
            f"{complete.sum()} of {either.sum()} in obs[{paired_by!r}] have samples of both groups, and a paired test "
            "takes at least 2: name the column of what was measured in both, or leave paired_by out to compare "
            "groups of different samples"
        )
    alone = donor.categories[either & ~complete]
    if len(alone):
        names = ", ".join(map(repr, alone[:MOST_NAMED])) + (", …" if len(alone) > MOST_NAMED else "")
        warn(f"{len(alone)} of {either.sum()} in obs[{paired_by!r}] have one group only and are left out: {names}")
    return np.where(known & complete[donor.codes], np.cumsum(complete)[donor.codes] - 1, -1)
