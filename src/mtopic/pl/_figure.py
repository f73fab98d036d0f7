"""What all plots share: one look, a grid of panels, limits and bars of colour scales, legends, saving and showing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil, sqrt
from os import PathLike
from typing import Any, TypeVar, cast

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2DBase, ScaledTranslation, blended_transform_factory
from numpy.typing import ArrayLike, NDArray

from mtopic._data.names import look_up
from mtopic._files import access

T = TypeVar("T")

Save = str | PathLike[str] | None
Limit = float | str | None

DPI = 300
LANDSCAPE = 1.5
MOST_COLUMNS = 8
"""Of several groups of panels."""
MISSING = "lightgrey"
SMALL = 0.8
"""Size of secondary text, such as the numbers at an axis, in units of the font size."""

OUTSIDE = "outside right center"
"""Where a legend of several panels is."""

LEGEND_ROW, TEXT_HEIGHT = 1.6, 1.1
"""Height of a row of a legend, and of the text in it, in units of the font size."""


def style(fontsize: float) -> dict[Any, Any]:
    """The look of all plots, as rcParams; the font family is the user's."""
    if not fontsize > 0:
        raise ValueError(f"fontsize={fontsize}: it must be positive")
    texts = ("font.size", "axes.titlesize", "axes.labelsize", "legend.fontsize", "figure.labelsize")
    tick = {"labelsize": SMALL * fontsize, "major.size": 2.5, "major.width": 0.6, "direction": "out"}
    ticks = {f"{axis}tick.{name}": value for axis in "xy" for name, value in tick.items()}
    return {
        **dict.fromkeys(texts, fontsize),
        **ticks,
        "axes.facecolor": "none",
        "axes.grid": False,
        "axes.linewidth": 0.6,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titleweight": "normal",
        "figure.autolayout": False,
        "legend.frameon": False,
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
    }


class Page:
    """A figure with a grid of panels, or the axes that the caller gave."""

    def __init__(
        self,
        n_panels: int,
        group: int,
        panel: tuple[float, float],
        figsize: tuple[float, float] | None,
        ncols: int | None,
        ax: Axes | None,
        compressed: bool,
    ) -> None:
        self.owned = ax is None
        self._crop = compressed or ax is not None
        if ax is not None:
            self.figure: Figure = ax.figure.canvas.figure
            self.axes = [ax]
            return
        if n_panels < 1:
            raise ValueError("there is nothing to draw: the table has no columns")
        if ncols is not None and ncols < 1:
            raise ValueError(f"ncols={ncols}: a grid of panels has at least 1 column")
        columns = _columns(n_panels, group, panel) if ncols is None else min(ncols, n_panels)
        rows = ceil(n_panels / columns)
        size = figsize or (columns * panel[0], rows * panel[1])
        self.figure = plt.figure(figsize=size, layout="compressed" if compressed else "constrained")
        grid = self.figure.add_gridspec(rows, columns)
        self.axes = [self.figure.add_subplot(grid[divmod(i, columns)]) for i in range(n_panels)]

    @property
    def ax(self) -> Axes:
        """The only panel."""
        return self.axes[0]

    @property
    def drawn(self) -> Axes | list[Axes]:
        """The only panel, or all of them."""
        return self.axes if len(self.axes) > 1 else self.ax

    def legend_beside(self) -> None:
        """Say right of the only panel what its lines are."""
        self.make_room(self.ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), borderaxespad=1))

    def make_room(self, legend: Legend) -> None:
        """Enlarge a figure of our own so that the legend is whole and leaves the panel half of the original width."""
        if self.owned:
            box = legend.get_window_extent()
            width, height = self.figure.get_size_inches()
            wanted = (box.width / self.figure.dpi + width / 2, box.height / self.figure.dpi + 0.2)
            self.figure.set_size_inches(max(width, wanted[0]), max(height, wanted[1]))

    def lay_out(self) -> None:
        """Put everything in its place, as far as the figure has a layout engine."""
        engine = self.figure.get_layout_engine()
        if engine is not None:
            engine.execute(self.figure)

    def settle(self) -> None:
        """Lay out for good: what is measured now holds when the figure is saved."""
        self.lay_out()
        if self.owned:
            self.figure.set_layout_engine("none")

    def finish(self, drawn: T, *, save: Save, transparent: bool, show: bool | None, return_fig: bool) -> T | Figure:
        """Save and show as asked; give back what was drawn, or the figure."""
        self.settle()
        if save is not None:
            with access(save, "written"):
                self.figure.savefig(save, dpi=DPI, transparent=transparent, bbox_inches="tight" if self._crop else None)
        if show is None:
            show = plt.isinteractive() and self.owned and save is None and not return_fig
        if show:
            plt.show()
        elif save is not None:
            self.close()
        return self.figure if return_fig else drawn

    def close(self) -> None:
        """Let pyplot forget a figure of our own."""
        if self.owned:
            plt.close(self.figure)


