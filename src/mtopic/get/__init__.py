"""Results in forms that other packages take."""

from ._expected_counts import expected_counts
from ._links import links
from ._profiles import profiles
from ._signatures import signatures
from ._top_features import top_features
from ._topics import topics

__all__ = ["expected_counts", "links", "profiles", "signatures", "top_features", "topics"]
