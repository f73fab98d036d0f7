from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from mtopic import __version__, pl
from mtopic._api import public
from mtopic._data import Data, DataLike, record
from mtopic._data.ranking import By, first_features
from mtopic._data.slots import ANNDATA_MODALITY, holders, modalities, with_signatures
from mtopic._files import access
from mtopic._view import view
from mtopic._view.places import default_places
from mtopic.tl._topic_quality import quality as measured_quality

from . import said
from .html import STYLE, picture, table, term

MOST_CATEGORIES = 40
PLACES = ("coords", "spatial", "umap")
PARAMS = {
    "model": "model",
    "n_topics": "topics asked for",
    "inference": "inference",
    "schedule": "schedule",
    "n_iter": "iterations",
    "converged": "ended by its stopping rule",
    "alpha": "prior of proportions, α",
    "eta": "prior of signatures, η",
    "n_counts": "counts",
    "seed": "seed",
    "n_init": "starts",
    "radius": "radius",
    "n_neighbors": "neighbours",
    "strength": "strength of neighbours",
    "modality_weights": "weights of modalities",
}


@public
def report(
    data: DataLike,
    path: str | PathLike[str] | None = None,
    *,
    title: str = "Topics",
    x: str | None = None,
    groupby: Sequence[str] | None = None,
    n_top: int = 10,
    by: By = "FREX",
    viewer: bool = False,
) -> str | None:
    """Make a page about a fit: what to know first, maps of topics, top features, quality, composition.

    It is one HTML file, pictures and style inside, that needs no network. The command ``mtopic report`` writes it too.

    {Parameters data:fit}
    path
        The file to write. None: the page is returned.
    title
        Heading of the page.
    x
        Key of the coordinates at which topics are drawn. None: the first of coords, spatial and umap that is there.
    groupby
        Columns of ``obs``, or ``"mod:column"``, by which the composition is shown. None: all categorical ones with 2 to
        40 categories.
    {n_top by:features}
    viewer
        Have the page of `mtopic.view` inside.

    Returns
    -------
    The page, or None if it is written.

    Raises
    ------
    KeyError
        If there are no topics, coordinates or columns of these names; the nearest names are offered.
    OSError
        If the file cannot be written.
    ValueError
        If ``by`` or ``n_top`` is out of range.

    {Examples:fit}
    >>> page = mt.report(mdata, title="Simulated tissue")
    >>> page.splitlines()[0][:15]
    '<!doctype html>'
    """
    page = _page(data, title, x, groupby, n_top, by, viewer)
    if path is None:
        return page
    with access(path, "written"):
        Path(path).write_text(page, encoding="utf-8")
    return None


def _page(
    mdata: Data, title: str, x: str | None, groupby: Sequence[str] | None, n_top: int, by: By, viewer: bool
) -> str:
    size = said.size(mdata)
    sections = {
        "Topics": _topics(mdata, x),
        "Look": _look(mdata, title, x) if viewer else iter(()),
        "Features": _features(mdata, n_top, by),
        "Composition": _composition(mdata, groupby),
        "Quality": _quality(mdata, n_top),
        "Fit": _fit(mdata),
    }
    written = {heading: "".join(parts) for heading, parts in sections.items()}
    shown = {heading: parts for heading, parts in written.items() if parts}
    links = "".join(f'<a href="#{heading.lower()}">{heading}</a>' for heading in shown)
    body = "".join(
        f'<section id="{heading.lower()}"><h2>{heading}</h2>{parts}</section>' for heading, parts in shown.items()
    )
    warnings = "".join(f"<li>{escape(text)}</li>" for text in said.warnings(mdata))
    first = f'<ul class="warnings">{warnings}</ul>' if warnings else ""
    summary = f"{escape(size)}; {date.today().isoformat()}, mtopic {__version__}"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body><header>'
        f'<h1>{escape(title)}</h1><p class="note">{summary}</p><p>{escape(said.fitted(mdata))}</p></header>'
        f"<main>{first}<nav>{links}</nav>{body}</main></body></html>\n"
    )


def _name(mdata: Data, mod: str, before: str, after: str = "") -> str:
    """A modality by its name, which that of an AnnData does not have."""
    return "" if isinstance(mdata, AnnData) else f"{before}{escape(mod)}{after}"


