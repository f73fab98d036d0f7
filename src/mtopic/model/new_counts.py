"""New counts as the training would have had them: features matched by name, prepared by what was learned then."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
import pandas as pd
from anndata import AnnData

from mtopic._data import Data
from mtopic._data.count_matrix import CSR, count_matrix, row_edges, values
from mtopic._data.in_rows import ROWS_AT_ONCE, place
from mtopic._data.layout import lay_out, positions
from mtopic._data.measured import (
    batches,
    batches_with_columns,
    in_measured_sets,
    measured,
    n_features,
    warn_if_ignored,
)
from mtopic._data.names import absent, alike_but_for, unique
from mtopic._data.preparation import Preparation, steps
from mtopic._data.slots import modalities
from mtopic._warn import warn
from mtopic.inference import Backend
from mtopic.inference.corpus import Corpus
from mtopic.inference.new_batches import with_learned_effects
from mtopic.inference.posterior import Posterior

from .batch_effects import as_tables
from .fitted import Fitted

FLOOR, ENOUGH = 0.5, 2_000
"""Of a modality's mass that new data must have; of observations from which the effects of a batch are learned."""


@dataclass(frozen=True)
class NewCounts:
    """Counts of the features that a training knows, modality by modality.

    Parameters
    ----------
    fitted
        The fit.
    obs_names
        Of the new data.
    parts
        The new data by the training's names of modalities.
    features
        Those that are there, in the training's order.
    layers
        Where their counts are, None for X.
    preparation
        What these have still to go through.
    batch
        Of each observation, if batches have measured different features.
    matched
        Modalities × ``trained``, ``missing``, ``missing_mass`` and ``others``: numbers of features, and the share of
        the signatures' mass that the missing ones have.
    """

    fitted: Fitted
    obs_names: pd.Index
    parts: dict[str, AnnData]
    features: dict[str, pd.Index]
    layers: dict[str, str | None]
    preparation: dict[str, Preparation]
    batch: pd.Series | None
    matched: pd.DataFrame

    @classmethod
    def of(cls, fitted: Fitted, data: Data, batch_key: str | None) -> Self:
        """Find the training's features in new data, and say what is missing."""
        found, batch = modalities(data), batches(data, batch_key)
        warn_if_ignored(found, batch_key)
        if batch is None and fitted.batch_factors is not None:
            warn(
                "the fit has effects of batches, and the data are read as an average batch: name the column of their "
                "batches in obs with batch_key"
            )
        obs_names = unique(data.obs_names, "observation names of the data", "obs_names_make_unique()")
        parts = _named_as_trained(found, fitted)
        if not len(obs_names):
            raise ValueError("the data has no observations")
        features = {mod: _common(fitted.signatures[mod].index, adata, mod) for mod, adata in parts.items()}
        masses = {mod: _mass(fitted.signatures[mod], names) for mod, names in features.items()}
        _require_mass(masses)
        _require_mass_of_batches(fitted, parts, batch)
        fitted.weights(list(parts))
        sources = {mod: _source(adata, mod, fitted) for mod, adata in parts.items()}
        layers = {mod: layer for mod, (layer, _) in sources.items()}
        preparation = {mod: needed for mod, (_, needed) in sources.items()}
        matched = _matched(fitted, parts, features, masses)
        _warn_of_missing(matched, masses)
        return cls(fitted, obs_names, parts, features, layers, preparation, batch, matched)

    def in_rows(self) -> Iterator[tuple[slice, Self]]:
        """All at once, or some observations at a time where counts are not in memory."""
        n_obs, parts = len(self.obs_names), self.parts
        where = {place(adata, mod, self.layers[mod]) for mod, adata in parts.items()}
        if "rows" not in where or "columns" in where:
            yield slice(0, n_obs), self
            return
        order = {mod: positions(self.obs_names, adata, mod) for mod, adata in parts.items()}
        for start, stop in pairwise(self._edges()):
            own = {mod: adata[(order[mod] >= start) & (order[mod] < stop)] for mod, adata in parts.items()}
            yield slice(start, stop), replace(self, obs_names=self.obs_names[start:stop], parts=own)

    def _edges(self) -> list[int]:
        """Where observations are cut: as the chunks of an only modality."""
        mod, adata = next(iter(self.parts.items()))
        is_all = len(self.parts) == 1 and adata.obs_names.equals(self.obs_names)
        x = values(adata, mod, self.layers[mod])[1] if is_all else None
        return row_edges(x, len(self.obs_names), ROWS_AT_ONCE)

    def read(self) -> dict[str, CSR]:
        """The counts of these features in each modality."""
        matrices = {}
        for mod, adata in self.parts.items():
            x = count_matrix(adata, mod, layer=self.layers[mod])
            matrices[mod] = x[:, adata.var_names.get_indexer(self.features[mod])]
            matrices[mod].sort_indices()
        return matrices

    def corpus(self, matrices: Mapping[str, CSR]) -> Corpus:
        """Counts of these features, prepared, on the training's scale and with its weights."""
        prepared = {}
        for mod, x in matrices.items():
            names = self.features[mod]
            sizes = n_features(self.parts[mod], mod, self.batch, names)
            prepared[mod] = self.preparation[mod].apply(x, names, mod, sizes)
        corpus, each = lay_out(self.obs_names, self.parts, prepared, self.fitted.params.dtype), bool(self._batches)
        corpus = in_measured_sets(corpus, self.obs_names, self.features, self.parts, self.batch, each=each)
        weights = self.fitted.weights(list(prepared))
        corpus = corpus.scaled(self.fitted.params.count_scale)
        return corpus if (weights == 1).all() else corpus.with_weights(weights)

    def posterior(self, corpus: Corpus, backend: Backend) -> Posterior:
        """The training's signatures of these features, and counts of which nothing has been inferred yet."""
        posterior = self.fitted.posterior(corpus, self.features, self._batches, backend)
        return replace(posterior, effects=posterior.effects and posterior.effects.or_average())

    def with_effects(self, backend: Backend) -> Self:
        """With factors of the batches that the fit has not seen, learned from enough of their observations."""
        batch, known = self.batch, self.fitted.batch_factors
        if batch is None or known is None:
            return self
        unseen = {one for mod, names in self._batches.items() for one in names if one not in known[mod]}
        if not unseen:
            return self
        order = batch[batch.astype(str).isin(unseen)].sample(frac=1, random_state=0)
        chosen = order.groupby(order.astype(str)).head(ENOUGH).index
        part = self._of(self.obs_names[self.obs_names.isin(chosen)])
        corpus = part.corpus(part.read())
        effects = with_learned_effects(part.fitted.posterior(corpus, part.features, part._batches, backend)).effects
        assert effects is not None
        found = as_tables(effects.factors, corpus, part.features, part._batches)
        factors = {mod: known[mod].join(of.loc[:, ~of.columns.isin(known[mod].columns)]) for mod, of in found.items()}
        return replace(self, fitted=replace(self.fitted, batch_factors={**known, **factors}))

    @property
    def _batches(self) -> dict[str, list[str]]:
        """Those of each modality, if they have effects."""
        if self.batch is None or self.fitted.batch_factors is None:
            return {}
        return batches_with_columns(self.features, self.parts, self.batch)

    def _of(self, obs_names: pd.Index) -> Self:
        """Of some observations, in the modalities that any of them has."""
        parts = {mod: adata[adata.obs_names.isin(obs_names)] for mod, adata in self.parts.items()}
        parts = {mod: adata for mod, adata in parts.items() if adata.n_obs}
        features = {mod: self.features[mod] for mod in parts}
        return replace(self, obs_names=obs_names, parts=parts, features=features)


