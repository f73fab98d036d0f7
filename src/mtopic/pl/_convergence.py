from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mudata import MuData
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import DataLike, record

from ._figure import Save, page

if TYPE_CHECKING:
    from mtopic.model.model import Model

MARKED = 100
"""Iterations up to which each has a marker of its own."""


@public
def convergence(
    model_or_data: "Model | DataLike",
    *,
    key: str = "mtopic",
    fontsize: float = 10,
    figsize: tuple[float, float] = (4, 3),
    transparent: bool = False,
    save: Save = None,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw how the evidence lower bound (ELBO) of a fit has risen: a point after each iteration.

    Parameters
    ----------
    model_or_data
        A fitted model, or data with the trace of a fit. The bound is drawn in nats per count where the total is known.
    key
        Key of the fit in ``uns`` of the data.
    {fontsize figsize transparent save ax show:ax return_fig}

    {Returns:ax}

    Raises
    ------
    KeyError
        If the data hold no such fit, or no trace of it.
    ValueError
        If the model is not fitted or the trace is empty.
    TypeError
        If neither a model nor data is given.

    {Examples:fit}
    >>> ax = mt.pl.convergence(mdata, show=False)
    >>> ax.get_xlabel()
    'iteration'
    """
    elbo, per_count = _trace(model_or_data, key)
    with page(fontsize=fontsize, figsize=figsize, ax=ax) as sheet:
        iteration = np.arange(1, len(elbo) + 1)
        sheet.ax.plot(iteration, elbo, linewidth=1, marker="." if len(elbo) <= MARKED else None, markersize=4)
        sheet.ax.set(xlabel="iteration", ylabel=f"ELBO ({'nats a count' if per_count else 'nats'})")
        sheet.ax.set_xlim(0.5, len(elbo) + 0.5)
        sheet.ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        sheet.ax.ticklabel_format(axis="y", useOffset=False, useMathText=True)
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _trace(source: Any, key: str) -> tuple[NDArray[np.float64], bool]:
    """The bound after each iteration, and whether it is that of a single count."""
    n_counts = None
    if isinstance(source, AnnData | MuData):
        elbo, n_counts = record.trace(source, key)
        way_out = "export a fitted model"
    elif hasattr(source, "elbo"):
        elbo, n_counts, way_out = source.elbo, getattr(source, "n_counts", None), "call model.VI() first"
    else:
        raise TypeError(f"expected a fitted model, an AnnData or a MuData, got {type(source).__name__}")
    trace = np.asarray(elbo, dtype=np.float64)
    if not trace.size:
        raise ValueError(f"the trace of the fit is empty: {way_out}")
    return (trace / n_counts, True) if n_counts else (trace, False)
