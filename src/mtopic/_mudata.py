"""Small dealings with mudata that both of its series, 0.3 and 0.4, understand."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_mudata() -> Iterator[None]:
    """Keep mudata's announcements of changes to come from the user, who did not call mudata and cannot act on them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"mudata\b")
        warnings.filterwarnings("ignore", message=".*pull_on_update", category=FutureWarning)
        yield
