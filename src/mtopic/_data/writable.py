"""The object that a function writes to."""

import pandas as pd

from . import Data
from .quiet import quiet_mudata
from .slots import holders


def writable(data: Data, *, copy: bool = False) -> Data:
    """A copy, or the data themselves; views, of which some write through to their source, become objects of their own.

    Tables get the names that their observations have now, without which older versions of mudata make no copy. A backed
    object has no copy in memory and stays what it is.
    """
    for key, values in () if data.is_view else list(data.obsm.items()):
        if isinstance(values, pd.DataFrame) and not values.index.equals(data.obs_names):
            data.obsm[key] = values.set_axis(data.obs_names)
    with quiet_mudata():
        if copy:
            try:
                return data.copy()
            except (NotImplementedError, AttributeError) as error:  # the latter of anndata before 0.13
                raise ValueError(
                    "copy=True: matrices that stay on disk have no copy; call it without copy, after which obsm and "
                    "uns of the data have the results and their file is as it was"
                ) from error
        for holder in holders(data):
            if holder.is_view and not holder.isbacked:
                holder._init_as_actual(holder.copy())
    return data
