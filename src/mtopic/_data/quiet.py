"""What mudata 0.3 and 0.4 do differently."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_mudata() -> Iterator[None]:
    """Keep mudata 0.3's announcement of its next series from users, who did not call mudata and cannot act on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
