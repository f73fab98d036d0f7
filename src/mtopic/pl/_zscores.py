from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from mtopic._api import public
from mtopic._data import DataLike, record
from mtopic._data.empty import is_empty
from mtopic._data.slots import choose, modality, table

from ._figure import Limit, Save, limits
from ._maps import maps
from ._sections import LibraryId, LibraryKey, Origin, Where, sections


@public
def zscores(
    mdata: DataLike,
    mod: str | None = None,
    x: str = "coords",
    zscores: str = "zscores",
    cmap: str | Colormap | None = None,
    marker: str = ".",
    s: float | None = None,
    fontsize: float = 10,
    figsize: tuple[float, float] | None = None,
    transparent: bool = False,
    save: Save = None,
    *,
    vmin: Limit = None,
    vmax: Limit = None,
    ncols: int | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    topics: str | Sequence[str] | None = None,
    library_key: LibraryKey = None,
    library_id: LibraryId = None,
    origin: Origin = None,
) -> list[Axes] | Figure:
    """Draw where the top features of each topic are expressed: a panel for each topic, the highest scores on top.

    A score compares features within an observation. Top features are above its average nearly everywhere, so each panel
    has the scale of its own scores.

    Parameters
    ----------
    mdata
        MuData or AnnData with the scores that `mtopic.tl.zscores` writes.
    {mod x:drawn}
    zscores
        Key of the scores in ``obsm`` of the modality.
    cmap
        Colour map; None is ``"viridis"``. With a diverging one, give limits such as ``vmin=-3, vmax=3``.
    {marker s fontsize:titles figsize:maps transparent save:markers vmin,vmax:panels ncols show return_fig}
    {topics:chosen library_key:drawn library_id origin}

    {Returns:maps}

    {Raises ValueError:limit}
    KeyError
        If there is no such modality, or there are no such coordinates, scores, topics or sections.

    {Examples:data}
    >>> mt.tl.zscores(mdata, signatures="true_signatures", mod="rna")
    >>> axes = mt.pl.zscores(mdata, "rna", "spatial", show=False)
    >>> [ax.get_title() for ax in axes]
    ['topic_1', 'topic_2', 'topic_3']
    """
    name, adata = modality(mdata, mod)
    found = table(adata, zscores, made_by="mtopic.tl.zscores")
    scores = choose(found, topics, f"obsm[{zscores!r}] of modality {name!r}").reindex(mdata.obs_names)
    scores[is_empty(mdata, f"{record.head_of(zscores, 'zscores')}topics")] = np.nan
    record.warn_outdated(mdata, f"{name}:obsm:{zscores}")
    style: dict[str, Any] = {"marker": marker, "s": s, "fontsize": fontsize, "figsize": figsize, "ncols": ncols}
    end: dict[str, Any] = {"transparent": transparent, "save": save, "show": show, "return_fig": return_fig}
    colours = "viridis" if cmap is None else cmap
    where: Where = {"library_key": library_key, "library_id": library_id, "origin": origin}
    panels = sections(mdata, x, record.head_of(zscores, "zscores"), where)
    return maps(panels, scores, lambda values: limits(values, vmin, vmax), cmap=colours, **style, **end)
