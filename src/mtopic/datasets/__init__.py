"""Data with known topics."""

from ._simulate import simulate

__all__ = ["simulate"]
