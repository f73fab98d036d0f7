from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETLEFT, CARETRIGHT, MarkerStyle

from mtopic._api import public
from mtopic._data import DataLike, record
from mtopic._palette import Palette, stored_or

from ._figure import Save, page

MADE_BY = "mtopic.tl.compare_topics"
OF = {
    "median": "share, relative to the median topic",
    "clr": "share over the topics' geometric mean",
    "log": "share",
}
WIDEST = 3.0
"""How far intervals are drawn, in terms of the largest difference: what is wider says that nothing is known."""


@public
def compare_topics(
    data: DataLike,
    *,
    prefix: str | None = None,
    max_q: float = 0.05,
    palette: Palette = None,
    fontsize: float = 9,
    figsize: tuple[float, float] | None = None,
    transparent: bool = False,
    save: Save = None,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw how the topics of two groups differ: a point for each topic, with the interval of the difference.

    The axis is the logarithm to base 2 of the fold change, so that +1 is twice as much; its label says of what, by the
    ``scale`` of the comparison. Points are filled where q is at most ``max_q``. Intervals of few samples can be far
    wider than any difference; what reaches beyond three times the largest difference, or beyond 3, ends in an arrow at
    the edge.

    Parameters
    ----------
    data
        MuData or AnnData with the results of `mtopic.tl.compare_topics`.
    {prefix}
    max_q
        Largest rate of false discoveries at which a point is filled.
    {palette fontsize figsize:names transparent save ax show:ax return_fig}

    {Returns:ax}

    {Raises ValueError:number}
    KeyError
        If there is no comparison of that prefix.

    {Examples:fit}
    >>> mdata.obs["donor"] = [f"donor_{d % 8}" for d in range(200)]
    >>> mdata.obs["state"] = ["ill" if d % 8 < 4 else "well" for d in range(200)]
    >>> mt.tl.compare_topics(mdata, "state", "ill", sample_key="donor", features={})
    >>> ax = mt.pl.compare_topics(mdata, show=False)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['topic_1', 'topic_2', 'topic_3']
    """
    if not 0 <= max_q <= 1:
        raise ValueError(f"max_q={max_q}: give a rate, 0 to 1")
    found = record.read_entry(data, record.head(prefix), "comparison", "comparison", MADE_BY)
    table, params = found["topics"], found["params"]
    names = [str(name) for name in table.index]
    colours = stored_or(data, names, palette)
    size = figsize or (0.6 * fontsize / 72 * max(map(len, names)) + 4, max(1.6 * fontsize / 72 * len(names) + 0.9, 2.0))
    with page(fontsize=fontsize, figsize=size, ax=ax) as sheet:
        _forest(sheet.ax, table, colours, max_q)
        sheet.ax.set_yticks(range(len(names)), names)
        sheet.ax.set(ylim=(len(names) - 0.5, -0.5), xlabel=_label(params))
        handles = [Line2D([], [], ls="", marker="o", color="black", mfc=fill) for fill in ("black", "white")]
        labels = [f"q ≤ {max_q:g}", f"q > {max_q:g}"]
        sheet.ax.legend(
            handles, labels, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0, handletextpad=0
        )
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _label(params: Mapping[str, Any]) -> str:
    pairs = f", within {params['n_pairs']} pairs by {params['paired_by']}" if "paired_by" in params else ""
    return f"log2 fold change of the {OF[params['scale']]},\n{params['group']} over {params['reference']}{pairs}"


def _forest(ax: Axes, table: pd.DataFrame, colours: np.ndarray, max_q: float) -> None:
    ax.axvline(0, color="grey", linewidth=0.6, linestyle="--", zorder=0)
    places = np.arange(len(table))
    widest = WIDEST * max(1.0, np.nanmax(np.abs(table["difference"]), initial=0.0))
    low, high = table["low"].to_numpy(), table["high"].to_numpy()
    ax.hlines(places, np.maximum(low, -widest), np.minimum(high, widest), colors=list(colours), linewidth=1.5)
    for beyond, edge, marker in ((low < -widest, -widest, CARETLEFT), (high > widest, widest, CARETRIGHT)):
        if beyond.any():
            ends = np.full(beyond.sum(), edge)
            ax.scatter(ends, places[beyond], s=30, c=list(np.array(list(colours))[beyond]), marker=MarkerStyle(marker))
    filled = (table["q"] <= max_q).to_numpy()
    faces = [colour if full else "white" for colour, full in zip(colours, filled, strict=True)]
    ax.scatter(table["difference"], places, s=25, c=faces, edgecolors=list(colours), linewidths=1.2, zorder=3)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
