"""A map of the observations for each column of a table, and in it a panel for each section."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ._figure import Save, colour_bar, colour_map, page
from ._sections import Section
from ._spots import panels_of

ROOM = (0.06, 0.03)
"""For a colour bar and a title, in inches for each point of the font size."""


def maps(
    sections: list[Section],
    values: pd.DataFrame,
    scale: Callable[[NDArray[np.float64]], tuple[float, float]],
    *,
    cmap: str | Colormap,
    marker: str,
    s: float | None,
    fontsize: float,
    figsize: tuple[float, float] | None,
    transparent: bool,
    save: Save,
    show: bool | None,
    return_fig: bool,
    ncols: int | None = None,
    ax: Axes | None = None,
    label: str | None = None,
    enlarged: float = 1,
) -> list[Axes] | Figure:
    """Draw each column, colours in the limits of ``scale``, the highest on top; panels go by column, then by section.

    A column has one scale and, at its last panel, one bar with a ``label``. Panels may be ``enlarged``.
    """
    spots, (width, height) = panels_of(sections, s, marker)
    shown = np.concatenate([section.rows for section in sections])
    wide = ROOM[0] * fontsize + (0 if label is None else 0.04 * fontsize)
    room = (enlarged * width + wide, enlarged * height + ROOM[1] * fontsize)
    n_panels = values.shape[1] * len(spots)
    with page(
        n_panels, group=len(spots), fontsize=fontsize, panel=room, figsize=figsize, ncols=ncols, ax=ax, compressed=True
    ) as sheet:
        axes = iter(sheet.axes)
        for name in values.columns:
            column = values[name].to_numpy(dtype=np.float64)
            order = np.argsort(np.where(np.isnan(column), -np.inf, column), kind="stable")
            low, high = scale(column[shown])
            for part, panel in zip(spots, axes, strict=False):
                drawn = part.draw(panel, column, order, cmap=colour_map(cmap), vmin=low, vmax=high)
                part.entitle(panel, str(name))
            colour_bar(panel, drawn, label)
        sheet.settle()
        for part in spots:
            part.fit_markers()
        return sheet.finish(sheet.axes, save=save, transparent=transparent, show=show, return_fig=return_fig)
