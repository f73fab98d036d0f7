from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from mtopic._data.slots import Data, modality, table, takes_spatialdata

from ._figure import Limit, Save, limits
from ._maps import maps


@takes_spatialdata
def zscores(
    mdata: Data,
    mod: str | None = None,
    x: str = "coords",
    zscores: str = "zscores",
    cmap: str | Colormap | None = None,
    marker: str = ".",
    s: float | None = None,
    fontsize: float = 10,
    figsize: tuple[float, float] | None = None,
    transparent: bool = False,
    save: Save = None,
    *,
    vmin: Limit = None,
    vmax: Limit = None,
    ncols: int | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> list[Axes] | Figure:
    """Draw where the top features of each topic are expressed: a panel a topic, the highest scores on top.

    A score compares features within an observation, and top features are above its average nearly everywhere: each panel has the scale of its own scores.

    Parameters
    ----------
    mdata
        MuData or AnnData with scores; see :func:`mtopic.tl.zscores`.
    mod
        The modality; may be left out where there is only one.
    x
        Key of the coordinates in ``obsm``, of the data or of its modalities; of three dimensions the first two are drawn.
    zscores
        Key of the scores in ``obsm`` of the modality.
    cmap
        Colour map; None is ``"viridis"``. For a diverging one give limits, such as ``vmin=-3, vmax=3``.
    marker
        Matplotlib's marker.
    s
        Size of the markers in points²; None sizes them to the distance between neighbouring observations.
    fontsize
        Size of the titles in points.
    figsize
        Width and height of the figure in inches; None follows from the number of panels and the shape of the tissue.
    transparent
        Save without background.
    save
        File to write, in the format of its suffix: 300 dpi, in vector formats with rasterised markers.
    vmin, vmax
        Limits of the colour scales: a number for all, a percentile of each topic's scores such as ``"p99"``, or None for each topic's
        extremes.
    ncols
        Number of columns of the grid.
    show
        Call pyplot's ``show``; None does so in interactive use unless the figure is saved or returned.
    return_fig
        Return the figure in place of the axes.

    Returns
    -------
    The panels' axes, in the order of the topics, or the figure.

    Raises
    ------
    KeyError
        If there is no such modality, or there are no such coordinates or scores.
    ValueError
        If a number or limit is out of range.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=3)
    >>> mt.tl.zscores(mdata, signatures="true_signatures", mod="rna")
    >>> axes = mt.pl.zscores(mdata, "rna", "spatial", show=False)
    >>> [ax.get_title() for ax in axes]
    ['topic_1', 'topic_2', 'topic_3']
    """
    name, adata = modality(mdata, mod)
    scores = table(adata, zscores, made_by="mtopic.tl.zscores").reindex(mdata.obs_names)
    style: dict[str, Any] = {"marker": marker, "s": s, "fontsize": fontsize, "figsize": figsize, "ncols": ncols}
    end: dict[str, Any] = {"transparent": transparent, "save": save, "show": show, "return_fig": return_fig}
    colours = "viridis" if cmap is None else cmap
    return maps(mdata, x, scores, lambda values: limits(values, vmin, vmax), cmap=colours, **style, **end)
