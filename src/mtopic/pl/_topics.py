from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import DataLike, record
from mtopic._data.empty import is_empty
from mtopic._data.slots import choose, table

from ._figure import Limit, Save, limits
from ._maps import maps
from ._sections import LibraryId, LibraryKey, Origin, Where, sections


@public
def topics(
    mdata: DataLike,
    x: str = "coords",
    topics: str = "topics",
    cmap: str | Colormap = "magma_r",
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
    chosen: str | Sequence[str] | None = None,
    library_key: LibraryKey = None,
    library_id: LibraryId = None,
    origin: Origin = None,
    img: bool = False,
    scale_bar: bool = False,
    shared: bool = False,
) -> list[Axes] | Figure:
    """Draw where each topic is: a panel for each topic, observations coloured by its proportion, the highest on top.

    {Parameters mdata=data:topics x:drawn topics cmap marker s vmin,vmax:panels}
    {fontsize:titles figsize:maps transparent save:markers ncols show return_fig}
    {chosen=topics:chosen library_key:drawn library_id origin img scale_bar}
    shared
        Draw all panels by one scale, so that topics compare; each has its own otherwise.

    {Returns:maps}

    {Raises ValueError:limit}
    KeyError
        If there are no such coordinates, proportions, topics or sections.

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
    where: Where = {"library_key": library_key, "library_id": library_id, "origin": origin}
    where |= {"img": img, "scale_bar": scale_bar}
    values = choose(table(mdata, topics), chosen, f"obsm[{topics!r}]").astype(np.float64)
    values[is_empty(mdata, topics)] = np.nan
    panels = sections(mdata, x, record.head_of(topics), where)
    shown = np.concatenate([part.rows for part in panels])
    of_all = values.to_numpy()[shown].ravel()

    def scale(column: NDArray[np.float64]) -> tuple[float, float]:
        return limits(of_all if shared else column, vmin, vmax)

    return maps(panels, values, scale, label="proportion", **style, **end)
