from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from mtopic.inference.corpus import Corpus
from mtopic.inference.fit import Fit
from mtopic.inference.posterior import initial
from mtopic.inference.schedule import SCHEDULES


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


def test_blocks_of_observations_are_the_corpus(corpus):
    blocks = list(replace(corpus, n_blocks=4).in_blocks(lambda block: block))
    assert [rows.stop for rows, _ in blocks] == [1, 3, 4, 6]
    np.testing.assert_array_equal(np.vstack([part.rows.toarray() for _, part in blocks]), corpus.rows.toarray())
    assert next(corpus.in_blocks(lambda block: block))[1] is corpus
    assert replace(corpus, n_blocks=4).part(np.array([1, 3])).n_blocks == 1


@pytest.mark.parametrize("family", ["variational", "collapsed"])
def test_a_fit_in_blocks_is_the_same_fit(family):
    """Up to the order of sums; and whatever the threads, in the same bits."""
    x = csr_array(np.random.default_rng(0).poisson(0.5, (300, 60)).astype(float))
    whole, fits = Corpus(x, np.array([0, 40, 60])), []
    for corpus, n_jobs in ((whole, 1), (replace(whole, n_blocks=7), 1), (replace(whole, n_blocks=7), 2)):
        fit = Fit(initial(corpus, 4, np.random.default_rng(1), 0.25, 0.01, family), 5, False, False)
        fit.configure(np.dtype(float), n_jobs)
        with fit.posterior.backend:
            for position in range(14):
                fit.iterate(SCHEDULES["fast"].plan(position, 100), None)
        fits.append(fit)
    one, several, threads = ((fit.posterior.gamma, fit.posterior.lam, fit.elbo) for fit in fits)
    for expected, found, same in zip(one, several, threads, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_array_equal(found, same)


def test_counts_in_other_forms_are_brought_into_one(corpus):
    x = corpus.rows.copy()
    x.indices, x.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    x.data.flags.writeable = False
    rows = Corpus(x, corpus.offsets).rows
    assert rows.indices.dtype == rows.indptr.dtype == np.int32
    assert rows.data.flags.writeable
    np.testing.assert_array_equal(rows.toarray(), x.toarray())
