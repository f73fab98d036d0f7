"""``uns["mtopic"]``: the record of a fit, its id, and what follows from it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from mtopic._warn import warn

from . import Data
from .count_matrix import Summary, summary
from .names import absent, look_up

FOLLOWING = "results"
REPLACED = (
    "elbo",
    "stability",
    "guides",
    "id",
    "counts",
    "topic_shares",
    "modality_agreement",
    "comparison",
    "mean_roots",
)
"""Entries of a record that say nothing of the next fit."""
UNCERTAINTY = tuple(f"{of}_{name}" for of in ("topics", "signatures") for name in ("sd", "low", "high"))
REMOVED = ("topic_shares", "modality_shares", "modality_agreement", "batch_effects", *UNCERTAINTY)
"""Tables of ``obsm`` and ``varm`` that belong to one fit under these very names, and go with it."""
OLDER_NAMES = {"evidence": "count_scale"}


@dataclass(frozen=True)
class Params:
    """What a fit was made with, as `export_params` writes it; None where it does not apply.

    Parameters
    ----------
    alpha
        A number, or one by name of the topic.
    eta
        A number, or by modality a number or a table with a column ``eta``.
    count_scale
        What a unit of the data counts for.
    batch_strengths
        How strongly effects of batches are drawn to none, by modality; None without effects.
    spatial_key, radius, n_neighbors, neighbors_method, neighbors_key, library_key, bandwidth
        Who is a neighbour, as for `sMTM`.
    stored_graph
        Key of the graph that was exported with the fit.
    transformed
        Whether the topics come from another data's signatures.
    """

    model: str = "MTM"
    n_topics: int | None = None
    alpha: float | Mapping[str, float] | None = None
    eta: float | Mapping[str, Any] | None = None
    schedule: str | None = None
    inference: str = "variational"
    n_iter: int | None = None
    converged: bool | None = None
    dtype: str = "float32"
    n_counts: float | None = None
    count_scale: float = 1.0
    raw: bool = False
    modality_weights: Mapping[str, float] = field(default_factory=dict)
    n_batches: int | None = None
    seed: int | None = None
    n_init: int | None = None
    batch_key: str | None = None
    batch_strengths: Mapping[str, float] | None = None
    spatial_key: str | None = None
    radius: float | None = None
    n_neighbors: int | None = None
    neighbors_method: str | None = None
    neighbors_key: str | None = None
    library_key: str | None = None
    bandwidth: float | Literal["auto"] | None = None
    smoothing: str | None = None
    strength: float | None = None
    stored_graph: str | None = None
    transformed: bool | None = None

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> Self:
        """Read what this or an earlier version has written."""
        named = {OLDER_NAMES.get(name, name): value for name, value in known.items()}
        return cls(**{one.name: _plain(named[one.name]) for one in fields(cls) if one.name in named})

    def as_dict(self) -> dict[str, Any]:
        """The parameters in types that HDF5 can hold."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) or isinstance(value, np.ndarray) and not value.ndim else value


def fit_id(names: Iterable[str], *tables: NDArray[Any]) -> str:
    """The same for the same fit, another for another."""
    digest = hashlib.blake2b(digest_size=8)
    for name in names:
        digest.update(f"{name}\n".encode())
    for table in tables:
        digest.update(np.ascontiguousarray(table).data)
    return digest.hexdigest()


def head(prefix: str | None) -> str:
    """With what the names of slots begin."""
    return "" if prefix is None else f"{prefix}_"


def head_of(key: str, slot: str = "topics") -> str:
    """With what the names begin, by the name of one slot."""
    return key.removesuffix(slot) if key.endswith(slot) else f"{key}_"


def read(data: Data, head: str) -> Mapping[str, Any]:
    """The record, empty where there is none."""
    record = data.uns.get(f"{head}mtopic", {})
    return record if isinstance(record, Mapping) else {}


def read_entry(data: Data, head: str, name: str, what: str, made_by: str) -> Any:
    """An entry that the record must have; the nearest records that have it are offered."""
    key = f"{head}mtopic"
    known = [key for key, value in data.uns.items() if isinstance(value, Mapping) and name in value]
    if key not in known:
        raise KeyError(f"{absent(key, known, what, 'uns')}; {made_by} writes it")
    return data.uns[key][name]