def _named_as_trained(parts: dict[str, AnnData], fitted: Fitted) -> dict[str, AnnData]:
    """Modalities by the names that they had in training; the only one of an AnnData is the only one of the training."""
    known = list(fitted.signatures)
    if len(parts) == len(known) == 1 and "X" in (*parts, *known):
        return dict(zip(known, parts.values(), strict=True))
    for mod in parts:
        if mod not in known:
            way_out = f"wrap it as MuData({{{known[0]!r}: adata}})" if mod == "X" else "leave it out of the data"
            raise KeyError(f"{absent(mod, known, 'modality', 'the training')}; {way_out}")
    return {mod: parts[mod] for mod in known if mod in parts}


def _common(trained: pd.Index, adata: AnnData, mod: str) -> pd.Index:
    names = unique(adata.var_names, f"feature names of modality {mod!r}", "var_names_make_unique()")
    common = trained[trained.isin(names)]
    if not len(common):
        there = f"the first is {names[0]!r}" if len(names) else "it has none"
        raise ValueError(
            f"modality {mod!r} has no feature of the training, where the first is {trained[0]!r} ({there})"
            f"{alike_but_for(names, trained)}: give var_names the names that they had there, or leave the modality out"
        )
    return common


def _mass(signatures: pd.DataFrame, names: pd.Index) -> pd.Series:
    """The share of each topic's signature that the features ``names`` have."""
    lam = signatures.astype(np.float64)
    return lam.loc[names].sum() / lam.sum()


