"""Results in forms that other packages take."""

from ._signatures import signatures
from ._topics import topics

__all__ = ["signatures", "topics"]
