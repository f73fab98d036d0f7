"""Results in forms that other packages take."""

from ._links import links
from ._signatures import signatures
from ._topics import topics

__all__ = ["links", "signatures", "topics"]
