from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtopic._api import public
from mtopic._cross_validation import by_fold, saturating, verdict
from mtopic._data import DataLike
from mtopic._data.names import look_up

from ._figure import Save, page


@public
def select_n_topics(
    mdata: DataLike,
    *,
    plateau_threshold: float = 0.05,
    figsize: tuple[float, float] = (6, 4),
    fontsize: float = 10,
    transparent: bool = False,
    save: Save = None,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw held-out scores over the number of topics: means with standard errors, their curve, the numbers chosen.

    Folds differ from each other more than numbers of topics do. So a fold's points (grey) are shifted to the mean of
    all folds, and the error bars are standard errors of the difference to the best number. The curve is left out where
    it misses the means.

    Parameters
    ----------
    mdata
        MuData or AnnData with the results of `mtopic.tl.select_n_topics`.
    {plateau_threshold figsize fontsize transparent save ax show:ax return_fig}

    {Returns:ax}

    Raises
    ------
    KeyError
        If the data hold no results.
    ValueError
        If ``plateau_threshold`` is no share, or no fold is finished.

    {Examples:data}
    >>> mt.tl.select_n_topics(mdata, Ks=(2, 4, 6), n_folds=2, verbose=False)
    >>> ax = mt.pl.select_n_topics(mdata, show=False)
    >>> ax.get_xlabel()
    'number of topics'
    """
    if not 0 < plateau_threshold < 1:
        raise ValueError(f"plateau_threshold={plateau_threshold}: it is a share, between 0 and 1")
    results = look_up(mdata.uns, "CV_results", "results of mtopic.tl.select_n_topics", "uns of the data")
    finished = _finished(results)
    found = verdict(finished, {}, plateau_threshold)
    scores = found["scores"]
    with page(fontsize=fontsize, figsize=figsize, ax=ax) as sheet:
        _points(sheet.ax, finished, scores)
        top, rise, scale, first = found["params"]
        if np.isfinite(top):
            K = np.linspace(scores.index.min(), scores.index.max(), 200)
            sheet.ax.plot(K, saturating(K, top, rise, scale, first), color="C0", linewidth=1, label="saturating curve")
        for what, colour, line in (("recommended", "C3", "-"), ("plateau", "0.4", "--")):
            number = found[what]
            sheet.ax.axvline(number, color=colour, linewidth=1, linestyle=line, zorder=0, label=f"{what}: {number}")
        sheet.ax.set_xticks(scores.index)
        sheet.ax.set(xlabel="number of topics", ylabel="held-out log-likelihood\n(nats a count)")
        sheet.ax.ticklabel_format(axis="y", useOffset=False)
        sheet.legend_beside()
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _finished(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of those K whose folds are all there."""
    folds = results[results["CV"] != "total"]
    complete = folds.groupby("K")["CV"].transform("size") == folds["CV"].nunique()
    if not complete.any():
        raise ValueError("uns['CV_results'] holds no finished fold: call mtopic.tl.select_n_topics")
    return folds[complete]


def _points(ax: Axes, results: pd.DataFrame, scores: pd.DataFrame) -> None:
    folds = by_fold(results)
    shifted = folds - folds.mean(axis=0) + folds.to_numpy().mean()
    for fold in shifted:
        ax.plot(shifted.index, shifted[fold], ".", color="0.75", markersize=4, zorder=1)
    style: dict[str, Any] = {"fmt": "o", "color": "C0", "markersize": 4, "capsize": 2, "linewidth": 1, "zorder": 3}
    ax.errorbar(scores.index, scores["mean"], yerr=scores["difference_se"].fillna(0), **style)