def trace(data: Data, key: str) -> tuple[Any, float | None]:
    """The bound after each iteration of the fit ``uns[key]``, and its number of counts."""
    fit = look_up(data.uns, key, "fit", "uns of the data")
    if not isinstance(fit, Mapping):
        raise TypeError(f"uns[{key!r}] is not a fit that mtopic.tl.topic_model or export_params wrote")
    return look_up(fit, "elbo", "trace", f"uns[{key!r}]"), Params.of(fit.get("params", {})).n_counts


def read_params(data: Data, head: str) -> Params:
    """What `export_params` says that the fit was made with."""
    return Params.of(read_entry(data, head, "params", "fit", "mtopic.tl.topic_model or export_params"))


def params_if_any(data: Data, head: str) -> Params:
    """As `read_params`, the defaults where there is no fit."""
    return Params.of(read(data, head).get("params", {}))


def require_no_modality(data: Data, *names: str) -> None:
    """No modality may be named like a table that is to be written to ``obsm`` of a MuData, where it has its mask."""
    for name in names if isinstance(data, MuData) else ():
        if name in data.mod:
            raise ValueError(
                f"a modality is named {name!r}, and obsm[{name!r}] says which observations it has, so no table of that "
                f"name can be written: name the modality otherwise, MuData({{'rna': mdata[{name!r}], …}}), or the table"
            )


def require_writable(data: Data, head: str, parameter: str, value: str | None) -> None:
    """The record of a fit must be writable under the name that a parameter has given."""
    require_no_modality(data, *(f"{head}{name}" for name in ("topics", *REMOVED)))
    if "/" in head:
        raise ValueError(f"{parameter}={value!r}: names of slots hold no '/'")
    if not isinstance(data.uns.get(f"{head}mtopic", {}), Mapping):
        raise ValueError(
            f"uns['{head}mtopic'] holds something that mtopic did not write: rename it or give another {parameter}"
        )


def write(data: Data, head: str, record: dict[str, Any]) -> None:
    """Put a record in place of the earlier one, and take away the tables that belong to that fit."""
    kept = {name: value for name, value in read(data, head).items() if name not in REPLACED}
    data.uns[f"{head}mtopic"] = {**kept, **record}
    for name in REMOVED:
        data.obsm.pop(f"{head}{name}", None)
        for holder in _holders(data):
            holder.varm.pop(f"{head}{name}", None)
    outdated = [slot for slot in _following(read(data, head)) if exists(data, slot) and is_outdated(data, slot)]
    if outdated:
        warn(f"{', '.join(outdated)} follow from an earlier fit than the topics that are there now: make them anew")


def add(data: Data, head: str, **entries: Any) -> None:
    """Put entries into the record."""
    data.uns[f"{head}mtopic"] = {**read(data, head), **entries}


def drop(data: Data, head: str, *names: str) -> None:
    """Take entries out of the record."""
    data.uns[f"{head}mtopic"] = {name: value for name, value in read(data, head).items() if name not in names}


def note(data: Data, head: str, *slots: str, names_topics: bool = False) -> None:
    """Note that slots, such as ``"obs:topic"`` or ``"rna:obsm:zscores"``, follow from the fit that is there now.

    They then follow from no other. A slot that ``names_topics`` gets other names with them.
    """
    for key, record in _records(data).items():
        known = _results(record)
        rows = {slot: row for slot, row in known.items() if slot not in slots}
        if key == f"{head}mtopic":
            rows |= dict.fromkeys(slots, (str(record["id"]), names_topics))
        if rows != known:
            others = {name: value for name, value in record.items() if name != FOLLOWING}
            table = pd.DataFrame.from_dict(rows, orient="index", columns=["fit", "names_topics"])
            data.uns[key] = {**others, FOLLOWING: table} if rows else others


def naming_topics(data: Data, head: str) -> list[str]:
    """The slots that follow from the fit that is there now and name its topics."""
    record = read(data, head)
    rows = _results(record).items()
    return [slot for slot, (fit, names) in rows if names and fit == record.get("id") and exists(data, slot)]


