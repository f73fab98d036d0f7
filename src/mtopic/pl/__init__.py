"""Plots of topics, signatures and fits."""

from ._batch_effects import batch_effects
from ._borders import borders
from ._compare_topics import compare_topics
from ._composition import composition
from ._convergence import convergence
from ._corr_heatmap import corr_heatmap
from ._dominant_topics import dominant_topics
from ._dotplot import dotplot
from ._enrichment import enrichment
from ._feature_activity import feature_activity
from ._filter_topics import filter_topics
from ._filter_var_knee import filter_var_knee
from ._modality_agreement import modality_agreement
from ._scatter_pie import scatter_pie
from ._select_n_topics import select_n_topics
from ._signatures import signatures
from ._topic_neighborhoods import topic_neighborhoods
from ._topics import topics
from ._zscores import zscores

__all__ = [
    "batch_effects",
    "borders",
    "compare_topics",
    "composition",
    "convergence",
    "corr_heatmap",
    "dominant_topics",
    "dotplot",
    "enrichment",
    "feature_activity",
    "filter_topics",
    "filter_var_knee",
    "modality_agreement",
    "scatter_pie",
    "select_n_topics",
    "signatures",
    "topic_neighborhoods",
    "topics",
    "zscores",
]
