import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from mtopic._api import public
from mtopic._check import at_least
from mtopic._data import DataLike
from mtopic._data.names import look_up
from mtopic._data.slots import modality

from ._figure import Limit, Save, page
from ._heatmap import draw, mirrored, name_cells, room


@public
def batch_effects(
    data: DataLike,
    mod: str | None = None,
    *,
    key: str = "batch_effects",
    n_top: int = 30,
    cmap: str | Colormap = "RdBu_r",
    vmin: Limit = None,
    vmax: Limit = None,
    fontsize: float = 8,
    figsize: tuple[float, float] | None = None,
    transparent: bool = False,
    save: Save = None,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw which features batches read more or less than others, as the fit has learned them.

    Rows are batches, columns the features whose factors differ most between batches. Colours are binary logarithms: 1
    is twice as much as an average batch reads, −1 half as much. Features that a batch has not measured are grey.

    Parameters
    ----------
    data
        MuData or AnnData with effects of batches, as `mtopic.tl.topic_model` and `mtopic.tl.export_params` write them.
    {mod}
    key
        Key of the factors in ``varm``.
    n_top
        Number of features: those with the largest standard deviation of the logarithms.
    cmap
        Diverging colour map, white or neutral in the middle.
    {vmin,vmax:mirrored}
        If neither is given, the limits are those of the largest difference.
    fontsize
        Size of the names in points.
    {figsize:names transparent save ax show:ax return_fig}

    {Returns:ax}

    Raises
    ------
    KeyError
        If there is no such modality, or it has no effects of batches.
    ValueError
        If ``n_top`` or another number is out of range.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(300, 3, n_batches=2)
    >>> mt.tl.topic_model(mdata, n_topics=3, batch_key="batch", verbose=False)
    >>> ax = mt.pl.batch_effects(mdata, "rna", n_top=10, show=False)
    >>> ax.images[0].get_array().shape
    (2, 10)
    """
    at_least(1, n_top=n_top)
    name, adata = modality(data, mod)
    logs = np.log2(look_up(adata.varm, key, "table of effects", f"varm of modality {name!r}"))
    chosen = logs.std(axis=1).sort_values(ascending=False, kind="stable").index[:n_top]
    cells = logs.loc[chosen].T
    low, high = mirrored(cells.to_numpy(), vmin, vmax, default=float(np.nanmax(np.abs(cells), initial=0.1)))
    with page(fontsize=fontsize, figsize=figsize or room(cells, fontsize), ax=ax) as sheet:
        draw(sheet, cells, "log2 factor", cmap=cmap, vmin=low, vmax=high)
        name_cells(sheet, cells.index, cells.columns, fontsize)
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)
