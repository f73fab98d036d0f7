"""Effects of batches that a fit has not seen, under its signatures."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .backend import Array
from .batch_effects import BatchEffects
from .measured_sets import MeasuredSets
from .posterior import Posterior

ROUNDS, TOLERANCE = 30, 1e-2
"""Of topics and effects in turn, until no logarithm of a factor moves more."""
ROUNDS_OF_TOPICS = 10


def with_learned_effects(posterior: Posterior) -> Posterior:
    """The same with effects that are NaN learned from the counts; signatures stay as they are.

    All observations are begun as if they had the mean signature, so that what tells a batch from it is an effect until
    topics explain it.
    """
    sets, known = posterior.corpus.measured_sets, posterior.effects
    if known is None or not isinstance(sets, MeasuredSets) or not np.isnan(known.factors).any():
        return posterior
    new, begun = np.isnan(known.factors), known.or_average()
    mean = posterior.lam.sum(axis=1, dtype=np.float64, keepdims=True)
    effects = _relearned(begun, new, sets, posterior, posterior.corpus.by_column[:, None], mean)
    gamma = np.ones_like(posterior.gamma)
    for _ in range(ROUNDS):
        of = replace(posterior, effects=effects)
        gamma, _ = of.e_step(gamma, ROUNDS_OF_TOPICS, rtol=TOLERANCE)
        counts, _ = of.statistics(of.topics(gamma)[0])
        before, effects = effects, _relearned(effects, new, sets, posterior, counts, posterior.lam)
        if np.abs(np.log(effects.factors / before.factors)).max() < TOLERANCE:
            break
    return replace(posterior, effects=effects)


def _relearned(
    effects: BatchEffects, new: NDArray[np.bool_], sets: MeasuredSets, of: Posterior, counts: Array, lam: Array
) -> BatchEffects:
    """With likelier factors in place of the ``new`` ones, of the counts of topics in each column."""
    factors = effects.factors.copy()
    for m, block in enumerate(of.corpus.blocks):
        columns = sets.columns_of(m)
        gathered = sets.gathered(m, block, counts, effects)
        by_column = counts[columns].sum(axis=1, dtype=np.float64)
        factors[columns] = gathered.with_factors(lam[block], by_column, effects.strengths[m]).read.data
    return replace(effects, factors=np.where(new, factors, effects.factors))
