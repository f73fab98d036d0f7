import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from mtopic._api import public
from mtopic._data import Data, record
from mtopic._data.names import absent

from ._figure import Limit, Save, colour_bar, colour_map, limits, page
from ._spots import Spots

LABEL = "mean Hellinger distance\nto neighbours"

SIZE = 1.75
"""Side of the panel, in units of one of several."""


@public
def borders(
    data: Data,
    x: str = "coords",
    key: str = "topic_border",
    *,
    cmap: str | Colormap = "magma",
    vmin: Limit = 0,
    vmax: Limit = None,
    title: str | None = None,
    marker: str = ".",
    s: float | None = None,
    fontsize: float = 10,
    figsize: tuple[float, float] | None = None,
    transparent: bool = False,
    save: Save = None,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw how much the topics change around each observation, the highest on top.

    Parameters
    ----------
    data
        MuData or AnnData with the distances that `mtopic.tl.borders` writes.
    {x:drawn}
    key
        Key of the distances in ``obs``.
    cmap
        Colour map. Missing values, such as those of observations without neighbours, are grey.
    {vmin,vmax title marker s fontsize figsize:tissue transparent save:markers ax show:ax return_fig}

    {Returns:ax}

    {Raises ValueError:limit}
    KeyError
        If there are no such coordinates or distances.

    {Examples:tissue}
    >>> mt.tl.borders(mdata)
    >>> ax = mt.pl.borders(mdata, x="spatial", show=False)
    >>> len(ax.collections[0].get_offsets())
    200
    """
    values = _distances(data, key)
    spots = Spots(data, x, s, marker)
    low, high = limits(values, vmin, vmax)
    room = (SIZE * spots.panel[0] + 0.1 * fontsize, SIZE * spots.panel[1] + 0.03 * fontsize)
    order = np.argsort(values, kind="stable")
    with page(fontsize=fontsize, panel=room, figsize=figsize, ax=ax, compressed=True) as sheet:
        drawn = spots.draw(sheet.ax, values, order, cmap=colour_map(cmap), vmin=low, vmax=high)
        colour_bar(sheet.ax, drawn, LABEL)
        if title is not None:
            sheet.ax.set_title(title)
        sheet.settle()
        spots.fit_markers()
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _distances(data: Data, key: str) -> NDArray[np.float64]:
    known = [name for name in data.obs if is_numeric_dtype(data.obs[name])]
    if key not in known:
        raise KeyError(f"{absent(key, known, 'numbers', 'obs of the data')}; mtopic.tl.borders writes them")
    record.warn_outdated(data, f"obs:{key}")
    return data.obs[key].to_numpy(dtype=np.float64)