@contextmanager
def page(
    n_panels: int = 1,
    *,
    group: int = 1,
    fontsize: float,
    panel: tuple[float, float] = (4, 3),
    figsize: tuple[float, float] | None = None,
    ncols: int | None = None,
    ax: Axes | None = None,
    compressed: bool = False,
) -> Iterator[Page]:
    """Draw in the shared look: on ``ax``, else on a new figure of ``figsize``, or with ``panel`` inches for each panel.

    Panels of a ``group`` belong side by side. ``compressed`` is for panels of a fixed aspect. If drawing fails, no
    figure is left behind.
    """
    with _look(fontsize):
        drawing = Page(n_panels, group, panel, figsize, ncols, ax, compressed)
        try:
            yield drawing
        except BaseException:
            drawing.close()
            raise


@contextmanager
def _look(fontsize: float) -> Iterator[None]:
    """Set the look and take just that back: a backend that is loaded meanwhile keeps what it sets."""
    look = style(fontsize)
    before = {name: mpl.rcParams[name] for name in look}
    mpl.rcParams.update(look)
    try:
        yield
    finally:
        mpl.rcParams.update(before)


def grown(figsize: tuple[float, float], panel: tuple[float, float], n_panels: int) -> tuple[float, float]:
    """Size of a figure with a legend, as given for one panel, or at least as large as several panels demand."""
    if n_panels == 1:
        return figsize
    columns = _columns(n_panels, n_panels, panel)
    return max(figsize[0], (columns + 0.5) * panel[0]), max(figsize[1], ceil(n_panels / columns) * panel[1])


