"""Spatial multimodal topic models for single-cell and spatial omics."""

from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING

from . import _log

if TYPE_CHECKING:
    from . import datasets, get, pl, pp, read, tl

__all__ = ["datasets", "get", "pl", "pp", "read", "tl"]
__version__ = version("mtopic")


def __getattr__(name: str) -> ModuleType:
    """Load a part of the package when it is first used."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
