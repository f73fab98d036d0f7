import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import mtopic as mt

EPSILON, SPARSITY, SPREAD, TEMPERATURE = 1e-6, 1e-4, 0.049, 0.2


def signatures(n_topics, n_features, seed):
    drawn = np.random.default_rng(seed).gamma(0.3, 1, (n_topics, n_features)) + 1e-4
    return drawn / drawn.sum(axis=1, keepdims=True)


def objective(a, b, w):
    fit = (a * np.log((a + EPSILON) / (b @ w + EPSILON))).sum(axis=0)
    entropy = (w * np.log(np.where(w > 0, w, 1))).sum(axis=0)
    return fit + SPARSITY * ((w + EPSILON) ** 0.1 + np.log(w + EPSILON)).sum(axis=0) + SPREAD * entropy


def adam(a, b, steps):
    """The original's descent: softmax of logits / 0.2, from equal logits, steps of 1e-4."""
    logits = np.zeros((b.shape[1], a.shape[1]))
    first, second = np.zeros_like(logits), np.zeros_like(logits)
    for step in range(1, steps + 1):
        w = np.exp((logits - logits.max(axis=0)) / TEMPERATURE)
        w /= w.sum(axis=0)
        slope = SPARSITY * (0.1 * (w + EPSILON) ** -0.9 + 1 / (w + EPSILON)) + SPREAD * (1 + np.log(w))
        slope -= b.T @ (a / (b @ w + EPSILON))
        slope = w * (slope - (w * slope).sum(axis=0)) / TEMPERATURE
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        logits -= 1e-4 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return w


def names(prefix, n):
    return pd.DataFrame(index=[f"{prefix}{i}" for i in range(n)])


def associate(a, b, **options):
    return mt.tl.feature_associations(a, names("gene", a.shape[1]), b, names("peak", b.shape[1]), **options)


@pytest.mark.slow
def test_objective_is_no_higher_than_after_ten_thousand_steps_of_adam():
    a, b = signatures(20, 50, 0), signatures(20, 200, 1)
    ours, theirs = associate(a, b).to_numpy(), adam(a, b, 10_000)
    assert (objective(a, b, ours) <= objective(a, b, theirs)).all()


def test_shape_names_and_columns_of_sum_one():
    a, b = signatures(5, 6, 2), signatures(5, 9, 3)
    weights = associate(a, b)
    assert weights.shape == (9, 6)
    assert list(weights.index) == [f"peak{p}" for p in range(9)]
    assert list(weights.columns) == [f"gene{g}" for g in range(6)]
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-12)


def test_threads_seed_and_temperature_change_nothing():
    a, b = signatures(5, 12, 2), signatures(5, 30, 3)
    one = associate(a, b, n_threads=1)
    pd.testing.assert_frame_equal(one, associate(a, b, n_threads=2, seed=7, temperature=3.0), check_exact=True)


def test_topics_are_scaled_unless_told_not_to():
    a, b = signatures(5, 12, 4), signatures(5, 30, 5)
    scaled = np.arange(1, 6)[:, None]
    pd.testing.assert_frame_equal(associate(a, b), associate(scaled * a, 3 * scaled * b))
    assert not np.allclose(associate(a, b), associate(scaled * a, b, normalize=False))


@pytest.mark.parametrize("kind", ["dense", "csr", "csc", "frame", "sparse frame", "numbers"])
def test_mask(kind):
    a, b = signatures(5, 8, 6), signatures(5, 20, 7)
    allowed = np.random.default_rng(0).random((20, 8)) < 0.4
    allowed[:, 3] = False
    frame = pd.DataFrame(allowed, index=names("peak", 20).index, columns=names("gene", 8).index).iloc[::-1, ::-1]
    mask = {
        "dense": allowed,
        "csr": sparse.csr_matrix(allowed),
        "csc": sparse.csc_array(allowed),
        "frame": frame,
        "sparse frame": frame.astype(pd.SparseDtype(bool, False)),
        "numbers": 2.0 * allowed,
    }[kind]
    weights = associate(a, b, mask=mask)
    assert (weights.to_numpy()[~allowed] == 0).all()
    np.testing.assert_allclose(weights.sum(), np.where(allowed.any(axis=0), 1, 0), rtol=1e-12)
    is_sparse = kind in ("csr", "csc", "sparse frame")
    assert all(isinstance(dtype, pd.SparseDtype) == is_sparse for dtype in weights.dtypes)
    dense = weights.sparse.to_dense() if is_sparse else weights
    pd.testing.assert_frame_equal(dense, associate(a, b, mask=allowed), check_exact=True)
    pd.testing.assert_frame_equal(mt.get.links(weights), mt.get.links(dense))


