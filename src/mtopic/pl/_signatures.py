from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtopic._api import public
from mtopic._data import DataLike
from mtopic._data.ranking import By, first_features

from ._figure import SMALL, Save, colour_map, page

BAR_LENGTH = 1.3
"""Length of the longest bar in inches, if the figure's size is not given."""

LETTER_WIDTH = 0.62
"""Width of a letter in units of the font size."""


@public
def signatures(
    mdata: DataLike,
    mod: str | None = None,
    signatures: str = "signatures",
    n_top: int = 30,
    cmap: str | Colormap = "viridis",
    figsize: tuple[float, float] | None = None,
    fontsize: float = 8,
    transparent: bool = False,
    save: Save = None,
    *,
    by: By = "FREX",
    ncols: int | None = None,
    topics: str | Sequence[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> list[Axes] | Figure:
    """Draw what each topic is made of: a panel for each topic, with bars for its first features.

    The length of a bar is the probability of the feature in the topic: its weight as a share of the topic's total over
    all features of the modality. The most probable features (``by="probability"``) are often those that are frequent
    in all topics; the default ranks by what tells the topic from the others.

    {Parameters mdata=data:signatures mod signatures n_top}
    cmap
        Colour map of the bars, from 0 to the largest probability in the panel.
    figsize
        Width and height of the figure in inches; None follows from the number of panels, features and the length of
        names.
    fontsize
        Size of the titles and names in points.
    {transparent save by:features ncols topics:chosen show return_fig}

    {Returns:panels}

    {Raises KeyError:topic}
    ValueError
        If the modality is not named where there are several, or ``by``, ``n_top`` or another number is out of range.

    {Examples:data}
    >>> axes = mt.pl.signatures(mdata, "rna", signatures="true_signatures", n_top=10, show=False)
    >>> [len(ax.patches) for ax in axes]
    [10, 10, 10]
    """
    top = first_features(mdata, mod, signatures, by, n_top, topics)
    panels = [(str(name), rows) for name, rows in top.groupby("topic", sort=False)]
    size = _panel(top, fontsize)
    with page(len(panels), fontsize=fontsize, panel=size, figsize=figsize, ncols=ncols) as sheet:
        for ax, (name, rows) in zip(sheet.axes, panels, strict=True):
            _bars(ax, rows, colour_map(cmap), fontsize)
            ax.set_title(name, y=1)
        sheet.figure.supxlabel("probability in the topic")
        return sheet.finish(sheet.axes, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _panel(top: pd.DataFrame, fontsize: float) -> tuple[float, float]:
    letters = top["feature"].astype(str).str.len().max()
    names = LETTER_WIDTH * letters * fontsize / 72
    return names + BAR_LENGTH, (1.3 * top["rank"].max() + 4) * fontsize / 72


def _bars(ax: Axes, rows: pd.DataFrame, cmap: Colormap, fontsize: float) -> None:
    weights = rows["share"].to_numpy()
    places = range(len(rows))
    ax.barh(places, weights, height=0.8, color=cmap(weights / weights.max()))
    ax.set_yticks(places, rows["feature"].astype(str), fontsize=fontsize)
    ax.set(xlim=(0, 1.05 * weights.max()), ylim=(len(rows) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0, pad=2)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.ticklabel_format(axis="x", style="sci", scilimits=(-3, 3), useMathText=True)
    ax.xaxis.get_offset_text().set_fontsize(SMALL * fontsize)
