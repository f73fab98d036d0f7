"""What a model is and how far it has come: a line, and a table for notebooks."""

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from mtopic._data.record import Params
from mtopic.inference import BatchEffects

from .priors import alpha_by_topic, eta_by_feature

if TYPE_CHECKING:
    from .model import Model


def line(model: "Model") -> str:
    """Data, number of topics and progress."""
    sizes = ", ".join(f"{mod} {len(names)}" for mod, names in model.features.items())
    state = _progress(model)
    if model.elbo:
        state += f", ELBO per count {_elbo(model)}"
    if model.converged:
        state += ", converged"
    return f"{type(model).__name__}({len(model.barcodes)} observations × [{sizes}], {model.n_topics} topics; {state})"


def table(model: "Model") -> str:
    """The same and what was learned, as HTML; names of modalities are the user's and are escaped."""
    rows = {
        "observations": f"{len(model.barcodes):,}",
        "features": ", ".join(f"{mod} {len(names):,}" for mod, names in model.features.items()),
        "topics": f"{model.n_topics}",
        "progress": _progress(model),
    }
    if model.elbo:
        rows["ELBO per count"] = _elbo(model)
    if model.fitted:
        rows["converged"] = "yes" if model.converged else "no, stopped by the user" if model.interrupted else "no"
    if len(model.modalities) > 1 and model.modality_weights is not None:
        rows["modality weights"] = ", ".join(f"{mod} {weight:.3g}" for mod, weight in model.modality_weights.items())
    if (strength := getattr(model, "strength", None)) is not None:
        rows["strength of neighbours"] = f"{strength:.3g}"
    cells = "".join(
        f'<tr><th style="text-align: left">{name}</th><td style="text-align: left">{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    return f"<table><caption><b>{type(model).__name__}</b></caption><tbody>{cells}</tbody></table>"


def strengths(effects: BatchEffects | None, modalities: list[str]) -> dict[str, float] | None:
    """How strongly factors of each modality are drawn to 1."""
    return None if effects is None else dict(zip(modalities, effects.strengths.tolist(), strict=True))


def _progress(model: "Model") -> str:
    if not model.fitted:
        return "not fitted"
    done = [(model._run.fit.iterations, "iteration", "iterations"), (model._run.fit.steps, "batch", "batches")]
    return " and ".join(f"{n:,} {one if n == 1 else many}" for n, one, many in done if n)


def _elbo(model: "Model") -> str:
    return f"{model.elbo[-1] / model.n_counts:.5f}"


def params(model: "Model") -> Params:
    """What the fit was made with."""
    run, fit, of = model._run, model._run.fit, model._run.fit.posterior
    known = {
        "model": type(model).__name__,
        "n_topics": model.n_topics,
        "alpha": alpha_by_topic(of.alpha, model.topics),
        "eta": eta_by_feature(of.eta, model.features),
        "schedule": run.schedule,
        "inference": model.inference,
        "n_iter": fit.iterations,
        "converged": model.converged,
        "dtype": of.corpus.dtype.name,
        "n_counts": model.n_counts,
        "count_scale": fit.count_scale,
        "raw": model._settings.raw,
        "modality_weights": dict(model.modality_weights or {}),
        "n_batches": fit.steps or None,
        "seed": int(model.seed) if isinstance(model.seed, int | np.integer) else None,
        "n_init": model.n_init if model.n_init > 1 else None,
        "batch_key": model.batch_key,
        "batch_strengths": strengths(of.effects, model.modalities),
    }
    return Params.of(known | run.smoothing.params(run.schedule))
