"""Data with known topics, and published data sets."""

from ._human_pbmc import human_pbmc
from ._human_tonsil import human_tonsil
from ._p22_mouse_brain import p22_mouse_brain
from ._recovery import recovery
from ._simulate import simulate

__all__ = ["human_pbmc", "human_tonsil", "p22_mouse_brain", "recovery", "simulate"]
