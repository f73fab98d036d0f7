"""What is around each observation, near and farther."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array

ROWS_AT_ONCE = 1024
"""Rings of so many observations are held at a time: those of a wide graph, all together, would not fit into memory."""


def ring_means(shares: NDArray[np.float64], neighbours: csr_array, n_rings: int) -> NDArray[np.float64]:
    """Square roots of each observation's proportions and, beside them, their means over its 1st, …, n_rings-th ring.

    The l-th ring are the observations l steps away in the graph. Where none of them has proportions, the ring within
    stands for it. Observations × topics · (1 + n_rings); rows of observations without proportions are NaN.
    """
    roots = np.sqrt(shares)
    blocks = [slice(start, start + ROWS_AT_ONCE) for start in range(0, len(roots), ROWS_AT_ONCE)]
    return np.vstack([_of_block(roots, neighbours, n_rings, block) for block in blocks])


def _of_block(roots: NDArray[np.float64], neighbours: csr_array, n_rings: int, block: slice) -> NDArray[np.float64]:
    known = ~np.isnan(roots[:, 0])
    values = np.where(known[:, None], roots, 0)
    layers = [roots[block]]
    ring = reached = csr_array(eye_array(len(roots), format="csr")[block])
    for _ in range(n_rings):
        ring = _next(ring, reached, neighbours)
        reached = reached + ring
        number = (ring @ known.astype(np.float64))[:, None]
        layers.append(np.where(number > 0, (ring @ values) / np.maximum(number, 1), layers[-1]))
    layers[1:] = [np.where(known[block, None], layer, np.nan) for layer in layers[1:]]
    return np.hstack(layers)


def _next(ring: csr_array, reached: csr_array, neighbours: csr_array) -> csr_array:
    """The ring around a ring: neighbours of its members that were not reached before."""
    around = csr_array(ring @ neighbours)
    around.data[:] = 1
    new = csr_array(around - around.multiply(reached))
    new.eliminate_zeros()
    return new
