import numpy as np
import pytest

from mtopic.inference.random_streams import Stream, generator


@pytest.mark.parametrize("seed", [3, 2**62 + 5])
def test_no_two_streams_are_one(seed):
    drawn = [generator(seed, stream, epoch).random() for stream in Stream for epoch in range(4)]
    drawn.append(np.random.default_rng(seed).random())
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize(("stream", "number"), [(Stream.STRENGTH, 1), (Stream.WEIGHTS, 2)])
def test_streams_of_earlier_versions_are_what_they_were(stream, number):
    assert generator(7, stream).random() == np.random.default_rng((7, number)).random()
    assert generator(7, Stream.BATCHES, 5).random() == np.random.default_rng((7, 3, 5)).random()
