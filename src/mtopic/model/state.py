"""A model as a file holds it: all but its counts, and a digest by which these are known again."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic import __version__
from mtopic._data import Data, kept_copy
from mtopic._data.counts import Counts
from mtopic._data.fingerprint import fingerprint
from mtopic._data.names import look_up, topic_name
from mtopic._data.preparation import Preparation
from mtopic.inference import EVERYTHING, Corpus, Fit, MeasuredSets

from .begin import read_counts
from .file import State
from .run import Run, weighted
from .settings import DTYPES, Settings
from .smoothing import NoSmoothing, Smoothing
from .starts import Starts

if TYPE_CHECKING:
    from .model import Model

BIT_GENERATORS: Mapping[str, type[np.random.BitGenerator]] = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}
SETS = ("features", "offsets", "modality")


def of(model: "Model") -> State:
    """The state of a model."""
    run, corpus = model._run, model._run.fit.posterior.corpus
    fit, arrays = run.fit.state()
    spatial, of_space = run.smoothing.state()
    if not model._digests:
        model._digests = _digests(run)
    prepared = [model.preparation[mod] for mod in model.modalities]
    settings = model._settings.as_dict() | {
        "model": type(model).__name__,
        "version": __version__,
        "asked": model.asked,
        "modalities": model.modalities,
        "converged": run.converged,
        "schedule": run.schedule,
        "precision": corpus.dtype.name,
        "rng": run.rng.bit_generator.state,
        "modality_weights": model.modality_weights,
        "fit": fit,
        "counts": model.counts_summary.to_dict(),
        "batches": model.batches,
        "topics": run.topics,
        "preparation": [{"steps": done.steps, "scale": done.scale} for done in prepared],
        **model._digests,
    }
    if spatial:
        settings["smtm"] = spatial
    if run.starts is not None:
        settings["starts"], of_starts = run.starts.state()
        arrays |= of_starts
    if run.stability is not None:
        arrays["stability"] = run.stability
    if isinstance(sets := corpus.measured_sets, MeasuredSets):
        arrays |= {f"panels/{name}": getattr(sets, name) for name in SETS}
    arrays |= {f"preparation/{m}": done.idf.to_numpy() for m, done in enumerate(prepared) if done.idf is not None}
    totals = {"evidence": corpus.totals, "totals": corpus.by_modality}
    names = {f"features/{m}": model.features[mod] for m, mod in enumerate(model.modalities)}
    return State(settings, {**arrays, **of_space, **totals, **names, "barcodes": model.barcodes})


def _digests(run: Run) -> dict[str, str | None]:
    """By what the counts can be known again."""
    if run.given is None:
        return {}
    given = fingerprint(run.given)
    observed = given if run.observed is None else fingerprint(run.observed)
    return {"fingerprint": given, "raw_fingerprint": observed if run.learns_from_observed() else None}


def restore(model: "Model", state: State) -> None:
    """Make of a bare model the one that had this state, without its counts."""
    settings, arrays = state.settings, state.arrays
    rng = _generator(settings["rng"])
    modalities = settings["modalities"]
    features = {mod: pd.Index(arrays[f"features/{m}"]) for m, mod in enumerate(modalities)}
    preparation = {
        mod: _preparation(known, arrays.get(f"preparation/{m}"), features[mod])
        for m, (mod, known) in enumerate(zip(modalities, settings["preparation"], strict=True))
    }
    weights = settings["modality_weights"]
    weights = None if weights is None else np.array([weights[mod] for mod in modalities])
    sets = MeasuredSets(*(arrays[f"panels/{name}"] for name in SETS)) if "panels/features" in arrays else EVERYTHING
    offsets = np.cumsum([0, *map(len, features.values())])
    precision, totals = np.dtype(DTYPES[settings["precision"]]), (arrays["evidence"], arrays["totals"])
    in_corpus = None if weights is None or (weights == 1).all() else weights
    corpus = Corpus.without_counts(precision, offsets, in_corpus, *totals, sets)
    summary = pd.DataFrame(settings.get("counts"))  # nothing in files of version 0.1
    names = pd.Index(arrays["barcodes"])
    counts = Counts(corpus, names, features, preparation, summary=summary, batches=settings.get("batches", {}))
    waiting, spatial = settings.get("starts"), settings.get("smtm")
    smoothing = NoSmoothing() if spatial is None else Smoothing.from_state(spatial, arrays, corpus.n_obs)
    model._set(Settings.from_dict(settings, rng), counts)
    model.interrupted, model.asked = False, settings.get("asked")
    model._digests = {name: settings[name] for name in ("fingerprint", "raw_fingerprint")}
    model._run = Run(
        Fit.from_state(corpus, settings["fit"], arrays),
        rng,
        settings.get("topics") or [topic_name(k) for k in range(settings["n_topics"])],
        weights,
        smoothing,
        None,
        starts=None if waiting is None else Starts.from_state(corpus, waiting, arrays),
        schedule=settings["schedule"],
        converged=settings["converged"],
        stability=arrays.get("stability"),
    )
    sizes = model.gamma.shape, model._run.fit.posterior.lam.shape
    if sizes != ((corpus.n_obs, model.n_topics), (corpus.n_features, model.n_topics)):
        raise ValueError(f"tables of {sizes}")


def take_kept_copy(model: "Model", scratch: str | os.PathLike[str]) -> None:
    """Have the counts of the fit again from a working copy that was kept, so that it can go on."""
    model._settings = replace(model._settings, scratch=scratch)
    model._settings.check()
    given, of_raw = (model._digests[name] for name in ("fingerprint", "raw_fingerprint"))
    counts = _kept(model._run, scratch, given)
    _go_on(model._run, counts, None if of_raw in (None, given) else _kept(model._run, scratch, of_raw))


def _kept(run: Run, scratch: str | os.PathLike[str], digest: str | None) -> Corpus:
    copy = None if digest is None else kept_copy.find(Path(os.path.abspath(scratch)), fingerprint=digest)
    if copy is None:
        raise ValueError(
            f"scratch={str(scratch)!r} has no working copy of the counts that the model was fitted to, of those that "
            "keep_scratch=True leaves there: give the data as well"
        )
    return weighted(copy[0], run.modality_weights)


def take_data(
    model: "Model", data: Data, scratch: str | os.PathLike[str] | None = None, keep_scratch: bool = False
) -> None:
    """Have the counts of the fit again, so that it can go on."""
    model._settings = settings = replace(model._settings, scratch=scratch, keep_scratch=keep_scratch)
    settings.check()
    run, order = model._run, (model.barcodes, model.features)
    counts = read_counts(data, settings, settings.raw, order)
    if fingerprint(counts.corpus) != model._digests["fingerprint"]:
        raise ValueError(
            f"the counts ({'raw ones where there are' if settings.raw else 'X of the modalities'}) are not those that "
            "the model was fitted to: give the data as they were then, or load the model without data"
        )
    given, observed = weighted(counts.corpus, run.modality_weights), None
    if run.learns_from_observed() and not settings.raw and counts.has_raw_layer:
        observed = weighted(read_counts(data, settings, True, order).corpus, run.modality_weights)
    if (
        run.learns_from_observed()
        and fingerprint(given if observed is None else observed) != model._digests["raw_fingerprint"]
    ):
        raise ValueError(
            "layers['counts'] does not hold the counts that it held when the model was made, and something is still "
            "to be learned from them: give the data as they were then, or load the model without data"
        )
    _go_on(run, given, observed)


def _go_on(run: Run, given: Corpus, observed: Corpus | None) -> None:
    fit = run.fit
    fit.posterior.corpus = given.astype(fit.posterior.corpus.dtype).scaled(fit.count_scale)
    run.given, run.observed = given, observed


def _generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator in this state."""
    bits = look_up(BIT_GENERATORS, state["bit_generator"], "generator", "NumPy")()
    bits.state = state
    return np.random.Generator(bits)


def _preparation(known: Mapping[str, Any], weights: NDArray[np.float64] | None, features: pd.Index) -> Preparation:
    idf = None if weights is None else pd.Series(weights, features)
    return Preparation(tuple(known["steps"]), float(known["scale"]), idf)
