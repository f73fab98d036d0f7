"""The object that a function writes to."""

from anndata import AnnData

from . import Data
from .quiet import quiet_mudata


def writable(data: Data, *, copy: bool = False) -> Data:
    """A copy, or the data themselves; views, of which some write through to their source, become objects of their own.

    A backed object has no copy in memory and stays what it is.
    """
    with quiet_mudata():
        if copy:
            return data.copy()
        for holder in (data,) if isinstance(data, AnnData) else (data, *data.mod.values()):
            if holder.is_view and not holder.isbacked:
                holder._init_as_actual(holder.copy())
    return data
