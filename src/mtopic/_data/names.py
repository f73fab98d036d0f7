"""Names of what the data hold, and what is said of one that is missing, doubled or unknown."""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import TypeVar

import numpy as np
import pandas as pd

from mtopic._warn import warn

T = TypeVar("T")

LITTLE = 0.1
NO_KEYS = ("_index", ".", "..")
"""Names that HDF5, Zarr or anndata keep for themselves."""
NOT_IN_KEYS = ("/", "\\", "\0")
SPELLINGS: Mapping[str, Callable[[pd.Index], pd.Index]] = {
    "upper and lower case": lambda names: names.str.lower(),
    "what follows a '.'": lambda names: names.str.split(".").str[0],
    "suffixes such as '-1'": lambda names: names.str.replace(r"([-_.#](\d{1,2}|[a-z]+\d*))+$", "", regex=True),
    "what separates chromosome, start and end": lambda names: names.str.replace(r"[:_-](?=\d+)", "-", regex=True),
    "prefixes such as 'a_'": lambda names: names.str.replace(r"^.*[_#:]", "", regex=True),
}
"""Ways in which the same names are written, each undone."""


def look_up(mapping: Mapping[str, T], key: str, what: str, where: str) -> T:
    """``mapping[key]``, or a KeyError that offers the nearest names."""
    if key in mapping:
        return mapping[key]
    raise KeyError(absent(key, mapping.keys(), what, where))


def absent(key: str, names: Collection[str], what: str, where: str) -> str:
    """What to say of a name that is not there."""
    names = [str(name) for name in names]
    near = get_close_matches(str(key), names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    elif names:
        hint = f"there: {', '.join(map(repr, names[:8]))}{', …' if len(names) > 8 else ''}"
    else:
        hint = "there is none"
    return f"no {what} {key!r} in {where}; {hint}"


def unique(names: pd.Index, what: str, way_out: str) -> pd.Index:
    """The names, which must not occur twice."""
    if not names.is_unique:
        twice = names[names.duplicated()]
        raise ValueError(f"{len(twice)} {what} occur twice, the first is {twice[0]!r}: make them unique with {way_out}")
    return names


def matched(fitted: pd.Index, present: pd.Index, what: str, way_out: str) -> np.ndarray:
    """Where each name of the data is in the model; they must be the same names."""
    order = fitted.get_indexer(present)
    unknown, missing = int((order < 0).sum()), len(fitted.difference(present))
    if unknown or missing:
        raise ValueError(
            f"model and data do not belong together: {unknown} {what} of the data are not in the model and {missing} "
            f"of the model not in the data{alike_but_for(present, fitted) if unknown else ''}; {way_out}"
        )
    return order


def as_text(values: pd.Series, where: str) -> pd.Series:
    """Values as text, NaN where there is none; such as 1 and "1" would become one and are refused."""
    known = pd.Series(pd.unique(values.astype(object).dropna()), dtype=object)
    twice = known[known.map(str).duplicated(keep=False)]
    if len(twice):
        text = str(twice.iloc[0])
        both = " and ".join(repr(one) for one in twice if str(one) == text)
        raise ValueError(f"{where} has both {both}: write them alike, or give them different names")
    return values.astype(object).map(str, na_action="ignore")


def alike_but_for(a: pd.Index, b: pd.Index) -> str:
    """What keeps names from being the same, if it is something obvious; else nothing."""
    a, b = a.astype(str), b.astype(str)
    for what, spelling in SPELLINGS.items():
        if 2 * int(spelling(a).isin(spelling(b)).sum()) > len(a):
            return f"; they are alike but for {what}"
    return ""


def require_in_common(theirs: pd.Index, ours: pd.Index, of_theirs: str, of_ours: str) -> None:
    """Names of both must be written alike: nothing in common is an error, little of the smaller set is a warning."""
    theirs, ours = theirs.unique(), ours.unique()
    both, fewer, more = n_in(theirs, ours), *sorted((theirs, ours), key=len)
    if both < LITTLE * len(fewer) or not both:
        others, own = theirs[~theirs.isin(ours)], ours[~ours.isin(theirs)]
        said = (
            f"{of_theirs} and {of_ours} have {both or 'no'} names in common, of {len(theirs):,} and {len(ours):,}: "
            f"{', '.join(map(repr, others[:3]))} are only in the first, {', '.join(map(repr, own[:3]))} in the second"
            f"{alike_but_for(fewer, more)}"
        )
        if not both:
            raise ValueError(f"{said}; write both alike")
        warn(f"{said}; check that both are written alike")


def n_in(names: pd.Index, others: pd.Index) -> int:
    """How many of the names are among others, which are unique; `isin` takes seconds for as many as peaks are."""
    return int((others.get_indexer(names) >= 0).sum())


def require_key(name: str, where: str) -> None:
    """A name that files can hold."""
    if not name.strip() or name in NO_KEYS or any(sign in name for sign in NOT_IN_KEYS):
        raise ValueError(
            f"{where}: a name is a key in files, so it is not empty, none of {', '.join(map(repr, NO_KEYS))}, and "
            "holds no '/', backslash or null: choose another"
        )


def topic_name(k: int) -> str:
    """Topics are numbered from 1."""
    return f"topic_{k + 1}"