def is_outdated(data: Data, slot: str) -> bool:
    """Whether the slot follows from a fit whose place another has taken."""
    return any(_following(record).get(slot, record["id"]) != record["id"] for record in _records(data).values())


def warn_outdated(data: Data, *slots: str) -> None:
    """Say which slots follow from an earlier fit."""
    for slot in slots:
        if is_outdated(data, slot):
            warn(f"{slot} follows from an earlier fit than the topics that are there now: make it anew")


def exists(data: Data, slot: str) -> bool:
    """Whether there is such a slot."""
    holder, kind, name = located(data, slot)
    return holder is not None and name in getattr(holder, kind)


def located(data: Data, slot: str) -> tuple[Any, str, str]:
    """Whose slot it is, None if a modality is gone; its kind, such as ``obsm``; and its name there."""
    kind, name = slot.split(":", 1)
    if kind in ("obs", "obsm", "uns"):
        return data, kind, name
    holder = data if isinstance(data, AnnData) else data.mod.get(kind)
    return holder, *name.split(":", 1)


def _records(data: Data) -> dict[str, Mapping[str, Any]]:
    """The records of all fits with an id, by key."""
    known = {key: read(data, key.removesuffix("mtopic")) for key in data.uns if key.endswith("mtopic")}
    return {key: record for key, record in known.items() if "id" in record}


def _results(record: Mapping[str, Any]) -> dict[str, tuple[str, bool]]:
    """The id of the fit that each slot follows from, and whether it names topics: before that was noted, any may."""
    table = record.get(FOLLOWING)
    if table is None:
        return {}
    names = table["names_topics"] if "names_topics" in table else [True] * len(table)
    return {str(slot): (str(fit), bool(one)) for slot, fit, one in zip(table.index, table["fit"], names, strict=True)}


def _following(record: Mapping[str, Any]) -> dict[str, str]:
    """The id of the fit that each slot follows from."""
    return {slot: fit for slot, (fit, _) in _results(record).items()}


def _holders(data: Data) -> list[AnnData]:
    return [data] if isinstance(data, AnnData) else list(data.mod.values())


def warn_other_features(data: Data, head: str, mod: str, n_features: int) -> None:
    """Say that features of the fit are not there any more."""
    known = read(data, head).get("counts", pd.DataFrame())
    if mod in known.index and (of_fit := int(known.loc[mod, "n_features"])) != n_features:
        warn(
            f"modality {mod!r} has {n_features:,} of the {of_fit:,} features of the fit: topics are told from these. "
            "Take the data, or the model, that has all of them"
        )


def warn_other_raw_counts(data: Data, head: str, mod: str, known: Summary) -> None:
    """As `warn_other_counts`, of raw counts of one modality, if the fit was made of such."""
    if params_if_any(data, head).raw:
        warn_other_counts(data, head, summary({mod: known}))


def warn_other_counts(data: Data, head: str, found: pd.DataFrame, *, of_all: bool = False) -> None:
    """Say which counts are not those of the fit, by what is known of them (`Counts.summary`).

    With ``of_all`` a part of the observations is not enough.
    """
    known = read(data, head).get("counts", pd.DataFrame())
    for mod in known.index.intersection(found.index):
        was, now = known.loc[mod], found.loc[mod]
        way_out = "put the counts back into layers['counts'] or X, or fit them anew"
        if was["n_features"] != now["n_features"]:
            what = f"{now['n_features']:,} features in place of {was['n_features']:,}"
        elif was["whole"] and not now["whole"]:
            what = "values that are not whole numbers"
        elif was["n_obs"] != now["n_obs"]:
            if not of_all:
                continue
            what = f"{now['n_obs']:,} observations in place of {was['n_obs']:,}"
            way_out = "call this on all observations, and take a part of the result"
        elif not np.isclose(was["total"], now["total"], rtol=1e-6):
            what = f"a total of {now['total']:.6g} in place of {was['total']:.6g}"
        else:
            continue
        warn(f"modality {mod!r} does not hold the counts of the fit, but {what}: results are of these; {way_out}")
