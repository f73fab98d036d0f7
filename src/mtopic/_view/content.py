"""What a page shows of topics, from the slots of the data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from mtopic._data import Data, record
from mtopic._data.dominance import dominant
from mtopic._data.in_rows import raw_counts_in_rows
from mtopic._data.proportions import proportions
from mtopic._data.ranking import Measure, exclusivity, shares
from mtopic._data.slots import categories, column, find_feature, find_signatures, modalities, with_signatures
from mtopic._palette import stored_or

from . import coded
from .coded import BYTE, SHORT
from .packed import Packed

FINE = 1_000_000
"""Proportions of up to so many observations × topics are kept to 1/65,000 of the topic's largest, of more to 1/250."""
MOST = 4_000_000
"""Numbers that features, columns of ``obs`` and uncertainties may each have if nobody asks for them."""
MOST_SHARES = 1_000_000
"""Features × topics; of more, only those features are kept that are among the first of some topic."""
FIRST, FIRST_OF_MANY = 50, 200
FEATURES_OF_A_TOPIC, SOURCES_OF_A_TOPIC = 5, 10
MOST_CATEGORIES = 200
DOMINANT = "dominant topic"
MAPS = ("magma_r", "magma", "viridis", "cividis", "YlGnBu", "Greys")
"""Those that the page begins with, light or dark where there is little, and others; the first four are perceptually
uniform."""


