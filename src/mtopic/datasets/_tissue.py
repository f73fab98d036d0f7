"""The lie of a simulated tissue: where the spots are, and how topics lie over them."""

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import quadratic_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import gammaincinv, gammaln, softmax

Places: TypeAlias = NDArray[np.float64]
"""Spots × 3, in radii of the tissue: the plane of the sections, centred, and the depth."""

Labels: TypeAlias = dict[str, NDArray[np.bool_] | pd.Categorical]
"""Columns of ``obs`` by name."""

PITCH = 100.0
"""Distance between neighbouring spots, in µm."""

SECTION_DISTANCE = 0.1
"""Distance between consecutive sections, in radii of the tissue."""

N_WAVES = 64

GRADIENT_LENGTH = 1.0
"""Distance over which the topics of a gradient change, in radii of the tissue."""

SCATTERED_SHARE = 0.25
REGIONS_PER_TOPIC, FEWEST_REGIONS = 2, 12
REGION_PRECISION = 300.0
"""Sum of the Dirichlet parameters of the spots about their region's proportions."""


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


def tissue_places(sections: list[NDArray[np.float64]]) -> Places:
    """Spots of all sections in three dimensions, in radii of the tissue, whose consecutive cuts the sections are."""
    return np.vstack([_in_tissue(spots, depth * SECTION_DISTANCE) for depth, spots in enumerate(sections)])


def _in_tissue(spots: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
    """Spots of one section in three dimensions, centred, in radii of the tissue."""
    radius = PITCH * np.sqrt(len(spots) * np.sqrt(0.75) / np.pi)
    return np.column_stack([(spots - spots.mean(axis=0)) / radius, np.full(len(spots), depth)])


def _smooth(
    places: Places, n_topics: int, concentration: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Labels]:
    """Smooth domains, smaller the more topics there are."""
    return _dirichlet_fields(places, n_topics, concentration, 1.2 / np.sqrt(n_topics), rng), {}


def _gradient(
    places: Places, n_topics: int, concentration: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Labels]:
    """Changes over the whole tissue, however many topics there are."""
    return _dirichlet_fields(places, n_topics, concentration, GRADIENT_LENGTH, rng), {}


def _noise(
    places: Places, n_topics: int, concentration: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Labels]:
    """Independent spots."""
    return rng.dirichlet(np.full(n_topics, concentration), size=len(places)), {}


def _scattered(
    places: Places, n_topics: int, concentration: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Labels]:
    """Smooth domains, in which spots drawn at random are wholly of a topic that does not prevail there."""
    proportions, _ = _smooth(places, n_topics, concentration, rng)
    chosen = rng.permutation(len(places))[: int(SCATTERED_SHARE * len(places))]
    other = (proportions[chosen].argmax(axis=1) + rng.integers(1, n_topics, chosen.size)) % n_topics
    proportions[chosen] = np.eye(n_topics)[other]
    scattered = np.zeros(len(places), dtype=bool)
    scattered[chosen] = True
    return proportions, {"scattered": scattered}


def _sharp(
    places: Places, n_topics: int, concentration: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Labels]:
    """Regions, the Voronoi cells of evenly strewn seeds in a warped plane; spots vary a little about their region's draw.

    The cells run on through the sections, with outlines that change.
    """
    n_regions = max(FEWEST_REGIONS, REGIONS_PER_TOPIC * n_topics)
    width = np.sqrt(np.pi / n_regions)
    seeds = _sunflower(n_regions, rng) + rng.normal(0, 0.2 * width, (n_regions, 2))
    warp = np.column_stack([_field(places, 0.6 * width, rng) for _ in range(2)]) * np.sqrt(2 / N_WAVES)
    _, region = cKDTree(seeds).query(places[:, :2] + 0.2 * width * warp)
    draws = _unlike_neighbours(
        _dirichlet_quantiles(rng.random((n_regions, n_topics)), concentration), seeds, width, rng
    )
    proportions = rng.standard_gamma(REGION_PRECISION * draws[region])
    present, codes = np.unique(region, return_inverse=True)
    names = [f"region_{i + 1}" for i in range(present.size)]
    return proportions / proportions.sum(axis=1, keepdims=True), {"region": pd.Categorical.from_codes(codes, names)}


TISSUES = {"smooth": _smooth, "sharp": _sharp, "gradient": _gradient, "scattered": _scattered, "noise": _noise}
"""What each kind of tissue is like: from places to proportions (spots × topics) and columns of ``obs``."""


def _sunflower(n_points: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points spread evenly over the unit disc, along a spiral that turns by the golden angle from one to the next."""
    turn = np.arange(n_points) + 0.5
    angle = np.pi * (3 - np.sqrt(5)) * turn + rng.uniform(0, 2 * np.pi)
    return np.sqrt(turn / n_points)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def _unlike_neighbours(
    draws: NDArray[np.float64], seeds: NDArray[np.float64], width: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The same draws, dealt to the seeds so that near seeds share as little as can be."""
    nearness = np.exp(-(cdist(seeds, seeds) ** 2) / width**2)
    shared = 1 - cdist(draws, draws, "cityblock") / 2
    dealt = quadratic_assignment(nearness, shared**2, method="2opt", options={"rng": rng})
    return draws[dealt.col_ind]


def _dirichlet_fields(
    places: Places, n_topics: int, concentration: float, length: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Proportions that are Dirichlet in distribution and change over about a ``length``, each topic by a field of its own."""
    fields = np.column_stack([_field(places, length, rng) for _ in range(n_topics)])
    return _dirichlet_quantiles(fields, concentration)


def _field(places: Places, length: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random field at the places: a sum of plane waves, with mean 0 and variance ``N_WAVES / 2``."""
    waves = rng.normal(size=(3, N_WAVES)) / length
    return np.cos(places @ waves + rng.uniform(0, 2 * np.pi, N_WAVES)).sum(axis=1)


def _dirichlet_quantiles(values: NDArray[np.float64], concentration: float) -> NDArray[np.float64]:
    """Rows that are Dirichlet in distribution, from the ranks of values within each column.

    The ranks become quantiles of the Gamma(``concentration``) distribution, which are divided by their sum in each row.
    """
    return softmax(np.column_stack([_log_gamma_quantiles(column, concentration) for column in values.T]), axis=1)


def _log_gamma_quantiles(values: NDArray[np.float64], shape: float) -> NDArray[np.float64]:
    probability = (np.argsort(np.argsort(values)) + 0.5) / values.size
    quantile = gammaincinv(shape, probability)
    near_zero = (np.log(probability) + gammaln(shape + 1)) / shape
    return np.where(quantile > 1e-200, np.log(np.maximum(quantile, 1e-200)), near_zero)
