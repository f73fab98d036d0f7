"""Bars for what takes long."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from tqdm import tqdm

from mtopic.inference import Backend

DELAY = 2.0
"""Seconds that pass before there is a bar, as most calls are over by then."""

MANY = 1_000_000
"""Observations times permutations that take as long."""


def progress(total: int | None, what: str, unit: str, *, verbose: bool) -> tqdm:
    """A bar to be updated, which what is soon over does not show."""
    return tqdm(total=total, desc=what, unit=unit, disable=not verbose, delay=DELAY)


@contextmanager
def watched(backend: Backend, total: int | None, what: str, unit: str, *, verbose: bool) -> Iterator[None]:
    """Show a bar of the rows that the backend works on; without a total it counts."""
    lock = Lock()
    with progress(total, what, unit, verbose=verbose) as bar:

        def done(rows: int) -> None:
            with lock:
                bar.update(rows)

        backend.watch = done if verbose else None
        try:
            yield
        finally:
            backend.watch = None
