"""Topics of observations under signatures that stay as they are."""

import numpy as np

from .posterior import Posterior

ROUNDS, TOLERANCE = 300, 1e-5
"""Of an E-step that nothing follows: until less than this share of an observation's counts moves in a round."""


def fold_in(posterior: Posterior) -> None:
    """Set γ to the fixed point under the counts and the signatures of ``posterior``, each observation begun anew."""
    posterior.gamma, _ = posterior.e_step(np.ones_like(posterior.gamma), ROUNDS, rtol=TOLERANCE)
