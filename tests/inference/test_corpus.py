import numpy as np
import pytest
from scipy.sparse import csr_array

from mtopic.inference.corpus import Corpus


@pytest.fixture
def corpus():
    counts = np.random.default_rng(0).poisson(1, (6, 5)).astype(np.float32)
    return Corpus(csr_array(counts), np.array([0, 2, 5]))


def test_scaled_counts(corpus):
    before, totals = corpus.rows.toarray(), corpus.totals
    scaled = corpus.scaled(0.25)
    np.testing.assert_array_equal(scaled.rows.toarray(), before * 0.25)
    np.testing.assert_array_equal(scaled.totals, totals * 0.25)
    np.testing.assert_array_equal(scaled.columns.toarray(), before * 0.25)
    np.testing.assert_array_equal(corpus.rows.toarray(), before)
    assert scaled.dtype == np.float32
    assert scaled.blocks == corpus.blocks


def test_scaled_counts_share_what_they_can(corpus):
    scaled = corpus.scaled(3)
    assert np.shares_memory(scaled.rows.indices, corpus.rows.indices)
    assert not np.shares_memory(scaled.rows.data, corpus.rows.data)
    assert corpus.scaled(1) is corpus
    assert corpus.scaled(1.0) is corpus
