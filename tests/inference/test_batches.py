from itertools import islice

import numpy as np
import pytest

from mtopic.inference.batches import batches


def taken(n_batches, *arguments):
    return np.concatenate(list(islice(batches(*arguments), n_batches)))


def test_each_observation_comes_once_before_any_comes_again():
    epochs = taken(20, 30, 6, 0, 1).reshape(4, 30)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(30), (4, 1)))
    assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize("drawn", [7, 30, 49, 91])
def test_batches_go_on_where_they_were_whatever_their_size(drawn):
    whole = taken(120, 30, 1, 0, 5)
    np.testing.assert_array_equal(taken(3, 30, 7, drawn, 5), whole[drawn : drawn + 21])
    assert not np.array_equal(taken(3, 30, 7, drawn, 6), whole[drawn : drawn + 21])


def test_a_batch_of_more_than_all_is_of_all():
    for batch in islice(batches(4, 100, 0, 0), 3):
        np.testing.assert_array_equal(np.sort(batch), np.arange(4))