@pytest.mark.parametrize("kind", [bool, pd.SparseDtype(bool, False)], ids=["dense", "sparse"])
def test_a_mask_with_names_may_have_more_and_in_any_order_but_none_twice(kind):
    a, b = signatures(5, 8, 6), signatures(5, 20, 7)
    allowed = np.random.default_rng(0).random((20, 8)) < 0.4
    frame = pd.DataFrame(allowed, index=names("peak", 20).index, columns=names("gene", 8).index)
    frame = frame.reindex(index=[*frame.index[::-1], "other"], columns=["other", *frame.columns[::-1]], fill_value=True)
    weights = associate(a, b, mask=frame.astype(kind))
    np.testing.assert_array_equal(weights.to_numpy(), associate(a, b, mask=allowed).to_numpy())
    with pytest.raises(ValueError, match="1 features of B in the mask occur twice, the first is 'peak19'"):
        associate(a, b, mask=frame.iloc[[0, *range(21)]].astype(kind))


def precision(scores, links):
    numbers = links.sum(axis=0)
    order = np.argsort(-scores, axis=0)
    return sum(links[order[:n, g], g].sum() for g, n in enumerate(numbers)) / numbers.sum()


def test_profiles_find_more_simulated_links_than_correlation():
    rng = np.random.default_rng(0)
    peaks = signatures(30, 300, 8)
    links = np.zeros((300, 100))
    for g in range(100):
        links[rng.choice(300, rng.integers(1, 5), replace=False), g] = 1
    genes = peaks @ links * rng.lognormal(0, 0.1, (30, 100))
    ours = associate(genes, peaks, normalize="features", lambda_reg=0, lambda_spread=1e-3).to_numpy()
    correlation = np.corrcoef(peaks.T, genes.T)[:300, 300:]
    assert precision(ours, links > 0) > 1.3 * precision(correlation, links > 0)
    assert precision(ours, links > 0) > 0.8


def test_from_a_fit():
    mdata = mt.datasets.simulate(150, 4, modalities={"rna": 20, "atac": 40})
    mt.tl.topic_model(mdata, 4, verbose=False)
    parts = mt.pp.feature_associations_data(mdata, ["rna", "atac"])
    weights = mt.tl.feature_associations(*parts["rna"], *parts["atac"])
    assert list(weights.columns) == list(mdata["rna"].var_names)
    assert list(weights.index) == list(mdata["atac"].var_names)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mask": np.ones((8, 20))}, r"shape \(8, 20\): it is features of B × features of A, \(20, 8\)"),
        ({"lambda_reg": -1}, "lambda_reg=-1"),
        ({"n_epochs": 0}, "n_epochs=0"),
        ({"normalize": "topics"}, "normalize='topics'"),
    ],
)
def test_bad_options(change, said):
    with pytest.raises(ValueError, match=said):
        associate(signatures(5, 8, 0), signatures(5, 20, 1), **change)


def test_bad_matrices():
    a, b = signatures(5, 8, 0), signatures(5, 20, 1)
    with pytest.raises(ValueError, match="A has 4 topics and B has 5"):
        associate(a[:4], b)
    with pytest.raises(ValueError, match="B has 1 values that are negative or not finite"):
        associate(a, np.where(np.arange(100).reshape(5, 20) == 3, -1, b))
    with pytest.raises(ValueError, match="A_var names 7 features, A has 8"):
        mt.tl.feature_associations(a, names("gene", 7), b, names("peak", 20))
    with pytest.raises(KeyError, match="lacks 1 features of A, the first is 'gene7'"):
        associate(a, b, mask=pd.DataFrame(True, index=names("peak", 20).index, columns=names("gene", 7).index))


def test_memory_is_in_proportion_to_the_pairs_that_a_sparse_mask_allows():
    n_peaks, n_genes = 8000, 500
    near = np.tile(np.arange(3), n_genes) + np.repeat(np.arange(n_genes), 3)
    mask = sparse.csc_array((np.ones(near.size, bool), near, 3 * np.arange(n_genes + 1)), shape=(n_peaks, n_genes))
    a, b = signatures(4, n_genes, 0), signatures(4, n_peaks, 1)
    associate(a, b, mask=mask, n_threads=1)
    tracemalloc.start()
    links = mt.get.links(associate(a, b, mask=mask, n_threads=1), n_top=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n_peaks * n_genes / 2  # bytes: a sixteenth of one table
    np.testing.assert_allclose(links.groupby("feature")["weight"].sum(), 1)


def test_progress_of_what_takes_long(monkeypatch, capsys):
    a, b = signatures(5, 600, 2), signatures(5, 30, 3)
    whole = associate(a, b)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("mtopic._progress.DELAY", 0)
    pd.testing.assert_frame_equal(associate(a, b, n_threads=1), whole, check_exact=True)
    assert "associations: 100%" in capsys.readouterr().err
    associate(a, b, verbose=False)
    assert capsys.readouterr().err == ""
