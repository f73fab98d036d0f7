"""An observation's topics by single modalities, and by signatures that it has no part in.

A signature that an observation's own counts have shaped recognises them again, be they noise. So every observation
belongs to a fold and is judged by signatures made of the other folds.
"""

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .backend import Array, Double
from .posterior import Posterior

FOLDS = 5
"""A fold's signatures are of four fifths of the observations, nearly as good as of all."""
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
            learned = _observations(fitted, np.flatnonzero(fold != number)).relearned()
            judged = replace(_observations(fitted, rows), lam=learned.lam)
            for used, values in theta.items():
                values[rows] = _proportions(judged.of_sets(judged.corpus.measured_sets.within(used)))
            explained += _explained(judged)
    return ByModality([theta[used] for used in alone], [theta[used] for used in others], explained)


def _observations(fitted: Posterior, rows: NDArray[np.intp]) -> Posterior:
    """The posterior of some observations."""
    return replace(fitted, corpus=fitted.corpus.part(rows), gamma=fitted.gamma[rows])


def _proportions(posterior: Posterior) -> Array:
    gamma, _ = posterior.e_step(np.ones_like(posterior.gamma), ROUNDS, rtol=TOLERANCE)
    return np.asarray(gamma / gamma.sum(axis=1, keepdims=True))


def _explained(posterior: Posterior) -> Double:
    """`ByModality.explained` of these observations, with θ given the counts of all modalities."""
    theta = _proportions(posterior).astype(np.float64)
    summed, posterior, sums = posterior.corpus.summed, posterior.one_modality_per_set(), []
    for block in posterior.corpus.blocks:
        x, lam = csr_array(posterior.corpus.rows[:, block]), posterior.lam_as_read()[block].astype(np.float64)
        mean = lam.sum(axis=1) / lam.sum()
        sums.append(posterior.backend.explained(x, theta, lam / lam.sum(axis=0), mean).sum(axis=0))
    return summed(np.column_stack(sums))
