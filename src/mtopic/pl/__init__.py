"""Plots of topics, signatures and fits."""

from ._convergence import convergence
from ._corr_heatmap import corr_heatmap
from ._dominant_topics import dominant_topics
from ._signatures import signatures
from ._topics import topics

__all__ = ["convergence", "corr_heatmap", "dominant_topics", "signatures", "topics"]
