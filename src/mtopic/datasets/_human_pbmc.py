from os import PathLike

from mudata import MuData

from mtopic import read

from ._zenodo import fetch


def human_pbmc(*, cache_dir: str | PathLike[str] | None = None) -> MuData:
    """Published data of ATAC, RNA and protein of human PBMC, downloaded once and kept.

    ``Human_PBMC_ATAC_RNA_Protein_filtered.h5mu`` (71,174,260 bytes) of Zenodo record
    `15471869 <https://zenodo.org/records/15471869>`__.

    Parameters
    ----------
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
    >>> mdata = mtopic.datasets.human_pbmc()  # doctest: +SKIP
    """
    return read.h5mu(fetch("Human_PBMC_ATAC_RNA_Protein_filtered.h5mu", cache_dir))
