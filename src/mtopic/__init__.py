"""Spatial multimodal topic models for single-cell and spatial omics."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from . import _log

if TYPE_CHECKING:
    from . import datasets, get, pl, pp, read, tl
    from ._report import report
    from ._view import view

__all__ = ["datasets", "get", "pl", "pp", "read", "report", "tl", "view"]
__version__ = version("mtopic")


def __getattr__(name: str) -> Any:
    """Load a part of the package when it is first used."""
    if name == "report":
        return import_module(f"{__name__}._report").report
    if name == "view":
        return import_module(f"{__name__}._view").view
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
