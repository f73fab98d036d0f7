"""Warnings that point at the user's line."""

import sys
import warnings


def warn(message: str) -> None:
    """Warn at the first caller outside the package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("mtopic."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
