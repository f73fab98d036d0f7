import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from mtopic._data.names import absent
from mtopic._data.slots import Data, takes_spatialdata

from ._figure import Limit, Save, colour_bar, colour_map, limits, page
from ._spots import Spots

LABEL = "mean Hellinger distance\nto neighbours"

SIZE = 1.75
"""Side of the panel, in units of one of several."""


@takes_spatialdata
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
        MuData or AnnData with the distances that :func:`mtopic.tl.borders` writes.
    x
        Key of the coordinates in ``obsm``, of the data or of its modalities; of three dimensions the first two are drawn.
    key
        Key of the distances in ``obs``.
    cmap
        Colour map; missing values, such as of observations without neighbours, are grey.
    vmin, vmax
        Limits of the colour scale: numbers, percentiles such as ``"p99"``, or None for the extremes.
    title
        Title of the panel.
    marker
        Matplotlib's marker.
    s
        Size of the markers in points²; None sizes them to the distance between neighbouring observations.
    fontsize
        Size of the text in points.
    figsize
        Width and height of the figure in inches; None follows from the shape of the tissue.
    transparent
        Save without background.
    save
        File to write, in the format of its suffix: 300 dpi, in vector formats with rasterised markers.
    ax
        Axes to draw on; None makes a figure.
    show
        Call pyplot's ``show``; None does so in interactive use unless the figure is saved, returned or the caller's.
    return_fig
        Return the figure in place of the axes.

    Returns
    -------
    The axes, or the figure.

    Raises
    ------
    KeyError
        If there are no such coordinates or distances.
    ValueError
        If a number or limit is out of range.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200)
    >>> mt.tl.topic_model(mdata, n_topics=5, spatial_key="spatial", verbose=False)
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
    return data.obs[key].to_numpy(dtype=np.float64)
