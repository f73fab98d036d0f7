"""The one door between annotated data and arrays of counts."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import DTypeLike
from scipy.sparse import csr_array

from mtopic._warn import warn
from mtopic.inference.backend import Double
from mtopic.inference.corpus import Corpus
from mtopic.inference.stored import StoredCounts

from .count_matrix import Summary, count_matrix, fractions, summary
from .layout import lay_out
from .measured import batches, batches_with_columns, in_measured_sets
from .names import alike_but_for, matched, unique
from .preparation import Preparation
from .slots import Data, modalities
from .working_copy import working_copy

LITTLE = 0.05
"""The share of observations in common that is worth a warning."""

Names: TypeAlias = tuple[pd.Index, dict[str, pd.Index]]
Scratch: TypeAlias = str | os.PathLike[str] | None


@dataclass(frozen=True)
class Counts:
    """Counts of all modalities side by side, and the names of what they count.

    Parameters
    ----------
    corpus
        The counts.
    obs_names
        Names of the observations.
    features
        Names of the features of each modality.
    preparation
        What the counts of each modality have seen before they were read.
    has_raw_layer
        Whether a modality keeps raw counts in ``layers["counts"]``.
    fractions
        The first value that is not whole, of each modality that has one.
    summary
        A row for each modality: ``n_obs``, ``n_features``, ``total`` and ``whole``, whether all values are whole
        numbers.
    batches
        Those of each modality that have columns of their own, in this order; empty if batches share columns.
    """

    corpus: Corpus
    obs_names: pd.Index
    features: dict[str, pd.Index]
    preparation: dict[str, Preparation] = field(default_factory=dict)
    has_raw_layer: bool = False
    fractions: dict[str, float] = field(default_factory=dict)
    summary: pd.DataFrame = field(default_factory=pd.DataFrame)
    batches: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        data: Data,
        *,
        raw: bool = False,
        dtype: DTypeLike = np.float32,
        batch_key: str | None = None,
        batch_effects: bool = False,
        order: Names | None = None,
        scratch: Scratch = None,
        keep_scratch: bool = False,
    ) -> Self:
        """Lay the counts of all modalities side by side, observations aligned by name.

        One modality that is a CSR matrix of ``dtype`` is used in place. An observation that lacks a modality has an
        empty block there.

        Parameters
        ----------
        data
            MuData or AnnData.
        raw
            Take ``layers["counts"]`` where it is present.
        dtype
            Precision of the counts.
        batch_key
            Column of the batches, where these have not measured the same features.
        batch_effects
            Give every batch columns of its own.
        order
            Names of observations and features in the order that the counts shall have. The data must have these and
            no others.
        scratch
            Folder for a working copy, which is then read by blocks, so that memory never holds all counts.
        keep_scratch
            Leave the copy there.
        """
        parts = named_once(data)
        obs_names, features = data.obs_names, {mod: adata.var_names for mod, adata in parts.items()}
        layers = {mod: "counts" if raw and "counts" in adata.layers else None for mod, adata in parts.items()}
        if scratch is None:
            matrices = {mod: count_matrix(adata, mod, layer=layers[mod]) for mod, adata in parts.items()}
            known = {mod: Summary.of(x) for mod, x in matrices.items()}
            _require_counts(known, layers)
            corpus = lay_out(obs_names, parts, matrices, dtype)
        else:
            corpus, known = working_copy(obs_names, parts, layers, np.dtype(dtype), scratch, keep_scratch)
            _require_counts(known, layers)
        if order is not None:
            corpus = _reordered(corpus, (obs_names, features), order)
            obs_names, features = order
        batch, own = batches(data, batch_key), {}
        if batch_effects and batch is not None:
            own = batches_with_columns(features, parts, batch)
        corpus = in_measured_sets(corpus, obs_names, features, parts, batch, each=bool(own))
        preparation = {mod: Preparation.of(parts[mod]) for mod in features}
        has_raw_layer = any("counts" in adata.layers for adata in parts.values())
        return cls(corpus, obs_names, features, preparation, has_raw_layer, fractions(known), summary(known), own)

    def warn_empty(self) -> None:
        """Say how many observations have no counts."""
        warn_empty(self.corpus.totals)

    def warn_apart(self) -> None:
        """Say which modalities have few observations, or none, in common with the others."""
        has = self.corpus.by_modality > 0
        for m, mod in enumerate(self.features):
            own, others = has[:, m], np.delete(has, m, axis=1).any(axis=1)
            common = int((own & others).sum())
            if others.any() and common < LITTLE * min(own.sum(), others.sum()):
                here, there = self.obs_names[own], self.obs_names[others & ~own]
                warn(
                    f"{common or 'none'} of the {own.sum()} observations of modality {mod!r} have counts of another "
                    f"modality, too, by which topics are shared: names are such as {here[0]!r} here and {there[0]!r} "
                    f"there{alike_but_for(here, there)}; name the same cells alike in all modalities"
                )

    def warn_fractions(self, but: Collection[str]) -> None:
        """Say which modalities, other than those of ``but``, have values that are not whole numbers."""
        for mod, value in self.fractions.items():
            if mod not in but:
                warn(
                    f"what is taken for raw counts of modality {mod!r} are not whole numbers, such as {value:.3g}: "
                    "topics of logarithms or normalised values are others. Put the counts into layers['counts'], "
                    "unless these are counts that were corrected for background"
                )


def warn_empty(totals: Double) -> None:
    """Say how many observations have no counts, by the sums of all."""
    empty = int((totals == 0).sum())
    if empty:
        warn(f"{empty} of {len(totals)} observations have no counts: their topics are the prior")


def warn_zero_weight_only(corpus: Corpus) -> None:
    """Say how many observations have counts only in modalities of weight 0."""
    silent = int(((corpus.totals == 0) & (corpus.by_modality.sum(axis=1) > 0)).sum())
    if silent:
        warn(
            f"{silent} of {corpus.n_obs} observations have counts only in modalities of weight 0: their topics are the "
            "prior; give weights of your own with modality_weights"
        )


def named_once(data: Data) -> dict[str, AnnData]:
    """The modalities, in which no observation and no feature may have the name of another."""
    parts = modalities(data)
    unique(data.obs_names, "observation names of the data", "obs_names_make_unique()")
    for mod, adata in parts.items():
        unique(adata.obs_names, f"observation names of modality {mod!r}", "obs_names_make_unique()")
        unique(adata.var_names, f"feature names of modality {mod!r}", "var_names_make_unique()")
    return parts


def _require_counts(known: Mapping[str, Summary], layers: Mapping[str, str | None]) -> None:
    for mod, one in known.items():
        if one.n_features == 0:
            raise ValueError(f"modality {mod!r} has no features: leave it out or undo the filter that emptied it")
        if not one.total > 0:
            slot = "X" if layers[mod] is None else f"layers[{layers[mod]!r}]"
            raise ValueError(f"{slot} of modality {mod!r} holds no counts: leave the modality out")


def _reordered(corpus: Corpus, given: Names, wanted: Names) -> Corpus:
    """The corpus with modalities, observations and features in the order ``wanted``."""
    (obs_names, features), (wanted_obs, wanted_features) = given, wanted
    if set(features) != set(wanted_features):
        raise ValueError(f"the model was fitted to modalities {list(wanted_features)}, the data has {list(features)}")
    way_out = "take the data that the model was fitted to"
    rows = np.argsort(matched(wanted_obs, obs_names, "observations", way_out))
    blocks, parts = dict(zip(features, corpus.blocks, strict=True)), []
    for mod, names in wanted_features.items():
        order = np.argsort(matched(names, features[mod], f"features of modality {mod!r}", way_out))
        parts.append(blocks[mod].start + order)
    columns = np.concatenate(parts)
    if all(np.array_equal(order, np.arange(order.size)) for order in (rows, columns)):
        return corpus
    if isinstance(corpus.counts, StoredCounts):
        raise ValueError(f"scratch: observations and features of the data are in another order: {way_out}")
    x = csr_array(corpus.rows[rows][:, columns])
    x.sort_indices()
    return Corpus(x, np.cumsum([0, *map(len, wanted_features.values())]))
