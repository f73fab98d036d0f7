import os
from collections.abc import Mapping
from typing import Literal

import numpy as np

from mtopic._api import public
from mtopic._data import DataLike
from mtopic._docs import shared_docs
from mtopic.model.guide import STRENGTH, Given, Strength
from mtopic.model.model import Model
from mtopic.model.priors import Alpha, Eta
from mtopic.model.settings import Settings


@shared_docs
class MTM(Model):
    """Multimodal topic model: proportions of topics shared by all modalities, a signature of each topic per modality.

    Observation d has topic proportions θ_d ~ Dirichlet(α); each topic has in each modality a distribution over its
    features, β_k ~ Dirichlet(η). A count of a modality draws a topic from θ_d and a feature from that topic's β. The
    posterior is approximated by q(θ_d) = Dirichlet(γ_d) and q(β_k) = Dirichlet(λ_k).

    {Parameters mdata:model n_topics seed:model n_jobs verbose dtype raw inference}
        The latter predicts held-out counts better, above all where they are few.
    {alpha eta modality_weights n_init batch_key:model batch_effects guide guide_strength scratch keep_scratch}

    {Attributes alpha,eta:learned gamma lambda_ elbo passes converged interrupted modality_weights:learned stability}
    {topics:names guides modalities,features,barcodes preparation}

    {Raises KeyError:model ValueError:model}

    {Warns UserWarning:model}

    References
    ----------
    :cite:t:`blei2003`, :cite:t:`hoffman2013`; collapsed updates: :cite:t:`asuncion2009`, :cite:t:`foulds2013`; learned
    priors: :cite:t:`minka2000`

    {Examples:data}
    >>> model = mt.tl.MTM(mdata, n_topics=3, verbose=False)
    >>> model.VI(n_iter=10)
    >>> mt.tl.export_params(model, mdata)
    >>> mdata.obsm["topics"].shape
    (200, 3)
    """

    @public
    def __init__(
        self,
        mdata: DataLike,
        n_topics: int = 20,
        seed: int | np.random.Generator = 2291,
        n_jobs: int = 10,
        verbose: bool = True,
        *,
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
