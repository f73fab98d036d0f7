"""What each panel of a map holds: the observations of a section, at their places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from mtopic._data import Data, graph, record
from mtopic._data.names import absent
from mtopic._data.slots import basis, categories, holders, is_embedding
from mtopic._data.tissue_image import TissueImage, micrometres, tissue_image
from mtopic._warn import warn

LibraryKey = str | Literal[False] | None
LibraryId = str | Sequence[str] | None
Origin = Literal["lower", "upper"] | None


class Where(TypedDict):
    """What the caller of a plot says about its panels."""

    library_key: LibraryKey
    library_id: LibraryId
    origin: Origin
    img: NotRequired[bool]
    scale_bar: NotRequired[bool]


@dataclass(frozen=True)
class Section:
    """Observations of one panel.

    Parameters
    ----------
    name
        Of the section; None if it is the only one.
    rows
        Positions of the observations in the data.
    points
        Their coordinates, observations × 2.
    upper
        Whether the second coordinate begins at the upper edge.
    image
        What lies under the observations.
    unit
        How many micrometres a unit of the coordinates is, 0 if nobody knows; None: no scale bar.
    """

    name: str | None
    rows: NDArray[np.intp]
    points: NDArray[np.float64]
    upper: bool
    image: TissueImage | None = None
    unit: float | None = None


def sections(data: Data, x: str, head: str, where: Where, ax: Axes | None = None) -> list[Section]:
    """The panels of a map at the coordinates ``x``; ``head`` says of which fit the sections are, if nobody does.

    Axes of the caller take one section.
    """
    slot, table = _basis(data, x)
    if table.shape[1] < 2:
        raise ValueError(f"the coordinates {x!r} have {table.shape[1]} column: a plot needs 2")
    points = table.to_numpy()[:, :2]
    there = np.flatnonzero(~np.isnan(points).any(axis=1))
    upper = _is_upper(data, slot, points, where["origin"])
    labels = _labels(data, slot, head, where)
    chosen = _chosen(data, None if labels is None else labels[there], where["library_id"])
    rows = [there] if labels is None else [there[(labels == name)[there]] for name in chosen]
    if ax is not None and len(rows) > 1:
        raise ValueError(
            f"ax is one panel for {len(rows)} sections, {', '.join(map(repr, chosen))}: choose one, as "
            f"library_id={chosen[0]!r}, or leave ax out, and each has a panel of its own"
        )
    names = chosen if len(chosen) > 1 else [None]
    of_image: list[str | None] = [*chosen] or [None]
    images = [_image(data, name, upper) if where.get("img") else None for name in of_image]
    unit = (micrometres(data) or 0.0) if where.get("scale_bar") and not is_embedding(data, slot) else None
    parts = zip(names, rows, images, strict=True)
    return [Section(name, part, points[part], upper, image, unit) for name, part, image in parts]


def _image(data: Data, section: str | None, upper: bool) -> TissueImage:
    found = tissue_image(data, section) if upper else None
    if found is None:
        of = "" if section is None else f" of section {section!r}"
        raise ValueError(
            f"img=True: there is no image{of} in uns['spatial'], or the coordinates are not those of it; "
            "draw obsm['spatial'] of data that squidpy.read.visium has read, or leave img out"
        )
    return found


def _basis(data: Data, x: str) -> tuple[str, pd.DataFrame]:
    try:
        return basis(data, x, of_one=True)
    except KeyError as error:
        maps = _maps(data) if x == "coords" else []
        if not maps:
            raise
        if len(maps) > 1:
            raise KeyError(f"{error.args[0]}; say which map is meant, x={' or x='.join(map(repr, maps))}") from None
        return basis(data, maps[0])


def _maps(data: Data) -> list[str]:
    """Names of arrays of two or three columns, as scanpy keeps embeddings."""
    found = [
        name.removeprefix("X_")
        for holder in holders(data)
        for name in holder.obsm
        if np.ndim(holder.obsm[name]) == 2
        and holder.obsm[name].shape[1] in (2, 3)
        and (is_embedding(holder, name) or isinstance(holder.obsm[name], np.ndarray))
    ]
    return list(dict.fromkeys(found))


def _is_upper(data: Data, slot: str, points: NDArray[np.float64], origin: Origin) -> bool:
    if origin not in ("lower", "upper", None):
        raise ValueError(f"origin={origin!r}: choose 'lower' or 'upper'")
    if origin is not None:
        return origin == "upper"
    with_image = [holder for holder in holders(data) if _has_image(holder)]
    if not with_image or is_embedding(data, slot):
        return False
    return slot == "spatial" or any(_equals(holder, data.obs_names, points) for holder in with_image)


def _has_image(holder: Data) -> bool:
    libraries = holder.uns.get("spatial")
    return isinstance(libraries, Mapping) and any(
        isinstance(library, Mapping) and library.get("images") for library in libraries.values()
    )


def _equals(holder: Data, names: pd.Index, points: NDArray[np.float64]) -> bool:
    """Whether the points are those in pixels of the image."""
    try:
        pixels = basis(holder, "spatial")[1].reindex(names).to_numpy()[:, :2]
    except (KeyError, TypeError, ValueError):
        return False
    return bool(np.allclose(pixels, points, equal_nan=True))


def _labels(data: Data, slot: str, head: str, where: Where) -> pd.CategoricalIndex | None:
    """The section of each observation, None without sections."""
    key = where["library_key"]
    if key is False:
        return None
    if key is not None:
        return graph.sections(data, key)
    if is_embedding(data, slot) and where["library_id"] is None:
        return None
    known = _key_of_fit(data, head)
    try:
        return None if known is None else graph.sections(data, known)
    except KeyError as error:
        warn(f"sections of the fit are drawn in one panel, as there is {error.args[0]}: name it with library_key")
        return None


def _key_of_fit(data: Data, head: str) -> str | None:
    """``library_key`` of the fit, or of all fits where there is none of this name."""
    if record.read(data, head):
        return record.params_if_any(data, head).library_key
    heads = [name.removesuffix("mtopic") for name in data.uns if name.endswith("mtopic")]
    keys: set[Any] = {record.params_if_any(data, other).library_key for other in heads}
    return keys.pop() if len(keys) == 1 else None


def _chosen(data: Data, labels: pd.CategoricalIndex | None, library_id: LibraryId) -> list[str]:
    if labels is None:
        if library_id is not None:
            raise ValueError(f"library_id={library_id!r}: no sections are known, name their column with library_key")
        return []
    there = _in_order(data, labels)
    if library_id is None:
        return there
    chosen = [library_id] if isinstance(library_id, str) else list(library_id)
    if not chosen:
        raise ValueError("library_id is empty: name sections to draw, or give None for all")
    for name in chosen:
        if name not in there:
            raise KeyError(absent(name, there, "section", f"obs[{labels.name!r}]"))
    return chosen


def _in_order(data: Data, labels: pd.CategoricalIndex) -> list[str]:
    """Names of the sections in the order of the column's categories."""
    there = [str(name) for name in labels.remove_unused_categories().categories]
    try:
        return [name for name in categories(data, str(labels.name)).categories if name in there]
    except ValueError:
        return there
