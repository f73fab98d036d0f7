"""Preprocessing of counts."""

from ._clr import clr
from ._scale_counts import scale_counts
from ._tfidf import tfidf

__all__ = ["clr", "scale_counts", "tfidf"]
