"""Reading of files."""

from os import PathLike

from mudata import MuData

from mtopic._files import read

__all__ = ["h5mu"]


def h5mu(path: str | PathLike[str]) -> MuData:
    """Read a MuData from an ``.h5mu`` file into memory.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    MuData
        As :func:`mudata.read_h5mu` gives it.

    Raises
    ------
    FileNotFoundError
        If there is no such file; names like it in the folder are offered.
    ValueError
        If the file is no MuData (an ``.h5ad``, another HDF5 file, another format, a folder) or is damaged.
    OSError
        If the file cannot be opened, because another program has locked it or it may not be read.

    Examples
    --------
    >>> import tempfile, warnings
    >>> from pathlib import Path
    >>> import mtopic
    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     mtopic.datasets.simulate(100, 3).write_h5mu(Path(folder) / "tissue.h5mu")
    ...     mdata = mtopic.read.h5mu(Path(folder) / "tissue.h5mu")
    >>> list(mdata.mod)
    ['rna', 'atac']
    """
    data = read(path)
    if isinstance(data, MuData):
        return data
    raise ValueError(
        f"{str(path)!r} holds an AnnData, not a MuData: read it with anndata.read_h5ad, "
        "which mtopic.tl.topic_model takes as it is"
    )
