"""How loops are compiled."""

from collections.abc import Callable
from typing import Any, TypeAlias

from numba import njit

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

compiled: Any = njit

# Without numpy's error model every division carries a branch, and no loop that has one is vectorised.
OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
EXACT, REASSOCIATE = {"contract"}, {"reassoc", "contract", "nsz", "arcp"}

# Each kernel takes in what it calls: otherwise the linker picks one of several compiled copies, by what the process
# happened to compile or load before, and bits differ. The kernels alone are called from Python and kept on disk.
kernel: Decorator = compiled(**OPTIONS, fastmath=EXACT, forceinline=True, cache=True)
kernel_reassociate: Decorator = compiled(**OPTIONS, fastmath=REASSOCIATE, forceinline=True, cache=True)
jit: Decorator = compiled(**OPTIONS, fastmath=EXACT, forceinline=True, no_cpython_wrapper=True)
jit_reassociate: Decorator = compiled(**OPTIONS, fastmath=REASSOCIATE, forceinline=True, no_cpython_wrapper=True)

# Not compiled by itself, which saves much of a kernel's time to compile; for what is called by exact functions alone.
inlined: Decorator = compiled(**OPTIONS, fastmath=EXACT, inline="always")
