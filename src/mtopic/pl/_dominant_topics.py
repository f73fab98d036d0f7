from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtopic._data.names import absent
from mtopic._data.slots import Data, table, takes_spatialdata
from mtopic._palette import Palette, stored_or

from ._figure import Save, page
from ._figure import legend as draw_legend
from ._spots import Spots


@takes_spatialdata
def dominant_topics(
    mdata: Data,
    x: str = "coords",
    topics: str = "topics",
    palette: Palette = None,
    annotation: Mapping[str, str] | None = None,
    title: str | None = None,
    marker: str = ".",
    s: float | None = None,
    fontsize: float = 10,
    markerscale: float = 1,
    legend: bool = True,
    legend_ncol: int | None = 1,
    figsize: tuple[float, float] = (7, 5),
    random_state: int | np.random.Generator = 2291,
    transparent: bool = False,
    save: Save = None,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw each observation in the colour of its topic of largest proportion.

    Parameters
    ----------
    mdata
        MuData or AnnData with topic proportions.
    x
        Key of the coordinates in ``obsm``, of the data or of its modalities; of three dimensions the first two are drawn.
    topics
        Key of the proportions in ``obsm`` (n_obs × topics).
    palette
        Colours: topic → colour, a list in the order of the topics, or a colour map. None takes ``uns["topic_colors"]`` where ``obs["topic"]``
        has the topics as categories (:func:`mtopic.tl.dominant_topics`), else scanpy's default for as many categories as there are topics, so that
        a topic keeps its colour whether or not all of them are seen.
    annotation
        Topic → label in the legend; other topics go by their names.
    title
        Title of the panel.
    marker
        Matplotlib's marker.
    s
        Size of the markers in points²; None sizes them to the distance between neighbouring observations.
    fontsize
        Size of title and legend in points.
    markerscale
        Size of the legend's markers in units of a size that suits the font.
    legend
        Draw a legend of the topics that are dominant somewhere, outside the panel.
    legend_ncol
        Number of columns of the legend; 1 or None: as many as the height of the figure demands.
    figsize
        Width and height of the figure in inches; it grows if the legend needs more room.
    random_state
        Seed, or generator, of the order in which observations are drawn: random, so that no topic covers another.
    transparent
        Save without background.
    save
        File to write, in the format of its suffix: 300 dpi, in vector formats with rasterised markers.
    ax
        Axes to draw on; None makes a figure.
    show
        Call pyplot's ``show``; None does so in interactive use unless the figure is saved, returned or the caller's.
    return_fig
        Return the figure in place of the axes.

    Returns
    -------
    The axes, or the figure.

    Raises
    ------
    KeyError
        If there are no such coordinates or proportions, the palette lacks a topic, or the annotation names none of them.
    ValueError
        If proportions are missing, the palette has too few colours, or a number is out of range.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=3)
    >>> ax = mt.pl.dominant_topics(
    ...     mdata, x="spatial", topics="true_topics", annotation={"topic_1": "cortex"}, show=False
    ... )
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['cortex', 'topic_2', 'topic_3']
    """
    spots = Spots(mdata, x, s, marker)
    proportions = table(mdata, topics)
    dominant = _dominant(proportions, topics)
    names = [str(topic) for topic in proportions.columns]
    labels = _labels(names, annotation)
    colour = stored_or(mdata, names, palette)
    order = np.random.default_rng(random_state).permutation(len(dominant))
    with page(fontsize=fontsize, figsize=figsize, ax=ax, compressed=True) as sheet:
        spots.draw(sheet.ax, colour[dominant], order)
        if title is not None:
            sheet.ax.set_title(title)
        if legend:
            seen = np.unique(dominant)
            named = [labels[k] for k in seen]
            draw_legend(sheet, named, colour[seen], marker=marker, markerscale=markerscale, ncol=legend_ncol)
        sheet.settle()
        spots.fit_markers()
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _dominant(proportions: pd.DataFrame, key: str) -> NDArray[np.intp]:
    values = proportions.to_numpy(dtype=np.float64)
    if not values.shape[1]:
        raise ValueError(f"obsm[{key!r}] has no columns: name a table with a column for each topic")
    bad = np.isnan(values).any(axis=1)
    if bad.any():
        first = proportions.index[bad][0]
        raise ValueError(
            f"obsm[{key!r}] is missing for {bad.sum()} observations, the first is {first!r}: leave these observations out"
        )
    return values.argmax(axis=1)


def _labels(topics: Sequence[str], annotation: Mapping[str, str] | None) -> list[str]:
    if annotation and not set(annotation) & set(topics):
        raise KeyError(absent(next(iter(annotation)), topics, "topic", "the table that annotation is for"))
    return [str((annotation or {}).get(topic, topic)) for topic in topics]
