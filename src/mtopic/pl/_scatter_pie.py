from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import Data
from mtopic._data.slots import coordinates, table
from mtopic._palette import Palette, stored_or

from ._figure import Save, page
from ._figure import legend as draw_legend
from ._spots import spacing

SMALLEST_SHARE = 0.01
"""Smaller slices are left out; the others fill the pie."""
CORNERS = 60
"""Corners of a whole pie's edge."""


@public
def scatter_pie(
    mdata: Data,
    topics: str = "topics",
    x: str = "coords",
    radius: float | None = 0.005,
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
) -> Axes | Figure:
    """Draw each observation as a pie of its topic proportions.

    {Parameters mdata=data:topics topics x:drawn}
    radius
        Radius of a pie in units of the tissue's longer side; None lets neighbouring pies touch.
    xrange, yrange
        Part of the tissue that is drawn, in the same units from its left and lower edge.
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
    {ax show:ax return_fig}

    {Returns:ax}

    Raises
    ------
    KeyError
        If there are no such coordinates or proportions, or the palette lacks a topic.
    ValueError
        If a number is out of range, proportions are missing, or no observation lies in the part that is drawn.

    {Examples:data}
    >>> ax = mt.pl.scatter_pie(mdata, "true_topics", "spatial", radius=0.02, show=False)
    >>> len(ax.collections)
    1
    """
    points = _unit(coordinates(mdata, x), x)
    low, high = _window(xrange, "xrange"), _window(yrange, "yrange")
    size = spacing(points) / 2 if radius is None else radius
    if not 0 < size < np.inf:
        raise ValueError(f"radius={radius}: it must be positive, a share of the tissue's longer side")
    proportions = table(mdata, topics)
    shares = proportions.to_numpy(dtype=np.float64)
    inside = np.logical_and.reduce([(points[:, i] >= a) & (points[:, i] <= b) for i, (a, b) in enumerate((low, high))])
    if not inside.any():
        raise ValueError(
            f"no observation lies in xrange={xrange}, yrange={yrange}: they are shares of the tissue's longer side"
        )
    if np.isnan(shares[inside]).any():
        n_missing = np.isnan(shares[inside]).any(axis=1).sum()
        raise ValueError(f"obsm[{topics!r}] is missing for {n_missing} observations: leave these out")
    names = [str(name) for name in proportions.columns]
    colour = stored_or(mdata, names, palette)
    slices, owners = _slices(points[inside], shares[inside], size)
    with page(fontsize=fontsize, figsize=figsize, ax=ax, compressed=True) as sheet:
        pies = PolyCollection(slices, facecolors=colour[owners], edgecolors="face", linewidths=0.1, rasterized=True)
        sheet.ax.add_collection(pies, autolim=False)
        sheet.ax.set(xlim=_margin(points[inside, 0], low, size), ylim=_margin(points[inside, 1], high, size))
        sheet.ax.set(xticks=[], yticks=[], aspect="equal")
        sheet.ax.spines[:].set_visible(False)
        if legend:
            seen = np.unique(owners)
            scale = legend_markersize / (0.75 * fontsize)
            draw_legend(sheet, [names[k] for k in seen], colour[seen], marker="o", markerscale=scale, ncol=legend_ncol)
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _unit(points: NDArray[np.float64], key: str) -> NDArray[np.float64]:
    """Coordinates from 0, in units of the longer side."""
    if points.shape[1] < 2:
        raise ValueError(f"the coordinates {key!r} have {points.shape[1]} column: a plot needs 2")
    shifted = points[:, :2] - points[:, :2].min(axis=0)
    return shifted / (shifted.max() or 1.0)


def _window(given: Sequence[float], name: str) -> tuple[float, float]:
    low, high = given
    if not low < high:
        raise ValueError(f"{name}={given}: give a lower and a higher limit")
    return float(low), float(high)


def _margin(values: NDArray[np.float64], window: tuple[float, float], radius: float) -> tuple[float, float]:
    """What the pies of the window reach to."""
    return max(values.min(), window[0]) - 1.5 * radius, min(values.max(), window[1]) + 1.5 * radius


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
