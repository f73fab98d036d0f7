"""An observation's topics by single modalities, and by signatures that it has no part in.

A signature that an observation's own counts have shaped recognises them again, be they noise. So every observation
belongs to a fold and is judged by signatures made of the other folds.
"""

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from . import priors
from .backend import Array, Double
from .corpus import Corpus
from .posterior import Posterior

FOLDS = 5
"""A fold's signatures are of four fifths of the observations, nearly as good as of all."""
UPDATES = 5
"""Of signatures with the topics fixed, from flat ones; they move little after."""
ROUNDS, TOLERANCE = 100, 1e-3
"""Of an E-step: until less than this share of an observation's counts moves in a round."""


@dataclass(frozen=True)
class ByModality:
    """For each modality the mean of q(θ), D × K, given its counts ``alone`` and given those of all ``others``."""

    alone: list[Array]
    others: list[Array]
    explained: Double
    """What topics explain of a modality's counts, K × modalities, in nats.

    That is the logarithm of the probability of each count by its observation's topics over that by the modality's mean
    profile, divided among the topics that it may be of.
    """


def leave_modality_out(fitted: Posterior, rng: np.random.Generator) -> ByModality:
    """Topics of every observation of a fitted posterior, by each modality alone and by all others."""
    modalities = range(len(fitted.corpus.blocks))
    alone = [(m,) for m in modalities]
    others = [tuple(j for j in modalities if j != m) for m in modalities]
    theta = {used: np.empty_like(fitted.gamma) for used in chain(alone, others)}
    explained = np.zeros((fitted.n_topics, len(modalities)))
    fold = rng.permutation(fitted.corpus.n_obs) % FOLDS
    with fitted.backend:
        for number in np.unique(fold):
            rows = np.flatnonzero(fold == number)
            lam = _learned(_observations(fitted, np.flatnonzero(fold != number)))
            judged = replace(_observations(fitted, rows), lam=lam)
            for used, values in theta.items():
                values[rows] = _proportions(_modalities(judged, used))
            explained += _explained(judged)
    return ByModality([theta[used] for used in alone], [theta[used] for used in others], explained)


def _learned(posterior: Posterior) -> Array:
    """λ by the observations' topics alone: begun at the fitted λ it would keep what those left out have taught it."""
    lam = np.ones_like(posterior.lam)
    for _ in range(UPDATES):
        lam, _ = replace(posterior, lam=lam).m_step(posterior.gamma)
    return lam


def _observations(fitted: Posterior, rows: NDArray[np.intp]) -> Posterior:
    """The posterior of some observations."""
    return replace(fitted, corpus=fitted.corpus.part(rows), gamma=fitted.gamma[rows])


def _modalities(posterior: Posterior, modalities: tuple[int, ...]) -> Posterior:
    """The posterior of some modalities, measured sets apart; with weights only where several have any."""
    sets, posterior = posterior.corpus.measured_sets.within(modalities), posterior.one_modality_per_set()
    weights = posterior.corpus.modality_weights[sets]
    blocks = [posterior.corpus.blocks[s] for s in sets]
    rows = csr_array(hstack([posterior.corpus.rows[:, block] for block in blocks], format="csr"))
    offsets = np.cumsum([0, *(block.stop - block.start for block in blocks)])
    corpus = Corpus(rows, offsets, weights if len(blocks) > 1 and weights.any() else None)
    features = np.concatenate([np.arange(block.start, block.stop) for block in blocks])
    return replace(posterior, corpus=corpus, lam=posterior.lam[features], eta=priors.part(posterior.eta, features))


def _proportions(posterior: Posterior) -> Array:
    gamma, _ = posterior.e_step(np.ones_like(posterior.gamma), ROUNDS, rtol=TOLERANCE)
    return np.asarray(gamma / gamma.sum(axis=1, keepdims=True))


def _explained(posterior: Posterior) -> Double:
    """`ByModality.explained` of these observations, with θ given the counts of all modalities."""
    theta = _proportions(posterior).astype(np.float64)
    summed, posterior, sums = posterior.corpus.summed, posterior.one_modality_per_set(), []
    for block in posterior.corpus.blocks:
        x, lam = csr_array(posterior.corpus.rows[:, block]), posterior.lam[block].astype(np.float64)
        mean = lam.sum(axis=1) / lam.sum()
        sums.append(posterior.backend.explained(x, theta, lam / lam.sum(axis=0), mean).sum(axis=0))
    return summed(np.column_stack(sums))
