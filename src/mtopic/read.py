"""Reading of files."""

from difflib import get_close_matches
from os import PathLike
from pathlib import Path

import h5py
import mudata
from mudata import MuData

from mtopic._data.quiet import quiet_mudata

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
    path = Path(path)
    _require_file(path)
    try:
        _require_mudata(path)
        with quiet_mudata():
            return mudata.read_h5mu(path)
    except _NotMuDataError:
        raise
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{str(path)!r} is damaged or incomplete: fetch or write it anew ({error})") from error


class _NotMuDataError(ValueError):
    """The file is sound but holds something else."""


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder, an h5mu is one file; mudata.read_zarr reads a Zarr store")
    if path.exists():
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no file {str(path)!r}: there is no folder {str(path.parent)!r}")
    names = sorted(file.name for file in path.parent.iterdir())
    near = get_close_matches(path.name, names, n=3) or [name for name in names if name.endswith(".h5mu")][:3]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "the folder holds no h5mu"
    raise FileNotFoundError(f"no file {path.name!r} in {str(path.parent)!r}; {hint}")


def _require_mudata(path: Path) -> None:
    if not h5py.is_hdf5(path):
        raise _NotMuDataError(f"{str(path)!r} is not an HDF5 file, so not an h5mu")
    with h5py.File(path) as file:
        if "mod" in file:
            return
        if file.attrs.get("encoding-type") == "anndata" or {"X", "obs", "var"} <= set(file):
            raise _NotMuDataError(
                f"{str(path)!r} holds an AnnData, not a MuData: read it with anndata.read_h5ad, "
                "which mtopic.tl.topic_model takes as it is; for the command line, write MuData({'rna': adata})"
            )
    raise _NotMuDataError(f"{str(path)!r} is an HDF5 file without modalities, so not an h5mu")
