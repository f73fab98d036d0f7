"""The lie of a simulated tissue: where the spots are, and how topics lie over them."""

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import gammaincinv, gammaln, softmax

Double: TypeAlias = NDArray[np.float64]

Tissue: TypeAlias = tuple[Double, dict[str, NDArray[np.bool_] | pd.Categorical]]
"""Proportions, spots × topics, and columns of ``obs`` by name."""

PITCH = 100.0
"""Distance between neighbouring spots, in µm."""

SECTION_DISTANCE = 0.1
"""Distance between consecutive sections, in radii of the tissue."""

N_WAVES = 64

GRADIENT_LENGTH = 1.0
"""Distance over which the topics of a gradient change, in radii of the tissue."""

SCATTERED_SHARE = 0.25
REGIONS_PER_TOPIC, FEWEST_REGIONS = 2, 12
SWAPS_PER_REGION = 100
REGION_PRECISION = 300.0
"""Sum of the Dirichlet parameters of the spots about their region's proportions."""


def hexagonal_spots(n_spots: int, rng: np.random.Generator) -> Double:
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


def tissue_places(sections: list[Double]) -> Double:
    """Spots of all sections, consecutive cuts of the tissue: × 3, in its radii, centred in the plane, and the depth."""
    places = []
    for number, spots in enumerate(sections):
        radius = PITCH * np.sqrt(len(spots) * np.sqrt(0.75) / np.pi)
        depth = np.full(len(spots), number * SECTION_DISTANCE)
        places.append(np.column_stack([(spots - spots.mean(axis=0)) / radius, depth]))
    return np.vstack(places)


def _smooth(places: Double, n_topics: int, concentration: float, rng: np.random.Generator) -> Tissue:
    """Smooth domains, smaller the more topics there are."""
    return _dirichlet_fields(places, n_topics, concentration, 1.2 / np.sqrt(n_topics), rng), {}


def _gradient(places: Double, n_topics: int, concentration: float, rng: np.random.Generator) -> Tissue:
    """Changes over the whole tissue, however many topics there are."""
    return _dirichlet_fields(places, n_topics, concentration, GRADIENT_LENGTH, rng), {}


def _noise(places: Double, n_topics: int, concentration: float, rng: np.random.Generator) -> Tissue:
    """Independent spots."""
    return rng.dirichlet(np.full(n_topics, concentration), size=len(places)), {}


def _scattered(places: Double, n_topics: int, concentration: float, rng: np.random.Generator) -> Tissue:
    """Smooth domains, in which spots drawn at random are wholly of a topic that does not prevail there."""
    proportions, _ = _smooth(places, n_topics, concentration, rng)
    chosen = rng.permutation(len(places))[: int(SCATTERED_SHARE * len(places))]
    other = (proportions[chosen].argmax(axis=1) + rng.integers(1, n_topics, chosen.size)) % n_topics
    proportions[chosen] = np.eye(n_topics)[other]
    return proportions, {"scattered": np.isin(np.arange(len(places)), chosen)}


def _sharp(places: Double, n_topics: int, concentration: float, rng: np.random.Generator) -> Tissue:
    """Regions: Voronoi cells of evenly spread seeds in a warped plane; spots vary a little about their region's draw.

    The cells run on through the sections, with outlines that change.
    """
    n_regions = max(FEWEST_REGIONS, REGIONS_PER_TOPIC * n_topics)
    width = np.sqrt(np.pi / n_regions)
    seeds = 0.9 * _sunflower(n_regions, rng) + rng.normal(0, 0.2 * width, (n_regions, 2))
    warp = np.column_stack([_field(places, 0.6 * width, rng) for _ in range(2)]) * np.sqrt(2 / N_WAVES)
    _, region = cKDTree(seeds).query(places[:, :2] + 0.2 * width * warp)
    draws = _unlike_neighbours(_dirichlet_strata(n_regions, n_topics, concentration, rng), seeds, width, rng)
    proportions = rng.standard_gamma(REGION_PRECISION * draws[region])
    present, codes = np.unique(region, return_inverse=True)
    names = [f"region_{i + 1}" for i in range(present.size)]
    return proportions / proportions.sum(axis=1, keepdims=True), {"region": pd.Categorical.from_codes(codes, names)}


TISSUES = {"smooth": _smooth, "sharp": _sharp, "gradient": _gradient, "scattered": _scattered, "noise": _noise}
"""What each kind of tissue is like at given places, spots × 3."""


def _sunflower(n_points: int, rng: np.random.Generator) -> Double:
    """Points spread evenly over the unit disc, along a spiral that turns by the golden angle from one to the next."""
    turn = np.arange(n_points) + 0.5
    angle = np.pi * (3 - np.sqrt(5)) * turn + rng.uniform(0, 2 * np.pi)
    return np.sqrt(turn / n_points)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def _unlike_neighbours(draws: Double, seeds: Double, width: float, rng: np.random.Generator) -> Double:
    """The same draws, assigned so that near seeds share little: swaps of two are tried, and kept if they help."""
    nearness = np.exp(-(cdist(seeds, seeds) ** 2) / width**2)
    shared = (1 - cdist(draws, draws, "cityblock") / 2) ** 2
    order = np.arange(len(draws))
    for pair in rng.integers(len(draws), size=(SWAPS_PER_REGION * len(draws), 2)):
        swapped = order.copy()
        swapped[pair] = order[pair[::-1]]
        now, then = (np.vdot(nearness[pair], shared[o[pair]][:, o]) for o in (order, swapped))
        if then < now:
            order = swapped
    return draws[order]


def _dirichlet_fields(
    places: Double, n_topics: int, concentration: float, length: float, rng: np.random.Generator
) -> Double:
    """Proportions that are Dirichlet in distribution and change over about a ``length``.

    Each topic has a random field, whose ranks over the spots become probabilities.
    """
    fields = [_field(places, length, rng) for _ in range(n_topics)]
    ranks = np.column_stack([np.argsort(np.argsort(field)) for field in fields])
    return _dirichlet_quantiles((ranks + 0.5) / len(places), concentration)


def _dirichlet_strata(n_draws: int, n_topics: int, concentration: float, rng: np.random.Generator) -> Double:
    """Dirichlet draws by Latin hypercube, so that even in few of them each topic has its share."""
    ranks = rng.permuted(np.tile(np.arange(n_draws)[:, None], n_topics), axis=0)
    return _dirichlet_quantiles((ranks + rng.random(ranks.shape)) / n_draws, concentration)


def _field(places: Double, length: float, rng: np.random.Generator) -> Double:
    """A random field at the places: a sum of plane waves, with mean 0 and variance ``N_WAVES / 2``."""
    waves = rng.normal(size=(3, N_WAVES)) / length
    return np.cos(places @ waves + rng.uniform(0, 2 * np.pi, N_WAVES)).sum(axis=1)


def _dirichlet_quantiles(probability: Double, concentration: float) -> Double:
    """Rows of quantiles of the Gamma(``concentration``) distribution, divided by their sum."""
    quantile = gammaincinv(concentration, probability)
    near_zero = (np.log(probability) + gammaln(concentration + 1)) / concentration
    log_quantile = np.where(quantile > 1e-200, np.log(np.maximum(quantile, 1e-200)), near_zero)
    return softmax(log_quantile, axis=1)
