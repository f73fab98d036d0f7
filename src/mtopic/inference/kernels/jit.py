"""How loops are compiled."""

import atexit
import os
from collections.abc import Callable
from functools import cache
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, TypeAlias

from numba import config, njit

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

compiled: Any = njit

# Without numpy's error model every division carries a branch, and no loop that has one is vectorised.
OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
EXACT, REASSOCIATE = {"contract"}, {"reassoc", "contract", "nsz", "arcp"}


def _kept(**options: Any) -> Decorator:
    """Compiled, and kept on disk; only for this process where numba finds no folder that it can write to."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return compiled(**options, cache=True)(function)
        except RuntimeError:
            return compiled(**options, cache=_use_temporary_folder())(function)

    return decorate


@cache
def _use_temporary_folder() -> bool:
    """Give numba a folder that goes with the process, if there can be one: without any, scanpy cannot be imported."""
    try:
        folder = mkdtemp(prefix="mtopic-numba-")
    except OSError:
        return False
    atexit.register(rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = config.CACHE_DIR = folder  # type: ignore[attr-defined]
    return True


# Each kernel takes in what it calls: otherwise the linker picks one of several compiled copies, by what the process
# happened to compile or load before, and bits differ. The kernels alone are called from Python and kept on disk.
kernel: Decorator = _kept(**OPTIONS, fastmath=EXACT, forceinline=True)
kernel_reassociate: Decorator = _kept(**OPTIONS, fastmath=REASSOCIATE, forceinline=True)
jit: Decorator = compiled(**OPTIONS, fastmath=EXACT, forceinline=True, no_cpython_wrapper=True)
jit_reassociate: Decorator = compiled(**OPTIONS, fastmath=REASSOCIATE, forceinline=True, no_cpython_wrapper=True)

# Not compiled by itself, which saves much of a kernel's time to compile; for what is called by exact functions alone.
inlined: Decorator = compiled(**OPTIONS, fastmath=EXACT, inline="always")
