"""Observations as markers at their coordinates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.image import AxesImage
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ._figure import marker_line, marker_width
from ._frames import Frame, of_one_shape
from ._pixels import MANY, pixels
from ._scale_bar import scale_bar
from ._sections import Section

DISCERNIBLE, OVERLAP = 4.0, 1.2
"""Markers this many points wide touch their neighbours. Smaller ones, too small to be told
apart, overlap so that discs on a hexagonal grid leave no gap."""

NEIGHBOURS = 4
"""Neighbours that are equally far on square and on hexagonal grids."""

SMALLEST, LARGEST = 0.7, 1 / 4
"""Bounds of the width of a marker: in points, and as a share of the panel."""


class Spots:
    """Where the markers of a section are, what they look like, and how large they must be."""

    def __init__(self, section: Section, s: float | None, marker: str) -> None:
        if s is not None and not s > 0:
            raise ValueError(f"s={s}: the size of markers must be positive; None takes it from the data")
        self.points = section.points
        self.name = section.name
        self._rows = section.rows
        self._upper = section.upper
        self._image = section.image
        self._unit = section.unit
        self.s = s
        self.marker = marker
        self._spacing = spacing(self.points)
        self.frame = self._around()
        self._drawn: list[tuple[Axes, PathCollection]] = []

    def entitle(self, ax: Axes, title: str | None) -> None:
        """Write the title and, below it, the section."""
        lines = [line for line in (title, self.name) if line]
        if lines:
            ax.set_title("\n".join(lines), y=1)

    def draw(
        self, ax: Axes, colours: NDArray[np.float64], order: NDArray[np.intp], **scale: Any
    ) -> PathCollection | AxesImage:
        """Draw observations in the ``order`` of the whole data on a panel without axes, of equal aspect.

        Many are drawn as pixels, unless markers have a size.
        """
        place = np.full(len(order), -1)
        place[self._rows] = np.arange(len(self._rows))
        own = order[place[order] >= 0]
        points = self.points[place[own]]
        drawn: PathCollection | AxesImage
        if self.s is None and len(own) > MANY:
            image, opacity, extent = pixels(points, colours[own], self._spacing)
            drawn = ax.imshow(image, alpha=opacity, extent=extent, origin="lower", interpolation="nearest", **scale)
        else:
            x, y = points.T
            drawn = ax.scatter(x, y, c=colours[own], s=self.s or 1, marker=self.marker, plotnonfinite=True, **scale)
            drawn.set(linewidth=marker_line(self.marker), rasterized=True)
            self._drawn.append((ax, drawn))
        drawn.set(in_layout=False)
        self._draw_image(ax)
        ax.set(xticks=[], yticks=[], aspect="equal")
        across, up = zip(*self.frame, strict=True)
        ax.set(xlim=across, ylim=up[::-1] if self._upper else up)
        ax.spines[:].set_visible(False)
        if self._unit is not None:
            scale_bar(ax, self._unit)
        return drawn

    def _draw_image(self, ax: Axes) -> None:
        if self._image is not None:
            edges = (self._image.left, self._image.right, self._image.bottom, self._image.top)
            ax.imshow(self._image.pixels, extent=edges, origin="upper", zorder=0).set(in_layout=False)

    def fit_markers(self) -> None:
        """Size the markers to the distance of neighbours on the figure as it is laid out now."""
        if self.s is not None:
            return
        for ax, drawn in self._drawn:
            ax.apply_aspect()
            box = ax.get_window_extent()
            points_per_pixel = 72 / ax.figure.dpi
            per_unit = points_per_pixel * box.width / (self.frame[1] - self.frame[0])[0]
            largest = LARGEST * points_per_pixel * min(box.width, box.height)
            width = self._spacing * per_unit
            width = np.clip(width if width >= DISCERNIBLE else OVERLAP * width, SMALLEST, max(SMALLEST, largest))
            drawn.set_sizes([(width / marker_width(self.marker)) ** 2])

    def _around(self) -> Frame:
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        margin = max(self._spacing, 0.01 * float((high - low).max())) or 1.0
        return low - margin, high + margin


def panels_of(sections: Sequence[Section], s: float | None, marker: str) -> tuple[list[Spots], tuple[float, float]]:
    """The sections' spots, in panels of one shape, and its width and height in inches."""
    spots = [Spots(section, s, marker) for section in sections]
    frames, size = of_one_shape([each.frame for each in spots])
    for each, frame in zip(spots, frames, strict=True):
        each.frame = frame
    return spots, size


def spacing(points: NDArray[np.float64]) -> float:
    """Distance between neighbouring points; 0 if all points coincide.

    It is the median distance to the fourth nearest neighbour: the pitch of a square or hexagonal grid, and about the
    mean distance in a cloud, where the nearest neighbour is half as far.
    """
    places = np.unique(points, axis=0)
    if len(places) < 2:
        return 0.0
    k = min(NEIGHBOURS, len(places) - 1)
    distance, _ = cKDTree(places).query(places, k=[k + 1])
    return float(np.median(distance))
