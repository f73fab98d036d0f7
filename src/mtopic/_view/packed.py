"""Arrays and what is said of them, in a text that a page can hold."""

import base64
import gzip
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNED = 4
"""Bytes: arrays begin at multiples of the largest item."""


class Packed:
    """Arrays one after the other, behind a header in JSON that says where each is."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, array: NDArray[Any]) -> dict[str, Any]:
        """Take in an array; return what stands for it in the header."""
        content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        where = {"array": array.dtype.name, "at": self._size, "size": array.size}
        self._append(content)
        return where

    def text(self, header: dict[str, Any]) -> str:
        """All of it, compressed, in base64."""
        said = json.dumps(header, ensure_ascii=False, allow_nan=False).encode()
        front = np.uint32(len(said)).tobytes() + said + b" " * (-len(said) % ALIGNED)
        whole = gzip.compress(front + b"".join(self._parts), compresslevel=6, mtime=0)
        return base64.b64encode(whole).decode("ascii")

    def _append(self, content: bytes) -> None:
        padded = content + b"\0" * (-len(content) % ALIGNED)
        self._parts.append(padded)
        self._size += len(padded)
