from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage

from mtopic._api import public
from mtopic._data import DataLike
from mtopic._data.proportions import proportions
from mtopic._data.slots import categories
from mtopic._palette import Palette, stored_or
from mtopic._warn import warn

from ._figure import Limit, Page, Save, colour_bar, colour_map, limits, page
from ._figure import legend as draw_legend


@public
def composition(
    data: DataLike,
    groupby: str,
    topics: str = "topics",
    *,
    kind: Literal["heatmap", "bar"] = "heatmap",
    cluster: bool = False,
    cmap: str | Colormap = "viridis",
    palette: Palette = None,
    vmin: Limit = 0,
    vmax: Limit = None,
    fontsize: float = 9,
    figsize: tuple[float, float] | None = None,
    transparent: bool = False,
    save: Save = None,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw the mean topic proportions of each category of observations.

    {Parameters data:topics groupby}
        Observations without a category, without topics, or without counts in the fit are left out.
    {topics}
    kind
        ``"heatmap"``: categories × topics; ``"bar"``: a stacked bar for each category.
    cluster
        Order categories and topics by similarity (average linkage of correlations), not as they come.
    cmap
        Colour map of the heat map.
    {palette vmin,vmax fontsize figsize:names transparent save ax show:ax return_fig}

    {Returns:ax}

    Raises
    ------
    KeyError
        If there are no such proportions or there is no such column.
    ValueError
        If several modalities have the column, it holds no categories but numbers or names of single observations, no
        category has topics, or ``kind`` or a number is out of range.

    {Examples:data}
    >>> mt.tl.dominant_topics(mdata, "true_topics")
    >>> ax = mt.pl.composition(mdata, "topic", "true_topics", kind="bar", show=False)
    >>> len(ax.patches)
    9
    """
    if kind not in ("heatmap", "bar"):
        raise ValueError(f"kind={kind!r}: choose 'heatmap' or 'bar'")
    means = _means(proportions(data, topics), categories(data, groupby))
    if cluster:
        means = means.iloc[_order(means), _order(means.T)]
    names = [str(name) for name in means.columns]
    size = figsize or _size(means, kind, fontsize)
    with page(fontsize=fontsize, figsize=size, ax=ax) as sheet:
        if kind == "heatmap":
            low, high = limits(means.to_numpy(), vmin, vmax)
            drawn = sheet.ax.imshow(
                means, cmap=colour_map(cmap), vmin=low, vmax=high, aspect="auto", interpolation="nearest"
            )
            colour_bar(sheet.ax, drawn, "mean proportion")
            sheet.ax.set_xticks(range(len(names)), names, rotation=90)
            sheet.ax.set_yticks(range(len(means)), means.index)
        else:
            _bars(sheet, means, stored_or(data, names, palette), names)
        sheet.ax.set_ylabel(groupby)
        sheet.ax.tick_params(length=0, pad=2)
        sheet.ax.spines[:].set_visible(False)
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _bars(sheet: Page, means: pd.DataFrame, colour: np.ndarray, names: list[str]) -> None:
    shares = means.div(means.sum(axis=1), axis=0).to_numpy()
    starts = np.cumsum(shares, axis=1) - shares
    for k in range(len(names)):
        sheet.ax.barh(range(len(means)), shares[:, k], left=starts[:, k], height=0.8, color=colour[k], linewidth=0)
    sheet.ax.set(xlim=(0, 1), ylim=(len(means) - 0.5, -0.5), xlabel="mean proportion")
    sheet.ax.set_yticks(range(len(means)), means.index)
    draw_legend(sheet, names, colour, marker="s", markerscale=1, ncol=None)


def _size(means: pd.DataFrame, kind: str, fontsize: float) -> tuple[float, float]:
    line = 1.5 * fontsize / 72
    names = 0.6 * fontsize / 72
    left = names * means.index.astype(str).str.len().max()
    below = names * means.columns.astype(str).str.len().max()
    if kind == "bar":
        return left + 6.5, max(line * len(means) + 0.8, 2.5)
    return left + line * means.shape[1] + 1.2, max(line * len(means) + below + 0.4, 2.0)


def _means(proportions: pd.DataFrame, groups: pd.Categorical) -> pd.DataFrame:
    """Categories × topics; categories without topics are left out."""
    means = proportions.groupby(groups, observed=True).mean()
    lacking = means.index[means.isna().all(axis=1)]
    if len(lacking):
        warn(f"{', '.join(map(repr, lacking))} are left out: none of their observations has topics and counts")
    if len(lacking) == len(means):
        raise ValueError("no category has observations with topics: name another column, or table of proportions")
    return means.drop(index=lacking)


def _order(rows: pd.DataFrame) -> np.ndarray:
    if len(rows) < 3 or rows.shape[1] < 2:
        return np.arange(len(rows))
    values = rows.to_numpy() + 1e-12 * np.arange(rows.shape[1])  # a constant row has no correlation
    return np.asarray(leaves_list(linkage(values, "average", metric="correlation", optimal_ordering=True)))
