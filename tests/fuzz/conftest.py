"""Fits that are as quick as small data allow, and the number of cases."""

from collections.abc import Iterator
from functools import partial

import pytest

from mtopic.inference import fit
from mtopic.inference.stochastic import initial_signatures


@pytest.fixture(autouse=True, scope="module")
def _few_batches() -> Iterator[None]:
    """A start of 4 batches, not 128, which few observations do not need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "initial_signatures", partial(initial_signatures, steps=4))
        yield
