from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from mtopic._api import public
from mtopic._data import Data, DataLike, record
from mtopic._data.names import absent

from ._figure import Limit, Save, limits
from ._maps import maps
from ._sections import LibraryId, LibraryKey, Origin, Where, sections

LABEL = "mean Hellinger distance\nto neighbours"

SIZE = 1.75
"""Side of the panel, in units of one of several."""


@public
def borders(
    data: DataLike,
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
    library_key: LibraryKey = None,
    library_id: LibraryId = None,
    origin: Origin = None,
) -> Axes | list[Axes] | Figure:
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
    {vmin,vmax title marker s fontsize figsize:tissue transparent save:markers ax:section show:ax return_fig}
    {library_key:drawn library_id origin}

    {Returns:sections}

    {Raises ValueError:limit}
    KeyError
        If there are no such coordinates, distances or sections.

    {Examples:tissue}
    >>> mt.tl.borders(mdata)
    >>> ax = mt.pl.borders(mdata, x="spatial", show=False)
    >>> len(ax.collections[0].get_offsets())
    200
    """
    where: Where = {"library_key": library_key, "library_id": library_id, "origin": origin}
    panels = sections(data, x, record.head(None), where, ax)
    style: dict[str, Any] = {"cmap": cmap, "marker": marker, "s": s, "fontsize": fontsize, "figsize": figsize}
    end: dict[str, Any] = {"transparent": transparent, "save": save, "show": show, "return_fig": return_fig}
    drawn = maps(
        panels,
        pd.DataFrame({title or "": _distances(data, key)}),
        lambda values: limits(values, vmin, vmax),
        **style,
        **end,
        ax=ax,
        label=LABEL,
        enlarged=SIZE if len(panels) == 1 else 1,
    )
    return drawn[0] if isinstance(drawn, list) and len(drawn) == 1 else drawn


def _distances(data: Data, key: str) -> NDArray[np.float64]:
    known = [name for name in data.obs if is_numeric_dtype(data.obs[name])]
    if key not in known:
        raise KeyError(f"{absent(key, known, 'numbers', 'obs of the data')}; mtopic.tl.borders writes them")
    record.warn_outdated(data, f"obs:{key}")
    return data.obs[key].to_numpy(dtype=np.float64)
