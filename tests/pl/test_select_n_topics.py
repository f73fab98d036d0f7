import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import mtopic as mt

KS = [2, 4, 6, 10, 20]


@pytest.fixture
def results():
    """Scores that rise to −5 and turn down a little after 6; folds 0.1 apart."""
    means = dict(zip(KS, [-6.0, -5.2, -5.0, -5.001, -5.05], strict=True))
    noise = np.random.default_rng(0).normal(0, 1e-3, (len(KS), 3))
    rows = [
        {"K": K, "CV": str(fold), "train_time_sec": 1.0, "total": means[K] + 0.1 * fold + noise[i, fold]}
        for i, K in enumerate(KS) for fold in range(3)
    ]  # fmt: skip
    adata = AnnData(np.ones((3, 2), np.float32))
    adata.uns["CV_results"] = pd.DataFrame(rows)
    return adata


def test_what_is_drawn(results, fingerprint):
    before = fingerprint(results)
    ax = mt.pl.select_n_topics(results, show=False)
    assert fingerprint(results) == before
    (bars,) = ax.containers
    x, y = bars.lines[0].get_data()
    assert list(x) == KS
    np.testing.assert_allclose(np.asarray(y, dtype=float), results.uns["CV_results"].groupby("K")["total"].mean())
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [str(K) for K in KS]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "recommended: 6" in texts
    assert sum(text.startswith("plateau: ") for text in texts) == 1
    folds = [line for line in ax.lines if line.get_marker() == "." and line.get_color() == "0.75"]
    assert len(folds) == 3
    assert np.ptp([line.get_ydata()[0] for line in folds]) < 0.02, "folds are shifted to their mean"


def test_plateau_is_no_sooner_than_the_scores_can_tell(results):
    """All of the rise lies between the first two numbers: the curve is flat from the second on, not from the first."""
    rows = results.uns["CV_results"]
    rows.loc[rows["K"] > 2, "total"] = -5.0
    rows.loc[rows["K"] == 2, "total"] = -6.0
    ax = mt.pl.select_n_topics(results, show=False)
    assert "plateau: 4" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_unfinished_numbers_are_left_out(results):
    results.uns["CV_results"] = results.uns["CV_results"].iloc[:-2]
    ax = mt.pl.select_n_topics(results, show=False)
    assert list(ax.containers[0].lines[0].get_xdata()) == KS[:-1]


def test_no_curve_that_misses_the_scores(results):
    rows = results.uns["CV_results"]
    for K, total in zip(KS, [-6.0, -5.0, -6.2, -4.9, -6.1], strict=True):
        rows.loc[rows["K"] == K, "total"] = total + 0.01 * rows.loc[rows["K"] == K, "CV"].astype(float)
    ax = mt.pl.select_n_topics(results, show=False)
    assert "saturating curve" not in [text.get_text() for text in ax.get_legend().get_texts()]


def test_errors(results):
    with pytest.raises(ValueError, match="plateau_threshold=0"):
        mt.pl.select_n_topics(results, plateau_threshold=0)
    del results.uns["CV_results"]
    with pytest.raises(KeyError, match=r"mtopic\.tl\.select_n_topics"):
        mt.pl.select_n_topics(results)
