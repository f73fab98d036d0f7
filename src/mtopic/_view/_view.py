from collections.abc import Sequence
from html import escape
from importlib.resources import files
from os import PathLike
from pathlib import Path
from string import Template

from anndata import AnnData

from mtopic import __version__
from mtopic._api import public
from mtopic._data import Data, WithImages
from mtopic._data.slots import its_table, modalities
from mtopic._data.spatialdata_images import spatialdata_images
from mtopic._data.tissue_image import TissueImage
from mtopic._files import access
from mtopic.pl._sections import LibraryKey, Origin

from .content import Content, colour_maps
from .places import default_places, places

SCRIPTS = (
    "data", "colour", "dom", "scene", "panel", "selection", "signatures", "save", "sidebar", "app", "controls",
)  # fmt: skip
HEIGHT = 860
"""Of the page in a notebook, in pixels."""


class View:
    """A page of `mtopic.view`, which a notebook shows.

    Parameters
    ----------
    page
        Its HTML.
    """

    def __init__(self, page: str) -> None:
        self.page = page

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page to a file.

        Parameters
        ----------
        path
            The file.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        with access(path, "written"):
            Path(path).write_text(self.page, encoding="utf-8")

    def __repr__(self) -> str:
        return f"View of {len(self.page) / 1e6:.1f} MB: save(path) writes it"

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {HEIGHT}px; border: 0"
        return f'<iframe title="Topics" style="{style}" srcdoc="{escape(self.page)}"></iframe>'


@public
def view(
    data: WithImages,
    path: str | PathLike[str] | None = None,
    *,
    x: str | Sequence[str] | None = None,
    topics: str = "topics",
    features: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
    library_key: LibraryKey = None,
    origin: Origin = None,
    title: str = "Topics",
) -> View | None:
    """Make a page on which one looks at topics: maps, selections, what topics are made of.

    It is one HTML file for any browser of today, a phone's too, that needs no network, no server and no Python. The
    command ``mtopic view`` writes it too.

    {Parameters data:fit}
    path
        The file to write. None: the page is returned, and shows itself in a notebook.
    x
        Keys of coordinates in ``obsm``. None: the first of spatial and coords, and the first of umap and tsne, that are
        there.
    {topics}
    features
        Features whose counts the page shows, ``"mod:name"`` or the name alone. None: the first five of each topic, as
        many as 4 million counts allow.
    columns
        Columns of ``obs`` to show, or ``"mod:column"``. None: all groups and numbers, as many as 4 million values
        allow.
    {library_key:drawn origin}
    title
        Heading of the page.

    Returns
    -------
    The page, with ``save(path)``, or None if it is written.

    Raises
    ------
    KeyError
        If there are no topics, coordinates, columns or features of these names; the nearest names are offered.
    OSError
        If the file cannot be written.
    ValueError
        If there are no coordinates at all.

    Notes
    -----
    The image of a tissue lies under its map: that of ``uns["spatial"]``, or that which a SpatialData has where the
    observations of its table are. Proportions are kept to 1/65,000 of the topic's largest, or to 1/250 if they are more
    than a million; places to 1/65,000 of the width; counts and other whole numbers up to 65,533 as they are, and other
    numbers to 1/65,000 of their range. Of more than a million features × topics, the first features of each topic are
    kept. The end of the page says what is left out.

    {Examples:tissue}
    >>> page = mt.view(mdata, title="Simulated tissue").page
    >>> page.splitlines()[0]
    '<!doctype html>'
    """
    table = its_table(data)
    images = {} if table is data else spatialdata_images(data)
    keys = _names(x) or default_places(table)
    if not keys:
        raise ValueError(
            "there are no coordinates to show topics at: name some with x, or call mtopic.tl.umap(data) first"
        )
    shown = View(_page(table, images, topics, keys, _names(features), _names(columns), library_key, origin, title))
    if path is None:
        return shown
    shown.save(path)
    return None


def _names(given: str | Sequence[str] | None) -> list[str] | None:
    return [given] if isinstance(given, str) else given if given is None else list(given)


def _page(
    data: Data,
    images: dict[str, TissueImage],
    topics: str,
    keys: Sequence[str],
    features: Sequence[str] | None,
    columns: Sequence[str] | None,
    library_key: LibraryKey,
    origin: Origin,
    title: str,
) -> str:
    content = Content(data, topics)
    header = {
        "title": title,
        "summary": _summary(data, content),
        "names": data.obs_names.astype(str).tolist(),
        "maps": colour_maps(),
        "places": places(content.packed, data, keys, content.head, library_key, origin, images),
        "topics": content.topics(),
        "sd": content.uncertainty(),
        "columns": content.columns(columns),
        "features": list(content.features(features)),
        "signatures": list(content.made_of()),
        "enrichment": content.enrichment(),
        "topic_shares": content.topic_shares(),
        "left_out": content.left_out,
    }
    folder = files("mtopic._view") / "page"
    script = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        style=(folder / "style.css").read_text(encoding="utf-8"),
        script=f'"use strict";\n{script}',
        data=content.packed.text(header),
    )


def _summary(data: Data, content: Content) -> str:
    parts = modalities(data)
    sizes = ", ".join(
        f"{adata.n_vars:,} features" if isinstance(data, AnnData) else f"{adata.n_vars:,} of {mod}"
        for mod, adata in parts.items()
    )
    return f"{len(content.names)} topics of {data.n_obs:,} observations; {sizes}; mtopic {__version__}"
