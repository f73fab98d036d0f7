import numpy as np
import pytest
from mudata import MuData

import mtopic as mt


@pytest.fixture(scope="module")
def cells():
    mdata = mt.datasets.simulate(600, 5, modalities={"rna": 120, "atac": 200}, depth=300, spatial=False)
    return mdata[:300].copy(), mdata[300:].copy()


@pytest.fixture(scope="module")
def reference(cells):
    train = cells[0].copy()
    mt.tl.topic_model(train, 5, verbose=False)
    return train


def test_score_of_the_truth_is_nearly_reached(cells, reference):
    """By the topics that counts were drawn from, their mean log-likelihood is what can be had."""
    new = cells[1]
    found = mt.tl.perplexity(reference, new)
    assert list(found.index) == ["rna", "atac", "total"]
    assert list(found.columns) == ["log_likelihood", "perplexity", "n_counts"]
    theta = new.obsm["true_topics"].to_numpy()
    for mod, adata in new.mod.items():
        chance = theta @ adata.varm["true_signatures"].to_numpy().T
        best = (adata.X.toarray() * np.log(chance)).sum() / adata.X.sum()
        unigram = np.asarray(adata.X.sum(axis=0)).ravel() / adata.X.sum()
        frequencies = (unigram[unigram > 0] * np.log(unigram[unigram > 0])).sum()
        assert best - 0.03 < found.loc[mod, "log_likelihood"] < best + 0.02
        assert found.loc[mod, "log_likelihood"] > (best + frequencies) / 2
        assert found.loc[mod, "n_counts"] == pytest.approx(adata.X.sum() / 2, rel=0.02)
    np.testing.assert_allclose(found["perplexity"], np.exp(-found["log_likelihood"]))
    parts = found.iloc[:2]
    total = (parts["log_likelihood"] * parts["n_counts"]).sum() / parts["n_counts"].sum()
    assert found.loc["total", "log_likelihood"] == pytest.approx(total)


def test_too_few_topics_predict_worse(cells, reference):
    few = cells[0].copy()
    mt.tl.topic_model(few, 2, verbose=False)
    scores = [mt.tl.perplexity(fit, cells[1])["perplexity"] for fit in (reference, few)]
    assert (scores[0] < scores[1]).all()


def test_seeds_threads_and_input(cells, reference, fingerprint):
    new = cells[1].copy()
    before = fingerprint(new), fingerprint(new.mod)
    first = mt.tl.perplexity(reference, new, rng=1, n_jobs=1)
    np.testing.assert_array_equal(first, mt.tl.perplexity(reference, new, rng=1, n_jobs=2))
    np.testing.assert_array_equal(first, mt.tl.perplexity(reference, new, rng=np.random.default_rng(1)))
    assert (
        first.loc["total", "log_likelihood"] != mt.tl.perplexity(reference, new, rng=2).loc["total", "log_likelihood"]
    )
    assert (fingerprint(new), fingerprint(new.mod)) == before


def test_prepared_counts_are_halves_of_raw_ones(cells):
    train, new = cells[0].copy(), cells[1].copy()
    mt.pp.tfidf(train, mod="rna")
    mt.pp.scale_counts(train)
    model = mt.tl.MTM(train, 5, verbose=False)
    model.VI(30)
    score = mt.tl.perplexity(model, new)
    mt.pp.tfidf(new, mod="rna")
    mt.pp.scale_counts(new)
    np.testing.assert_array_equal(mt.tl.perplexity(model, new), score)
    assert score.loc["rna", "n_counts"] == pytest.approx(5_000 * 300, rel=0.1)
    for adata in new.mod.values():
        del adata.layers["counts"]
    with pytest.raises(ValueError, match="'rna' has no raw counts"):
        mt.tl.perplexity(model, new)


def test_one_modality_and_an_anndata(cells, reference):
    alone = mt.tl.perplexity(reference, MuData({"atac": cells[1]["atac"].copy()}))
    assert list(alone.index) == ["atac", "total"]
    train = cells[0]["rna"].copy()
    mt.tl.topic_model(train, 5, verbose=False)
    assert list(mt.tl.perplexity(train, cells[1]["rna"]).index) == ["X", "total"]


def test_counts_that_cannot_be_halved(cells, reference):
    new = cells[1].copy()
    new["rna"].X = new["rna"].X * 0.5
    with pytest.raises(ValueError, match="'rna' are not whole numbers"):
        mt.tl.perplexity(reference, new)
    with pytest.raises(ValueError, match="n_jobs=0"):
        mt.tl.perplexity(reference, new, n_jobs=0)


@pytest.mark.slow
@pytest.mark.parametrize(("stem", "n_topics"), [("snareseq_small", 15), ("cite_pbmc1k_small", 10)])
def test_real_counts_are_predicted_better_than_by_two_topics_or_frequencies(real_mudata, stem, n_topics):
    mdata = real_mudata(stem)
    order = np.random.default_rng(0).permutation(mdata.n_obs)
    cut = 2 * mdata.n_obs // 3
    train, new = (mdata[np.sort(rows)].copy() for rows in (order[:cut], order[cut:]))
    well, two = (mt.tl.topic_model(train, k, verbose=False, copy=True) for k in (n_topics, 2))
    scores = [mt.tl.perplexity(fit, new).loc["total", "perplexity"] for fit in (well, two)]
    logs = total = 0.0
    for mod, adata in new.mod.items():
        seen, counts = (np.asarray(data.X.sum(axis=0), dtype=float).ravel() for data in (train[mod], adata))
        logs += counts @ np.log((seen + 0.5) / (seen + 0.5).sum())
        total += counts.sum()
    assert scores[0] < scores[1] < np.exp(-logs / total)
