from os import PathLike

from mudata import MuData

from mtopic import read
from mtopic._api import public

from ._zenodo import fetch


@public
def human_tonsil(*, cache_dir: str | PathLike[str] | None = None) -> MuData:
    """Published data of RNA and protein of a human tonsil, downloaded once and kept.

    ``Human_Tonsil_RNA_Protein_filtered.h5mu`` (16,108,621 bytes) of Zenodo record
    `15471869 <https://zenodo.org/records/15471869>`__.

    {Parameters cache_dir}

    {Returns:published}

    {Raises OSError:download ValueError:file}

    Examples
    --------
    >>> import mtopic
    >>> mdata = mtopic.datasets.human_tonsil()  # doctest: +SKIP
    """
    return read.h5mu(fetch("Human_Tonsil_RNA_Protein_filtered.h5mu", cache_dir))
