import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from mtopic._data.graph import Method
from mtopic._data.slots import Data, takes_spatialdata
from mtopic._docs import shared_docs
from mtopic.model.model import Model
from mtopic.model.monitor import Callback
from mtopic.model.priors import ETA, Alpha, Eta

from ._export_params import export_params, require_record
from ._mtm import MTM
from ._smtm import sMTM


@takes_spatialdata
@shared_docs
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

    For cells, signatures are inferred by collapsed updates and the priors are learned, which predicts held-out counts
    best. For tissue, neighbours are the prior, with a strength that is learned from counts hidden from short fits, and
    signatures are variational, so that the peculiarities of single spots influence the topics less.

    {Parameters data:counts n_topics spatial_key}
        With this or any of the next five, neighbours share their topics (`sMTM`).
    {radius n_neighbors neighbors_key neighbors_method}
        If none of ``radius``, ``n_neighbors`` and this is given, neighbours are the 6 nearest observations, as in
        squidpy.
    {library_key bandwidth smoothing strength n_iter tol:bound rng=seed:model n_jobs dtype inference}
        None: ``"collapsed"`` for cells and ``"variational"`` for tissue.
    {alpha}
        Where neighbours are the prior, it is not learned, and ``"auto"`` is 1/K.
    {eta}
        None: ``"auto"`` for cells and 0.01 for tissue.
    {modality_weights n_init}
        The agreement of the starts is written to ``uns["mtopic"]["stability"]``.
    {batch_key:model callback checkpoint}
        After a crash, `load_model` with the data, `MTM.VI` and `export_params` do what is left.
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
    model: Model
    options: dict[str, Any] = {
        "dtype": dtype,
        "raw": True,
        "alpha": alpha,
        "modality_weights": modality_weights,
        "n_init": n_init,
        "batch_key": batch_key,
    }
    if all(given is None for given in (spatial_key, radius, n_neighbors, neighbors_key, neighbors_method, library_key)):
        model = MTM(
            data,
            n_topics,
            rng,
            n_jobs,
            verbose,
            inference=inference or "collapsed",
            eta="auto" if eta is None else eta,
            **options,
        )
    else:
        model = sMTM(
            data,
            n_topics,
            radius=0.05 if radius is None else radius,
            n_neighbors=6 if radius is None and n_neighbors is None and neighbors_method is None else n_neighbors,
            seed=rng,
            spatial_key="coords" if spatial_key is None else spatial_key,
            verbose=verbose,
            n_jobs=n_jobs,
            neighbors_key=neighbors_key,
            neighbors_method=neighbors_method,
            library_key=library_key,
            bandwidth=bandwidth,
            smoothing=smoothing,
            strength=strength,
            inference=inference or "variational",
            eta=ETA if eta is None else eta,
            **options,
        )
    require_record(data, "" if key_added is None else f"{key_added}_", "key_added", key_added)
    target = data.copy() if copy else data  # now, as a backed object has no copy
    model.VI(n_iter, tol=tol, callback=callback, checkpoint=checkpoint, checkpoint_every=checkpoint_every)
    export_params(model, target, key_added)
    return target if copy else None
