from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import Data, DataLike, record
from mtopic._data.in_rows import column
from mtopic._data.names import look_up
from mtopic._data.slots import find_feature, modalities

from ._figure import Limit, Save, limits
from ._maps import maps
from ._sections import LibraryId, LibraryKey, Origin, Where, sections


@public
def feature_activity(
    mdata: DataLike,
    x: str = "coords",
    features: str | Sequence[str] = (),
    cmap: str | Colormap = "magma_r",
    marker: str = ".",
    s: float | None = None,
    p_top: float = 99,
    fontsize: float = 10,
    figsize: tuple[float, float] | None = None,
    transparent: bool = False,
    save: Save = None,
    *,
    layer: str | None = None,
    vmin: Limit = None,
    vmax: Limit = None,
    ncols: int | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    library_key: LibraryKey = None,
    library_id: LibraryId = None,
    origin: Origin = None,
    img: bool = False,
    scale_bar: bool = False,
) -> list[Axes] | Figure:
    """Draw where features are active: a panel for each feature, observations coloured by its value, the highest on top.

    Parameters
    ----------
    mdata
        MuData or AnnData.
    {x:drawn}
    features
        Names of features: ``"mod:name"``, or the name alone where one modality only has it.
    cmap
        Colour map. Observations that lack the modality are grey. The original's is ``"gnuplot"``.
    {marker s}
    p_top
        Percentile of a feature's values at which its colour scale ends, unless ``vmax`` is given.
    {fontsize:titles figsize:maps transparent save:markers}
    layer
        Layer whose values are drawn, such as ``"counts"``; None for ``X``.
    {vmin,vmax:panels}
        The upper limit is ``p_top`` where ``vmax`` is None.
    {ncols show return_fig library_key:drawn library_id origin img scale_bar}

    Returns
    -------
    The panels' axes, in the order of the features and, for each, of the sections; or the figure.

    Raises
    ------
    KeyError
        If there is no such feature, layer, section or table of coordinates; the nearest names are offered.
    ValueError
        If several modalities have a name, no feature is named, or a number or limit is out of range.

    {Examples:data}
    >>> axes = mt.pl.feature_activity(mdata, "spatial", ["rna_0", "rna_1"], show=False)
    >>> len(axes)
    2
    """
    names = [features] if isinstance(features, str) else list(features)
    if not names:
        raise ValueError("features: name at least one feature to draw")
    if not 0 <= p_top <= 100:
        raise ValueError(f"p_top={p_top}: it is a percentile, 0 to 100")
    values = pd.DataFrame({name: _values(mdata, name, layer) for name in names}, index=mdata.obs_names)
    style: dict[str, Any] = {
        "cmap": cmap,
        "marker": marker,
        "s": s,
        "fontsize": fontsize,
        "figsize": figsize,
        "ncols": ncols,
    }
    end: dict[str, Any] = {"transparent": transparent, "save": save, "show": show, "return_fig": return_fig}
    where: Where = {"library_key": library_key, "library_id": library_id, "origin": origin}
    where |= {"img": img, "scale_bar": scale_bar}
    return maps(
        sections(mdata, x, record.head(None), where),
        values,
        lambda column: _scale(column, vmin, vmax, p_top),
        label=layer or ("X" if (values % 1 > 0).any(axis=None) else "counts"),
        **style,
        **end,
    )


def _scale(column: NDArray[np.float64], vmin: Limit, vmax: Limit, p_top: float) -> tuple[float, float]:
    """A feature that fewer observations have than lie above the percentile is drawn up to its maximum."""
    if vmax is not None:
        return limits(column, vmin, vmax)
    low, high = limits(column, vmin, None)
    top = float(np.nanpercentile(column, p_top)) if np.isfinite(column).any() else high
    return low, top if top > low else high


def _values(mdata: Data, feature: str, layer: str | None) -> NDArray[np.float64]:
    """A feature's values, NaN for observations that its modality lacks."""
    mod, name = find_feature(mdata, feature)
    adata = modalities(mdata)[mod]
    at = adata.var_names.get_indexer_for([name])
    if at.size > 1:
        raise ValueError(
            f"modality {mod!r} has {at.size} features {name!r}: make them unique with var_names_make_unique()"
        )
    slot = f"layers of modality {mod!r}"
    matrix = adata.X if layer is None else look_up(adata.layers, layer, "layer", slot)
    if matrix is None:
        raise ValueError(f"modality {mod!r} has no X: name a layer")
    return pd.Series(column(matrix, at[0]), index=adata.obs_names).reindex(mdata.obs_names).to_numpy()
