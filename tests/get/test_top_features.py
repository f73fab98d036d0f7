import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import mtopic as mt

LAM = np.array([[30.0, 2.0], [26.0, 40.0], [10.0, 5.0], [2.0, 8.0], [1.0, 1.0]])


def hand_made(lam=LAM, names=None):
    """Signatures whose posterior is Dirichlet(λ)."""
    adata = AnnData(np.ones((2, len(lam))), var=pd.DataFrame(index=names or [f"f{v}" for v in range(len(lam))]))
    share, total = lam / lam.sum(axis=0), lam.sum(axis=0)
    sd = np.sqrt(share * (1 - share) / (total + 1))
    tables = {"": lam, "_sd": sd, "_low": share - sd, "_high": share + sd}
    for suffix, values in tables.items():
        columns = [f"topic_{k + 1}" for k in range(lam.shape[1])]
        adata.varm[f"signatures{suffix}"] = pd.DataFrame(values, index=adata.var_names, columns=columns)
    return adata


def by_dirichlet(lam, n_top, by, n=20_000):
    rng = np.random.default_rng(5)
    draws = np.stack([rng.dirichlet(column, n) for column in lam.T], axis=2)
    mean = draws.mean(axis=2, keepdims=True)
    scores = draws if by == "share" else draws * np.log(draws / mean)
    return (np.argsort(np.argsort(-scores, axis=1), axis=1) < n_top).mean(axis=0)


@pytest.mark.parametrize("by", ["share", "divergence"])
@pytest.mark.parametrize("n_top", [1, 2])
def test_probabilities_are_those_of_the_dirichlet(by, n_top):
    top = mt.get.top_features(hand_made(), n_top=5, by=by, n_draws=20_000)
    assert (top["probability"] == 1).all(), "all five of five"
    top = mt.get.top_features(hand_made(), n_top=n_top, by=by, n_draws=20_000)
    expected = pd.DataFrame(by_dirichlet(LAM, n_top, by), [f"f{v}" for v in range(5)], ["topic_1", "topic_2"])
    for row in top.itertuples():
        assert row.probability == pytest.approx(expected.loc[row.feature, row.topic], abs=0.015)
    for topic, rows in top.groupby("topic"):
        assert list(rows["feature"]) == list(expected[topic].nlargest(n_top).index)


def test_table():
    adata = hand_made()
    top = mt.get.top_features(adata, n_top=2, by="share", topics=["topic_2", "topic_1"])
    assert list(top.columns) == ["topic", "feature", "rank", "share", "sd", "low", "high", "probability"]
    assert list(top["topic"]) == ["topic_2", "topic_2", "topic_1", "topic_1"] and list(top["rank"]) == [1, 2, 1, 2]
    assert set(top["feature"][2:]) == {"f0", "f1"} and top["feature"][0] == "f1"
    first = top.iloc[0]
    assert first["share"] == pytest.approx(40 / 56) and first["sd"] == adata.varm["signatures_sd"].loc["f1", "topic_2"]
    assert first["low"] < first["share"] < first["high"]


def test_what_is_frequent_everywhere_is_not_characteristic():
    lam = np.array([[500.0, 500.0], [100.0, 1.0], [1.0, 100.0], [50.0, 50.0]])
    assert list(mt.get.top_features(hand_made(lam), n_top=1, by="share")["feature"]) == ["f0", "f0"]
    assert list(mt.get.top_features(hand_made(lam), n_top=1)["feature"]) == ["f1", "f2"]


def test_few_counts_are_not_sure():
    """The same shares of a hundredth of the counts."""
    sure, unsure = (mt.get.top_features(hand_made(lam), n_top=1, by="share") for lam in (100 * LAM, LAM))
    assert (sure["probability"] > unsure["probability"]).any() and sure["probability"].min() > 0.99
    assert len(mt.get.top_features(hand_made(), n_top=1, by="share", min_probability=0.9)) == 1


def test_features_that_are_not_drawn_change_nothing():
    """Only some of many features can be among the first."""
    rest = np.full((2000, 2), 0.05)
    few, many = (
        mt.get.top_features(hand_made(lam), n_top=2, by="share", n_draws=20_000)
        for lam in (LAM, np.vstack([LAM, rest]))
    )
    assert list(few["feature"]) == list(many["feature"])
    np.testing.assert_allclose(few["probability"], many["probability"], atol=0.02)


def test_probabilities_come_true():
    mdata = mt.datasets.simulate(300, 6, depth=100, modalities={"rna": 300}, spatial=False, rng=3)
    mt.tl.topic_model(mdata, 6, verbose=False)
    mt.tl.signature_uncertainty(mdata)
    top = mt.get.top_features(mdata, n_top=10, by="share")
    true = mdata["rna"].varm["true_signatures"]
    corr = np.corrcoef(mdata.obsm["topics"].T, mdata.obsm["true_topics"].T)[:6, 6:]
    partner = dict(zip(mdata.obsm["topics"].columns, true.columns[corr.argmax(axis=1)], strict=True))
    came_true = [row.feature in true[partner[row.topic]].nlargest(10).index for row in top.itertuples()]
    assert np.mean(came_true) == pytest.approx(top["probability"].mean(), abs=0.1)
    sure = top["probability"] > 0.95
    assert sure.sum() > 10 and np.mean(np.array(came_true)[sure]) > 0.9


def test_the_same_seed_gives_the_same_table():
    adata = hand_made()
    one, same, other = (mt.get.top_features(adata, n_top=2, rng=rng) for rng in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not one["probability"].equals(other["probability"])


def test_errors():
    adata = hand_made()
    for options, match in (
        ({"by": "lift"}, "by='lift': choose"),
        ({"n_top": 0}, "n_top=0"),
        ({"n_draws": 0}, "n_draws=0"),
        ({"min_probability": 2}, "min_probability=2"),
    ):
        with pytest.raises(ValueError, match=match):
            mt.get.top_features(adata, **options)
    with pytest.raises(KeyError, match="no topic 'topic_3'"):
        mt.get.top_features(adata, topics="topic_3")
    del adata.varm["signatures_sd"]
    with pytest.raises(
        KeyError, match="no table 'signatures_sd' in varm of modality 'X'.*signature_uncertainty writes it"
    ):
        mt.get.top_features(adata)
