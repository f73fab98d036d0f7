"""Data whose counts stay in their file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset
from mudata import MuData

from ._data import Data
from ._data.quiet import quiet_mudata
from ._files import access, holds_modalities, require_file

IN_MEMORY = "obs", "var", "obsm", "varm", "obsp", "varp", "uns"
OF_ALL = "obsmap", "varmap"


def opened(path: str | os.PathLike[str]) -> Data:
    """The MuData or AnnData of a file or a Zarr store, with matrices that are read when they are asked for."""
    path = Path(path)
    with access(path, "read"):
        if path.is_dir():
            root = _zarr(path)
        else:
            require_file(path)
            holds_modalities(path)
            root = h5py.File(path, "r")
        if "mod" not in root:
            return _annotated(root)
        modalities = root["mod"]
        order = modalities.attrs.get("mod-order", list(modalities))
        parts = {str(mod): _annotated(modalities[mod]) for mod in order}
        known = {name: read_elem(root[name]) for name in (*IN_MEMORY, *OF_ALL) if name in root}
        with quiet_mudata():
            return MuData(parts, axis=int(root.attrs.get("axis", 0)), **known)


def _zarr(path: Path) -> Any:
    import zarr

    try:
        root = zarr.open_group(path, mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is a folder, and no Zarr store of an AnnData or a MuData") from error
    if "mod" not in root and not {"obs", "var"} <= set(root):
        raise ValueError(f"{str(path)!r} is a Zarr store, and not one of an AnnData or a MuData")
    return root


def _annotated(group: Any) -> AnnData:
    known = {name: read_elem(group[name]) for name in IN_MEMORY if name in group}
    layers: Mapping[str, Any] = group["layers"] if "layers" in group else {}
    x = _matrix(group["X"]) if "X" in group else None
    return AnnData(x, layers={name: _matrix(layers[name]) for name in layers if name is not None}, **known)


def _matrix(stored: Any) -> Any:
    return stored if hasattr(stored, "dtype") else sparse_dataset(stored)
