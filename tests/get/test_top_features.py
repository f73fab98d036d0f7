import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.optimize import brentq
from scipy.stats import hmean, rankdata

import mtopic as mt

LAM = np.array([[30.0, 2.0], [26.0, 40.0], [10.0, 5.0], [2.0, 8.0], [1.0, 1.0]])
MEASURES = ["FREX", "exclusivity", "lift", "divergence", "probability", "share"]


@pytest.fixture(scope="module")
def lam_of_many():
    """40 features in 4 topics of unequal size, some features rare and some in one topic only."""
    rng = np.random.default_rng(2)
    return rng.gamma(0.3, 40, (40, 4)) * [1, 2, 4, 1] * rng.gamma(1, 1, (40, 1)) + 0.02


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


def added(lam):
    """The share that stands for α counts, by the definition of a Dirichlet-multinomial variance."""
    of_topic = lam.sum(axis=0) / lam.sum()
    counts = lam[lam.sum(axis=1) >= 1]
    n = counts.sum(axis=1)
    pearson = np.array([((x - x.sum() * of_topic) ** 2 / (x.sum() * of_topic)).sum() for x in counts])

    def surplus(alpha):
        return pearson.sum() - (len(of_topic) - 1) * ((n + alpha) / (1 + alpha)).sum()

    return brentq(surplus, 0, 1e9) / lam.sum()


def by_definition(shares, by, c, of_topic):
    """Scores, … × features × topics."""
    if by in ("share", "probability"):
        return shares
    if by == "divergence":
        return shares * np.log(shares / shares.mean(axis=-1, keepdims=True))
    if by == "lift":
        return (shares + c) / ((shares * of_topic).sum(axis=-1, keepdims=True) + c)
    exclusivity = (shares + c) / (shares + c).sum(axis=-1, keepdims=True)
    if by == "exclusivity":
        return exclusivity
    first, second = (rankdata(x, "max", axis=-2) / x.shape[-2] for x in (exclusivity, shares))
    return hmean([first, second]) + 1e-9 * exclusivity


def by_dirichlet(lam, n_top, by, n=20_000):
    rng = np.random.default_rng(5)
    draws = np.stack([rng.dirichlet(column, n) for column in lam.T], axis=2)
    scores = by_definition(draws, by, added(lam), lam.sum(axis=0) / lam.sum())
    return (np.argsort(np.argsort(-scores, axis=1), axis=1) < n_top).mean(axis=0)


@pytest.mark.parametrize("by", MEASURES)
def test_scores_are_those_of_the_definitions(by, lam_of_many):
    adata = hand_made(lam_of_many)
    del adata.varm["signatures_sd"]
    top = mt.get.top_features(adata, n_top=40, by=by)
    assert list(top.columns) == ["topic", "feature", "rank", "share", "score"]
    shares, totals = lam_of_many / lam_of_many.sum(axis=0), lam_of_many.sum(axis=0)
    scores = by_definition(shares, by, added(lam_of_many), totals / totals.sum())
    expected = pd.DataFrame(scores, adata.var_names, adata.varm["signatures"].columns)
    for topic, rows in top.groupby("topic"):
        np.testing.assert_allclose(rows["score"], expected.loc[rows["feature"], topic], rtol=1e-12)
        assert rows["score"].is_monotonic_decreasing and len(set(rows["feature"])) == 40
        np.testing.assert_allclose(
            rows["share"], adata.varm["signatures"].loc[rows["feature"], topic] / totals[int(topic[-1]) - 1]
        )


@pytest.mark.parametrize("by", ["lift", "exclusivity", "FREX"])
def test_rare_features_do_not_lead_by_chance(by):
    """A feature of two counts in one topic beside one of 200, nine tenths of which are in the topic."""
    rng = np.random.default_rng(0)
    common = rng.gamma(20, 1, (300, 1)) * rng.dirichlet(np.full(4, 10), 300)
    lam = np.vstack([common, [[180.0, 10, 5, 5], [2, 0, 0, 0], [0, 2, 0, 0]]]) + 0.01
    top = mt.get.top_features(hand_made(lam)[:, :].copy(), n_top=303, by=by, n_draws=1).query("topic == 'topic_1'")
    by_score = list(top.sort_values("score", ascending=False)["feature"])
    assert by_score[0] == "f300" and by_score.index("f301") > 20