def _require_mass(masses: Mapping[str, pd.Series]) -> None:
    if all(mass.mean() < FLOOR for mass in masses.values()):
        found = ", ".join(f"{mass.mean():.1%} of {mod!r}" for mod, mass in masses.items())
        raise ValueError(
            f"the data lacks most of what the topics were fitted to: its features have {found} of the signatures' "
            f"mass, and {FLOOR:.0%} of a modality are needed; compare var_names with those of the training, or fit "
            "the data anew"
        )


def _require_mass_of_batches(fitted: Fitted, parts: Mapping[str, AnnData], batch: pd.Series | None) -> None:
    """What the data have of the signatures as a whole may be missing in a batch."""
    masses: dict[str, dict[str, pd.Series]] = {}
    if batch is None:
        return
    for mod, adata in parts.items():
        table, names = measured(adata, mod, batch), fitted.signatures[mod].index
        for name in batch.reindex(adata.obs_names).dropna().unique():
            there = adata.var_names if table is None else adata.var_names[table[name]]
            masses.setdefault(name, {})[mod] = _mass(fitted.signatures[mod], names[names.isin(there)])
    for name, of_batch in masses.items():
        try:
            _require_mass(of_batch)
        except ValueError as error:
            raise ValueError(f"batch {name!r}: {error}") from None


def _source(adata: AnnData, mod: str, fitted: Fitted) -> tuple[str | None, Preparation]:
    """Where counts are, and the preparation that they still need: that of the fit, or none if they have seen it."""
    wanted, done, has_raw = fitted.steps(mod), tuple(steps(adata)), "counts" in adata.layers
    if has_raw and (fitted.params.raw or wanted.steps or done):
        return "counts", wanted
    if not done:
        return None, wanted
    if done == wanted.steps:
        return None, Preparation()
    raise ValueError(
        f"X of modality {mod!r} has been prepared by {', '.join(done)}, that of the training by "
        f"{', '.join(wanted.steps) or 'nothing'}: give raw counts, in layers['counts'] or in X without "
        "uns['mtopic']['steps']"
    )


def _matched(
    fitted: Fitted, parts: Mapping[str, AnnData], features: Mapping[str, pd.Index], masses: Mapping[str, pd.Series]
) -> pd.DataFrame:
    rows = {}
    for mod, names in features.items():
        total = len(fitted.signatures[mod])
        rows[mod] = (total, total - len(names), 1 - float(masses[mod].mean()), parts[mod].n_vars - len(names))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["trained", "missing", "missing_mass", "others"])


def _warn_of_missing(matched: pd.DataFrame, masses: Mapping[str, pd.Series]) -> None:
    for mod, row in matched[matched["missing"] > 0].iterrows():
        worst = masses[str(mod)].idxmin()
        warn(
            f"modality {mod!r} lacks {row['missing']:,.0f} of the {row['trained']:,.0f} features of the training, with "
            f"{row['missing_mass']:.1%} of the signatures' mass ({1 - masses[str(mod)][worst]:.1%} of {worst}'s): "
            "topics are told from the others"
        )
