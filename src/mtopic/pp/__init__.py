"""Preprocessing of counts."""

from ._clr import clr
from ._concat import concat
from ._feature_associations_data import feature_associations_data
from ._filter_var_knee import filter_var_knee
from ._filter_var_list import filter_var_list
from ._permute import permute
from ._scale_counts import scale_counts
from ._tfidf import tfidf

__all__ = [
    "clr",
    "concat",
    "feature_associations_data",
    "filter_var_knee",
    "filter_var_list",
    "permute",
    "scale_counts",
    "tfidf",
]