def _columns(n_panels: int, group: int, panel: tuple[float, float]) -> int:
    """Columns of a grid that is a little wider than high, with as few empty places as that allows."""
    if n_panels > group > 1:
        side_by_side = _columns(n_panels // group, 1, (group * panel[0], panel[1]))
        return group * min(side_by_side, max(1, MOST_COLUMNS // group))
    ideal = min(n_panels, sqrt(LANDSCAPE * n_panels * panel[1] / panel[0]))
    near = range(max(1, ceil(0.8 * ideal)), ceil(1.3 * ideal) + 1)
    return min(near, key=lambda columns: (-n_panels % columns, abs(columns - ideal)))


def limits(values: ArrayLike, vmin: Limit, vmax: Limit) -> tuple[float, float]:
    """Limits of a colour scale: numbers, percentiles of the values such as "p99", or their extremes.

    Where these coincide, such as the extremes of equal values, limits that are not given as numbers make room up to 0.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        finite = np.array([0.0, 1.0])
    low = _limit("vmin", finite.min() if vmin is None else vmin, finite)
    high = _limit("vmax", finite.max() if vmax is None else vmax, finite)
    if low >= high:
        low = min(float(finite.min()), 0.0) if vmin is None or isinstance(vmin, str) else low
        high = max(float(finite.max()), 0.0) if vmax is None or isinstance(vmax, str) else high
    if low > high or (low == high and finite.min() < finite.max()):
        raise ValueError(f"vmin={vmin}, vmax={vmax}: the colour scale would run from {low:.4g} to {high:.4g}")
    return low, high


def _limit(name: str, limit: float | str, finite: NDArray[np.float64]) -> float:
    if not isinstance(limit, str):
        return float(limit)
    try:
        percent = float(limit.removeprefix("p"))
    except ValueError:
        percent = -1.0
    if not limit.startswith("p") or not 0 <= percent <= 100:
        raise ValueError(f"{name}={limit!r}: give a number, or a percentile such as 'p99'")
    return float(np.percentile(finite, percent))


def colour_map(cmap: str | mpl.colors.Colormap) -> mpl.colors.Colormap:
    """A colour map that draws missing values grey."""
    chosen = look_up(mpl.colormaps, cmap, "colour map", "matplotlib") if isinstance(cmap, str) else cmap
    return chosen.with_extremes(bad=MISSING)


def colour_bar(ax: Axes, mappable: ScalarMappable, label: str | None = None) -> Colorbar:
    """A slim bar at the right of a panel, which it neither shrinks nor moves."""
    em = mpl.rcParams["font.size"] / 72
    right = ax.figure.dpi_scale_trans + ScaledTranslation(1, 0, cast(Affine2DBase, ax.transAxes))
    place = blended_transform_factory(right, ax.transAxes)
    bar = ax.figure.colorbar(mappable, cax=ax.inset_axes((0.6 * em, 0, 0.6 * em, 1), transform=place))
    bar.outline.set_visible(False)
    for colours in bar.ax.collections:
        colours.set_rasterized(True)
    bar.locator = MaxNLocator(4)
    bar.update_ticks()
    bar.ax.tick_params(length=2, pad=2)
    if label is not None:
        bar.set_label(label)
    return bar


def marker_width(marker: str) -> float:
    """Width of a marker in units of its nominal size, the root of scatter's ``s``."""
    shape = MarkerStyle(marker)
    box = shape.get_path().get_extents(shape.get_transform())
    return max(box.width, box.height)


def marker_line(marker: str) -> float:
    """Width of a marker's line in points: none round a filled marker."""
    return 0 if MarkerStyle(marker).is_filled() else 1


def legend(
    page: Page,
    labels: Sequence[str],
    colours: NDArray[np.float64],
    *,
    marker: str,
    markerscale: float,
    ncol: int | None,
) -> Legend:
    """Draw a legend right of the panels, in as many columns as the height demands, or in 2 or more if so given."""
    ax, alone = page.ax, len(page.axes) == 1
    fontsize = mpl.rcParams["font.size"]
    size = 0.75 * fontsize * markerscale
    row = max(LEGEND_ROW * fontsize, 1.25 * size)
    if ncol is None or ncol <= 1:
        inches = page.figure.get_figheight() if page.owned else ax.get_window_extent().height / page.figure.dpi
        ncol = ceil(len(labels) / max(1, int((72 * inches - fontsize) / row)))
    style = {"ls": "", "marker": marker, "ms": size / marker_width(marker), "mew": marker_line(marker)}
    entries = zip(labels, colours, strict=True)
    handles = [Line2D([], [], color=colour, label=label, **style) for label, colour in entries]
    place: dict[str, Any] = {"loc": OUTSIDE, "borderaxespad": 0}
    if alone:
        place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "borderaxespad": 1}
    drawn = (ax if alone else page.figure).legend(
        handles=handles, **place, ncols=ncol, borderpad=0,
        handlelength=size / fontsize, handletextpad=0.5, columnspacing=1.2, labelspacing=row / fontsize - TEXT_HEIGHT,
    )  # fmt: skip
    page.make_room(drawn)
    return drawn
