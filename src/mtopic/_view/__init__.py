"""The viewer: one page that shows topics in a browser and needs nothing else."""

from ._view import View, view

__all__ = ["View", "view"]
