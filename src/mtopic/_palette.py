"""Colours of topics."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap, is_color_like, to_hex, to_rgba
from numpy.typing import NDArray

from mtopic._data import Data
from mtopic._data.category import stored_colours
from mtopic._data.names import look_up

Palette = Mapping[str, str] | Sequence[str] | str | Colormap | None

CONTINUOUS = 256
"""Colour maps with at least as many entries are continuous."""


def colours(topics: Sequence[str], palette: Palette) -> NDArray[np.float64]:
    """RGBA colours of the topics (topics × 4)."""
    chosen = _choose(topics, palette)
    for topic, colour in zip(topics, chosen, strict=True):
        if not is_color_like(colour):
            raise ValueError(f"palette: {colour!r} for {topic!r} is not a colour")
    return np.array([to_rgba(colour) for colour in chosen])


def _choose(topics: Sequence[str], palette: Palette) -> list[Any]:
    n = len(topics)
    if isinstance(palette, Mapping):
        return [look_up(palette, topic, "colour of", "the palette") for topic in topics]
    if palette is None:
        palette = _default(n)
    if isinstance(palette, str):
        palette = look_up(mpl.colormaps, palette, "colour map", "matplotlib")
    if isinstance(palette, Colormap) and palette.N >= CONTINUOUS:
        return list(palette(np.linspace(0, 1, n)))
    available = [palette(i) for i in range(palette.N)] if isinstance(palette, Colormap) else list(palette)
    if len(available) < n:
        raise ValueError(f"the palette has {len(available)} colours for {n} topics: give one for each, or None")
    return available[:n]


def _default(n: int) -> Sequence[str] | Colormap:
    """Scanpy's default colours for ``n`` categories."""
    from scanpy.plotting import palettes

    for known in (palettes.default_20, palettes.default_28, palettes.default_102):
        if n <= len(known):
            return known
    return mpl.colormaps["turbo"]


def stored_or(data: Data, topics: Sequence[str], palette: Palette, key: str = "topic") -> NDArray[np.float64]:
    """As `colours`, but without a palette those that ``uns`` has for topics among the categories of ``obs``."""
    if palette is None:
        default = dict(zip(topics, map(to_hex, colours(topics, None)), strict=True))
        palette = default | stored_colours(data, key, topics)
    return colours(topics, palette)
