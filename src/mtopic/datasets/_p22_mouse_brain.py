from os import PathLike

from mudata import MuData

from mtopic import read
from mtopic._api import public

from ._zenodo import fetch


@public
def p22_mouse_brain(raw: bool = False, *, cache_dir: str | PathLike[str] | None = None) -> MuData:
    """Published data of a P22 mouse brain, downloaded once and kept.

    ``P22MouseBrainATAC_filtered.h5mu`` (42,827,881 bytes) of Zenodo record
    `20044694 <https://zenodo.org/records/20044694>`__, or ``P22_Mouse_Brain_ATAC_RNA_raw.h5mu`` (74,142,256 bytes) of
    record `15471869 <https://zenodo.org/records/15471869>`__.

    Parameters
    ----------
    raw
        The raw data in place of the filtered ones.
    {cache_dir}

    {Returns:published}

    {Raises OSError:download ValueError:file}

    Examples
    --------
    >>> import mtopic
    >>> mdata = mtopic.datasets.p22_mouse_brain()  # doctest: +SKIP
    """
    name = "P22_Mouse_Brain_ATAC_RNA_raw.h5mu" if raw else "P22MouseBrainATAC_filtered.h5mu"
    return read.h5mu(fetch(name, cache_dir))
