import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from mtopic._api import public
from mtopic._data import Data, DataLike, record
from mtopic._data.graph import Method
from mtopic._data.slots import modalities
from mtopic._data.writable import writable
from mtopic._log import logger
from mtopic.model.guide import STRENGTH, Given, Strength
from mtopic.model.monitor import Callback
from mtopic.model.priors import Alpha, Eta
from mtopic.model.settings import recipe

from ._export_params import export_params
from ._load_model import load_model
from ._mtm import MTM
from ._smtm import sMTM


@public
def topic_model(
    data: DataLike,
    n_topics: int = 20,
    *,
    spatial_key: str | None = None,
    radius: float | None = None,
    n_neighbors: int | None = None,
    neighbors_key: str | None = None,
    neighbors_method: Method | None = None,
    library_key: str | None = None,
    bandwidth: float | Literal["auto"] = "auto",
    smoothing: Literal["prior", "original"] | None = None,
    strength: float | Literal["auto"] = "auto",
    n_iter: int = 500,
    tol: float | Literal["auto"] | None = "auto",
    rng: int | np.random.Generator = 2291,
    n_jobs: int = -1,
    dtype: Literal["float32", "float64"] = "float32",
    inference: Literal["variational", "collapsed"] | None = None,
    alpha: Alpha = "auto",
    eta: Eta | None = None,
    modality_weights: Mapping[str, float] | Literal["auto", "equal"] = "auto",
    n_init: int = 1,
    batch_key: str | None = None,
    batch_effects: bool = True,
    guide: Given | None = None,
    guide_strength: Strength = STRENGTH,
    scratch: str | os.PathLike[str] | None = None,
    keep_scratch: bool = False,
    callback: Callback | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 10,
    key_added: str | None = None,
    verbose: bool = True,
    copy: bool = False,
) -> Data | None:
    """Fit topics to raw counts and write them into the data: `MTM`, or `sMTM` where the data are spatial.

    For cells, signatures are inferred by collapsed updates and the priors are learned, which predicts held-out counts
    best. For tissue, neighbours are the prior, with a strength that is learned from counts hidden from short fits, and
    signatures are variational and drawn to the frequencies of the features, as strongly as hidden counts ask for, so
    that the peculiarities of single spots influence the topics less.

    {Parameters data:counts n_topics spatial_key}
        With this or any of the next five, neighbours share their topics (`sMTM`).
    {radius n_neighbors neighbors_key neighbors_method}
        If none of ``radius``, ``n_neighbors`` and this is given, neighbours are the 6 nearest observations, as in
        squidpy.
    {library_key bandwidth smoothing strength n_iter tol:proportions rng=seed:model n_jobs dtype inference}
        None: ``"collapsed"`` for cells and ``"variational"`` for tissue.
    {alpha}
        Where neighbours are the prior, it is not learned, and ``"auto"`` is 1/K.
    {eta}
        None: ``"auto"`` for cells and ``"frequency"`` for tissue.
    {modality_weights n_init}
        The agreement of the starts is written to ``uns["mtopic"]["stability"]``.
    {batch_key:model batch_effects guide guide_strength scratch keep_scratch callback}
    checkpoint
        File to which the model is saved during the fit and at its end. If it is there, the fit goes on from it, to the
        same bits, with the data and options of the call that began it; other ones are refused.
    {checkpoint_every}
    key_added
        With a key P, all names written begin with ``P_``.
    {verbose copy}

    Returns
    -------
    None, or the copy. Sets what `export_params` sets: ``obsm["topics"]``, ``varm["signatures"]`` of every modality,
    ``uns["mtopic"]`` and the spatial graph. If an error is raised, nothing has been written.

    {Raises KeyError:model KeyError:spatial ValueError:model ValueError:spatial}
    TypeError
        If ``data`` is neither an AnnData nor a MuData, coordinates are not numbers, or an option has the wrong type.

    {Examples:data}
    >>> mt.tl.topic_model(mdata, n_topics=3, spatial_key="spatial", verbose=False)
    >>> mdata.obsm["topics"].shape
    (200, 3)
    """
    where = {
        "spatial_key": spatial_key,
        "radius": radius,
        "n_neighbors": n_neighbors,
        "neighbors_key": neighbors_key,
        "neighbors_method": neighbors_method,
        "library_key": library_key,
    }
    how = {"bandwidth": bandwidth, "smoothing": smoothing, "strength": strength}
    options: dict[str, Any] = {"alpha": alpha, "modality_weights": modality_weights, "dtype": dtype, "n_init": n_init}
    asked: dict[str, Any] = {"inference": inference, "eta": eta}
    options |= {name: value for name, value in asked.items() if value is not None}
    options |= {
        "batch_key": batch_key,
        "batch_effects": batch_effects,
        "guide": guide,
        "guide_strength": guide_strength,
        "scratch": scratch,
        "keep_scratch": keep_scratch,
    }
    options |= {"n_jobs": n_jobs, "verbose": verbose, "seed": rng}
    record.require_writable(data, record.head(key_added), "key_added", key_added)
    model = model_of_raw_counts(data, n_topics, where, how, **options)
    target = writable(data, copy=copy)  # now, as a backed object has no copy
    if verbose and not any(value is not None for value in where.values()):
        _tell_of_coordinates(data)
    try:
        if checkpoint is not None and os.path.exists(checkpoint):
            model = _resumed(model, data, checkpoint, scratch)
            if n_iter < len(model.elbo):
                raise ValueError(
                    f"n_iter={n_iter}: the fit in checkpoint={str(checkpoint)!r} has had {len(model.elbo)} iterations; "
                    "give more, or the name of another file"
                )
            n_iter -= len(model.elbo)
        model.VI(n_iter, tol=tol, callback=callback, checkpoint=checkpoint, checkpoint_every=checkpoint_every)
        export_params(model, target, key_added)
    finally:
        if scratch is not None:
            model._run.discard_counts()
    return target if copy else None


def _tell_of_coordinates(data: Data) -> None:
    parts = modalities(data)
    holders = [*parts.values()] if "spatial" in parts else [data, *parts.values()]
    if any("spatial" in holder.obsm for holder in holders):
        logger.info("obsm['spatial'] is not used: with spatial_key='spatial', neighbours share their topics")


def _resumed(
    model: MTM | sMTM, data: Data, path: str | os.PathLike[str], scratch: str | os.PathLike[str] | None
) -> MTM | sMTM:
    """The fit that an earlier call with the same data and options has left in a file, in place of a new one."""
    way_out = "name another file, or remove this one to fit anew"
    try:
        left = load_model(path, data, scratch)
    except ValueError as error:
        raise ValueError(f"checkpoint: {error}; {way_out}") from error
    if left.asked != model.asked:
        raise ValueError(f"checkpoint={str(path)!r} holds a fit with other options: {way_out}")
    left.n_jobs, left.verbose = model.n_jobs, model.verbose
    if scratch is not None:
        model._run.discard_counts()
    return left


def model_of_raw_counts(
    data: Data, n_topics: int, where: Mapping[str, Any], how: Mapping[str, Any] = MappingProxyType({}), **options: Any
) -> MTM | sMTM:
    """The recommended model; spatial, and told ``how`` neighbours count, if anything says ``where`` they are."""
    given = {name: value for name, value in where.items() if value is not None}
    options = recipe(bool(given)) | options
    if not given:
        return MTM(data, n_topics, **options)
    if not {"radius", "n_neighbors", "neighbors_method"} & set(given):
        given["n_neighbors"] = 6
    return sMTM(data, n_topics, **given, **how, **options)
