import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from mtopic._api import public
from mtopic._data.names import alike_but_for
from mtopic._warn import warn

from ._figure import Limit, Save, page
from ._heatmap import draw, mirrored, name_cells

MOST_CELLS = 4_000_000


@public
def corr_heatmap(
    arr1: pd.DataFrame | ArrayLike,
    arr2: pd.DataFrame | ArrayLike,
    label1: str | None = None,
    label2: str | None = None,
    cmap: str | Colormap = "bwr",
    fontsize: float = 8,
    figsize: tuple[float, float] = (8, 6),
    transparent: bool = False,
    save: Save = None,
    *,
    ax: Axes | None = None,
    vmin: Limit = None,
    vmax: Limit = None,
    diagonal: bool = False,
    show: bool | None = None,
    return_fig: bool = False,
) -> Axes | Figure:
    """Draw the Pearson correlations of the columns of one table (rows of the map) with those of another (its columns).

    Parameters
    ----------
    arr1, arr2
        Tables n_obs × variables, such as topic proportions and z-scores. Rows of two DataFrames are matched by name,
        and those that both have are compared; otherwise rows are matched by position.
    label1, label2
        What the variables of the tables are.
    cmap
        Diverging colour map, white or neutral in the middle. Correlations that do not exist (of constant columns or of
        columns with missing values) are grey.
    {fontsize:cells figsize transparent save ax vmin,vmax:mirrored}
        If neither is given, the limits are -1 and 1.
    diagonal
        Order the columns so that the pairs that go together best lie on the diagonal.
    {show:ax return_fig}

    {Returns:ax}

    Raises
    ------
    ValueError
        If the tables are not two-dimensional, have different numbers of rows or too few in common, or too many columns,
        or names of rows occur twice.

    {Examples:data}
    >>> topics = mdata.obsm["true_topics"]
    >>> ax = mt.pl.corr_heatmap(topics, topics, "topics", "topics", show=False)
    >>> ax.images[0].get_array().shape
    (3, 3)
    """
    first, second = _align(arr1, arr2)
    if first.shape[1] * second.shape[1] > MOST_CELLS:
        raise ValueError(
            f"arr1 has {first.shape[1]:,} columns and arr2 has {second.shape[1]:,}: a map of so many cells cannot be "
            "read; choose columns, such as topics and some features"
        )
    values = correlation(first.to_numpy(), second.to_numpy())
    low, high = mirrored(values, vmin, vmax, default=1)
    with page(fontsize=fontsize, figsize=figsize, ax=ax) as sheet:
        cells = pd.DataFrame(values, index=first.columns, columns=second.columns)
        cells = cells.iloc[:, _paired(values)] if diagonal else cells
        draw(sheet, cells, "Pearson correlation", cmap=cmap, vmin=low, vmax=high)
        sheet.ax.set(xlabel=label2, ylabel=label1)
        sheet.ax.set_aspect("equal" if values.shape[0] == values.shape[1] else "auto")
        name_cells(sheet, cells.index, cells.columns, fontsize)
        return sheet.finish(sheet.ax, save=save, transparent=transparent, show=show, return_fig=return_fig)


def _paired(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """The columns in the order of the rows that they go best with, one each; then the others."""
    rows, columns = linear_sum_assignment(-np.nan_to_num(values))
    return np.concatenate([columns[np.argsort(rows)], np.setdiff1d(np.arange(values.shape[1]), columns)])


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlations of the columns of ``a`` (n × p) and ``b`` (n × q): p × q, NaN for constant columns."""
    return np.clip(_standard(a).T @ _standard(b), -1, 1)


def _standard(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of mean 0 and length 1, or NaN."""
    usable = np.isfinite(x).all(axis=0)
    usable &= x.min(axis=0) < x.max(axis=0)
    standard = np.full(x.shape, np.nan)
    centred = x[:, usable] - x[:, usable].mean(axis=0)
    standard[:, usable] = centred / np.linalg.norm(centred, axis=0)
    return standard


def _align(arr1: pd.DataFrame | ArrayLike, arr2: pd.DataFrame | ArrayLike) -> tuple[pd.DataFrame, pd.DataFrame]:
    first, second = _numbers(arr1, "arr1"), _numbers(arr2, "arr2")
    if isinstance(arr1, pd.DataFrame) and isinstance(arr2, pd.DataFrame):
        for name, frame in (("arr1", first), ("arr2", second)):
            if not frame.index.is_unique:
                twice = frame.index[frame.index.duplicated()][0]
                raise ValueError(f"{name} has rows of the same name, such as {twice!r}: rows are matched by name")
        common = first.index[first.index.isin(second.index)]
        if len(common) < 0.1 * min(len(first), len(second)):
            warn(
                f"arr1 and arr2 have {len(common)} rows in common, names are such as {first.index[0]!r} in arr1 and "
                f"{second.index[0]!r} in arr2{alike_but_for(first.index, second.index)}: rows are matched by name"
            )
        first, second = first.loc[common], second.loc[common]
    if len(first) != len(second):
        raise ValueError(f"arr1 has {len(first)} rows and arr2 has {len(second)}: both describe the same observations")
    if len(first) < 2:
        raise ValueError(f"arr1 and arr2 have {len(first)} rows in common: a correlation needs 2 or more")
    return first, second


def _numbers(values: pd.DataFrame | ArrayLike, name: str) -> pd.DataFrame:
    if not isinstance(values, pd.DataFrame):
        array = np.asarray(values)
        if array.ndim != 2:
            raise ValueError(f"{name} has shape {array.shape}: tables are n_obs × variables")
        values = pd.DataFrame(array, columns=range(1, array.shape[1] + 1))
    if not values.shape[1]:
        raise ValueError(f"{name} has no columns: give a table of observations × variables")
    return values.astype(np.float64)
