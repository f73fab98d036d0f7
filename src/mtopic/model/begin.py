"""How a model is begun: options checked, counts read, and a fit that has not seen them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from mtopic._data import Data
from mtopic._data.counts import Counts, warn_zero_weight_only
from mtopic._data.measured import batches, require_measured, warn_if_ignored
from mtopic._data.slots import modalities
from mtopic._warn import warn
from mtopic.inference.fit import Fit
from mtopic.inference.posterior import initial

from .guide import read_guide
from .priors import read_alpha, read_eta
from .run import Run, weighted
from .settings import Settings, weights_by_modality
from .smoothing import NoSmoothing, Smoothing
from .starts import Starts


def begin(data: Data, settings: Settings) -> tuple[Counts, Run]:
    """The counts of the data, and a fit to them that can go on."""
    settings.check()
    parts = modalities(data)
    warn_if_ignored(parts, settings.batch_key)
    require_measured(parts, batches(data, settings.batch_key))
    counts = read_counts(data, settings, settings.raw)
    try:
        return counts, _run(data, settings, parts, counts)
    except BaseException:
        counts.corpus.remove_files()
        raise


def _run(data: Data, settings: Settings, parts: Mapping[str, AnnData], counts: Counts) -> Run:
    """A fit to these counts."""
    eta, learns_eta = read_eta(settings.eta, counts.features)
    of = counts.features, counts.corpus, settings.n_topics
    topics, guide = read_guide(settings.guide, settings.guide_strength, *of)
    alpha, learns_alpha = read_alpha(settings.alpha, topics)
    counts.warn_empty()
    counts.warn_apart()
    _warn_many_topics(settings.n_topics, counts)
    if settings.raw:
        _warn_no_raw_counts(parts, counts)
    weights = weights_by_modality(settings.modality_weights, list(counts.features))
    given, observed = weighted(counts.corpus, weights), None
    warn_zero_weight_only(given)
    rng = np.random.default_rng(settings.seed)
    seeds = [int(child.integers(2**63)) for child in rng.spawn(settings.n_init)]
    begun = given, settings.n_topics, rng, alpha, eta, settings.inference
    posterior = initial(*begun, effects=bool(counts.batches), guide=guide)
    learns = weights is None or settings.smooths_by_prior or settings.eta_by_frequency
    if not settings.raw and counts.has_raw_layer and learns:
        order = counts.obs_names, counts.features
        observed = weighted(read_counts(data, settings, True, order).corpus, weights)
    smoothing = NoSmoothing()
    if settings.spatial is not None:
        smoothing = Smoothing.of(data, settings.spatial, 1.0 if observed is None else observed.total / given.total)
    fit = Fit(posterior, seeds[0], learns_alpha, learns_eta, [] if settings.eta_by_frequency else None)
    starts = Starts(seeds) if len(seeds) > 1 else None
    return Run(fit, rng, topics, weights, smoothing, given, observed, starts)


def read_counts(
    data: Data, settings: Settings, raw: bool, order: tuple[pd.Index, dict[str, pd.Index]] | None = None
) -> Counts:
    """The counts as a model of these settings has them."""
    return Counts.read(
        data,
        raw=raw,
        dtype=settings.precision,
        batch_key=settings.batch_key,
        batch_effects=settings.batch_effects and _has_several_batches(data, settings.batch_key),
        order=order,
        scratch=settings.scratch,
        keep_scratch=settings.keep_scratch,
    )


def _has_several_batches(data: Data, key: str | None) -> bool:
    batch = batches(data, key)
    return batch is not None and batch.nunique() > 1


def _warn_many_topics(n_topics: int, counts: Counts) -> None:
    for what, n in (("observations", len(counts.obs_names)), ("features", sum(map(len, counts.features.values())))):
        if n_topics > n:
            warn(f"n_topics={n_topics}: the data have but {n} {what}, which tell no more topics than these apart")


def _warn_no_raw_counts(parts: Mapping[str, AnnData], counts: Counts) -> None:
    prepared = {mod: done.steps for mod, done in counts.preparation.items() if done.steps}
    lost = [mod for mod in prepared if "counts" not in parts[mod].layers]
    for mod in lost:
        warn(
            f"modality {mod!r} was prepared by {', '.join(prepared[mod])} and has no layers['counts']: X is fitted as "
            "if it were raw, and mtopic.tl.transform will not prepare new counts; put the raw counts back, or fit "
            "mtopic.tl.MTM with raw=False",
        )
    counts.warn_fractions(lost)
