"""Topics of observations under signatures that stay as they are."""

import numpy as np

from .posterior import Posterior
from .schedule import DESCEND
from .spatial import NeighbourPrior

ROUNDS, TOLERANCE = 300, 1e-5
"""Of an E-step that nothing follows: until less than this share of an observation's counts moves in a round."""
LONGEST, SETTLED = 100, 1e-3
"""Alternations at most, and the share of an observation's topics that the last may move, on average."""


def fold_in(posterior: Posterior, neighbours: NeighbourPrior | None = None) -> None:
    """Set γ to the fixed point under the counts and the signatures of ``posterior``, each observation begun anew.

    With ``neighbours``, E-steps and the prior that these make alternate, from far above its strength down to it as in
    a fit, until less than `SETTLED` of an observation's topics moves, on average.
    """
    posterior.gamma, _ = posterior.e_step(np.ones_like(posterior.gamma), ROUNDS, rtol=TOLERANCE)
    if neighbours is None:
        return
    for iteration in range(LONGEST):
        before, descent = posterior.gamma, max(0.0, 1 - iteration / DESCEND)
        posterior.pseudocounts = neighbours(before, posterior.corpus.totals, posterior.backend, descent=descent)
        posterior.gamma, _ = posterior.e_step(before, ROUNDS, rtol=TOLERANCE)
        change = posterior.backend.total_variation(posterior.gamma, before)
        if iteration >= DESCEND and change < SETTLED:
            return
