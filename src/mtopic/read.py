"""Reading of files."""

from os import PathLike

import pandas as pd
from mudata import MuData

from mtopic._data import Data
from mtopic._files import access, read
from mtopic._lazily import opened

__all__ = ["h5mu", "lazy", "selection"]


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


def lazy(path: str | PathLike[str]) -> Data:
    """Open an AnnData or a MuData whose matrices stay on disk.

    ``X`` and the layers of each modality are read when they are asked for; all else is in memory, and may be changed
    and added to. With ``scratch``, `mtopic.tl.topic_model` fits it without ever having all counts in memory. Nothing is
    written to the file. A selection of observations or features is read when it is used.

    Parameters
    ----------
    path
        An ``.h5ad`` or ``.h5mu`` file, or a Zarr store of either.

    Returns
    -------
    AnnData or MuData
        Its matrices are those of :func:`anndata.io.sparse_dataset`, or arrays of h5py or Zarr.

    Raises
    ------
    FileNotFoundError
        If there is no such file; names like it in the folder are offered.
    ValueError
        If there is no AnnData and no MuData in it.
    OSError
        If the file cannot be opened, because another program has locked it or it may not be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import mtopic as mt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mt.datasets.simulate(n_obs=200, n_topics=3)["rna"].write_h5ad(Path(folder) / "cells.h5ad")
    ...     adata = mt.read.lazy(Path(folder) / "cells.h5ad")
    ...     mt.tl.topic_model(adata, n_topics=3, scratch=folder, verbose=False)
    >>> adata.obsm["topics"].shape
    (200, 3)
    """
    return opened(path)


def selection(path: str | PathLike[str]) -> pd.Series:
    r"""Read which observations were selected on a page of `mtopic.view`.

    Put into ``obs``, each observation gets its own by name, and those that were not selected have none.

    Parameters
    ----------
    path
        The file that "Save selection" wrote.

    Returns
    -------
    pandas.Series
        Categorical, ``"A"`` or ``"B"``, by names of observations.

    Raises
    ------
    ValueError
        If it is another file.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "selection.csv"
    ...     _ = file.write_text("name,selection\n" + mdata.obs_names[0] + ",A\n")
    ...     mdata.obs["region"] = mt.read.selection(file)
    >>> mdata.obs["region"].iloc[0], int(mdata.obs["region"].notna().sum())
    ('A', 1)
    """
    with access(path, "read"):
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ValueError(f"{str(path)!r} is no selection: {error}") from error
    if list(table) != ["name", "selection"] or not table["selection"].isin(["A", "B"]).all():
        raise ValueError(f"{str(path)!r} is no selection: save one on a page of mtopic.view, with 'Save selection'")
    values = pd.Categorical(table["selection"], categories=sorted(table["selection"].unique()))
    return pd.Series(values, index=pd.Index(table["name"], name=None), name="selection")
