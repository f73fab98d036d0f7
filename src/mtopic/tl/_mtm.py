from collections.abc import Mapping
from typing import Literal

import numpy as np

from mtopic._data.slots import Data, takes_spatialdata
from mtopic.model.model import Model
from mtopic.model.priors import Alpha, Eta
from mtopic.model.settings import Settings


class MTM(Model):
    """Multimodal topic model: proportions of topics shared by all modalities, a signature of each topic per modality.

    Observation d has topic proportions θ_d ~ Dirichlet(α); each topic has in each modality a distribution over its
    features, β_k ~ Dirichlet(η). A count of a modality picks a topic by θ_d and a feature by that topic's β. The posterior
    is approximated by q(θ_d) = Dirichlet(γ_d) and q(β_k) = Dirichlet(λ_k).

    Parameters
    ----------
    mdata
        MuData, or AnnData as one modality named "X". ``X`` of every modality holds counts, or non-negative transforms such as
        `mtopic.pp.tfidf` makes: CSR, CSC or dense, integer or real. It is read, never changed. The matrix of a single modality is
        used in place if it is CSR of ``dtype``: do not change its values while you go on fitting.
    n_topics
        Number of topics K, 2 or more.
    seed
        Of all that is random, the starts of fits and the batches of `SVI`: an integer, which gives the same bits each time, or a generator, which is drawn
        from, so that the next model made with it is another one.
    n_jobs
        Threads; -1 for all cores. It changes no bit of the result.
    verbose
        Show progress.
    dtype
        Precision of the fit, ``"float32"`` or ``"float64"``.
    raw
        Fit ``layers["counts"]`` of the modalities that have it, and ``X`` of the others.
    inference
        How signatures are inferred: ``"variational"``, each with a Dirichlet posterior of its own, or ``"collapsed"``, integrated
        out, with their expected counts in their place. The latter predicts held-out counts better, the more so the fewer there are.
    alpha
        Prior of the proportions: a number, None for 1/K, ``"auto"`` to learn it with the fit, from 1/K, or an array of K positive
        numbers, for topics of unequal size. The start is made under their mean, and the topics that it finds are put in order: the one with most evidence gets the
        largest number.
    eta
        Prior of the signatures: a number for all features of all modalities, ``"auto"`` to learn it, from 0.01, or a mapping from modality to a number,
        an array with a positive number for each feature, or a Series, which goes by the names of features and may have more of them. A modality that is not given has 0.01.
        A feature whose number outweighs its counts does not tell topics apart.
    modality_weights
        What a count of each modality is worth as evidence on topics: ``"equal"`` for 1 each, numbers by modality (1 where not
        given), or ``"auto"`` to learn them from the raw counts when the model is first fitted. Signatures are of all counts at any weight.
    n_init
        Number of starts, each from a seed of its own, of which `VI` keeps the one with the highest bound; the first is that of a model with one start. Weights that are
        to be learned are learned once.
    batch_key
        Column of ``obs`` with the batch of each observation, where batches have not measured the same features: what is not measured according to
        ``varm["measured"]`` of a modality, features × batches as :func:`mtopic.pp.concat` writes it, counts as missing and not as zero.

    Attributes
    ----------
    alpha, eta
        Dirichlet priors of the proportions and of the signatures, as given or as learned so far: numbers, an array of one for each topic, a dict from modality to
        a number or an array of one for each feature.
    gamma
        γ, observations × topics.
    lambda_
        Modality → λ, topics × features.
    elbo
        What the fit climbs, in nats, after each iteration of `VI` and at the end of each `SVI`. ``"variational"``: the evidence lower bound, with the
        responsibilities of which the signatures were made. ``"collapsed"``: the same bound for the observations, given the mean
        signatures, plus the logarithm of a Dirichlet(η + 1) prior of these.
    passes
        Work so far: non-zeros × rounds × share of the topics alive, over non-zeros × topics.
    converged
        Whether the last `VI` or `SVI` ended because what it climbs had settled.
    interrupted
        Whether the last `VI` or `SVI` was ended by Ctrl-C.
    modality_weights
        As given, or as learned; None before the first fit.
    stability
        Of several starts: for each topic the mean correlation of its signature with those of the topics that are matched to it in the other starts, Series by
        topic. 1 is a topic that every start finds. None with one start, or before they have been made.
    modalities, features, barcodes
        Names of modalities, of each modality's features, and of observations.
    preparation
        Modality → what ``mtopic.pp`` had made of its ``X``, with idf and factor, for `transform`.

    Raises
    ------
    KeyError
        If there is no such column of batches, or ``eta`` or ``modality_weights`` name a modality that is not there.
    ValueError
        If counts are negative or not finite, a modality has no features or no counts, names occur twice, a parameter is
        out of range, or a prior has not one number for each topic or feature; if a batch is not in ``varm["measured"]``, there are counts of what
        it did not measure, or no batch measured a feature.

    Warns
    -----
    UserWarning
        If observations have no counts, or only in modalities of weight 0, or ``varm["measured"]`` is there and no ``batch_key``; with
        ``raw``, if what is taken for raw counts was prepared or has values that are not whole numbers.

    References
    ----------
    :cite:t:`blei2003`, :cite:t:`hoffman2013`; collapsed updates: :cite:t:`asuncion2009`, :cite:t:`foulds2013`; learned priors:
    :cite:t:`minka2000`

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200, spatial=False)
    >>> model = mt.tl.MTM(mdata, n_topics=5, verbose=False)
    >>> model.VI(n_iter=10)
    >>> mt.tl.export_params(model, mdata)
    >>> mdata.obsm["topics"].shape
    (200, 5)
    """

    @takes_spatialdata
    def __init__(
        self,
        mdata: Data,
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
    ) -> None:
        super().__init__(mdata, Settings.of(locals()))
