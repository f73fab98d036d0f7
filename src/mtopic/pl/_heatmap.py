"""A map of a table's values, with named rows and columns."""

import numpy as np
import pandas as pd
from matplotlib.colors import Colormap
from numpy.typing import NDArray

from ._figure import Limit, Page, colour_bar, colour_map, limits

CELL = 1.6
"""Side of a cell in units of the font size, if the figure's size is not given."""

SMALLEST_TEXT = 4.5
"""Size in points below which names are left out rather than made smaller."""


def draw(sheet: Page, values: pd.DataFrame, label: str, *, cmap: str | Colormap, vmin: float, vmax: float) -> None:
    """Draw the values as cells on the only panel, with a colour bar."""
    drawn = sheet.ax.imshow(values, cmap=colour_map(cmap), vmin=vmin, vmax=vmax, aspect="auto", interpolation="nearest")
    sheet.ax.spines[:].set_visible(False)
    colour_bar(sheet.ax, drawn, label)


def room(cells: pd.DataFrame, fontsize: float) -> tuple[float, float]:
    """Width and height in inches with room for the cells, the names and a bar of colours."""
    letters = [0.62 * max(len(str(name)) for name in names) for names in (cells.columns, cells.index)]
    height, width = (CELL * n for n in cells.shape)
    return max(4.0, (width + letters[1] + 8) * fontsize / 72), max(2.0, (height + letters[0] + 2) * fontsize / 72)


def mirrored(values: NDArray[np.float64], vmin: Limit, vmax: Limit, *, default: float) -> tuple[float, float]:
    """Limits of a diverging scale: if one is given the other mirrors it, if none they are ±``default``."""
    if vmin is None and vmax is None:
        return -default, default
    low, high = limits(values, -np.inf if vmin is None else vmin, np.inf if vmax is None else vmax)
    if vmin is None:
        return -abs(high), abs(high)
    if vmax is None:
        return -abs(low), abs(low)
    return low, high


def name_cells(sheet: Page, rows: pd.Index, columns: pd.Index, fontsize: float) -> None:
    """Write the names of rows and columns as large as their cells allow, or every second, third, … name."""
    sheet.lay_out()
    sheet.ax.apply_aspect()
    box = sheet.ax.get_window_extent()
    for axis, names, pixels in ((sheet.ax.yaxis, rows, box.height), (sheet.ax.xaxis, columns, box.width)):
        cell = 0.75 * 72 * pixels / sheet.figure.dpi / len(names)
        size = max(min(fontsize, cell), SMALLEST_TEXT)
        step = int(np.ceil(size / cell))
        axis.set_ticks(range(0, len(names), step), names[::step].astype(str))
        axis.set_tick_params(labelsize=size, length=0, pad=2)
    sheet.ax.tick_params(axis="x", labelrotation=90)
