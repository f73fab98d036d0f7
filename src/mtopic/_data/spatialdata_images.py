"""Images of a SpatialData, where the observations of its one table are."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .slots import its_table
from .tissue_image import TissueImage

WIDEST = 2000
"""Pixels of a picture to look at; of larger ones a coarser scale is taken, or every second, third, … pixel."""
AXES = ("x", "y")


def spatialdata_images(sdata: Any) -> dict[str, TissueImage]:
    """By region of the table, the first image that shares a coordinate system with it, neither turned nor mirrored."""
    regions = np.atleast_1d(its_table(sdata).uns.get("spatialdata_attrs", {}).get("region", [])).tolist()
    found = ((region, next(_images(sdata, region), None)) for region in map(str, regions))
    return {region: image for region, image in found if image is not None}


def _images(sdata: Any, region: str) -> Iterator[TissueImage]:
    from spatialdata.transformations import get_transformation

    there = get_transformation(sdata[region], get_all=True) if region in sdata else {}
    for image in sdata.images.values():
        placed = _placed(there, get_transformation(image, get_all=True))
        if placed is not None:
            pixels, width, height = _pixels(image)
            left, top = placed[:2, 2].tolist()
            right, bottom = (placed[:2, :2].diagonal() * [width, height] + placed[:2, 2]).tolist()
            yield TissueImage(pixels, right, bottom, left, top)


def _placed(region: Mapping[str, Any], image: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """From pixels of an image to coordinates of a region; None if they have no system in common, or the image turns."""
    for system in sorted(region.keys() & image.keys()):
        to, of = (known[system].to_affine_matrix(AXES, AXES) for known in (region, image))
        placed = np.linalg.inv(to) @ of
        is_turned = np.abs(placed[[0, 1], [1, 0]]).max() > 1e-6 * np.abs(placed[0, 0])
        if not is_turned and (placed[[0, 1], [0, 1]] > 0).all():
            return np.asarray(placed, np.float64)
    return None


def _pixels(image: Any) -> tuple[NDArray[np.float64], int, int]:
    """Rows × columns × colours, from 0 to 1, and the width and height of the finest scale."""
    scales = [scale["image"] for scale in image.children.values()] if hasattr(image, "children") else [image]
    height, width = (scales[0].sizes[axis] for axis in ("y", "x"))
    fitting = [scale for scale in scales if scale.sizes["x"] <= WIDEST and scale.sizes["y"] <= WIDEST]
    chosen = fitting[0] if fitting else scales[-1]
    step = max(1, -(-max(chosen.sizes["x"], chosen.sizes["y"]) // WIDEST))
    pixels = np.asarray(chosen.transpose("y", "x", "c").data[::step, ::step], np.float64)
    pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, axis=2)
    most = 255.0 if chosen.dtype == np.uint8 else max(1.0, float(pixels.max(initial=0)))
    return pixels / most, width, height
