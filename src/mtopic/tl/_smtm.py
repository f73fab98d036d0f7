import os
from collections.abc import Mapping
from typing import Literal

import numpy as np

from mtopic._api import public
from mtopic._data import DataLike
from mtopic._data.graph import Method
from mtopic._docs import shared_docs
from mtopic.model.guide import STRENGTH, Given, Strength
from mtopic.model.model import Model
from mtopic.model.priors import Alpha, Eta
from mtopic.model.settings import Settings


@shared_docs
class sMTM(Model):
    """Spatial multimodal topic model: `MTM` in which an observation expects the topics of its neighbours.

    With ``smoothing="prior"``, signatures are those of `MTM`. At the end of `VI` and `SVI`, each observation's counts
    have the topics that they have there, and θ_d ~ Dirichlet(α + strength · n̄ · Σ_j w_dj ℓ_dj θ_j / Σ_j w_dj) over the
    neighbours j: n̄ is the mean count of the observations, w_dj = exp(−(distance / bandwidth)² / 2), and ℓ_dj =
    (Σ_k √(θ_dk θ_jk))^8 is the likeness of the two, so that little is shared across a sharp border or with a cell of
    another kind. With the likeness held, the means of all θ are the one solution of linear equations; the likeness is
    made three times, from the solution before. An observation with few counts takes more from its neighbours than one
    with many.

    Prepared counts that were scaled up would count as more evidence than there is. Where ``layers["counts"]`` holds the
    raw counts, the data are scaled to their total, all modalities by the same factor.

    With ``smoothing="original"``, γ of an observation is multiplied after each E-step by 1 + s, where s is the mean
    direction of its neighbours' γ, weighed by cosine similarity and by exp(−π·distance²), and scaled back to its sum;
    distances are in units of the tissue's longer side. This is not part of the evidence lower bound, so the trace may
    fall now and then.

    {Parameters mdata:model}
        Coordinates have two or three dimensions.
    {n_topics radius n_neighbors seed:model spatial_key}
        The default also finds ``spatial``.
    {verbose n_jobs neighbors_key neighbors_method library_key bandwidth smoothing strength dtype raw inference alpha}
        Where neighbours are the prior, it is not learned, and ``"auto"`` is 1/K.
    {eta modality_weights n_init batch_key:model batch_effects guide guide_strength scratch keep_scratch}

    Attributes
    ----------
    graph
        The neighbour graph: connectivities, distances in coordinate units, parameters.
    strength
        As given, or as learned; None before the first `VI` or `SVI`.
    {alpha,eta:learned gamma lambda_ elbo passes converged interrupted modality_weights:learned stability}
    {topics:names guides modalities,features,barcodes preparation}

    {Raises KeyError:model KeyError:spatial ValueError:model ValueError:spatial}

    {Warns UserWarning:model}
        Also if observations have no neighbour; they keep their own topics.

    {Examples:data}
    >>> model = mt.tl.sMTM(mdata, n_topics=3, n_neighbors=6, spatial_key="spatial", verbose=False)
    >>> model.VI(n_iter=10)
    >>> mt.tl.export_params(model, mdata)
    >>> "spatial_connectivities" in mdata.obsp, model.strength >= 0
    (True, True)
    """

    @public
    def __init__(
        self,
        mdata: DataLike,
        n_topics: int = 20,
        radius: float = 0.05,
        n_neighbors: int | None = None,
        seed: int | np.random.Generator = 2291,
        spatial_key: str = "coords",
        verbose: bool = True,
        n_jobs: int = 10,
        *,
        neighbors_key: str | None = None,
        neighbors_method: Method | None = None,
        library_key: str | None = None,
        bandwidth: float | Literal["auto"] = "auto",
        smoothing: Literal["prior", "original"] | None = None,
        strength: float | Literal["auto"] = "auto",
        dtype: Literal["float32", "float64"] = "float32",
        raw: bool = False,
        inference: Literal["variational", "collapsed"] = "variational",
        alpha: Alpha = None,
        eta: Eta = 0.01,
        modality_weights: Mapping[str, float] | Literal["auto", "equal"] = "equal",
        n_init: int = 1,
        batch_key: str | None = None,
        batch_effects: bool = True,
        guide: Given | None = None,
        guide_strength: Strength = STRENGTH,
        scratch: str | os.PathLike[str] | None = None,
        keep_scratch: bool = False,
    ) -> None:
        super().__init__(mdata, Settings.of(locals()))
