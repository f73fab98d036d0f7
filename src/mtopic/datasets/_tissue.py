"""The lie of a simulated tissue: where the spots are, and topics that change smoothly over them."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, gammaln, softmax

PITCH = 100.0
"""Distance between neighbouring spots, in µm."""

SECTION_DISTANCE = 0.1
"""Distance between consecutive sections, in radii of the tissue."""

N_WAVES = 64


def hexagonal_spots(n_spots: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Coordinates of ``n_spots`` on a hexagonal grid inside a roundish outline (n_spots × 2, in µm, starting at 0)."""
    side = int(np.ceil(2 * np.sqrt(n_spots))) + 4
    row, column = np.divmod(np.arange(side * side), side)
    grid = np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)])
    centred = grid - grid.mean(axis=0)
    angle = np.arctan2(centred[:, 1], centred[:, 0])
    lobes = np.arange(1, 5)
    amplitude = rng.uniform(-0.1, 0.1, lobes.size)
    outline = 1 + np.cos(np.outer(angle, lobes) + rng.uniform(0, 2 * np.pi, lobes.size)) @ amplitude
    inside = np.sort(np.argsort(np.hypot(*centred.T) / outline, kind="stable")[:n_spots])
    return PITCH * (grid[inside] - grid[inside].min(axis=0))


def smooth_dirichlet(
    sections: list[NDArray[np.float64]], n_topics: int, concentration: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Proportions (spots of all sections × topics) that are Dirichlet in distribution and change smoothly in space.

    Each topic has a random field, a sum of plane waves. Its ranks over the spots become quantiles of the
    Gamma(``concentration``) distribution, and a spot's proportions are its quantiles divided by their sum. The sections are
    consecutive cuts through the same tissue.
    """
    places = np.vstack([_in_tissue(spots, depth * SECTION_DISTANCE) for depth, spots in enumerate(sections)])
    domain_size = 1.2 / np.sqrt(n_topics)
    log_weights = np.empty((places.shape[0], n_topics))
    for k in range(n_topics):
        waves = rng.normal(size=(3, N_WAVES)) / domain_size
        field = np.cos(places @ waves + rng.uniform(0, 2 * np.pi, N_WAVES)).sum(axis=1)
        log_weights[:, k] = _log_gamma_quantiles(field, concentration)
    return softmax(log_weights, axis=1)


def _in_tissue(spots: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
    """Spots of one section in three dimensions, centred, in radii of the tissue."""
    radius = PITCH * np.sqrt(len(spots) * np.sqrt(0.75) / np.pi)
    return np.column_stack([(spots - spots.mean(axis=0)) / radius, np.full(len(spots), depth)])


def _log_gamma_quantiles(values: NDArray[np.float64], shape: float) -> NDArray[np.float64]:
    probability = (np.argsort(np.argsort(values)) + 0.5) / values.size
    quantile = gammaincinv(shape, probability)
    near_zero = (np.log(probability) + gammaln(shape + 1)) / shape
    return np.where(quantile > 1e-200, np.log(np.maximum(quantile, 1e-200)), near_zero)