@pytest.mark.parametrize("by", ["lift", "exclusivity", "FREX"])
def test_shares_are_taken_as_they_are(by):
    """Signatures that sum to 1 say nothing of counts."""
    adata = hand_made(LAM / LAM.sum(axis=0))
    top = mt.get.top_features(adata, n_top=5, by=by, n_draws=1).set_index(["topic", "feature"])["score"]
    expected = by_definition(LAM / LAM.sum(axis=0), by, 0, np.full(2, 0.5))
    for k, topic in enumerate(["topic_1", "topic_2"]):
        np.testing.assert_allclose(top[topic].loc[[f"f{v}" for v in range(5)]], expected[:, k])


def test_features_and_topics_without_difference():
    alike = np.tile([[50.0], [30.0], [20.0]], (1, 3))
    for by in MEASURES:
        scores = mt.get.top_features(hand_made(alike), n_top=3, by=by, n_draws=1)["score"]
        assert np.isfinite(scores).all()
    lift = mt.get.top_features(hand_made(alike), n_top=3, by="lift", n_draws=1)["score"]
    np.testing.assert_allclose(lift, 1)
    one = hand_made(LAM[:, :1])
    np.testing.assert_allclose(mt.get.top_features(one, n_top=5, by="exclusivity", n_draws=1)["score"], 1)


def test_a_feature_of_no_topic_is_the_last():
    adata = hand_made(np.vstack([LAM, [[0.0, 0.0]]]) / LAM.sum(axis=0))
    del adata.varm["signatures_sd"]
    for by in MEASURES:
        top = mt.get.top_features(adata, n_top=6, by=by)
        assert set(top["feature"][top["rank"] == 6]) == {"f5"} or by == "divergence"
        assert np.isfinite(top["score"]).all()


@pytest.mark.parametrize("by", MEASURES)
@pytest.mark.parametrize("n_top", [1, 2])
def test_probabilities_are_those_of_the_dirichlet(by, n_top):
    top = mt.get.top_features(hand_made(), n_top=5, by=by, n_draws=20_000)
    assert (top["probability"] == 1).all(), "all five of five"
    top = mt.get.top_features(hand_made(), n_top=n_top, by=by, n_draws=20_000)
    expected = pd.DataFrame(by_dirichlet(LAM, n_top, by), [f"f{v}" for v in range(5)], ["topic_1", "topic_2"])
    for row in top.itertuples():
        assert row.probability == pytest.approx(expected.loc[row.feature, row.topic], abs=0.015)
        assert row.probability >= expected[row.topic].nlargest(n_top).iloc[-1] - 0.015


def test_table():
    adata = hand_made()
    top = mt.get.top_features(adata, n_top=2, by="share", topics=["topic_2", "topic_1"])
    assert list(top.columns) == ["topic", "feature", "rank", "share", "sd", "low", "high", "probability", "score"]
    assert list(top["topic"]) == ["topic_2", "topic_2", "topic_1", "topic_1"] and list(top["rank"]) == [1, 2, 1, 2]
    assert set(top["feature"][2:]) == {"f0", "f1"} and top["feature"][0] == "f1"
    first = top.iloc[0]
    assert first["share"] == pytest.approx(40 / 56) and first["sd"] == adata.varm["signatures_sd"].loc["f1", "topic_2"]
    assert first["low"] < first["share"] < first["high"]


def test_what_is_frequent_everywhere_is_not_characteristic():
    lam = np.array([[500.0, 500.0], [100.0, 1.0], [1.0, 100.0], [50.0, 50.0]])
    assert list(mt.get.top_features(hand_made(lam), n_top=1, by="share")["feature"]) == ["f0", "f0"]
    for by in ("FREX", "lift", "exclusivity", "divergence"):
        assert list(mt.get.top_features(hand_made(lam), n_top=1, by=by)["feature"]) == ["f1", "f2"], by


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


@pytest.mark.parametrize("by", ["FREX", "exclusivity", "lift", "divergence", "probability"])
def test_some_of_many_are_drawn_and_ranked_with_all(by):
    """Of 600 features, 560 have so few counts that they are not drawn."""
    rng = np.random.default_rng(1)
    lam = np.vstack([rng.gamma(0.5, 60, (40, 3)), np.tile(rng.gamma(3, 1, (560, 1)), (1, 3))]) + 0.02
    top = mt.get.top_features(hand_made(lam), n_top=2, by=by, n_draws=4000)
    names = [f"f{v}" for v in range(600)]
    expected = pd.DataFrame(by_dirichlet(lam, 2, by, n=2000), names, ["topic_1", "topic_2", "topic_3"])
    for row in top.itertuples():
        assert row.probability == pytest.approx(expected.loc[row.feature, row.topic], abs=0.12)


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
        ({"by": "frex"}, "by='frex': choose 'FREX', 'exclusivity', 'lift', 'divergence', 'probability'"),
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
        mt.get.top_features(adata, min_probability=0.5)
