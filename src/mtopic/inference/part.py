"""A fit to a part of many observations, where the fit to all begins."""

from collections.abc import Callable

import numpy as np

from . import schedule
from .fit import Fit
from .random_streams import Stream, generator
from .spatial import NeighbourPrior

SHARE = 10
"""One of so many observations is in the part. A larger part gives hardly better signatures."""
SMALLEST = 3_000
"""Observations of a part; where a tenth is fewer, a fit to all begins by itself. Chosen by
`benchmarks/part.py`."""
LONGEST = 500
"""Iterations; most fits end by their rule far before."""


def begins_from_part(fit: Fit) -> bool:
    """Whether there are so many observations, and no signatures yet."""
    return not fit.started and fit.posterior.corpus.n_obs >= SHARE * SMALLEST


def begin_from_part(fit: Fit, max_rounds: int, spatial: NeighbourPrior | None, after: Callable[[], bool]) -> None:
    """Give a fit the signatures and priors that a fit to random observations ends with, for it to refine.

    ``after`` is called after each iteration; if it returns True, that was the last.
    """
    of, rng = fit.posterior, generator(fit.start_seed, Stream.PART)
    rows = np.sort(rng.permutation(of.corpus.n_obs)[: of.corpus.n_obs // SHARE])
    corpus = of.corpus.sample(rows)
    posterior = fit.begun(corpus, rng)
    part = Fit(posterior, fit.start_seed, fit.learns_alpha, fit.learns_eta, fit.eta_shares)
    part.configure(corpus.dtype, 1)
    posterior.backend = of.backend
    try:
        if begins_from_part(part):
            begin_from_part(part, max_rounds, spatial, after)
        while part.iterations < LONGEST and not part.has_settled("auto"):
            part.iterate(schedule.SCHEDULES["fast"].plan(part.position, max_rounds), spatial)
            if after():
                break
    finally:
        corpus.remove_files()
    fit.begin_at(part, corpus.nnz / max(1, of.corpus.nnz), max_rounds)
