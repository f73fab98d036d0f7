from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from mtopic._api import public
from mtopic._check import at_least, level_given
from mtopic._data import Data, DataLike, record
from mtopic._data.names import absent
from mtopic._data.slots import choose, modality

from ._figure import Limit, Save, page
from ._heatmap import draw, mirrored, name_cells, room

COLUMNS = {"topic", "source", "score", "q"}


@public
def enrichment(
    data: DataLike,
    mod: str | None = None,
    key: str = "enrichment",
    *,
    n_top: int = 5,
    topics: str | Sequence[str] | None = None,
    max_q: float = 0.05,
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
    """Draw in which sets of features, or motifs, topics are enriched.

    Topics are in rows, the first sources of each in columns. Colours are scores. A dot marks what is found beyond
    chance, at the rate ``max_q`` of false discoveries.

    Parameters
    ----------
    data
        MuData or AnnData with what `mtopic.tl.enrichment` or `mtopic.tl.motif_enrichment` writes.
    {mod}
    key
        Key of the enrichment in ``uns`` of the modality.
    n_top
        Number of sources of each topic, those of largest score. A source of several topics is drawn once.
    {topics:chosen}
    max_q
        Largest adjusted p-value that is marked.
    cmap
        Diverging colour map, white or neutral in the middle. Scores that do not exist are grey.
    {vmin,vmax:mirrored}
        If neither is given, both are the largest absolute score.
    {fontsize:cells figsize:names transparent save ax show:ax return_fig}

    {Returns:ax}

    {Raises KeyError:topic}
        So it is if there is no such enrichment.
    ValueError
        If the modality is not named where there are several, or a number or limit is out of range.

    {Examples:fit}
    >>> net = mt.get.signatures(mdata, "rna", key="true_signatures", n_top=20, as_net=True)
    >>> mt.tl.enrichment(mdata, "rna", net=net)
    >>> ax = mt.pl.enrichment(mdata, "rna", n_top=1, show=False)
    >>> ax.images[0].get_array().shape
    (3, 3)
    """
    at_least(1, n_top=n_top)
    level_given(max_q)
    scores, q = _tables(data, mod, key, topics, n_top)
    low, high = mirrored(scores.to_numpy(), vmin, vmax, default=float(np.nanmax(np.abs(scores), initial=0)) or 1.0)
    with page(fontsize=fontsize, figsize=figsize or room(scores, fontsize), ax=ax) as sheet:
        draw(sheet, scores, "score", cmap=cmap, vmin=low, vmax=high)
        rows, columns = np.nonzero(q.to_numpy() <= max_q)
        sheet.ax.scatter(columns, rows, s=fontsize, c="black", linewidths=0, label=f"q ≤ {max_q:g}")
        name_cells(sheet, scores.index, scores.columns, fontsize)
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _tables(
    data: Data, mod: str | None, key: str, topics: str | Sequence[str] | None, n_top: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and adjusted p-values, topics × first sources in the order of the topics."""
    name, adata = modality(data, mod)
    known = [one for one, value in adata.uns.items() if isinstance(value, pd.DataFrame) and COLUMNS <= set(value)]
    if key not in known:
        what = absent(key, known, "enrichment", f"uns of modality {name!r}")
        raise KeyError(f"{what}; mtopic.tl.enrichment, or motif_enrichment, writes it")
    record.warn_outdated(data, f"{name}:uns:{key}")
    found: pd.DataFrame = adata.uns[key]
    order = pd.unique(found["topic"].astype(str))
    scores, q = (
        found.assign(topic=found["topic"].astype(str)).pivot(index="source", columns="topic", values=value)[order]
        for value in ("score", "q")
    )
    scores = choose(scores, topics, f"uns[{key!r}] of modality {name!r}")
    first = np.argsort(-scores.to_numpy(), axis=0, kind="stable")[:n_top].T.ravel()
    sources = scores.index[pd.unique(first)]
    return scores.loc[sources].T, q.loc[sources, scores.columns].T
