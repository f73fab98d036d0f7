"""The report: one page about a fit."""

from ._report import report

__all__ = ["report"]
