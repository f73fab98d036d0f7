"""A working copy of counts that stays, and is known again by where its counts came from."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from mtopic.inference.corpus import Corpus
from mtopic.inference.stored import Folder, StoredCounts

from .count_matrix import Summary, values

MANIFEST, PREFIX = "manifest.json", "mtopic-kept-"

Copy = tuple[Corpus, dict[str, Summary]]


def origin(
    obs_names: pd.Index, parts: Mapping[str, AnnData], layers: Mapping[str, str | None], dtype: np.dtype
) -> dict[str, Any] | None:
    """From which files the counts come, and how they are laid out; None if some are not in a file."""
    found: dict[str, Any] = {"dtype": dtype.name, "observations": _digest(obs_names)}
    for mod, adata in parts.items():
        place = _place(values(adata, mod, layers[mod])[1])
        if place is None:
            return None
        found[mod] = [*place, _digest(adata.obs_names), _digest(adata.var_names)]
    return found


def find(scratch: Path, *, fingerprint: str | None = None, source: dict[str, Any] | None = None) -> Copy | None:
    """The copy of these counts, or of counts from there, if there is one."""
    for folder in sorted(scratch.glob(f"{PREFIX}*")):
        if (folder / MANIFEST).is_file():
            manifest = json.loads((folder / MANIFEST).read_text())
            if manifest["fingerprint"] == fingerprint or (source is not None and source in manifest["origins"]):
                return _opened(folder, manifest)
    return None


def keep(copy: Copy, fingerprint: str, source: dict[str, Any] | None) -> Copy:
    """Have the folder of a new copy stay, under a name by its counts; one that has these already takes its place."""
    corpus, known = copy
    counts = corpus.counts
    assert isinstance(counts, StoredCounts)
    manifest = {
        "fingerprint": fingerprint,
        "origins": [] if source is None else [source],
        "dtype": counts.dtype.name,
        "edges": counts.edges.tolist(),
        "nonzeros": counts.nonzeros.tolist(),
        "offsets": corpus.offsets.tolist(),
        "summary": {mod: asdict(one) for mod, one in known.items()},
    }
    folder = counts.folder.path
    target = folder.with_name(f"{PREFIX}{fingerprint[:16]}")
    is_there = (target / MANIFEST).is_file()
    if is_there:
        manifest["origins"] += json.loads((target / MANIFEST).read_text())["origins"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    if is_there:
        (folder / MANIFEST).replace(target / MANIFEST)
        counts.folder.remove()
    else:
        counts.folder.remove.detach()
        folder.rename(target)
    return _opened(target, manifest)


def _opened(folder: Path, manifest: Mapping[str, Any]) -> Copy:
    offsets = np.array(manifest["offsets"], np.int64)
    edges, nonzeros = (np.array(manifest[name], np.int64) for name in ("edges", "nonzeros"))
    counts = StoredCounts(Folder.kept(folder), edges, nonzeros, int(offsets[-1]), np.dtype(manifest["dtype"]))
    known = {mod: Summary(**one) for mod, one in manifest["summary"].items()}
    return Corpus(replace(counts, digest=manifest["fingerprint"]), offsets), known


def _place(x: Any) -> list[Any] | None:
    """The file that holds an array, its name there, and what changes when the file is written."""
    where = getattr(x, "group", x)
    if hasattr(where, "file") and hasattr(where.file, "filename"):
        path = Path(where.file.filename).resolve()
        return [str(path), where.name, path.stat().st_size, path.stat().st_mtime_ns]
    root = getattr(getattr(where, "store", None), "root", None)
    if root is None or not os.path.isdir(root):
        return None
    stats = [file.stat() for file in (Path(root) / where.path).rglob("*")]
    return [str(Path(root).resolve()), where.name, len(stats), max(one.st_mtime_ns for one in stats)]


def _digest(names: pd.Index) -> str:
    return hashlib.sha256("\n".join(names.astype(str)).encode()).hexdigest()
