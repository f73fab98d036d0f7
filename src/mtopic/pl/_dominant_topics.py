from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import DataLike, record
from mtopic._data.dominance import By, dominant
from mtopic._data.names import absent
from mtopic._data.slots import table
from mtopic._palette import Palette, stored_or

from ._figure import MISSING, Save, grown, page
from ._figure import legend as draw_legend
from ._sections import LibraryId, LibraryKey, Origin, Where, sections
from ._spots import panels_of

PALE = "whitesmoke"


@public
def dominant_topics(
    mdata: DataLike,
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
    library_key: LibraryKey = None,
    library_id: LibraryId = None,
    origin: Origin = None,
    img: bool = False,
    scale_bar: bool = False,
    by: By = "deviation",
    min_proportion: float = 0,
) -> Axes | list[Axes] | Figure:
    """Draw each observation in the colour of the topic that dominates in it, grey if it had no counts in the fit.

    {Parameters mdata=data:topics x:drawn topics palette}
        The default depends on the number of topics, so that a topic keeps its colour whether or not all are seen.
    annotation
        Topic → label in the legend. Other topics keep their names.
    {title marker s}
    fontsize
        Size of title and legend in points.
    markerscale
        Size of the legend's markers in units of a size that suits the font.
    legend
        Draw a legend of the topics that are dominant somewhere, outside the panel.
    {legend_ncol figsize:legend}
    random_state
        Seed or generator of the order in which observations are drawn: random, so that no topic covers another.
    {transparent save:markers ax:section show:ax return_fig}
    {library_key:drawn library_id origin img scale_bar by:dominant}
    min_proportion
        Observations that have less of their dominant topic are grey.

    {Returns:sections}

    Raises
    ------
    KeyError
        If there are no such coordinates, proportions or sections, the palette lacks a topic, or the annotation names
        none of them; or there is no such ``by``.
    ValueError
        If proportions are missing, or are none where deviations are asked, the palette has too few colours, or a number
        is out of range.

    {Examples:data}
    >>> names = {"topic_1": "cortex"}
    >>> ax = mt.pl.dominant_topics(mdata, "spatial", "true_topics", annotation=names, show=False)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['cortex', 'topic_2', 'topic_3']
    """
    where: Where = {"library_key": library_key, "library_id": library_id, "origin": origin}
    where |= {"img": img, "scale_bar": scale_bar}
    parts = sections(mdata, x, record.head_of(topics), where, ax)
    if not 0 <= min_proportion <= 1:
        raise ValueError(f"min_proportion={min_proportion}: it is a share, 0 to 1")
    spots, panel_size = panels_of(parts, s, marker)
    proportions = table(mdata, topics)
    names = [str(topic) for topic in proportions.columns]
    _require_complete(proportions, topics)
    of = dominant(mdata, topics, proportions, by) % (len(names) + 2)  # -1, without counts, is the last colour
    of = np.where((of < len(names)) & (_shares(proportions, of) < min_proportion), len(names), of)
    labels = [*_labels(names, annotation), f"less than {min_proportion:g}", "no counts"]
    colour = np.vstack([stored_or(mdata, names, palette), to_rgba(PALE), to_rgba(MISSING)])
    order = np.random.default_rng(random_state).permutation(len(of))
    size = grown(figsize, panel_size, len(spots))
    with page(len(spots), group=len(spots), fontsize=fontsize, figsize=size, ax=ax, compressed=True) as sheet:
        for part, panel in zip(spots, sheet.axes, strict=True):
            part.draw(panel, colour[of], order)
            part.entitle(panel, title)
        if legend:
            seen = np.unique(of[np.concatenate([part.rows for part in parts])])
            named = [labels[k] for k in seen]
            draw_legend(sheet, named, colour[seen], marker=marker, markerscale=markerscale, ncol=legend_ncol)
        sheet.settle()
        for part in spots:
            part.fit_markers()
        return sheet.finish(sheet.drawn, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _shares(proportions: pd.DataFrame, of: NDArray[np.intp]) -> NDArray[np.float64]:
    """How much of its dominant topic each observation has."""
    values = proportions.to_numpy(np.float64)
    return values[np.arange(len(of)), np.minimum(of, values.shape[1] - 1)]


def _require_complete(proportions: pd.DataFrame, key: str) -> None:
    if not proportions.shape[1]:
        raise ValueError(f"obsm[{key!r}] has no columns: name a table with a column for each topic")
    bad = proportions.isna().any(axis=1)
    if bad.any():
        first = proportions.index[bad][0]
        raise ValueError(
            f"obsm[{key!r}] is missing for {bad.sum()} observations, the first is {first!r}: "
            "leave these observations out"
        )


def _labels(topics: Sequence[str], annotation: Mapping[str, str] | None) -> list[str]:
    if annotation and not set(annotation) & set(topics):
        raise KeyError(absent(next(iter(annotation)), topics, "topic", "the table that annotation is for"))
    return [str((annotation or {}).get(topic, topic)) for topic in topics]
