"""Bars for what takes long."""

from tqdm import tqdm

DELAY = 2.0
"""Seconds that pass before there is a bar, as most calls are over by then."""


def progress(total: int, what: str, unit: str, *, verbose: bool) -> tqdm:
    """A bar to be updated, which what is soon over does not show."""
    return tqdm(total=total, desc=what, unit=unit, disable=not verbose, delay=DELAY)
