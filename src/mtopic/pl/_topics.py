from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from mtopic._api import public
from mtopic._data import Data
from mtopic._data.slots import table

from ._figure import Limit, Save, limits
from ._maps import maps


@public
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
    """Draw where each topic is: a panel for each topic, observations coloured by its proportion, the highest on top.

    {Parameters mdata=data:topics x:drawn topics cmap marker s vmin,vmax:panels}
    {fontsize:titles figsize:maps transparent save:markers ncols show return_fig}

    {Returns:panels}

    {Raises ValueError:limit}
    KeyError
        If there are no such coordinates or proportions.

    {Examples:data}
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
