import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from mtopic._data import record
from mtopic._data.graph import Method
from mtopic._data.slots import Data, takes_spatialdata
from mtopic.model.monitor import Callback
from mtopic.model.priors import Alpha, Eta
from mtopic.model.settings import recipe

from ._export_params import export_params
from ._mtm import MTM
from ._smtm import sMTM


@takes_spatialdata
def topic_model(
    data: Data,
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
    callback: Callback | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 10,
    key_added: str | None = None,
    verbose: bool = True,
    copy: bool = False,
) -> Data | None:
    """Fit topics to raw counts and write them into the data: `MTM`, or `sMTM` where the data are spatial.

    For cells, signatures are inferred by collapsed updates and the priors are learned, which predicts held-out counts best. For tissue,
    neighbours are the prior, as strong as counts hidden from short fits call for, and signatures are variational: what distinguishes single
    spots then has less of a say in what is found.

    Parameters
    ----------
    data
        MuData, or AnnData as one modality. Counts are ``layers["counts"]`` of a modality that has it, else its ``X``.
    n_topics
        Number of topics, 2 or more.
    spatial_key
        Coordinates in ``obsm``; with this or any of the next five, neighbours lend each other their topics (`sMTM`).
    radius, n_neighbors, neighbors_method
        Who is a neighbour, as for `sMTM`; if none is given, the 6 nearest observations, as in squidpy.
    neighbors_key
        A stored graph to use, as for `sMTM`.
    library_key
        Section of each observation, a column of ``obs``, as for `sMTM`.
    bandwidth, smoothing, strength
        How much neighbours count, as for `sMTM`.
    n_iter
        Number of iterations, at most.
    tol
        When to stop, as for `MTM.VI`.
    rng
        Seed or generator, as ``seed`` of `MTM`.
    n_jobs
        Threads; -1 for all cores. It changes no bit of the result.
    dtype
        Precision of the fit.
    inference
        ``"collapsed"`` or ``"variational"`` updates, as for `MTM`; None for the former in cells and the latter in tissue.
    alpha, eta
        Priors of the proportions and of the signatures: numbers, ``"auto"`` to learn them with the fit, or numbers by topic and by modality and feature, as for `MTM`.
        ``"auto"`` for α is 1/``n_topics`` where neighbours are the prior; None for η means ``"auto"`` in cells and 0.01 in tissue.
    modality_weights
        What a count of each modality is worth as evidence: ``"auto"`` learns it, ``"equal"`` takes counts as they are, or numbers by
        modality, as for `MTM`.
    n_init
        Number of starts, of which the best is kept, as for `MTM`; their agreement is written to ``uns["mtopic"]["stability"]``.
    batch_key
        Batch of each observation, a column of ``obs``, where batches have not measured the same features, as for `MTM`.
    callback, checkpoint, checkpoint_every
        Called after each iteration; file to save the model to, and how often, as for `MTM.VI`. After a crash, `load_model` with the data,
        `MTM.VI` and `export_params` do what was left to do.
    key_added
        With a key P all names written begin with ``P_``.
    verbose
        Show progress.
    copy
        Return a copy with the topics and leave ``data`` as it is.

    Returns
    -------
    None, or the copy. Sets what `export_params` sets: ``obsm["topics"]``, ``varm["signatures"]`` of every modality,
    ``uns["mtopic"]`` and the spatial graph.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `MTM` and `sMTM`; nothing has been written then.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200)
    >>> mt.tl.topic_model(mdata, n_topics=5, spatial_key="spatial", verbose=False)
    >>> mdata.obsm["topics"].shape
    (200, 5)
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
    options |= {"batch_key": batch_key, "n_jobs": n_jobs, "verbose": verbose, "seed": rng}
    model = model_of_raw_counts(data, n_topics, where, how, **options)
    record.require_writable(data, record.head(key_added), "key_added", key_added)
    target = data.copy() if copy else data  # now, as a backed object has no copy
    model.VI(n_iter, tol=tol, callback=callback, checkpoint=checkpoint, checkpoint_every=checkpoint_every)
    export_params(model, target, key_added)
    return target if copy else None


def model_of_raw_counts(
    data: Data, n_topics: int, where: Mapping[str, Any], how: Mapping[str, Any] = MappingProxyType({}), **options: Any
) -> MTM | sMTM:
    """The recommended model: spatial if anything says ``where`` neighbours are; ``how`` they count matters only then."""
    given = {name: value for name, value in where.items() if value is not None}
    options = recipe(bool(given)) | options
    if not given:
        return MTM(data, n_topics, **options)
    if not {"radius", "n_neighbors", "neighbors_method"} & set(given):
        given["n_neighbors"] = 6
    return sMTM(data, n_topics, **given, **how, **options)
