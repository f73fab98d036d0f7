"""Categories of observations, with colours."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .slots import Data


def write_category(data: Data, key: str, codes: NDArray[np.integer], names: Sequence[str]) -> None:
    """Write ``obs[key]`` and, unless there are as many already, scanpy's default colours of its categories.

    ``codes`` are positions in ``names``, -1 for none.
    """
    data.obs[key] = pd.Categorical.from_codes(codes, categories=pd.Index(names))
    if len(data.uns.get(f"{key}_colors", ())) != len(names):
        data.uns[f"{key}_colors"] = _default_colours(list(names))


def _default_colours(names: list[str]) -> list[str]:
    from matplotlib.colors import to_hex

    from mtopic._palette import colours

    return [to_hex(colour) for colour in colours(names, None)]
