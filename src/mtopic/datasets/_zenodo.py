"""The published files: where they are, and how they come here."""

import os
from os import PathLike
from pathlib import Path
from typing import Any

from mtopic._files import access, of_the_system
from mtopic._warn import warn

RECORDS = "https://zenodo.org/records"
DATA_DIR = "MTOPIC_DATA_DIR"
RETRIES = 3
CHUNK = 1 << 16

FILES = {
    "P22MouseBrainATAC_filtered.h5mu": (20044694, 42_827_881),
    "P22_Mouse_Brain_ATAC_RNA_raw.h5mu": (15471869, 74_142_256),
    "Human_Tonsil_RNA_Protein_filtered.h5mu": (15471869, 16_108_621),
    "Human_PBMC_ATAC_RNA_Protein_filtered.h5mu": (15471869, 71_174_260),
}
"""Zenodo record and size in bytes of each file. No hashes are published with them."""


def fetch(name: str, cache_dir: str | PathLike[str] | None) -> Path:
    """A published file on this machine, downloaded unless a file of its size is there."""
    import pooch

    record, size = FILES[name]
    folder = Path(cache_dir or os.environ.get(DATA_DIR) or pooch.os_cache("mtopic")).expanduser()
    file = folder / name
    if file.is_file() and file.stat().st_size == size:
        return file
    if file.is_file():
        warn(f"{str(file)!r} has {file.stat().st_size:,} bytes in place of {size:,}: it is fetched anew")
    url = f"{RECORDS}/{record}/files/{name}?download=1"

    def download(url: str, output_file: str, source: Any) -> None:
        """With a progress bar; pooch tries anew unless the right number of bytes comes."""
        pooch.HTTPDownloader(progressbar=True, chunk_size=CHUNK)(url, output_file, source)
        received = os.path.getsize(output_file)
        if received != size:
            raise ValueError(f"{received:,} bytes came in place of {size:,}")

    try:
        with access(file, "written"):
            file.unlink(missing_ok=True)
            source = pooch.create(folder, base_url="", registry={name: None}, urls={name: url}, retry_if_failed=RETRIES)
            return Path(source.fetch(name, downloader=download))
    except (OSError, ValueError) as error:
        if of_the_system(error.__cause__):
            raise type(error)(f"{error}; name it as cache_dir or in the environment variable {DATA_DIR}") from error
        raise OSError(
            f"{url} could not be fetched: {error}. Download it by other means and put it into {str(folder)!r}, "
            f"or name the folder that has it as cache_dir or in the environment variable {DATA_DIR}"
        ) from error
