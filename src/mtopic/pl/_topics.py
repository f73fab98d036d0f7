import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from mtopic._slots import Data, table

from ._figure import Limit, Save, colour_bar, colour_map, limits, page
from ._spots import Spots


def topics(
    mdata: Data,
    x: str = "coords",
    topics: str = "topics",
    cmap: str | Colormap = "gnuplot",
    marker: str = ".",
    s: float | None = None,
    vmax: Limit = None,
    fontsize: float = 10,
    figsize: tuple[float, float] | None = None,
    transparent: bool = False,
    save: Save = None,
    *,
    vmin: Limit = None,
    ncols: int | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> list[Axes] | Figure:
    """Draw where each topic is: a panel a topic, observations coloured by its proportion, the highest on top.

    Parameters
    ----------
    mdata
        MuData or AnnData with topic proportions.
    x
        Key of the coordinates in ``obsm``, of the data or of its modalities; of three dimensions the first two are drawn.
    topics
        Key of the proportions in ``obsm`` (n_obs × topics).
    cmap
        Colour map; missing values are grey.
    marker
        Matplotlib's marker.
    s
        Size of the markers in points²; None sizes them to the distance between neighbouring observations.
    vmax, vmin
        Limits of the colour scales: a number for all, a percentile of each topic such as ``"p99"``, or None for each
        topic's extremes.
    fontsize
        Size of the titles in points.
    figsize
        Width and height of the figure in inches; None follows from the number of panels and the shape of the tissue.
    transparent
        Save without background.
    save
        File to write, in the format of its suffix: 300 dpi, in vector formats with rasterised markers.
    ncols
        Number of columns of the grid.
    show
        Call pyplot's ``show``; None does so in interactive use unless the figure is saved or returned.
    return_fig
        Return the figure in place of the axes.

    Returns
    -------
    The panels' axes, in the order of the topics, or the figure.

    Raises
    ------
    KeyError
        If there are no such coordinates or proportions.
    ValueError
        If a number or limit is out of range.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=5)
    >>> axes = mt.pl.topics(mdata, x="spatial", topics="true_topics", vmax="p99", show=False)
    >>> [ax.get_title() for ax in axes[:2]]
    ['topic_1', 'topic_2']
    """
    spots = Spots(mdata, x, s, marker)
    proportions = table(mdata, topics)
    room = (spots.panel[0] + 0.06 * fontsize, spots.panel[1] + 0.03 * fontsize)
    with page(
        proportions.shape[1], fontsize=fontsize, panel=room, figsize=figsize, ncols=ncols, compressed=True
    ) as sheet:
        for ax, topic in zip(sheet.axes, proportions.columns, strict=True):
            values = proportions[topic].to_numpy(dtype=np.float64)
            low, high = limits(values, vmin, vmax)
            order = np.argsort(values, kind="stable")
            drawn = spots.draw(ax, values, order, cmap=colour_map(cmap), vmin=low, vmax=high)
            ax.set_title(str(topic), y=1)
            colour_bar(ax, drawn)
        sheet.settle()
        spots.fit_markers()
        return sheet.finish(sheet.axes, save=save, transparent=transparent, show=show, return_fig=return_fig)
