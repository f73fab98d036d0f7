import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mtopic.inference import stored
from mtopic.inference.corpus import Corpus
from mtopic.inference.stored import StoredCounts


def counts(shape=(50, 30), density=0.3, most=5, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(1, most, shape) * (rng.random(shape) < density)
    return csr_array(values.astype(np.float32))


def written(x, folder, monkeypatch=None, block=None, chunk=7, dtype=np.float32):
    if block is not None:
        monkeypatch.setattr(stored, "BLOCK", block)
    chunks = (csr_array(x[start : start + chunk]) for start in range(0, x.shape[0], chunk))
    return StoredCounts.write(chunks, x.shape[1], np.dtype(dtype), folder)


@pytest.mark.parametrize("block", [1, 40, 1000])
def test_blocks_are_the_counts(tmp_path, monkeypatch, block):
    x = counts()
    found = written(x, tmp_path, monkeypatch, block)
    assert found.shape == x.shape and found.nnz == x.nnz
    parts = [found.block(i) for i in range(found.n_blocks)]
    assert all(part.nnz <= block or part.shape[0] == 1 for part in parts)
    np.testing.assert_array_equal(np.vstack([part.by_row().toarray() for part in parts]), x.toarray())
    np.testing.assert_array_equal(np.vstack([part.by_column().toarray() for part in parts]), x.toarray())
    np.testing.assert_array_equal(found.by_row().toarray(), x.toarray())
    np.testing.assert_array_equal(found.by_column().toarray(), x.toarray())
    np.testing.assert_array_equal(parts[-1].of(slice(0, 1)).toarray(), parts[-1].by_row()[[0]].toarray())
    for part in parts:
        assert part.by_row().has_canonical_format and part.by_column().has_canonical_format
        assert part.by_row().indices.dtype == part.by_row().indptr.dtype == np.int32


def test_blocks_depend_on_the_counts_alone(tmp_path, monkeypatch):
    edges = [written(counts(), tmp_path, monkeypatch, 40, chunk).edges.tolist() for chunk in (1, 3, 50)]
    assert edges[0] == edges[1] == edges[2]


def test_blocks_have_rows_that_two_bytes_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "MOST_ROWS", 8)
    found = written(counts(), tmp_path)
    assert np.diff(found.edges).max() == 8
    np.testing.assert_array_equal(found.by_row().toarray(), counts().toarray())


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(0, 49), max_size=60), block=st.sampled_from([1, 40, 1000]))
def test_any_rows_in_any_order(rows, block, tmp_path_factory):
    x, chosen = counts(), np.array(rows, dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        found = written(x, tmp_path_factory.mktemp("scratch"), patch, block)
    np.testing.assert_array_equal(found.of(chosen).toarray(), x[chosen].toarray())


def test_slices_of_rows(tmp_path, monkeypatch):
    x = counts()
    found = written(x, tmp_path, monkeypatch, 40)
    for part in (slice(0, 4), slice(13, 37), slice(45, 90), slice(None)):
        np.testing.assert_array_equal(found.of(part).toarray(), x[part].toarray())


@pytest.mark.parametrize(
    ("most", "size"), [(2**8 - 1, 1), (2**8, 2), (2**16 - 1, 2), (2**16, 4), (2**24, 4), (0.5, 4), (2.0**40, 4)]
)
def test_counts_in_as_few_bytes_as_hold_them(tmp_path, most, size):
    x = csr_array(np.array([[1, 0, most], [0, 2, 0]], np.float32))
    found = written(x, tmp_path)
    np.testing.assert_array_equal(found.by_row().toarray(), x.toarray())
    np.testing.assert_array_equal(found.by_column().toarray(), x.toarray())
    assert np.load(found.folder.path / "0-rows-data.npy").itemsize == size


def test_other_precision_and_scale(tmp_path):
    x = counts()
    other = written(x, tmp_path).astype(np.float64).times(0.5).times(3)
    assert other.dtype == other.by_row().dtype == other.by_column().dtype == other.of(slice(0, 2)).dtype == np.float64
    np.testing.assert_array_equal(other.by_row().toarray(), 1.5 * x.toarray())
    np.testing.assert_array_equal(other.of(np.array([3])).toarray(), 1.5 * x[[3]].toarray())


def test_nothing_but_zeros(tmp_path):
    found = written(csr_array((5, 3), dtype=np.float32), tmp_path)
    assert found.nnz == 0 and found.by_row().shape == (5, 3) and found.of(np.array([], int)).shape == (0, 3)


def test_the_folder_goes_with_the_last_that_refers_to_it(tmp_path):
    found = written(counts(), tmp_path)
    part = found.block(0)
    del found
    assert len(list(tmp_path.iterdir())) == 1 and part.by_row().nnz
    del part
    assert not list(tmp_path.iterdir())


def test_an_interrupted_copy_leaves_nothing(tmp_path):
    def chunks():
        yield counts()
        assert list(tmp_path.iterdir())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StoredCounts.write(chunks(), 30, np.dtype(np.float32), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("weights", [None, np.array([1.0, 0.25])])
def test_a_corpus_in_files_has_the_sums_of_one_in_memory(tmp_path, monkeypatch, weights):
    x, offsets = counts(), np.array([0, 12, 30])
    known, found = Corpus(x, offsets, weights), Corpus(written(x, tmp_path, monkeypatch, 40), offsets, weights)
    blocks = list(found.in_blocks(lambda block: block))
    assert len(blocks) > 5
    for name in ("totals", "by_modality", "by_column", "total", "nnz", "n_obs", "n_features"):
        np.testing.assert_allclose(getattr(found, name), getattr(known, name), err_msg=name)
    assert found.dtype == known.dtype
    for rows, block in blocks:
        np.testing.assert_array_equal(block.weighted_counts.toarray(), known.weighted_counts[rows].toarray())
        np.testing.assert_array_equal(block.columns.toarray(), x[rows].toarray())
    np.testing.assert_array_equal(found.scaled(2).rows.toarray(), 2 * x.toarray())
    assert found.astype(np.dtype(float)).part(slice(3, 9)).dtype == np.float64
