"""How strongly neighbours should count, learned from counts that are hidden from the fit."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mtopic.inference import Array, Corpus, Double, Fit, NeighbourPrior

from .held_out import MOST_OBSERVATIONS, HeldOut, thinned

STRENGTHS = 2.0 ** np.arange(-5, 6, 2)
"""Those that are tried; the likelihood changes little between two, and beyond them neighbours are nothing or all."""
ITERATIONS = 40
"""Of the short fit after it has explored."""
KEPT = 0.5
"""Of the gain: the likelihood has a flat top, and a great strength on it serves regions best (B1 and DLPFC)."""
STANDARD_ERRORS = 3
"""How far above 0 the gain has to be, so that noise smoothes nothing."""


def learned_strength(
    fit: Fit, counts: Corpus, neighbours: csr_array, rng: np.random.Generator
) -> tuple[float, Array | None, float]:
    """How strongly neighbours should count, by how well topics beside them predict counts that are hidden.

    Signatures are those of a short fit to the counts that are shown. The strength taken is the greatest that keeps the
    part `KEPT` of what the best of `STRENGTHS` gains over none, and 0 where this gain is not sure. With it, λ at the
    start of the short fit, which serves the whole fit as well, unless it did not have all observations; and the work in
    full passes over the data.
    """
    chosen = sample_neighbourhood(neighbours, MOST_OBSERVATIONS, rng)
    held_out = HeldOut(fit, *thinned(counts.part(chosen), rng), counts.nnz, rng)
    held_out.advance(ITERATIONS)
    near = csr_array(neighbours[chosen][:, chosen])
    beside = [held_out.beside(NeighbourPrior(near, strength)) for strength in STRENGTHS]
    gains = (np.stack(beside) - held_out.beside(None)) @ counts.modality_weights
    best = gains[gains.sum(axis=1).argmax()]
    is_sure = best.sum() > STANDARD_ERRORS * best.std() * np.sqrt(best.size)
    strength = _greatest(gains.sum(axis=1)) if is_sure else 0.0
    return strength, held_out.lam if chosen.size == counts.n_obs else None, held_out.passes


def _greatest(gains: Double) -> float:
    """Where, beyond the best strength, the gain has come down to `KEPT` of the best, on lines through those tried."""
    best = int(gains.argmax())
    enough, beyond = KEPT * gains[best], gains[best:]
    too_far = np.flatnonzero(beyond < enough)
    if not too_far.size:
        return float(STRENGTHS[-1])
    after = best + too_far[0]
    part = (gains[after - 1] - enough) / (gains[after - 1] - gains[after])
    return float(STRENGTHS[after - 1] * (STRENGTHS[after] / STRENGTHS[after - 1]) ** part)


def sample_neighbourhood(neighbours: csr_array, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most ``size`` observations that are near each other: rings of neighbours around random observations."""
    n_obs = neighbours.shape[0]
    if n_obs <= size:
        return np.arange(n_obs)
    taken = np.zeros(n_obs, dtype=bool)
    order = iter(rng.permutation(n_obs))
    ring = np.array([next(order)])
    while True:
        taken[ring] = True
        spare = size - int(taken.sum())
        if spare <= 0:
            return np.flatnonzero(taken)
        reached = np.unique(neighbours[ring].indices)
        ring = reached[~taken[reached]][:spare]
        if not ring.size:
            ring = np.array([next(d for d in order if not taken[d])])
