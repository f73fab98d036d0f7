"""Files, and what is said of one that is missing, holds something else, is damaged, or cannot be opened."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeGuard

import anndata
import h5py
import mudata

from mtopic._data import Data
from mtopic._data.quiet import quiet_mudata


def read(path: str | os.PathLike[str]) -> Data:
    """The MuData or AnnData that a file holds, whatever its name."""
    path = Path(path)
    with access(path, "read"):
        require_file(path)
        try:
            reader = mudata.read_h5mu if holds_modalities(path) else anndata.read_h5ad
            with quiet_mudata():
                return reader(path)
        except _OtherContentsError:
            raise
        except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            if of_the_system(error):
                raise
            raise ValueError(f"{str(path)!r} is damaged or incomplete: fetch or write it anew ({error})") from error


class _OtherContentsError(ValueError):
    """The file is sound but holds something else."""


def require_file(path: Path) -> None:
    """Refuse a folder and what is not there."""
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


def holds_modalities(path: Path) -> bool:
    """Whether a file is of a MuData; refuses what is neither this nor of an AnnData."""
    with path.open("rb") as file:
        if not file.read(1):
            raise _OtherContentsError(f"{str(path)!r} is empty, so not an HDF5 file: its program has written nothing")
    if not h5py.is_hdf5(path):
        raise _OtherContentsError(f"{str(path)!r} is not an HDF5 file, so not an h5mu")
    with h5py.File(path) as file:
        if "mod" in file:
            return True
        if file.attrs.get("encoding-type") == "anndata" or {"X", "obs", "var"} <= set(file):
            return False
    raise _OtherContentsError(f"{str(path)!r} is an HDF5 file without modalities, so not an h5mu")


@contextmanager
def access(path: str | os.PathLike[str], how: Literal["read", "written"]) -> Iterator[None]:
    """Say of a file why the system does not let it be opened, and what helps."""
    try:
        yield
    except OSError as error:
        if not of_the_system(error):
            raise
        raise type(error)(f"{str(path)!r} cannot be {how}: {_reason(error)}") from error
    except (RuntimeError, AttributeError) as error:  # HDF5 and Matplotlib stumble over what the system has said
        before, of_hdf5 = error.__context__, re.search("error message = '([^']+)'", str(error))
        if of_hdf5 is not None:
            reason = of_hdf5[1]
        elif of_the_system(before):
            reason = _reason(before)
        else:
            raise
        raise OSError(f"{str(path)!r} cannot be {how}: {reason}") from error


def of_the_system(error: BaseException | None) -> TypeGuard[OSError]:
    """Whether it is the system that refuses a file, and not the contents that are wrong."""
    known = isinstance(error, OSError) and (error.errno is not None or _is_locked(error))
    return known or isinstance(error, PermissionError)


def _is_locked(error: OSError) -> bool:
    return isinstance(error, BlockingIOError) or "unable to lock file" in str(error)


def _reason(error: OSError) -> str:
    if _is_locked(error):
        return (
            "it is locked, as another program has it open. Close it there; if none has, its file system may know no "
            "locks: set HDF5_USE_FILE_LOCKING=FALSE in the environment before Python starts"
        )
    if isinstance(error, PermissionError):
        return "there is no permission. Ask the owner for it, or use a copy or a folder of your own"
    if isinstance(error, FileNotFoundError):
        return "there is no such folder. Create it first"
    return error.strerror or str(error)
