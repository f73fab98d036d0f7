"""Generators of random numbers that depend on a seed and on nothing that was drawn before."""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What numbers are drawn for; a stream that is new gets a number of its own."""

    STRENGTH = 1
    WEIGHTS = 2
    BATCHES = 3
    FURTHER_STARTS = 4
    ALIGNMENT = 5
    CONCENTRATION = 6
    PART = 7


def generator(seed: int, stream: Stream, epoch: int = 0) -> np.random.Generator:
    """The generator of a stream.

    The numbers are entropy rather than a spawn key, so that fits by earlier versions go on to the same bits.
    """
    return np.random.default_rng((seed, stream, epoch))
