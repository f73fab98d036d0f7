"""Categories of observations, with colours."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import Data, record


def write_category(data: Data, key: str, codes: NDArray[np.integer], names: Sequence[str]) -> None:
    """Write ``obs[key]``, with the categories that occur, and a colour for each.

    ``codes`` are positions in ``names``, -1 for none. A name without a colour in ``uns`` has scanpy's default for its
    place among all names.
    """
    colours = dict(zip(names, _default_colours(list(names)), strict=True)) | stored_colours(data, key, names)
    categories = pd.Categorical.from_codes(codes, categories=pd.Index(names)).remove_unused_categories()
    data.obs[key] = categories
    data.uns[f"{key}_colors"] = [colours[name] for name in categories.categories]


def stored_colours(data: Data, key: str, names: Sequence[str]) -> dict[str, str]:
    """The colours in ``uns`` by name: of the categories of ``obs[key]``, else of all names if there are as many."""
    if record.is_outdated(data, f"obs:{key}"):
        return {}
    stored = list(map(str, data.uns.get(f"{key}_colors", ())))
    is_category = key in data.obs and isinstance(data.obs[key].dtype, pd.CategoricalDtype)
    categories = list(data.obs[key].cat.categories.astype(str)) if is_category else []
    of = next((of for of in (categories, list(names)) if len(of) == len(stored)), [])
    return dict(zip(of, stored[: len(of)], strict=True))


def _default_colours(names: list[str]) -> list[str]:
    from matplotlib.colors import to_hex

    from mtopic._palette import colours

    return [to_hex(colour) for colour in colours(names, None)]
