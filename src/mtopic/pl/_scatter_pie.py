from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import DataLike, record
from mtopic._data.empty import is_empty
from mtopic._data.slots import table
from mtopic._palette import Palette, stored_or

from ._figure import Save, grown, page
from ._figure import legend as draw_legend
from ._frames import Frame, of_one_shape
from ._sections import LibraryId, LibraryKey, Origin, Section, Where, sections
from ._spots import spacing

SMALLEST_SHARE = 0.01
"""Smaller slices are left out; the others fill the pie."""
CORNERS = 60
"""Corners of a whole pie's edge."""

Window: TypeAlias = tuple[tuple[float, float], tuple[float, float]]
"""Limits of either coordinate."""


@public
def scatter_pie(
    mdata: DataLike,
    topics: str = "topics",
    x: str = "coords",
    radius: float | None = None,
    xrange: Sequence[float] = (0, 1),
    yrange: Sequence[float] = (0, 1),
    figsize: tuple[float, float] = (10, 10),
    palette: Palette = None,
    legend_markersize: float = 10,
    legend_ncol: int | None = 1,
    transparent: bool = False,
    save: Save = None,
    *,
    fontsize: float = 10,
    legend: bool = True,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    library_key: LibraryKey = None,
    library_id: LibraryId = None,
    origin: Origin = None,
) -> Axes | list[Axes] | Figure:
    """Draw each observation as a pie of its topic proportions; one without counts in the fit has none.

    {Parameters mdata=data:topics topics x:drawn}
    radius
        Radius of a pie in units of the tissue's longer side, or of each section's; None lets neighbouring pies touch.
    xrange, yrange
        Part of the tissue, or of each section, that is drawn, in the same units from where the coordinates begin.
    {figsize:legend palette}
    legend_markersize
        Size of the legend's markers in points.
    {legend_ncol transparent}
    save
        File to write, in the format of its suffix: 300 dpi, in vector formats with rasterised pies.
    fontsize
        Size of the legend's text in points.
    legend
        Draw a legend of the topics that have a slice, outside the panel.
    {ax:section show:ax return_fig library_key:drawn library_id origin}

    {Returns:sections}

    Raises
    ------
    KeyError
        If there are no such coordinates, proportions or sections, or the palette lacks a topic.
    ValueError
        If a number is out of range, proportions are missing, or no observation lies in the part that is drawn.

    {Examples:data}
    >>> ax = mt.pl.scatter_pie(mdata, "true_topics", "spatial", radius=0.02, show=False)
    >>> len(ax.collections)
    1
    """
    where: Where = {"library_key": library_key, "library_id": library_id, "origin": origin}
    window = (_window(xrange, "xrange"), _window(yrange, "yrange"))
    parts = [_inside(part, window, radius) for part in sections(mdata, x, record.head_of(topics), where, ax)]
    rows = np.concatenate([part.rows for part in parts])
    if not rows.size:
        raise ValueError(
            f"no observation lies in xrange={xrange}, yrange={yrange}: they are shares of the tissue's longer side"
        )
    proportions = table(mdata, topics)
    shares = proportions.to_numpy(dtype=np.float64, copy=True)
    if np.isnan(shares[rows]).any():
        n_missing = np.isnan(shares[rows]).any(axis=1).sum()
        raise ValueError(f"obsm[{topics!r}] is missing for {n_missing} observations: leave these out")
    shares[is_empty(mdata, topics)] = 0
    names = [str(name) for name in proportions.columns]
    colour = stored_or(mdata, names, palette)
    frames, panel_size = of_one_shape([_frame(part, window) for part in parts])
    size = grown(figsize, panel_size, len(parts))
    with page(len(parts), group=len(parts), fontsize=fontsize, figsize=size, ax=ax, compressed=True) as sheet:
        drawn = zip(sheet.axes, parts, frames, strict=True)
        owners = [_draw(panel, part, frame, shares[part.rows], colour) for panel, part, frame in drawn]
        if legend:
            seen = np.unique(np.concatenate(owners))
            scale = legend_markersize / (0.75 * fontsize)
            draw_legend(sheet, [names[k] for k in seen], colour[seen], marker="o", markerscale=scale, ncol=legend_ncol)
        return sheet.finish(sheet.drawn, save=save, transparent=transparent, show=show, return_fig=return_fig)


@dataclass(frozen=True)
class Pies(Section):
    """The observations in the window, their places in units of the section's longer side, and how large pies are."""

    radius: float = 0.0


def _inside(part: Section, window: Window, radius: float | None) -> Pies:
    points = part.points - part.points.min(axis=0)
    points /= points.max() or 1.0
    size = spacing(points) / 2 if radius is None else radius
    if not 0 < size < np.inf:
        raise ValueError(f"radius={radius}: it must be positive, a share of the tissue's longer side")
    inside = np.logical_and.reduce(
        [(points[:, i] >= low) & (points[:, i] <= high) for i, (low, high) in enumerate(window)]
    )
    return Pies(part.name, part.rows[inside], points[inside], part.upper, radius=size)


def _draw(
    ax: Axes, part: Pies, frame: Frame, shares: NDArray[np.float64], colour: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Draw the pies; return the topics of their slices."""
    slices, owners = _slices(part.points, shares, part.radius)
    pies = PolyCollection(slices, facecolors=colour[owners], edgecolors="face", linewidths=0.1, rasterized=True)
    ax.add_collection(pies, autolim=False)
    across, up = zip(*frame, strict=True)
    ax.set(xlim=across, ylim=up[::-1] if part.upper else up)
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
    if part.name is not None:
        ax.set_title(part.name, y=1)
    return owners


def _window(given: Sequence[float], name: str) -> tuple[float, float]:
    low, high = given
    if not low < high:
        raise ValueError(f"{name}={given}: give a lower and a higher limit")
    return float(low), float(high)


def _frame(part: Pies, window: Window) -> Frame:
    """What the pies of the window reach to; the window if there are none."""
    low, high = np.transpose(window)
    if part.rows.size:
        low, high = np.maximum(low, part.points.min(axis=0)), np.minimum(high, part.points.max(axis=0))
    return low - 1.5 * part.radius, high + 1.5 * part.radius


def _slices(
    centres: NDArray[np.float64], shares: NDArray[np.float64], radius: float
) -> tuple[list[NDArray[np.float64]], NDArray[np.intp]]:
    """Corners of every slice, clockwise from twelve o'clock, and its topic."""
    kept = np.where(shares >= SMALLEST_SHARE * shares.sum(axis=1, keepdims=True), shares, 0)
    ends = np.cumsum(kept, axis=1)
    ends /= np.where(ends[:, -1:] > 0, ends[:, -1:], 1)
    starts = np.hstack([np.zeros((len(ends), 1)), ends[:, :-1]])
    rows, owners = np.nonzero(kept)
    slices = []
    for row, start, end in zip(rows, starts[rows, owners], ends[rows, owners], strict=True):
        turn = 2 * np.pi * np.linspace(start, end, max(2, int(np.ceil(CORNERS * (end - start))) + 1))
        edge = centres[row] + radius * np.column_stack([np.sin(turn), np.cos(turn)])
        slices.append(edge if end - start > 1 - 1e-9 else np.vstack([centres[row], edge]))
    return slices, owners