def _fit(mdata: Data) -> Iterator[str]:
    fit, params = record.read(mdata, ""), {}
    if "params" in fit:
        params = record.read_params(mdata, "").as_dict()
    if isinstance(mdata, AnnData):
        params.pop("modality_weights", None)
    rows = [(what, _shown(name, params[name])) for name, what in PARAMS.items() if params.get(name) is not None]
    if rows:
        yield table(pd.DataFrame(rows, columns=["", " "]).astype(object), index=False)
    if len(fit.get("elbo", ())):
        drawn = pl.convergence(mdata, show=False, return_fig=True)
        yield picture(drawn, "The bound after each iteration", "It levels off where more iterations change little.")


def _shown(name: str, value: Any) -> Any:
    """What to show of a parameter; of one that is not the same for all topics or features the range."""
    if name == "modality_weights":
        return ", ".join(f"{mod} {weight:.3g}" for mod, weight in value.items())
    if isinstance(value, Mapping):
        numbers = np.concatenate([np.ravel(part) for part in value.values()])
        return f"{numbers.min():g} to {numbers.max():g}"
    return str(value) if name == "seed" else value


def _topics(mdata: Data, x: str | None) -> Iterator[str]:
    x = _places(mdata) if x is None else x
    if x is not None:
        drawn = pl.dominant_topics(mdata, x=x, show=False, return_fig=True)
        more = "That is the topic whose proportion is farthest above its mean, both as square roots."
        yield picture(drawn, "Observations by dominant topic", more)
        drawn = pl.topics(mdata, x=x, vmax="p99", show=False, return_fig=True)
        yield picture(drawn, "Proportion of each topic", "Each scale ends at the topic's 99th percentile.")


def _look(mdata: Data, title: str, x: str | None) -> Iterator[str]:
    if x is None and not default_places(mdata):
        return
    shown = view(mdata, x=x, title=title)
    assert shown is not None
    yield shown._repr_html_()


def _places(mdata: Data) -> str | None:
    known = {name.removeprefix("X_") for holder in holders(mdata) for name in holder.obsm}
    return next((key for key in PLACES if key in known), None)


def _features(mdata: Data, n_top: int, by: By) -> Iterator[str]:
    for mod in with_signatures(mdata, "signatures"):
        top = first_features(mdata, mod, "signatures", by, n_top, None)
        names = top.groupby("topic", sort=False, observed=True)["feature"].agg(lambda names: ", ".join(map(str, names)))
        yield _name(mdata, mod, "<h3>", "</h3>") + table(names.rename(f"top {n_top} features by {by}").to_frame())


def _quality(mdata: Data, n_top: int) -> Iterator[str]:
    quality = mdata.uns.get("topic_quality")
    if quality is None or record.is_outdated(mdata, "uns:topic_quality"):
        if any(adata.X is None and "counts" not in adata.layers for adata in modalities(mdata).values()):
            yield (
                "<p>It is measured from counts, which the data do not have: call <code>mtopic.tl.topic_quality</code> "
                "before they are left out.</p>"
            )
            return
        quality = measured_quality(mdata, "topics", "signatures", n_top)
    yield f"<p>{term('Effective number of topics')}: {quality['effective_n_topics']:.1f}</p>"
    by_topic = quality["topics"]
    if isinstance(mdata, AnnData):
        by_topic = by_topic.set_axis(by_topic.columns.str.removeprefix(f"{ANNDATA_MODALITY}:"), axis=1)
    yield table(quality["modalities"], index=not isinstance(mdata, AnnData))
    yield table(by_topic)


def _composition(mdata: Data, groupby: Sequence[str] | None) -> Iterator[str]:
    for column in _categories(mdata) if groupby is None else groupby:
        drawn = pl.composition(mdata, column, show=False, return_fig=True)
        yield picture(drawn, f"Mean proportions by {column}")


def _categories(mdata: Data) -> list[str]:
    """Categorical columns of the data, or of a modality where the data has none of the name."""
    found: dict[str, str] = {}
    for prefix, holder in [("", mdata), *((f"{mod}:", adata) for mod, adata in modalities(mdata).items())]:
        for name in holder.obs:
            column = holder.obs[name]
            if isinstance(column.dtype, pd.CategoricalDtype) and 2 <= column.nunique() <= MOST_CATEGORIES:
                found.setdefault(str(name).split(":")[-1], f"{prefix}{name}")
    found.pop("topic", None)
    return list(found.values())
