"""Batches of observations."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .random_streams import Stream, generator


def batches(n_obs: int, size: int, drawn: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Batches without end, in which each observation comes once before any comes again; ``drawn`` have come already.

    An epoch, in which all come once, has an order of its own. A batch may hold the end of one and the beginning of the
    next.
    """
    size = min(size, n_obs)
    epoch, begun = divmod(drawn, n_obs)
    order = generator(seed, Stream.BATCHES, epoch).permutation(n_obs)[begun:]
    while True:
        if order.size < size:
            epoch += 1
            order = np.concatenate([order, generator(seed, Stream.BATCHES, epoch).permutation(n_obs)])
        yield order[:size]
        order = order[size:]
