from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtopic._api import public
from mtopic._knee import importance, knee

from ._figure import Save, page

if TYPE_CHECKING:
    from mtopic.model.model import Model


@public
def filter_var_knee(
    model: "Model",
    mod: str,
    knee_sensitivities: Sequence[float] = (1, 2, 5, 10),
    s: float = 20,
    figsize: tuple[float, float] = (8, 6),
    fontsize: float = 10,
    annotate_features: bool = False,
    show_frac: float = 1,
    log_scale: bool = True,
    transparent: bool = False,
    save: Save = None,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw the importance of features and its knees: how many features `mtopic.pp.filter_var_knee` drops.

    {Parameters model}
    mod
        The modality.
    knee_sensitivities
        Values of Kneedle's S, with a vertical line for each.
    {s:points figsize fontsize}
    annotate_features
        Name the features before the last knee, as far as there is room.
    show_frac
        Share of the features, from the most important, that is drawn.
    log_scale
        Draw ranks on a logarithmic axis.
    {transparent save ax show:ax return_fig}

    {Returns:ax}

    {Raises ValueError:unfitted}
    KeyError
        If the model has no such modality.

    {Examples:data}
    >>> model = mt.tl.MTM(mdata, n_topics=3, verbose=False)
    >>> model.VI(n_iter=20)
    >>> ax = mt.pl.filter_var_knee(model, "rna", show=False)
    >>> ax.get_xlabel()
    'features of rna, by importance'
    """
    if not 0 < show_frac <= 1:
        raise ValueError(f"show_frac={show_frac}: it is a share, above 0 and at most 1")
    if not s > 0:
        raise ValueError(f"s={s}: the size of markers must be positive")
    curve = importance(model, mod)
    knees = {sensitivity: knee(curve, sensitivity) for sensitivity in knee_sensitivities}
    drawn = curve.iloc[: max(2, int(np.ceil(show_frac * len(curve))))]
    with page(fontsize=fontsize, figsize=figsize, ax=ax) as sheet:
        rank = np.arange(1, len(drawn) + 1)
        sheet.ax.scatter(rank, drawn, s=s, color="C0", linewidths=0, rasterized=True, zorder=2)
        for i, (sensitivity, before) in enumerate(knees.items()):
            said = f"S = {sensitivity:g}: " + ("no knee" if before is None else f"{before:,} features go")
            place = np.nan if before is None or before >= len(drawn) else before + 1
            sheet.ax.axvline(place, color=f"C{i + 1}", linewidth=1, linestyle="--", label=said)
        sheet.ax.set(
            xlabel=f"features of {mod}, by importance", ylabel="importance\n(summed probability, share of the largest)"
        )
        if log_scale:
            sheet.ax.set_xscale("log")
        if knees:
            sheet.legend_beside()
        if annotate_features:
            last = max((before for before in knees.values() if before is not None), default=0)
            sheet.lay_out()
            _name(sheet.ax, drawn.iloc[:last], 0.7 * fontsize)
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _name(ax: Axes, features: pd.Series, fontsize: float) -> None:
    """Names above the points, left out where they would touch the one before."""
    places = ax.transData.transform(np.column_stack([np.arange(1, len(features) + 1), features]))[:, 0]
    room, taken = 1.6 * fontsize * ax.figure.dpi / 72, -np.inf
    for rank, (name, place) in enumerate(zip(features.index, places, strict=True), start=1):
        if place - taken >= room:
            offset: dict[str, Any] = {
                "xytext": (0, 4),
                "textcoords": "offset points",
                "rotation": 60,
                "rotation_mode": "anchor",
            }
            ax.annotate(str(name), (rank, features.iloc[rank - 1]), fontsize=fontsize, **offset)
            taken = place
