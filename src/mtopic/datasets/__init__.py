"""Data with known topics."""

from ._recovery import recovery
from ._simulate import simulate

__all__ = ["recovery", "simulate"]