@dataclass
class Content:
    """What is packed of one fit."""

    data: Data
    key: str
    packed: Packed = field(default_factory=Packed)
    left_out: list[str] = field(default_factory=list)
    """What the page does not have, in sentences."""

    def __post_init__(self) -> None:
        self.theta = proportions(self.data, self.key)
        self.head = record.head_of(self.key)
        self.names = [str(topic) for topic in self.theta.columns]
        key = f"{self.head}signatures"
        known = [mod for mod in with_signatures(self.data, key) if key in modalities(self.data)[mod].varm]
        found = {mod: self._signatures(mod) for mod in known}
        self.signatures = {mod: table for mod, table in found.items() if table is not None}
        self.order = {mod: _order(table) for mod, table in self.signatures.items()}
        self.colours = [to_hex(colour) for colour in stored_or(self.data, self.names, None)]

    def _signatures(self, mod: str) -> pd.DataFrame | None:
        """The signatures of the topics by the names that features have now; None if they are of others."""
        _, adata, table = find_signatures(self.data, mod, f"{self.head}signatures")
        table = table.set_axis(adata.var_names).set_axis(table.columns.astype(str), axis=1)
        if set(self.names) <= set(table):
            return table[self.names]
        self.left_out.append(f"Signatures{self._of(mod)} are of other topics and left out.")
        return None

    def topics(self) -> list[dict[str, Any]]:
        """Proportions with names and colours."""
        kind = SHORT if self.theta.size <= FINE else BYTE
        return [
            coded.numbers(self.packed, name, self.theta[name].to_numpy(), kind, 0.0) | {"colour": colour}
            for name, colour in zip(self.names, self.colours, strict=True)
        ]

    def uncertainty(self) -> list[dict[str, Any]]:
        """Standard deviations of proportions, if they are there."""
        table = self.data.obsm.get(f"{self.head}topics_sd")
        if not isinstance(table, pd.DataFrame):
            return []
        if table.size > MOST:
            self.left_out.append("Uncertainties are left out.")
            return []
        return [coded.numbers(self.packed, str(name), table[name].to_numpy(float), BYTE, 0.0) for name in table]

    def columns(self, asked: Sequence[str] | None) -> list[dict[str, Any]]:
        """The dominant topic; then columns of ``obs`` that are asked for, or all groups and numbers."""
        found = [self._dominant()]
        most = max(1, MOST // max(1, self.data.n_obs))
        for key in self._known_columns() if asked is None else asked:
            if asked is None and len(found) > most:
                self.left_out.append(f"Of the columns of obs the first {most} are here; name others with columns.")
                break
            try:
                found.append(self._column(key))
            except (TypeError, ValueError):
                if asked is not None:
                    raise
                self.left_out.append(f"The column {key} is left out: it holds neither groups nor numbers.")
        return found

    def _dominant(self) -> dict[str, Any]:
        codes = dominant(self.data, self.key, self.theta, "deviation")
        return coded.categories(self.packed, DOMINANT, codes, self.names, self.colours)

    def _known_columns(self) -> list[str]:
        """Groups, then numbers. Columns of modalities that the data have as well are those of the data."""
        found = {str(name): self.data.obs[name] for name in self.data.obs}
        for mod, adata in [] if isinstance(self.data, AnnData) else list(modalities(self.data).items()):
            for name in adata.obs:
                if str(name) not in found:
                    found[f"{mod}:{name}"] = adata.obs[name]
        others = {name: values for name, values in found.items() if name != "topic"}
        groups = [name for name, values in others.items() if _is_group(values)]
        return groups + [name for name, values in others.items() if _is_number(values)]

    def _column(self, key: str) -> dict[str, Any]:
        values = column(self.data, key)
        if _is_number(values):
            return coded.counts(self.packed, key, values.to_numpy(float))
        groups = categories(self.data, key)
        labels = [str(label) for label in groups.categories]
        colours = [to_hex(colour) for colour in stored_or(self.data, labels, None, key)]
        return coded.categories(self.packed, key, groups.codes, labels, colours)

    def features(self, asked: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        """Counts of features: those that are asked for, or the first of each topic."""
        chosen = self._first_features() if asked is None else self._asked_features(asked)
        for mod, names in chosen.items():
            adata = modalities(self.data)[mod]
            if adata.X is None and "counts" not in adata.layers:
                self.left_out.append(f"There are no counts{self._of(mod)}.")
                continue
            at = adata.var_names.get_indexer(names)
            try:
                parts = [part[:, at].toarray() for _, part in raw_counts_in_rows(adata, mod)]
            except (TypeError, ValueError):
                if asked is not None:
                    raise
                self.left_out.append(f"Values{self._of(mod)} are no counts and left out.")
                continue
            values = pd.DataFrame(np.concatenate(parts), index=adata.obs_names).reindex(self.data.obs_names)
            for place, name in enumerate(names):
                said = coded.counts(self.packed, name, values[place].to_numpy(float))
                yield said | {"mod": mod, "title": f"{name} · {mod}" if len(modalities(self.data)) > 1 else name}

    def _of(self, mod: str) -> str:
        return "" if isinstance(self.data, AnnData) else f" of {mod}"

    def _first_features(self) -> dict[str, list[str]]:
        most = max(1, MOST // max(1, self.data.n_obs) // max(1, len(self.signatures)))
        found: dict[str, list[str]] = {}
        for mod, table in self.signatures.items():
            order = self.order[mod][:FEATURES_OF_A_TOPIC]
            names = list(dict.fromkeys(str(table.index[v]) for v in order.ravel()))
            if len(names) > most:
                self.left_out.append(f"Counts of {most} features{self._of(mod)} are here; name others with features.")
            found[mod] = names[:most]
        return found

    def _asked_features(self, asked: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for mod, name in (find_feature(self.data, feature) for feature in asked):
            found.setdefault(mod, []).append(name)
        return {mod: list(dict.fromkeys(names)) for mod, names in found.items()}

    def made_of(self) -> Iterator[dict[str, Any]]:
        """Signatures: shares of features in topics, and the first features of each topic."""
        for mod, table in self.signatures.items():
            where = f"varm[{self.head}signatures] of modality {mod!r}"
            share, order = shares(table, where), self.order[mod]
            added = Measure.of(table.to_numpy(np.float64), "exclusivity").added
            kept = np.arange(len(table))
            if share.size > MOST_SHARES:
                by_share = np.argsort(-share, axis=0)
                by_exclusivity = np.argsort(-exclusivity(share + added), axis=0)
                first = [one[:FIRST_OF_MANY] for one in (order, by_share, by_exclusivity)]
                kept = np.unique(np.concatenate(first))
                of = f"{len(table):,} features{self._of(mod)}"
                self.left_out.append(f"Of {of} the {len(kept):,} first of topics are here.")
            place = np.zeros(len(table), np.uint32)
            place[kept] = np.arange(len(kept))
            yield {
                "mod": mod,
                "names": table.index[kept].astype(str).tolist(),
                "added": added,
                "n_features": len(table),
                "first": [self.packed.add(place[order[:FIRST, k]]) for k in range(len(self.names))],
                **coded.logarithms(self.packed, share[kept]),
            }

    def enrichment(self) -> list[dict[str, Any]]:
        """The first sources of each topic, where they were looked for."""
        found = []
        for mod, adata in modalities(self.data).items():
            table = adata.uns.get("enrichment")
            slot = "uns:enrichment" if adata is self.data else f"{mod}:uns:enrichment"
            of_this = not self.head and not record.is_outdated(self.data, slot)
            if (
                not of_this
                or not isinstance(table, pd.DataFrame)
                or not {"topic", "source", "score", "q"} <= set(table)
            ):
                continue
            more = table[np.isfinite(table["score"]) & np.isfinite(table["q"]) & (table["score"] > 0)]
            first = more.sort_values(["q", "score"], ascending=[True, False])
            first = first.groupby("topic", observed=True, sort=False).head(SOURCES_OF_A_TOPIC)
            rows = first.assign(topic=first["topic"].astype(str), source=first["source"].astype(str))
            found.append({"mod": mod, "rows": rows[["topic", "source", "score", "q"]].to_dict("records")})
        return found

    def topic_shares(self) -> dict[str, dict[str, float]] | None:
        """The share of each modality in the evidence on each topic, where it is known."""
        table = record.read(self.data, self.head).get("topic_shares")
        if not isinstance(table, pd.DataFrame):
            return None
        known = table.astype(float).dropna(how="any")
        return {str(topic): row.to_dict() for topic, row in known.iterrows()}


def colour_maps() -> dict[str, list[str]]:
    """Maps of 256 colours."""
    steps = np.linspace(0, 1, 256)
    return {name: [to_hex(colour) for colour in mpl.colormaps[name](steps)] for name in MAPS}


def _order(table: pd.DataFrame) -> NDArray[np.intp]:
    """Features of each topic by FREX, features × topics."""
    scores = Measure.of(table.to_numpy(np.float64), "FREX").scores(shares(table, "signatures"))
    return np.argsort(-scores, axis=0, kind="stable")


def _is_group(values: pd.Series) -> bool:
    try:
        return not _is_number(values) and 2 <= values.nunique() <= MOST_CATEGORIES
    except TypeError:  # lists and the like
        return False


def _is_number(values: pd.Series) -> bool:
    return is_numeric_dtype(values.dtype) and not is_bool_dtype(values.dtype) and bool(values.notna().any())
