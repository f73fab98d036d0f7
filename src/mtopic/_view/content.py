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
from mtopic._data.names import absent
from mtopic._data.proportions import proportions
from mtopic._data.ranking import Measure, shares
from mtopic._data.slots import categories, column, modalities, with_signatures
from mtopic._palette import stored_or

from . import coded
from .coded import BYTE, SHORT
from .packed import Packed

FINE = 1_000_000
"""Proportions of up to so many observations × topics are kept to 1/65,000, those of more to 1/250."""
MOST = 4_000_000
"""Numbers that features, columns of ``obs`` and uncertainties may each have if nobody asks for them."""
MOST_SHARES = 1_000_000
"""Features × topics; of more, only those features are kept that are among the first of some topic."""
FIRST, FIRST_OF_MANY = 50, 200
FEATURES_OF_A_TOPIC, SOURCES_OF_A_TOPIC = 5, 10
MOST_CATEGORIES = 200
MAPS = ("magma_r", "magma", "viridis", "cividis", "YlGnBu", "Greys")
"""Those that the page begins with, light or dark where there is little, and others; five are perceptually uniform."""


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
        self.signatures = {
            mod: self._signatures(mod)
            for mod in with_signatures(self.data, f"{self.head}signatures")
            if f"{self.head}signatures" in modalities(self.data)[mod].varm
        }

    def _signatures(self, mod: str) -> pd.DataFrame:
        table = pd.DataFrame(modalities(self.data)[mod].varm[f"{self.head}signatures"])
        return table.set_axis(table.columns.astype(str), axis=1).reindex(columns=self.names)

    def topics(self) -> list[dict[str, Any]]:
        """Proportions with names and colours."""
        colours = stored_or(self.data, self.names, None)
        kind = SHORT if self.theta.size <= FINE else BYTE
        return [
            coded.numbers(self.packed, name, self.theta[name].to_numpy(), kind, 0.0, 1.0) | {"colour": to_hex(colour)}
            for name, colour in zip(self.names, colours, strict=True)
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
        """Columns of ``obs``: the dominant topic, and those that are asked for, or all groups and numbers."""
        return [self._dominant(), *(self._column(*one) for one in self._chosen_columns(asked))]

    def _dominant(self) -> dict[str, Any]:
        codes = dominant(self.data, self.key, self.theta, "deviation")
        colours = [to_hex(colour) for colour in stored_or(self.data, self.names, None)]
        return coded.categories(self.packed, "topic", codes, self.names, colours) | {"title": "dominant topic"}

    def _chosen_columns(self, asked: Sequence[str] | None) -> list[tuple[str, str]]:
        """Names and where they are; groups come before numbers."""
        if asked is not None:
            return [(key, key) for key in asked]
        found: dict[str, str] = {}
        for prefix, holder in [("", self.data), *((f"{mod}:", adata) for mod, adata in self._parts())]:
            for name in holder.obs:
                found.setdefault(str(name).split(":")[-1], f"{prefix}{name}")
        found.pop("topic", None)
        known = {name: key for name, key in found.items() if _is_group(column(self.data, key))}
        known |= {name: key for name, key in found.items() if _is_number(column(self.data, key))}
        most = max(1, MOST // self.data.n_obs)
        if len(known) > most:
            self.left_out.append(f"Of {len(known)} columns of obs the first {most} are here.")
        return list(known.items())[:most]

    def _parts(self) -> list[tuple[str, AnnData]]:
        return [] if isinstance(self.data, AnnData) else list(modalities(self.data).items())

    def _column(self, name: str, key: str) -> dict[str, Any]:
        values = column(self.data, key)
        if is_numeric_dtype(values.dtype) and not is_bool_dtype(values.dtype):
            return coded.numbers(self.packed, name, values.to_numpy(float), SHORT)
        groups = categories(self.data, key)
        labels = [str(label) for label in groups.categories]
        colours = [to_hex(colour) for colour in stored_or(self.data, labels, None, key)]
        return coded.categories(self.packed, name, groups.codes, labels, colours)

    def features(self, asked: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        """Counts of features: those that are asked for, or the first of each topic."""
        chosen = self._first_features() if asked is None else self._asked_features(asked)
        for mod, names in chosen.items():
            adata = modalities(self.data)[mod]
            if adata.X is None and "counts" not in adata.layers:
                self.left_out.append(f"There are no counts{self._of(mod)}.")
                continue
            at = adata.var_names.get_indexer_for(names)
            parts = [part[:, at].toarray() for _, part in raw_counts_in_rows(adata, mod)]
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
            order = _order(table)[:FEATURES_OF_A_TOPIC]
            names = list(dict.fromkeys(str(table.index[v]) for v in order.ravel()))
            if len(names) > most:
                self.left_out.append(f"Counts of {most} features{self._of(mod)} are here; name others with features.")
            found[mod] = names[:most]
        return found

    def _asked_features(self, asked: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for feature in asked:
            parts = modalities(self.data)
            mod, _, name = feature.partition(":")
            if mod not in parts or name not in parts[mod].var_names:
                mod, name = next((one for one, adata in parts.items() if feature in adata.var_names), ""), feature
            if not mod:
                every = [name for adata in parts.values() for name in adata.var_names]
                raise KeyError(absent(feature, every, "feature", "the data"))
            found.setdefault(mod, []).append(name)
        return {mod: list(dict.fromkeys(names)) for mod, names in found.items()}

    def made_of(self) -> Iterator[dict[str, Any]]:
        """Signatures: shares of features in topics, and the first features of each topic."""
        for mod, table in self.signatures.items():
            where = f"varm[{self.head}signatures] of modality {mod!r}"
            share, order = shares(table, where), _order(table)
            added = Measure.of(table.to_numpy(np.float64), "exclusivity").added
            kept = np.arange(len(table))
            if share.size > MOST_SHARES:
                by_share = np.argsort(-share, axis=0)
                kept = np.unique(np.concatenate([order[:FIRST_OF_MANY], by_share[:FIRST_OF_MANY]]))
                of = f"{len(table):,} features{self._of(mod)}"
                self.left_out.append(f"Of {of} the {len(kept):,} first of topics are here.")
            place = np.zeros(len(table), np.uint32)
            place[kept] = np.arange(len(kept))
            yield {
                "mod": mod,
                "names": table.index[kept].astype(str).tolist(),
                "added": added,
                "first": [self.packed.add(place[order[:FIRST, k]]) for k in range(len(self.names))],
                **coded.logarithms(self.packed, share[kept]),
            }

    def enrichment(self) -> list[dict[str, Any]]:
        """The first sources of each topic, where they were looked for."""
        found = []
        for mod, adata in modalities(self.data).items():
            table = adata.uns.get("enrichment")
            if not isinstance(table, pd.DataFrame) or not {"topic", "source", "score", "q"} <= set(table):
                continue
            first = table.dropna(subset=["q"]).sort_values(["q", "score"], ascending=[True, False])
            first = first.groupby("topic", observed=True, sort=False).head(SOURCES_OF_A_TOPIC)
            rows = first.assign(topic=first["topic"].astype(str), source=first["source"].astype(str))
            found.append({"mod": mod, "rows": rows[["topic", "source", "score", "q"]].to_dict("records")})
        return found

    def topic_shares(self) -> dict[str, dict[str, float]] | None:
        """The share of each modality in the evidence on each topic, where it is known."""
        table = record.read(self.data, self.head).get("topic_shares")
        if not isinstance(table, pd.DataFrame):
            return None
        return {str(topic): row.astype(float).to_dict() for topic, row in table.iterrows()}


def colour_maps() -> dict[str, list[str]]:
    """Maps of 256 colours."""
    steps = np.linspace(0, 1, 256)
    return {name: [to_hex(colour) for colour in mpl.colormaps[name](steps)] for name in MAPS}


def _order(table: pd.DataFrame) -> NDArray[np.intp]:
    """Features of each topic by FREX, features × topics."""
    scores = Measure.of(table.to_numpy(np.float64), "FREX").scores(shares(table, "signatures"))
    return np.argsort(-scores, axis=0, kind="stable")


def _is_group(values: pd.Series) -> bool:
    kinds = isinstance(values.dtype, pd.CategoricalDtype) or is_bool_dtype(values.dtype)
    return kinds and 2 <= values.nunique() <= MOST_CATEGORIES


def _is_number(values: pd.Series) -> bool:
    return is_numeric_dtype(values.dtype) and not is_bool_dtype(values.dtype) and bool(values.notna().any())
