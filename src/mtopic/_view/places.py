"""Where observations are: tissues by section, with their images, and embeddings."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from mtopic._data import Data
from mtopic._data.slots import basis, is_embedding
from mtopic._data.tissue_image import TissueImage, micrometres, tissue_image
from mtopic.pl._sections import LibraryKey, Origin, Section, sections

from .coded import SHORT, largest
from .packed import Packed

TISSUES, EMBEDDINGS = ("spatial", "coords"), ("umap", "tsne")
SAMPLE = 2000
"""Points by whose nearest neighbours the size of points is chosen."""
WIDEST_IMAGE = 2000


def default_places(data: Data) -> list[str]:
    """The first coordinates of a tissue and the first embedding that are there."""
    found = (next((key for key in keys if _is_there(data, key)), None) for keys in (TISSUES, EMBEDDINGS))
    return [key for key in found if key is not None]


def _is_there(data: Data, key: str) -> bool:
    """Whether there are such coordinates, and modalities do not have different ones."""
    try:
        return basis(data, key)[1].shape[1] >= 2
    except (KeyError, TypeError, ValueError):
        return False


def places(
    packed: Packed,
    data: Data,
    keys: Sequence[str],
    head: str,
    library_key: LibraryKey,
    origin: Origin,
    images: Mapping[str, TissueImage],
) -> list[dict[str, Any]]:
    """What the page has to know of each; ``images`` by section are of a tissue's coordinates."""
    return [_place(packed, data, key, head, library_key, origin, images if key in TISSUES else {}) for key in keys]


def _place(
    packed: Packed,
    data: Data,
    key: str,
    head: str,
    library_key: LibraryKey,
    origin: Origin,
    images: Mapping[str, TissueImage],
) -> dict[str, Any]:
    embedding = is_embedding(data, key)
    by: LibraryKey = False if embedding else library_key
    upper: Origin = "upper" if images and origin is None else origin
    parts = sections(data, key, head, {"library_key": by, "library_id": None, "origin": upper})
    points = np.concatenate([part.points for part in parts])
    lowest, highest = points.min(axis=0), points.max(axis=0)
    unit = float((highest - lowest).max() / largest(SHORT)) or 1.0
    found = [np.rint((part.points - lowest) / unit).astype(SHORT) for part in parts]
    length = micrometres(data) if parts[0].upper and not images else None
    return {
        "name": key,
        "upper": parts[0].upper,
        "embedding": embedding,
        "left": float(lowest[0]),
        "top": float(lowest[1]),
        "unit": unit,
        "length": unit * (length or 1.0),
        "micrometres": length is not None,
        "spacing": _spacing(found),
        "sections": [
            {
                "name": part.name or "",
                "rows": packed.add(part.rows.astype(np.uint32)),
                "x": packed.add(xy[:, 0]),
                "y": packed.add(xy[:, 1]),
                "image": _image(data, part, lowest, unit, images),
            }
            for part, xy in zip(parts, found, strict=True)
        ],
    }


def _spacing(parts: Sequence[NDArray[np.uint16]]) -> float:
    """The median distance from a point to the nearest other."""
    found = [np.ones(1)]
    for part in parts:
        if len(part) > 1:
            sample = part[:: max(1, len(part) // SAMPLE)]
            found.append(KDTree(part).query(sample, k=2)[0][:, 1])
    return float(np.median(np.concatenate(found))) or 1.0


def _image(
    data: Data, section: Section, lowest: NDArray[np.float64], unit: float, images: Mapping[str, TissueImage]
) -> dict[str, Any] | None:
    """The picture of a tissue's section, and where its edges are."""
    only = next(iter(images.values())) if len(images) == 1 and section.name is None else None
    found = images.get(str(section.name), only) or tissue_image(data, section.name)
    if found is None or not section.upper:
        return None
    left, top = ((np.array([found.left, found.top]) - lowest) / unit).tolist()
    right, bottom = ((np.array([found.right, found.bottom]) - lowest) / unit).tolist()
    return {"data": _jpeg(found.pixels), "left": left, "top": top, "right": right, "bottom": bottom}


def _jpeg(picture: NDArray[Any]) -> str:
    from PIL import Image

    most = 255 if picture.dtype == np.uint8 else max(1.0, float(picture.max(initial=0)))
    pixels = np.rint(255 / most * np.clip(picture, 0, None)).astype(np.uint8)
    pixels = pixels[..., :3] if pixels.ndim == 3 and pixels.shape[2] >= 3 else pixels.reshape(pixels.shape[:2])
    image = Image.fromarray(pixels).convert("RGB")
    image.thumbnail((WIDEST_IMAGE, WIDEST_IMAGE))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
