"""Limits of the panels of a map, which have one shape."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Frame: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Lowest and highest coordinates."""

PANEL_SIDE = 2.0
"""Side of a square panel, in inches; others have the same area."""

NAME_LINE = 0.2
"""Height in inches of the line with a section's name."""


def of_one_shape(frames: Sequence[Frame]) -> tuple[list[Frame], tuple[float, float]]:
    """The frames, with room around the observations; and the panels' width and height in inches, with their names."""
    width, height = (max(sizes) for sizes in zip(*map(_panel, frames), strict=True))
    if len(frames) == 1:
        return list(frames), (width, height)
    return [_widened(frame, width / height) for frame in frames], (width, height + NAME_LINE)


def _panel(frame: Frame) -> tuple[float, float]:
    """Width and height of a panel in inches that suit the tissue's shape."""
    width, height = frame[1] - frame[0]
    stretch = np.sqrt(np.clip(width / height, 0.25, 4))
    return float(PANEL_SIDE * stretch), float(PANEL_SIDE / stretch)


def _widened(frame: Frame, ratio: float) -> Frame:
    """The frame, so large that its width is its height × ``ratio``."""
    low, high = frame
    width, height = size = high - low
    room = (np.maximum(size, (height * ratio, width / ratio)) - size) / 2
    return low - room, high + room
