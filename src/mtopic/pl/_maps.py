"""A map of the observations for each column of a table."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtopic._data import Data

from ._figure import Save, colour_bar, colour_map, page
from ._spots import Spots


def maps(
    data: Data,
    x: str,
    values: pd.DataFrame,
    scale: Callable[[NDArray[np.float64]], tuple[float, float]],
    *,
    cmap: str | Colormap,
    marker: str,
    s: float | None,
    fontsize: float,
    figsize: tuple[float, float] | None,
    ncols: int | None,
    transparent: bool,
    save: Save,
    show: bool | None,
    return_fig: bool,
) -> list[Axes] | Figure:
    """Draw a panel for each column at the coordinates ``x``, colours in the limits of ``scale``, the highest on top."""
    spots = Spots(data, x, s, marker)
    room = (spots.panel[0] + 0.06 * fontsize, spots.panel[1] + 0.03 * fontsize)
    with page(values.shape[1], fontsize=fontsize, panel=room, figsize=figsize, ncols=ncols, compressed=True) as sheet:
        for ax, name in zip(sheet.axes, values.columns, strict=True):
            column = values[name].to_numpy(dtype=np.float64)
            low, high = scale(column)
            drawn = spots.draw(
                ax, column, np.argsort(column, kind="stable"), cmap=colour_map(cmap), vmin=low, vmax=high
            )
            ax.set_title(str(name), y=1)
            colour_bar(ax, drawn)
        sheet.settle()
        spots.fit_markers()
        return sheet.finish(sheet.axes, save=save, transparent=transparent, show=show, return_fig=return_fig)
