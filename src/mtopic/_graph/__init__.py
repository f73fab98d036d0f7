"""Spatial neighbour graphs: squidpy builds them, this package finds, weighs, aligns and stores them."""

from ._build import Method, build, normalised, quiet_squidpy, scaled
from ._neighbours import Graph, warn_isolated
from ._sections import sections, split
from ._stored import find, store

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
