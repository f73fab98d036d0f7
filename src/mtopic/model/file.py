"""Models in files: HDF5 behind a seal, a digest of all that follows, by which damage is known."""

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._data.names import absent
from mtopic._files import access, of_the_system

SCHEMA = 1
SEAL, BLOCK = b"mtopic model, sha256 ", 512


@dataclass(frozen=True)
class State:
    """What a model consists of."""

    settings: dict[str, Any]
    """Numbers, text, None, and lists and dicts of these."""
    arrays: dict[str, NDArray[Any] | pd.Index]
    """By name, in which ``/`` makes groups; an index holds text."""


def write(path: str | os.PathLike[str], state: State) -> None:
    """Write beside the target, then put in its place: there is always the whole earlier file or the whole new one.

    HDF5 makes the file in memory, as it takes Python down where a disk is full.
    """
    target = require_folder(path)
    draft = target.with_name(f".{target.name}-{uuid4().hex[:8]}.part")
    with access(path, "written"):
        try:
            with h5py.File(made := BytesIO(), "w", userblock_size=BLOCK) as file:
                file.attrs["schema_version"] = SCHEMA
                file["settings"] = json.dumps(state.settings, default=_plain)
                for name, values in state.arrays.items():
                    _put(file, name, values)
            with made.getbuffer() as contents, draft.open("xb") as written:
                written.write(contents)
            _seal(draft)
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)
    _flush_folder(target.parent)


def read(path: str | os.PathLike[str]) -> State:
    """All of a file that `write` has written."""
    path = Path(path)
    with access(path, "read"):
        _require_file(path)
        _require_sealed(path)
        try:
            with h5py.File(path) as file:
                version = int(file.attrs["schema_version"])
                if version == SCHEMA:
                    return _contents(file)
        except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
            if of_the_system(error):
                raise
            raise incomplete(path, error) from error
    raise ValueError(
        f"{str(path)!r} has schema version {version}, and this mtopic reads version {SCHEMA}: load it with the mtopic "
        "that wrote it, or fit anew"
    )


def _contents(file: h5py.File) -> State:
    arrays: dict[str, NDArray[Any] | pd.Index] = {}

    def take(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and name != "settings":
            arrays[name] = _take(item)

    file.visititems(take)
    return State(json.loads(file["settings"].asstr()[()]), arrays)


def incomplete(path: str | os.PathLike[str], error: Exception) -> ValueError:
    """What to say of a file that lacks a part of a model."""
    what = f"{type(error).__name__}: {error}"
    return ValueError(f"{str(path)!r} does not hold a whole model ({what}): load an earlier copy, or fit anew")


def require_folder(path: str | os.PathLike[str]) -> Path:
    """Where the file itself will be, links followed."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise ValueError(f"{str(path)!r} is a folder: name the file to write")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(target.parent)!r}: create it first")
    return target


def _put(file: h5py.File, name: str, values: NDArray[Any] | pd.Index) -> None:
    if isinstance(values, pd.Index):
        file.create_dataset(name, data=values.to_numpy(dtype=object), dtype=h5py.string_dtype())
        return
    by_column = bool(values.flags.f_contiguous and not values.flags.c_contiguous)
    dataset = file.create_dataset(name, data=values.T if by_column else values)
    dataset.attrs["by_column"] = by_column  # the order in memory can decide on the order of sums


def _take(dataset: h5py.Dataset) -> NDArray[Any] | pd.Index:
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return pd.Index(dataset.asstr()[()])
    values = dataset[()]
    return values.T if dataset.attrs.get("by_column", False) else values


def _plain(value: object) -> object:
    """Arrays and NumPy's numbers as Python's; anything else, which a stored graph may hold, as text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _seal(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(BLOCK)
        block = _block(file)
        file.seek(0)
        file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _block(file: BinaryIO) -> bytes:
    """What stands before the rest of a file: the digest of this."""
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    return (SEAL + digest.encode() + b"\n").ljust(BLOCK, b"\0")


def _flush_folder(folder: Path) -> None:
    """Have the new name on the disk too, where folders can be flushed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder, a saved model is one file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no file {str(path)!r}: there is no folder {str(path.parent)!r}")
    if not path.exists():
        names = sorted(file.name for file in path.parent.iterdir())
        raise FileNotFoundError(absent(path.name, names, "file", repr(str(path.parent))))


def _require_sealed(path: Path) -> None:
    with path.open("rb") as file:
        block = file.read(BLOCK)
        if block[: len(SEAL)] != SEAL[: len(block)]:
            hint = ": mtopic.read.h5mu reads an h5mu" if h5py.is_hdf5(path) else ""
            raise ValueError(f"{str(path)!r} is not a model that model.save wrote{hint}")
        if block != _block(file):
            _require_closed(path)
            raise ValueError(
                f"{str(path)!r} was cut short or changed since it was written: load an earlier copy, or fit anew"
            )


def _require_closed(path: Path) -> None:
    """Pass on what the system says of a file that another program is changing."""
    try:
        h5py.File(path).close()
    except OSError as error:
        if of_the_system(error):
            raise
