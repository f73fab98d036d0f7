"""Images of tissues and what is known of lengths, where ``uns["spatial"]`` has them as scanpy keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import Data
from .slots import holders

SPOT = 55.0
"""Micrometres across a spot of Visium, which is what its scale factors tell of lengths."""


@dataclass(frozen=True)
class TissueImage:
    """A picture, and where its edges are, in units of the coordinates."""

    pixels: NDArray[Any]
    right: float
    bottom: float
    left: float = 0.0
    top: float = 0.0


def tissue_image(data: Data, library: str | None) -> TissueImage | None:
    """The picture of a section, or the only one; None if there is none."""
    known = _libraries(data)
    found = known.get(str(library)) or (next(iter(known.values())) if len(known) == 1 else {})
    images = found.get("images") or {}
    size = next((size for size in ("hires", "lowres") if size in images), None)
    if size is None:
        return None
    pixels = np.asarray(images[size])
    scale = float((found.get("scalefactors") or {}).get(f"tissue_{size}_scalef", 1.0))
    return TissueImage(pixels, pixels.shape[1] / scale, pixels.shape[0] / scale)


def micrometres(data: Data) -> float | None:
    """How long a unit of the coordinates is, if scale factors tell."""
    for library in _libraries(data).values():
        factors = library.get("scalefactors") or {}
        if factors.get("microns_per_pixel"):
            return float(factors["microns_per_pixel"])
        if factors.get("spot_diameter_fullres"):
            return SPOT / float(factors["spot_diameter_fullres"])
    return None


def _libraries(data: Data) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for holder in holders(data):
        known = holder.uns.get("spatial")
        if isinstance(known, Mapping):
            found |= {str(name): library for name, library in known.items() if isinstance(library, Mapping)}
    return found
