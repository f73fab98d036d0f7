from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from mtopic._api import public
from mtopic._data import Data, DataLike
from mtopic._data.names import look_up
from mtopic._data.ranking import By, exclusivity, first_features, shares
from mtopic._data.slots import find_signatures, modalities

from ._figure import Limit, Page, Save, colour_bar, colour_map, limits, page

LEGEND_SIZES = (0.25, 0.5, 1.0)


@public
def dotplot(
    data: DataLike,
    mod: str | Sequence[str] | None = None,
    *,
    signatures: str = "signatures",
    n_top: int = 3,
    by: By = "FREX",
    topics: str | Sequence[str] | None = None,
    cmap: str | Colormap = "Reds",
    vmin: Limit = 0,
    vmax: Limit = None,
    fontsize: float = 8,
    figsize: tuple[float, float] | None = None,
    transparent: bool = False,
    save: Save = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> list[Axes] | Figure:
    """Draw signatures as a dot plot over modalities: topics in rows, the top features of each in columns.

    The size of a dot shows the feature's probability in the topic, in units of the column's largest. Its colour shows
    the feature's exclusivity: the topic's share of the feature's probability over all topics.

    {Parameters data:signatures}
    mod
        Modalities, one for each panel; all that have signatures if None.
    {signatures}
    n_top
        Number of features for each topic and modality. A feature that is a top feature of several topics is drawn once.
    {by:features topics:chosen}
    cmap
        Colour map of exclusivity.
    {vmin,vmax}
    fontsize
        Size of the names in points.
    {figsize:names transparent save show return_fig}

    Returns
    -------
    The panels' axes, one for each modality, or the figure.

    {Raises KeyError:topic}
    ValueError
        If ``by``, ``n_top`` or another number is out of range.

    {Examples:data}
    >>> axes = mt.pl.dotplot(mdata, signatures="true_signatures", show=False)
    >>> [ax.get_title("left") for ax in axes]
    ['rna', 'atac']
    """
    mods = _modalities(data, mod, signatures)
    chosen = [_chosen(data, name, signatures, by, n_top, topics) for name in mods]
    shares = np.concatenate([shares.to_numpy().ravel() for _, shares in chosen])
    low, high = limits(shares, vmin, vmax)
    cell = 1.45 * fontsize / 72
    letters = max(len(str(name)) for probability, _ in chosen for name in probability.columns)
    heights = [cell * len(chosen[0][0]) + 0.62 * fontsize * letters / 72 + 3 * cell for _ in mods]
    width = max(cell * probability.shape[1] for probability, _ in chosen) + (2.2 if len(mods) > 1 else 3.2)
    size = figsize or (max(width, 4.0), sum(heights))
    with page(len(mods), fontsize=fontsize, figsize=size, ncols=1) as sheet:
        for ax, name, (probability, share) in zip(sheet.axes, mods, chosen, strict=True):
            drawn = _dots(ax, probability, share, fontsize, cmap=colour_map(cmap), vmin=low, vmax=high)
            if len(mods) > 1:
                ax.set_title(name, loc="left")
        colour_bar(sheet.axes[0], drawn, "exclusivity")
        _size_legend(sheet, fontsize)
        return sheet.finish(sheet.axes, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _modalities(data: Data, mod: str | Sequence[str] | None, key: str) -> list[str]:
    parts = modalities(data)
    if mod is None:
        return [name for name, adata in parts.items() if key in adata.varm] or list(parts)[:1]
    mods = [mod] if isinstance(mod, str) else list(mod)
    for name in mods:
        look_up(parts, name, "modality", "the data")
    return mods


def _chosen(
    data: Data, mod: str, key: str, by: By, n_top: int, topics: str | Sequence[str] | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Probabilities and exclusivities, topics × top features in the order of the topics."""
    top = first_features(data, mod, key, by, n_top, topics)
    table = find_signatures(data, mod, key)[2]
    probability = shares(table, f"varm[{key!r}] of modality {mod!r}")
    features, rows = pd.unique(top["feature"]), pd.unique(top["topic"].astype(str))
    both = (pd.DataFrame(x, table.index, table.columns) for x in (probability, exclusivity(probability)))
    return tuple(x.loc[features, rows].T for x in both)


def _dots(ax: Axes, probability: pd.DataFrame, share: pd.DataFrame, fontsize: float, **scale: Any) -> PathCollection:
    """One collection of dots on a grid."""
    relative = (probability / probability.max(axis=0)).to_numpy()
    rows, columns = np.indices(relative.shape)
    sizes = _largest(fontsize) * relative.ravel()
    colours = share.to_numpy().ravel()
    drawn = ax.scatter(columns.ravel(), rows.ravel(), s=sizes, c=colours, linewidths=0.2, edgecolors="0.4", **scale)
    ax.set(xlim=(-0.7, relative.shape[1] - 0.3), ylim=(relative.shape[0] - 0.3, -0.7))
    ax.set_xticks(range(relative.shape[1]), probability.columns.astype(str), rotation=90, fontsize=0.9 * fontsize)
    ax.set_yticks(range(relative.shape[0]), probability.index.astype(str), fontsize=fontsize)
    ax.tick_params(length=0, pad=2)
    ax.spines[:].set_visible(False)
    return drawn


def _largest(fontsize: float) -> float:
    """Size of the largest dot in points²: as wide as a line of text."""
    return (1.25 * fontsize) ** 2


def _size_legend(sheet: Page, fontsize: float) -> None:
    """At the right of the last panel, or of the only one's colour bar."""
    ax = sheet.axes[-1]
    away = (1 if len(sheet.axes) > 1 else 8) * fontsize / 72
    place = ax.transAxes + ScaledTranslation(away, 0, ax.figure.dpi_scale_trans)
    handles = [
        Line2D([], [], ls="", marker="o", color="0.5", ms=np.sqrt(size * _largest(fontsize)), label=f"{size:g}")
        for size in LEGEND_SIZES
    ]
    ax.legend(
        handles=handles, title="probability,\nshare of the\ncolumn's largest", loc="upper left", bbox_to_anchor=(1, 1),
        bbox_transform=place, title_fontsize=mpl.rcParams["legend.fontsize"], alignment="left", borderaxespad=0,
    )  # fmt: skip
