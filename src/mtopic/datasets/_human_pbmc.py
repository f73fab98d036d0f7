from os import PathLike

from mudata import MuData

from mtopic import read
from mtopic._api import public

from ._zenodo import fetch


@public
def human_pbmc(*, cache_dir: str | PathLike[str] | None = None) -> MuData:
    """Published data of ATAC, RNA and protein of human PBMC, downloaded once and kept.

    ``Human_PBMC_ATAC_RNA_Protein_filtered.h5mu`` (71,174,260 bytes) of Zenodo record
    `15471869 <https://zenodo.org/records/15471869>`__.

    {Parameters cache_dir}

    {Returns:published}

    {Raises OSError:download ValueError:file}

    Examples
    --------
    >>> import mtopic
    >>> mdata = mtopic.datasets.human_pbmc()  # doctest: +SKIP
    """
    return read.h5mu(fetch("Human_PBMC_ATAC_RNA_Protein_filtered.h5mu", cache_dir))
