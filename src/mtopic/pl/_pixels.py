"""Observations as pixels, where they are too many for markers."""

import numpy as np
from numpy.typing import NDArray

MANY = 200_000
"""Observations of a panel from which on markers take seconds to draw and hide each other."""
PITCHES = 1.5
"""Width of a pixel in distances of neighbours: with fewer, a grid of spots would have gaps."""
MOST = 1000
"""Pixels along the longer side at most: a panel shows no more."""


def pixels(
    points: NDArray[np.float64], colours: NDArray[np.float64], spacing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float, float, float]]:
    """An image, its opacity, and its left, right, bottom and top.

    A pixel shows the mean of its observations' numbers, or the colour of the last one. Without observations it is
    transparent.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    width = max(PITCHES * spacing, float((high - low).max()) / MOST) or 1.0
    across, up = np.maximum(1, np.ceil((high - low) / width)).astype(int)
    column, row = np.minimum(((points - low) / width).astype(int), (across - 1, up - 1)).T
    place = row * across + column
    opacity = np.minimum(1.0, np.bincount(place, minlength=across * up))
    extent = (low[0], low[0] + across * width, low[1], low[1] + up * width)
    if colours.ndim == 2:
        image = np.zeros((across * up, colours.shape[1]))
        image[place] = colours
        return image.reshape(up, across, -1), opacity.reshape(up, across), extent
    known = np.isfinite(colours)
    total, number = (np.bincount(place[known], weights, across * up) for weights in (colours[known], None))
    image = np.divide(total, number, out=np.full(across * up, np.nan), where=number > 0)
    return image.reshape(up, across), opacity.reshape(up, across), extent
