"""How loops are compiled."""

from collections.abc import Callable
from typing import Any

from numba import njit

# Without numpy's error model every division carries a branch, and no loop that has one is vectorised. Each kernel
# takes in what it calls: otherwise the linker picks one of several compiled copies, by what the process happened to
# compile or load before, and bits differ.
jit: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(
    nogil=True, cache=True, forceinline=True, error_model="numpy", fastmath={"contract"}
)
jit_reassociate: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(
    nogil=True, cache=True, forceinline=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"}
)
