"""Where the topics of a fit are named, and how they get other names."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from . import Data, record
from .slots import by_position, modalities

Labels: TypeAlias = Callable[[pd.Index], pd.Index]
"""Gives labels, some of which are topics, other names."""

Where: TypeAlias = Callable[[Any, Labels], Any] | Mapping[str, Any]
"""How a value, or entries of a mapping, get other names of topics."""


def _index(table: pd.DataFrame, of: Labels) -> pd.DataFrame:
    return table.set_axis(of(table.index))


def _columns(table: pd.DataFrame, of: Labels) -> pd.DataFrame:
    return table.set_axis(of(table.columns), axis=1)


def _both(table: pd.DataFrame, of: Labels) -> pd.DataFrame:
    return _columns(_index(table, of), of)


def _keys(values: Any, of: Labels) -> Any:
    """A mapping by topic; one number for all has none."""
    if not isinstance(values, Mapping):
        return values
    return dict(zip(of(pd.Index(list(values))), values.values(), strict=True))


def _values(column: pd.Series, of: Labels) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.rename_categories(of(column.cat.categories))
    known = pd.Index(column.dropna().unique())
    return column.map(dict(zip(known, of(known), strict=True)))


def _of_rows(table: pd.DataFrame, of: Labels) -> pd.DataFrame:
    return table.assign(topic=_values(table["topic"], of))


def _by_modality(tables: Mapping[str, pd.DataFrame], of: Labels) -> dict[str, pd.DataFrame]:
    return {mod: _of_rows(table, of) for mod, table in tables.items()}


OF_FIT: Where = {
    "params": {"alpha": _keys},
    "stability": _index,
    "guides": _of_rows,
    "mean_roots": _index,
    "topic_shares": _index,
    "comparison": {"topics": _index, "signatures": _by_modality},
}
"""In the record of a fit."""

OF_RESULT: Where = {"topics": _index, "zscore": _both, "count": _both}
"""In mappings of ``uns`` that follow from a fit."""


def table_of(data: Data, head: str) -> str:
    """Name of the proportions in ``obsm``; `transform` writes ``P`` where others write ``P_topics``."""
    own, usual = head.removesuffix("_"), f"{head}topics"
    return own if usual not in data.obsm and own in data.obsm and record.read(data, head) else usual


def require_free(data: Data, head: str, names: Mapping[str, str]) -> None:
    """No new name may be that of a topic that keeps it."""
    for slot, (value, where) in _slots(data, head):
        kept = _labels(value, where) - names.keys()
        for old, new in names.items():
            if new in kept:
                raise ValueError(
                    f"names[{old!r}]={new!r}: another topic has that name in {slot}; choose another name, or rename "
                    "both in one call"
                )


def rename(data: Data, head: str, names: Mapping[str, str]) -> None:
    """Give topics of a fit other names, which are free, in all slots that name them."""

    def of(labels: pd.Index) -> pd.Index:
        known = labels.astype(str)
        if not known.isin(list(names)).any():
            return labels
        return pd.Index([names.get(label, label) for label in known], name=labels.name)

    for slot, (value, where) in list(_slots(data, head)):
        holder, kind, name = record.located(data, slot)
        axis = {"obsm": "obs_names", "varm": "var_names"}.get(kind)
        new = _with(value, where, of)
        getattr(holder, kind)[name] = new if axis is None else by_position(new, getattr(holder, axis))


def take_back(data: Data, head: str, fit: str, table: pd.DataFrame) -> None:
    """Rename what follows from a fit whose proportions, in this table, are about to be written once more."""
    before = data.obsm.get(table_of(data, head))
    if record.read(data, head).get("id") != fit or not isinstance(before, pd.DataFrame):
        return
    shares = [values / values.sum(axis=1, keepdims=True) for values in (before.to_numpy(), table.to_numpy())]
    if shares[0].shape == shares[1].shape and np.allclose(*shares):
        names = {old: new for old, new in zip(before.columns, table.columns, strict=True) if old != new}
        if names:
            require_free(data, head, names)
            rename(data, head, names)


def _slots(data: Data, head: str) -> Iterator[tuple[str, tuple[Any, Where]]]:
    """Each slot that names topics, with its value and where that names them."""
    tables = [f"{head}{name}" for name in ("signatures", *record.UNCERTAINTY)]
    own = [f"obsm:{name}" for name in (table_of(data, head), *tables)]
    own += [f"{mod}:varm:{name}" for mod in modalities(data) for name in tables]
    for slot in filter(lambda slot: record.exists(data, slot), own):
        value = _value(data, slot)
        if not isinstance(value, pd.DataFrame):
            raise TypeError(f"{slot} has no names of topics: make a DataFrame of it, with the topics as columns")
        yield slot, (value, _columns)
    if record.read(data, head):
        yield f"uns:{head}mtopic", (record.read(data, head), OF_FIT)
    for slot in record.naming_topics(data, head):
        value = _value(data, slot)
        where = _where(record.located(data, slot)[1], value)
        if where is not None:
            yield slot, (value, where)


def _value(data: Data, slot: str) -> Any:
    holder, kind, name = record.located(data, slot)
    return getattr(holder, kind)[name]


def _where(kind: str, value: Any) -> Where | None:
    if isinstance(value, Mapping):
        return OF_RESULT
    if isinstance(value, pd.DataFrame) and kind != "uns":
        return _columns
    if isinstance(value, pd.DataFrame):
        return _of_rows if "topic" in value else _index
    return _values if isinstance(value, pd.Series) and not is_numeric_dtype(value) else None


def _with(value: Any, where: Where, of: Labels) -> Any:
    if callable(where):
        return where(value, of)
    return {**value, **{name: _with(value[name], inner, of) for name, inner in where.items() if name in value}}


def _labels(value: Any, where: Where) -> set[str]:
    """All labels where topics are named."""
    found: set[str] = set()

    def of(labels: pd.Index) -> pd.Index:
        found.update(labels.astype(str))
        return labels

    _with(value, where, of)
    return found
