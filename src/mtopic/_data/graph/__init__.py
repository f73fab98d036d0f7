"""Spatial neighbour graphs: squidpy builds them, this package finds, weighs, aligns and stores them."""

from .build import Method, build, normalised, quiet_squidpy, scaled
from .neighbours import Graph, warn_isolated
from .sections import sections, split
from .stored import find, store

__all__ = [
    "Graph",
    "Method",
    "build",
    "find",
    "normalised",
    "quiet_squidpy",
    "scaled",
    "sections",
    "split",
    "store",
    "warn_isolated",
]
