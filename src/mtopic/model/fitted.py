"""A fit as others use it: from a model or from the slots that it was exported to, and its posterior of counts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._check import n_jobs_given
from mtopic._data import Data, record
from mtopic._data.counts import Counts, Scratch
from mtopic._data.in_rows import raw_counts_in_rows
from mtopic._data.names import absent, look_up, unique
from mtopic._data.preparation import Preparation
from mtopic._data.proportions import proportions
from mtopic._data.record import Params
from mtopic._data.slots import find_signatures, modalities, with_signatures
from mtopic.inference import Backend, BatchEffects, Corpus, Posterior
from mtopic.inference.cluster import backend
from mtopic.inference.priors import by_row, total

from .batch_effects import of_columns
from .model import Model
from .priors import alpha_of_topics, eta_of_features


@dataclass(frozen=True)
class Fitted:
    """A fit without its observations."""

    signatures: dict[str, pd.DataFrame]
    """λ of each modality, features × topics."""
    preparation: dict[str, Preparation]
    """What the counts of each modality had seen that the fit was made of."""
    params: Params
    """What the fit was made with."""
    batch_factors: dict[str, pd.DataFrame] | None = None
    """How much more of each feature a batch reads, features × batches; None without effects of batches."""

    @classmethod
    def of(cls, source: Model | Data, prefix: str | None) -> Self:
        """From a model, or from data with an exported fit."""
        return cls.of_model(source, prefix) if isinstance(source, Model) else cls.of_slots(source, record.head(prefix))

    @classmethod
    def of_slots(cls, data: Data, head: str) -> Self:
        """From what `export_params` has written, in those modalities that have signatures."""
        parts, key = modalities(data), f"{head}signatures"
        signatures = {mod: checked_signatures(data, mod, key) for mod in with_signatures(data, key)}
        for mod, table in signatures.items():
            record.warn_other_features(data, head, mod, len(table))
        preparation, params = {mod: Preparation.of(parts[mod]) for mod in signatures}, record.read_params(data, head)
        return cls(signatures, preparation, params, exported_factors(data, head, params, list(signatures)))

    @classmethod
    def of_model(cls, model: Model, prefix: str | None) -> Self:
        """From a fitted model."""
        if prefix is not None:
            raise ValueError(f"prefix={prefix!r}: it names the slots of a reference, and a model has none")
        if not model.fitted:
            raise ValueError(f"this {type(model).__name__} is not fitted yet: call model.VI() first")
        signatures = {mod: pd.DataFrame(lam.T, model.features[mod], model.topics) for mod, lam in model.lambda_.items()}
        return cls(signatures, model.preparation, Params.of(model.params()), model.batch_factors)

    @property
    def topics(self) -> pd.Index:
        """Names of the topics."""
        return next(iter(self.signatures.values())).columns

    @property
    def strength(self) -> float | None:
        """The strength of the prior from neighbours; None if they were no prior."""
        return self.params.strength if self.params.smoothing == "prior" else None

    def steps(self, mod: str) -> Preparation:
        """What raw counts of a modality have to go through."""
        return Preparation() if self.params.raw else self.preparation[mod]

    def weights(self, mods: list[str]) -> np.ndarray:
        """What a count of each modality is worth."""
        weights = weights_of(self.params, mods)
        if not weights.any():
            raise ValueError(
                f"{' and '.join(map(repr, mods))} had weight 0 in the training, no say in the topics: give another "
                "modality as well"
            )
        return weights

    def posterior(
        self, corpus: Corpus, features: Mapping[str, pd.Index], batches: Mapping[str, list[str]], backend: Backend
    ) -> Posterior:
        """The signatures of these features, and counts of which nothing has been inferred yet.

        Effects of batches that are not of the fit are NaN.
        """
        tables = [self.signatures[mod].loc[names] for mod, names in features.items()]
        lam = np.concatenate([table.to_numpy(dtype=corpus.dtype) for table in tables])
        gamma = np.ones((corpus.n_obs, lam.shape[1]), corpus.dtype)
        priors = alpha_of_topics(self.params, self.topics), eta_of_features(self.params, features)
        effects = effects_of(self.batch_factors, self.params, corpus, features, batches)
        return Posterior(corpus, gamma, lam, *priors, self.params.inference, backend, effects=effects)


def exported_factors(data: Data, head: str, params: Params, mods: list[str]) -> dict[str, pd.DataFrame] | None:
    """Effects of batches as `export_params` has written them."""
    if params.batch_strengths is None:
        return None
    return {
        mod: look_up(adata.varm, f"{head}batch_effects", "table", f"varm of modality {mod!r}")
        for mod, adata in modalities(data).items()
        if mod in mods
    }


def effects_of(
    factors: Mapping[str, pd.DataFrame] | None,
    params: Params,
    corpus: Corpus,
    features: Mapping[str, pd.Index],
    batches: Mapping[str, list[str]],
) -> BatchEffects | None:
    """Effects of the batches that columns of the corpus are of, which stay as they are."""
    if factors is None or params.batch_strengths is None or not batches:
        return None
    strengths = np.array([float(params.batch_strengths[mod]) for mod in features])
    return BatchEffects(of_columns(factors, corpus, features, batches), strengths, learned=False)


def own_posterior(data: Data, head: str, n_jobs: int, scratch: Scratch = None) -> tuple[Posterior, Counts]:
    """The posterior of the fit's own observations as far as their topics tell it, λ = 1; and their counts.

    With ``scratch`` the counts are in files there.
    """
    n_jobs_given(n_jobs)
    theta, params = _whole_proportions(data, f"{head}topics"), record.read_params(data, head)
    corpus, counts = _counts_of_fit(data, head, params, scratch, of_all=True)
    gamma = theta.to_numpy() * _concentrations(params, corpus, theta.columns)[:, None]
    alpha, eta = alpha_of_topics(params, theta.columns), eta_of_features(params, counts.features)
    lam = np.ones((corpus.n_features, theta.shape[1]), corpus.dtype)
    gamma, factors = gamma.astype(corpus.dtype), exported_factors(data, head, params, list(counts.features))
    _require_known_batches(factors, params, counts)
    effects = effects_of(factors, params, corpus, counts.features, counts.batches)
    return Posterior(corpus, gamma, lam, alpha, eta, params.inference, backend(n_jobs), effects=effects), counts


def _require_known_batches(factors: Mapping[str, pd.DataFrame] | None, params: Params, counts: Counts) -> None:
    for mod, table in (factors or {}).items():
        for name in counts.batches.get(mod, []):
            if name not in table:
                raise ValueError(
                    f"{absent(name, table.columns, 'batch', f'the fit of modality {mod!r}')}: give "
                    f"obs[{params.batch_key!r}] the names that batches had then, or fit anew"
                )


def shares_of_prior(data: Data, head: str, topics: pd.Index) -> NDArray[np.float64]:
    """What the prior alone adds to the proportions, observations × topics: α over the sum of counts and α."""
    params = record.read_params(data, head)
    corpus, _ = _counts_of_fit(data, head, params)
    alpha = np.broadcast_to(alpha_of_topics(params, topics), len(topics))
    return alpha / _concentrations(params, corpus, topics)[:, None]


def _counts_of_fit(
    data: Data, head: str, params: Params, scratch: Scratch = None, *, of_all: bool = False
) -> tuple[Corpus, Counts]:
    """The counts with the weights and the scale of the fit, and as they were read."""
    each = params.batch_strengths is not None
    counts = Counts.read(data, raw=params.raw, batch_key=params.batch_key, batch_effects=each, scratch=scratch)
    record.warn_other_counts(data, head, counts.summary, of_all=of_all)
    weights = weights_of(params, list(counts.features))
    return counts.corpus.scaled(params.count_scale).with_weights(weights), counts


def _concentrations(params: Params, corpus: Corpus, topics: pd.Index) -> NDArray[np.float64]:
    """The sum of γ of each observation, without neighbours."""
    return np.asarray(corpus.totals + total(alpha_of_topics(params, topics), len(topics)), np.float64)


def own_posterior_as_observed(data: Data, head: str, n_jobs: int, scratch: Scratch = None) -> tuple[Posterior, Counts]:
    """As `own_posterior`, with signatures, all scaled to the total of the raw counts where there are."""
    of, counts = own_posterior(data, head, n_jobs, scratch)
    topics = data.obsm[f"{head}topics"].columns
    tables = [checked_signatures(data, mod, f"{head}signatures", topics) for mod in counts.features]
    lam = np.concatenate([table.to_numpy(dtype=np.float64) for table in tables])
    scale = _raw_total(data) / of.corpus.total if counts.has_raw_layer else 1.0
    eta = by_row(of.eta, np.float64)
    lam = eta + np.maximum(lam - eta, 0) * scale
    return replace(of, corpus=of.corpus.scaled(scale), lam=lam), counts


def _raw_total(data: Data) -> float:
    parts = modalities(data).items()
    return sum(float(x.sum(dtype=np.float64)) for mod, adata in parts for _, x in raw_counts_in_rows(adata, mod))


def weights_of(params: Params, mods: list[str]) -> np.ndarray:
    """The weights of modalities in a fit."""
    return np.array([float(params.modality_weights.get(mod, 1.0)) for mod in mods])


def checked_signatures(data: Data, mod: str, key: str, topics: pd.Index | None = None) -> pd.DataFrame:
    """λ of a modality, features × topics: positive, of features that occur once, and of these topics."""
    name, _, table = find_signatures(data, mod, key)
    slot = f"varm[{key!r}] of modality {name!r}"
    unique(table.index, f"feature names of modality {name!r}", "var_names_make_unique()")
    if topics is not None and not table.columns.equals(topics):
        raise ValueError(f"{slot} has other topics than the proportions: export both from one fit")
    if not table.size or not (np.isfinite(table) & (table > 0)).all(axis=None):
        raise ValueError(
            f"{slot} holds values that are not positive and finite, or none: export the fit again with "
            "mtopic.tl.export_params"
        )
    return table


def _whole_proportions(data: Data, key: str) -> pd.DataFrame:
    values = proportions(data, key, of_empty=True)
    missing = int(values.isna().any(axis=1).sum())
    if missing:
        raise ValueError(f"obsm[{key!r}] lacks the proportions of {missing} observations: leave these out")
    return values
