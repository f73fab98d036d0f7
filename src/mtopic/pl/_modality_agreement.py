from typing import cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, to_hex
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Patch
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import DataLike, record
from mtopic._data.slots import categories, table
from mtopic._palette import Palette, colours

from ._figure import Save, page
from ._heatmap import draw, name_cells

MADE_BY = "mtopic.tl.modality_agreement"
PERCENTILES = (5, 25, 50, 75, 95)
WIDTH = 0.8
"""Height of a row of boxes; rows are 1 apart."""


@public
def modality_agreement(
    data: DataLike,
    groupby: str | None = None,
    *,
    prefix: str | None = None,
    cmap: str | Colormap = "viridis",
    palette: Palette = None,
    fontsize: float = 9,
    figsize: tuple[float, float] | None = None,
    transparent: bool = False,
    save: Save = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> list[Axes] | Figure:
    """Draw how much each modality tells about the topics, and how far it agrees with the others on the observations.

    Left, the modalities' shares of each topic. Right, the agreement of observations: a box from the lower to the upper
    quartile with the median, and whiskers from the 5th to the 95th percentile; 0 is chance, 1 is identity. Two
    modalities agree with each other, so they have one box.

    Parameters
    ----------
    data
        MuData with the results of `mtopic.tl.modality_agreement`.
    {groupby}
        If given, there are boxes for each of its groups.
    {prefix}
    cmap
        Colour map of the shares, from 0 to 1. Shares that do not exist are grey.
    palette
        Colours of the modalities' boxes: modality → colour, a list in their order, or a colour map; None for scanpy's.
    {fontsize:cells figsize:names transparent save show return_fig}

    Returns
    -------
    The two panels' axes, or the figure.

    Raises
    ------
    KeyError
        If there are no such results, or there is no such column.
    ValueError
        If no observation has a category, or a number is out of range.

    {Examples:fit}
    >>> mt.tl.modality_agreement(mdata)
    >>> shares, agreement = mt.pl.modality_agreement(mdata, show=False)
    >>> shares.images[0].get_array().shape
    (3, 2)
    """
    head = record.head(prefix)
    values = table(data, f"{head}modality_agreement", made_by=MADE_BY)
    shares = record.read_entry(data, head, "topic_shares", "topic shares", MADE_BY)
    rows = None if groupby is None else _by_group(values, categories(data, groupby))
    boxed = list(values.columns[:1] if values.shape[1] == 2 else values.columns)
    colour = dict(zip(boxed, map(to_hex, colours(boxed, palette)), strict=True))
    left, right, height = _size(shares, boxed if rows is None else list(rows), len(boxed) * len(rows or "_"), fontsize)
    with page(2, fontsize=fontsize, figsize=figsize or (left + right, height), ncols=2) as sheet:
        grid = cast(SubplotSpec, sheet.axes[0].get_subplotspec()).get_gridspec()
        grid.set_width_ratios([left, right])
        _agreement(sheet.axes[1], values, rows, colour)
        draw(sheet, shares, "share of the topic", cmap=cmap, vmin=0, vmax=1)
        name_cells(sheet, shares.index, shares.columns, fontsize)
        return sheet.finish(sheet.axes, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _by_group(values: pd.DataFrame, groups: pd.Categorical) -> dict[str, pd.DataFrame]:
    return {name: values[groups.codes == code] for code, name in enumerate(groups.categories)}


def _agreement(ax: Axes, values: pd.DataFrame, groups: dict[str, pd.DataFrame] | None, colour: dict[str, str]) -> None:
    """Boxes from top to bottom: of modalities, or of groups and within these of modalities."""
    names = list(colour if groups is None else groups)
    for row, name in enumerate(names):
        tables = {name: values} if groups is None else dict.fromkeys(colour, groups[name])
        width = WIDTH / len(tables)
        for number, (mod, part) in enumerate(tables.items()):
            place = row + (number - (len(tables) - 1) / 2) * width
            _box(ax, part[mod].dropna().to_numpy(), place, 0.75 * width, colour[mod])
    ax.axvline(0, color="grey", linewidth=0.6, linestyle="--", zorder=0)
    of_two = f" of {' and '.join(map(str, values.columns))}" if len(colour) == 1 else ""
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel=f"agreement{of_two}\n(0: chance, 1: identity)")
    ax.set_xlim(right=1.02)
    ax.set_yticks(range(len(names)), [""] if groups is None and of_two else names)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    if groups is not None and not of_two:
        handles = [Patch(color=one, label=mod) for mod, one in colour.items()]
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), handlelength=0.8)


def _box(ax: Axes, values: NDArray[np.float64], place: float, width: float, colour: str) -> None:
    if not values.size:
        return
    low, first, median, third, high = np.percentile(values, PERCENTILES)
    ax.hlines(place, low, high, colors=[colour], linewidth=1)
    ax.barh(place, third - first, left=first, height=width, color=colour, edgecolor=colour, linewidth=1.5)
    ax.vlines(median, place - width / 2, place + width / 2, colors="black", linewidth=0.8)


def _size(shares: pd.DataFrame, names: list[str], n_boxes: int, fontsize: float) -> tuple[float, float, float]:
    """Widths of the panels and height of the figure in inches."""
    line, letter = 1.5 * fontsize / 72, 0.6 * fontsize / 72
    topics, below, groups = (letter * max(len(str(label)) for label in labels) for labels in (*shares.axes, names))
    height = max(line * len(shares) + below + 0.4, 0.8 * line * n_boxes + 1.0, 2.5)
    return topics + 2 * line * shares.shape[1] + 1.0, groups + 3.2, height
