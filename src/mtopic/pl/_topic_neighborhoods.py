from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from mtopic._api import public
from mtopic._data import Data, DataLike, record
from mtopic._data.names import absent

from ._figure import Limit, Save, page
from ._heatmap import draw, mirrored, name_cells

LABEL = "neighbourhood enrichment (z-score)"


@public
def topic_neighborhoods(
    data: DataLike,
    key: str = "topic_neighborhoods",
    *,
    cmap: str | Colormap = "RdBu_r",
    vmin: Limit = None,
    vmax: Limit = None,
    fontsize: float = 8,
    figsize: tuple[float, float] = (5.5, 4.5),
    transparent: bool = False,
    save: Save = None,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw which dominant topics are neighbours more often, and which less often, than by chance.

    Topics that are nowhere dominant have no score and are left out.

    Parameters
    ----------
    data
        MuData or AnnData with the enrichment that `mtopic.tl.topic_neighborhoods` writes.
    key
        Key of the enrichment in ``uns``.
    cmap
        Diverging colour map, white or neutral in the middle. Scores that do not exist are grey.
    {vmin,vmax:mirrored}
        If neither is given, both are the largest absolute score of two different topics: a topic beside itself exceeds
        all others.
    {fontsize:cells figsize transparent save ax show:ax return_fig}

    Returns
    -------
    The axes, or the figure. Row: the topic of an observation; column: that of its neighbours.

    Raises
    ------
    KeyError
        If there is no such enrichment.
    ValueError
        If no topic has a score, or a number or limit is out of range.

    {Examples:tissue}
    >>> mt.tl.topic_neighborhoods(mdata, n_perms=100)
    >>> ax = mt.pl.topic_neighborhoods(mdata, show=False)
    >>> ax.images[0].get_array().shape
    (3, 3)
    """
    scores = _scores(data, key)
    low, high = mirrored(scores.to_numpy(), vmin, vmax, default=_largest_of_two(scores))
    with page(fontsize=fontsize, figsize=figsize, ax=ax) as sheet:
        draw(sheet, scores, LABEL, cmap=cmap, vmin=low, vmax=high)
        sheet.ax.set(xlabel="neighbours", ylabel="observations")
        name_cells(sheet, scores.index, scores.columns, fontsize)
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _scores(data: Data, key: str) -> pd.DataFrame:
    known = [name for name, value in data.uns.items() if isinstance(value, Mapping) and "zscore" in value]
    if key not in known:
        raise KeyError(f"{absent(key, known, 'enrichment', 'uns')}; mtopic.tl.topic_neighborhoods writes it")
    record.warn_outdated(data, f"uns:{key}")
    scores: pd.DataFrame = data.uns[key]["zscore"]
    scored = scores.notna().any(axis=1)
    if not scored.any():
        raise ValueError(f"uns[{key!r}]['zscore'] holds no score: one topic is dominant everywhere")
    return scores.loc[scored, scored.to_numpy()]


def _largest_of_two(scores: pd.DataFrame) -> float:
    different = np.abs(scores.to_numpy()[~np.eye(len(scores), dtype=bool)])
    return float(np.nanmax(different, initial=0)) or 1.0
