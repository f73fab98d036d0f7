from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from mtopic._data.slots import Data, table, takes_spatialdata

from ._figure import Limit, Save, limits
from ._maps import maps


@takes_spatialdata
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
    style: dict[str, Any] = {
        "cmap": cmap,
        "marker": marker,
        "s": s,
        "fontsize": fontsize,
        "figsize": figsize,
        "ncols": ncols,
    }
    end: dict[str, Any] = {"transparent": transparent, "save": save, "show": show, "return_fig": return_fig}
    return maps(mdata, x, table(mdata, topics), lambda values: limits(values, vmin, vmax), **style, **end)
