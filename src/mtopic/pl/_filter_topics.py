from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtopic._api import public
from mtopic._data.modality_shares import without_evidence
from mtopic._data.names import topic_name

from ._figure import Save, page

if TYPE_CHECKING:
    from mtopic.model.model import Model

THRESHOLD = 0.01


@public
def filter_topics(
    model: "Model",
    s: float = 50,
    figsize: tuple[float, float] = (8, 6),
    fontsize: float = 10,
    transparent: bool = False,
    save: Save = None,
    *,
    filter_threshold: float = THRESHOLD,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw each topic's largest proportion over observations with counts: which `mtopic.tl.export_params` drops.

    {Parameters model s:points figsize fontsize transparent save}
    filter_threshold
        The threshold of the export. Topics that are at most as large are grey.
    {ax show:ax return_fig}

    {Returns:ax}

    {Raises ValueError:unfitted}

    {Examples:data}
    >>> model = mt.tl.MTM(mdata, n_topics=3, verbose=False)
    >>> model.VI(n_iter=20)
    >>> ax = mt.pl.filter_topics(model, show=False)
    >>> ax.get_ylabel()
    'largest proportion in an observation'
    """
    if not model.fitted:
        raise ValueError("the model is not fitted: call model.VI() first")
    if not s > 0:
        raise ValueError(f"s={s}: the size of markers must be positive")
    if not 0 < filter_threshold < 1:
        raise ValueError(f"filter_threshold={filter_threshold}: it is a share, between 0 and 1")
    gamma = np.asarray(model.gamma, dtype=np.float64)
    largest = (gamma / gamma.sum(axis=1, keepdims=True))[~without_evidence(model.modality_shares())].max(axis=0)
    order = np.argsort(-largest, kind="stable")
    kept = largest[order] > filter_threshold
    with page(fontsize=fontsize, figsize=figsize, ax=ax) as sheet:
        rank = np.arange(1, order.size + 1)
        sheet.ax.scatter(rank, largest[order], s=s, c=np.where(kept, "C0", "0.7"), linewidths=0, zorder=2)
        line = f"threshold {filter_threshold:g}: {kept.sum()} of {kept.size} topics kept"
        sheet.ax.axhline(filter_threshold, color="C3", linewidth=1, linestyle="--", label=line)
        sheet.ax.set(ylabel="largest proportion in an observation", ylim=(-0.02, 1.04), xlim=(0.2, order.size + 0.8))
        size = min(fontsize, 0.6 * 72 * figsize[0] / order.size)
        names = [topic_name(int(k)) for k in order]
        sheet.ax.set_xticks(rank, names, rotation=90, fontsize=max(size, 4))
        sheet.legend_beside()
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)
