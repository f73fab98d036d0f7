"""A bar that says how long a part of a map is."""

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes

WIDEST = 0.25
"""Share of the panel's width."""


def scale_bar(ax: Axes, micrometres: float) -> None:
    """Draw a bar of a round length at the lower left, with its length; 0 micrometres a unit: in units."""
    unit = micrometres or 1.0
    left, right = ax.get_xlim()
    length = _round(WIDEST * (right - left) * unit)
    end = 0.04 + length / unit / (right - left)
    around = [patheffects.withStroke(linewidth=3, foreground="white")]
    ax.plot([0.04, end], [0.03, 0.03], transform=ax.transAxes, color="black", lw=1.5, path_effects=around)
    text = _text(length) if micrometres else f"{length:g}"
    ax.text(0.04, 0.05, text, transform=ax.transAxes, fontsize="x-small", va="bottom", path_effects=around)


def _round(most: float) -> float:
    power = 10.0 ** np.floor(np.log10(most))
    return float(next(digit for digit in (5, 2, 1) if digit * power <= most) * power)


def _text(micrometres: float) -> str:
    return f"{micrometres / 1000:g} mm" if micrometres >= 1000 else f"{micrometres:g} µm"
