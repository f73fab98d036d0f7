from os import PathLike

from mudata import MuData

from mtopic import read

from ._zenodo import fetch


def p22_mouse_brain(raw: bool = False, *, cache_dir: str | PathLike[str] | None = None) -> MuData:
    """Published data of a P22 mouse brain, downloaded once and kept.

    ``P22MouseBrainATAC_filtered.h5mu`` (42,827,881 bytes) of Zenodo record `20044694 <https://zenodo.org/records/20044694>`__, or
    ``P22_Mouse_Brain_ATAC_RNA_raw.h5mu`` (74,142,256 bytes) of record `15471869 <https://zenodo.org/records/15471869>`__.

    Parameters
    ----------
    raw
        The raw data in place of the filtered ones.
    cache_dir
        Folder that the file is kept in; if None, that of the environment variable ``MTOPIC_DATA_DIR``, else pooch's for this
        package (``pooch.os_cache``). A file of the right size there is not fetched again, one of another size is replaced.

    Returns
    -------
    MuData
        As :func:`mtopic.read.h5mu` gives it.

    Raises
    ------
    OSError
        If, after a few attempts, the file could not be fetched or had another size than the published one; nothing of it is
        left then. The message says where to put a file that was downloaded by other means.
    ValueError
        If the file cannot be read.

    Examples
    --------
    >>> import mtopic
    >>> mdata = mtopic.datasets.p22_mouse_brain()  # doctest: +SKIP
    """
    name = "P22_Mouse_Brain_ATAC_RNA_raw.h5mu" if raw else "P22MouseBrainATAC_filtered.h5mu"
    return read.h5mu(fetch(name, cache_dir))
