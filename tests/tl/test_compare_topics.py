from functools import partial

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.optimize import root_scalar
from scipy.sparse import csr_matrix
from scipy.special import digamma, polygamma
from scipy.stats import false_discovery_control, t, ttest_ind, ttest_rel

import mtopic as mt

TOPICS = ["topic_1", "topic_2", "topic_3", "topic_4"]
COLUMNS = ["group", "reference", "difference", "low", "high", "t", "df", "p", "q"]
N_CELLS, N_FEATURES = 40, 30


def cells(log_shares, rng, spread=5.0, n_cells=N_CELLS):
    """Cells of samples with these log shares; the first half of the samples are ill. Cells vary about their sample."""
    shares = np.exp(log_shares)
    shares /= shares.sum(axis=1, keepdims=True)
    topics = np.vstack([rng.dirichlet(spread * row, n_cells) for row in shares]) + 1e-9
    n = len(topics)
    sample = np.repeat(np.arange(len(shares)), n_cells)
    state = np.where(sample < len(shares) // 2, "ill", "well")
    obs = pd.DataFrame({"donor": [f"d{s}" for s in sample], "state": state}, index=[f"cell_{d}" for d in range(n)])
    adata = AnnData(csr_matrix(np.ones((n, 1), np.float32)), obs=obs)
    adata.obsm["topics"] = pd.DataFrame(topics / topics.sum(axis=1, keepdims=True), obs.index, TOPICS)
    return adata


def exactly(log_shares, names=TOPICS):
    """A cell of each sample, with these log shares; the first half of the samples are ill."""
    n = len(log_shares)
    obs = pd.DataFrame({"donor": [f"d{s}" for s in range(n)]}, index=[f"cell_{d}" for d in range(n)])
    obs["state"] = np.where(np.arange(n) < n // 2, "ill", "well")
    adata = AnnData(csr_matrix(np.ones((n, 1), np.float32)), obs=obs)
    shares = np.exp(log_shares)
    adata.obsm["topics"] = pd.DataFrame(shares / shares.sum(axis=1, keepdims=True), obs.index, names)
    return adata


def compare(data, **options):
    options = {"sample_key": "donor", "n_jobs": 1, **options}
    mt.tl.compare_topics(data, "state", "ill", **options)
    return data.uns["mtopic"]["comparison"]


def counted(rng, n_samples=10, effect=0.0, depth=400, sd=0.2, spread=0.8):
    """Counts whose signatures vary between samples; feature 0 of topic 1 changes by ``effect`` (log) in ill ones."""
    adata = cells(rng.normal(0, 0.2, (n_samples, 4)), rng, spread=spread)
    theta = adata.obsm["topics"].to_numpy()
    beta = rng.dirichlet(np.full(N_FEATURES, 2.0), 4)
    x = np.zeros((len(theta), N_FEATURES), np.float32)
    for s in range(n_samples):
        own = beta * np.exp(rng.normal(0, sd, beta.shape))
        own[0, 0] *= np.exp(effect * (s < n_samples // 2))
        rows = slice(s * N_CELLS, (s + 1) * N_CELLS)
        x[rows] = rng.poisson(depth * theta[rows] @ (own / own.sum(axis=1, keepdims=True)))
    counts = AnnData(csr_matrix(x), obs=adata.obs, var=pd.DataFrame(index=[f"g{v}" for v in range(N_FEATURES)]))
    counts.obsm["topics"] = adata.obsm["topics"]
    counts.varm["signatures"] = pd.DataFrame(1e5 * beta.T, counts.var_names, TOPICS)
    return counts


def test_there_is_nothing_where_samples_are_all_that_differs():
    """Of 200 tables without an effect one in twenty has p < .05 for a topic; most cells' tests do."""
    rng, ours, over_the_median, of_cells = np.random.default_rng(0), [], [], []
    for _ in range(200):
        adata = cells(rng.normal(0, 0.4, (10, 4)), rng)
        ours.append(compare(adata, scale="log")["topics"]["p"].to_numpy())
        over_the_median.append(compare(adata)["topics"]["p"].to_numpy())
        values = np.log(adata.obsm["topics"].to_numpy())
        ill = (adata.obs["state"] == "ill").to_numpy()
        of_cells.append(ttest_ind(values[ill], values[~ill], equal_var=False).pvalue)
    rejected = (np.array(ours) < 0.05).mean(axis=0)
    assert ((0.05 - 3.2 * 0.0154 < rejected) & (rejected < 0.05 + 3.2 * 0.0154)).all()
    assert 0.03 < rejected.mean() < 0.07
    assert 0.02 < (np.array(over_the_median) < 0.05).mean() < 0.06, "careful, as there are four topics"
    assert (np.array(of_cells) < 0.05).mean() > 0.3


def test_an_effect_is_found_and_covered():
    rng, effect = np.random.default_rng(1), np.array([1.2, 0.0, 0.0, -0.4])
    truth = (effect - effect.mean()) / np.log(2)
    covered, found = [], []
    for _ in range(100):
        log_shares = rng.normal(0, 0.3, (10, 4)) + np.outer(np.arange(10) < 5, effect)
        table = compare(cells(log_shares, rng, spread=1e4), scale="clr")["topics"]
        covered.append((table["low"] <= truth) & (truth <= table["high"]))
        found.append(table.iloc[0][["difference", "q"]])
    assert 0.92 < np.mean(covered) < 0.98
    found = pd.DataFrame(found)
    assert (found["difference"] > 0).all() and (found["q"] < 0.05).mean() > 0.9


def by_moments(test, difference, level, widened=1.0):
    """A test of SciPy's with variances moderated over its columns, by the formulas for logarithms of variances."""
    s2, d = (difference / test.statistic) ** 2, np.broadcast_to(test.df, difference.shape)
    e = np.log(s2) - digamma(d / 2) + np.log(d / 2)
    excess = e.var(ddof=1) - polygamma(1, d / 2).mean()
    half = root_scalar(lambda y: polygamma(1, y) - excess, bracket=(1e-3, 1e3)).root
    scale = np.exp(e.mean() + digamma(half) - np.log(half))
    df = np.minimum(2 * half + d, d.sum() / 2)
    error = np.sqrt(widened * (2 * half * scale + d * s2) / (2 * half + d))
    p = 2 * t.sf(np.abs(difference) / error, df)
    low, high = (difference + t.ppf((1 + sign * level) / 2, df) * error for sign in (-1, 1))
    moderated = {"low": low, "high": high, "t": difference / error, "df": df, "p": p, "q": false_discovery_control(p)}
    return {"difference": difference, **moderated}


def test_numbers_are_those_of_scipy():
    rng = np.random.default_rng(2)
    adata = cells(rng.normal(0, 0.5, (7, 4)) * [1, 0.05, 1, 8], rng, spread=500)
    found = compare(adata, level=0.9, scale="log")
    table = found["topics"]
    means = adata.obsm["topics"].groupby(adata.obs["donor"].to_numpy()).mean()
    ill = means.index.isin(["d0", "d1", "d2"])
    assert list(table.columns) == COLUMNS and list(table.index) == TOPICS
    np.testing.assert_allclose(table["group"], means[ill].mean())
    np.testing.assert_allclose(table["reference"], means[~ill].mean())
    test = ttest_ind(np.log2(means[ill]), np.log2(means[~ill]), equal_var=False)
    difference = (np.log2(means[ill]).mean() - np.log2(means[~ill]).mean()).to_numpy()
    for name, values in by_moments(test, difference, 0.9).items():
        np.testing.assert_allclose(table[name], values, err_msg=name)
    assert found["signatures"] == {}
    assert found["params"] == {
        "groupby": "state", "group": "ill", "reference": "rest", "sample_key": "donor", "scale": "log", "n_group": 3,
        "n_reference": 4, "level": 0.9,
    }  # fmt: skip


def test_centred_log_ratios():
    rng = np.random.default_rng(3)
    adata = cells(rng.normal(0, 0.5, (6, 4)), rng)
    plain, centred = (compare(adata, scale=scale)["topics"]["difference"] for scale in ("log", "clr"))
    np.testing.assert_allclose(centred, plain - plain.mean())


def above_the_pseudomedian(deviations):
    """Without the median of the means of any two topics, centred over the samples."""
    own = np.median([(row[:, None] + row)[np.triu_indices(len(row))] / 2 for row in deviations], axis=1)
    return deviations - (own - own.mean())[:, None]


def test_over_the_median_topic():
    rng = np.random.default_rng(4)
    adata = cells(rng.normal(0, 0.5, (6, 4)) * [1, 0.05, 1, 8], rng, spread=500)
    plain, relative = (compare(adata, scale=scale)["topics"] for scale in ("log", "median"))
    np.testing.assert_allclose(relative["difference"], plain["difference"] - plain["difference"].median())
    pd.testing.assert_frame_equal(compare(adata)["topics"], relative)
    logs = np.log2(adata.obsm["topics"].groupby(adata.obs["donor"].to_numpy()).mean()).to_numpy()
    difference = logs[:3].mean(axis=0) - logs[3:].mean(axis=0)
    ill, well = (above_the_pseudomedian(part - part.mean(axis=0)) for part in (logs[:3], logs[3:]))
    difference -= np.median(difference)
    for name, values in by_moments(ttest_ind(ill + difference, well, equal_var=False), difference, 0.95, 4 / 3).items():
        np.testing.assert_allclose(relative[name], values, err_msg=name)


@pytest.mark.parametrize("paired", [False, True])
def test_a_topic_that_grows_changes_no_other(paired):
    """What is said of the others is the same to the last digits; as shares they fall."""
    rng = np.random.default_rng(12)
    log_shares = rng.normal(0, 0.2, (8, 4))
    log_shares[:4, 0] += 1
    tables = []
    for more in (0.0, 2.0):
        log_shares[:4, 0] += more
        adata = exactly(log_shares)
        adata.obs["pair"] = [str(int(donor[1:]) % 4) for donor in adata.obs["donor"]]
        options = {"paired_by": "pair"} if paired else {}
        tables.append([compare(adata, scale=scale, **options)["topics"] for scale in ("median", "log")])
    (before, share_before), (after, share_after) = tables
    rest = ["difference", "low", "high", "t", "df", "p"]
    pd.testing.assert_frame_equal(before.loc[TOPICS[1:], rest], after.loc[TOPICS[1:], rest])
    assert after.loc["topic_1", "difference"] == pytest.approx(before.loc["topic_1", "difference"] + 2 / np.log(2))
    assert (share_after["difference"] < share_before["difference"] - 0.5).iloc[1:].all()


@pytest.mark.parametrize(("n", "paired"), [(2, False), (3, False), (2, True), (3, True)])
def test_few_samples_are_calibrated_and_intervals_narrow(n, paired):
    """Of 300 tables; with two samples Student's or Welch's intervals are more than twice as wide."""
    rng, false, covered, wider = np.random.default_rng(13), [], [], []
    names, change = [f"topic_{k}" for k in range(6)], np.array([1.0, 0, 0, 0, 0, 0])
    for _ in range(300):
        log_shares = rng.normal(0, 0.3, (2 * n, 6)) + np.outer(np.arange(2 * n) < n, change * np.log(2))
        if paired:
            log_shares += np.tile(rng.normal(0, 1, (n, 6)), (2, 1))
        adata = exactly(log_shares, names)
        adata.obs["pair"] = [str(int(donor[1:]) % n) for donor in adata.obs["donor"]]
        table = compare(adata, paired_by="pair" if paired else None)["topics"]
        false.append(table["p"].iloc[1:] < 0.05)
        covered.append((table["low"] <= change) & (change <= table["high"]))
        logs = np.log2(adata.obsm["topics"].to_numpy())
        test = (ttest_rel if paired else partial(ttest_ind, equal_var=False))(logs[:n], logs[n:])
        interval = test.confidence_interval(0.95)
        wider.append((interval.high - interval.low) / (table["high"] - table["low"]))
    assert 0.025 < np.mean(false) < 0.07
    assert 0.93 < np.mean(covered) < 0.975
    assert np.median(wider) > (2 if n == 2 else 1.1)


def test_groups_references_and_missing_values():
    rng = np.random.default_rng(4)
    adata = cells(rng.normal(0, 0.5, (8, 4)), rng)
    two = compare(adata[: -2 * N_CELLS].copy())["topics"]
    adata.obs.loc[adata.obs["donor"].isin(["d6", "d7"]), "state"] = "unsure"
    pd.testing.assert_frame_equal(compare(adata, reference="well")["topics"], two)
    assert not compare(adata)["topics"]["p"].equals(two["p"]), "all others by default"
    adata.obs["state"] = adata.obs["state"].where(adata.obs["state"] != "unsure", None)
    pd.testing.assert_frame_equal(compare(adata)["topics"], two)
    adata.obs["state"] = adata.obs["state"].fillna("well")
    without = adata.copy()
    without.obs["donor"] = without.obs["donor"].where(~without.obs["donor"].isin(["d6", "d7"]), None)
    pd.testing.assert_frame_equal(compare(without)["topics"], two)
    adata.obsm["topics"].loc[adata.obs["donor"].isin(["d6", "d7"])] = np.nan
    pd.testing.assert_frame_equal(compare(adata)["topics"], two)


@pytest.mark.parametrize("n_samples", [4, 6, 10])
def test_signatures_are_calibrated(n_samples):
    rng, found = np.random.default_rng(5), []
    for _ in range(20):
        adata = counted(rng, n_samples)
        found.append(compare(adata, features=[f"g{v}" for v in range(N_FEATURES)])["signatures"]["X"])
    found = pd.concat(found)
    assert 0.03 < (found["p"] < 0.05).mean() < 0.07
    rare = found["group"] + found["reference"] < (found["group"] + found["reference"]).quantile(0.2)
    assert 0.02 < (found.loc[rare, "p"] < 0.05).mean() < 0.09


@pytest.mark.parametrize("spread", [0.8, 5.0])
def test_a_difference_of_signatures_is_found_in_its_topic(spread):
    """Also where cells are mixtures: signatures of all samples found half of it there, and half in other topics."""
    rng, found, elsewhere = np.random.default_rng(6), [], []
    for _ in range(15):
        adata = counted(rng, effect=1.1, spread=spread)
        table = compare(adata, features=["g0", "g1", "g2"])["signatures"]["X"].set_index(["topic", "feature"])
        share = adata.varm["signatures"].iloc[0, 0] / 1e5
        truth = np.log2(np.exp(1.1) / (1 + share * (np.exp(1.1) - 1)))
        row = table.loc[("topic_1", "g0")]
        found.append((row["difference"] / truth, row["low"] <= truth <= row["high"], row["p"] < 0.05))
        elsewhere.append(table["difference"].xs("g0", level="feature").drop("topic_1").mean() / truth)
    ratio, covered, significant = np.mean(found, axis=0)
    assert 0.9 < ratio < 1.1 and covered > 0.8 and significant > 0.8
    assert abs(np.mean(elsewhere)) < 0.1


def by_steps(x, theta, beta):
    """Counts of features by topic under signatures of their own, by plain NumPy."""
    own = beta
    for _ in range(30):
        r = theta[:, None, :] * own
        n = (x[:, :, None] * r / r.sum(axis=2, keepdims=True)).sum(axis=0)
        own = (n + 100 * beta) / (n + 100 * beta).sum(axis=0)
    return n


def test_expected_counts_are_those_of_the_formula():
    rng = np.random.default_rng(7)
    adata = counted(rng, n_samples=4)
    table = compare(adata, features=["g3", "g1"], min_counts=1)["signatures"]["X"]
    assert list(table.columns) == ["topic", "feature", *COLUMNS]
    assert list(table["topic"]) == np.repeat(TOPICS, 2).tolist() and list(table["feature"]) == ["g3", "g1"] * 4
    theta, x = adata.obsm["topics"].to_numpy(), adata.X.toarray()
    beta = adata.varm["signatures"].to_numpy() / adata.varm["signatures"].to_numpy().sum(axis=0)
    n = np.array([by_steps(x[rows], theta[rows], beta) for rows in np.split(np.arange(4 * N_CELLS), 4)])
    total = n.sum(axis=1)
    share = n[:, [3, 1]] / total[:, None]
    np.testing.assert_allclose(table["group"], share[:2].mean(axis=0).T.ravel(), rtol=1e-4)
    np.testing.assert_allclose(table["reference"], share[2:].mean(axis=0).T.ravel(), rtol=1e-4)
    c = 0.5 * total / total.mean(axis=0)
    values = np.log2((n[:, [3, 1]] + c[:, None]) / (total + 2 * c)[:, None])
    difference = values[:2].mean(axis=0) - values[2:].mean(axis=0)
    np.testing.assert_allclose(table["difference"], difference.T.ravel(), atol=1e-4)
    np.testing.assert_allclose(table["q"], false_discovery_control(table["p"]))


def test_a_sample_with_little_of_a_topic_has_no_value():
    rng = np.random.default_rng(8)
    adata = counted(rng, n_samples=6)
    table = compare(adata, features=["g0"], min_counts=1e9)["signatures"]["X"]
    assert table[COLUMNS].isna().all(axis=None)
    topics = adata.obsm["topics"].to_numpy(copy=True)
    topics[:N_CELLS, 1] = 1e-9
    adata.obsm["topics"] = pd.DataFrame(topics, adata.obs_names, TOPICS)
    table = compare(adata, features=["g0"])["signatures"]["X"].set_index("topic")
    without = adata[N_CELLS:].copy()
    expected = compare(without, features=["g0"])["signatures"]["X"].set_index("topic")
    same = table["difference"] - expected["difference"]
    assert abs(same["topic_2"]) < 1e-3 and (same.drop("topic_2").abs() > 1e-3).all()


@pytest.fixture(scope="module")
def fitted():
    """A fit with an incomplete modality; not to be changed."""
    mdata = mt.datasets.simulate(240, 4, modalities={"rna": 60, "atac": 80}, spatial=False, missing={"atac": 0.3})
    mt.tl.topic_model(mdata, 4, verbose=False, n_jobs=1)
    mdata.obs["donor"] = pd.Categorical([f"d{d % 6}" for d in range(240)])
    mdata.obs["state"] = ["ill" if d % 6 < 3 else "well" for d in range(240)]
    return mdata


def test_a_mudata_and_its_slots(fitted, tmp_path, fingerprint):
    mdata = fitted.copy()
    parts, obsm = fingerprint(mdata.mod), fingerprint([mdata.obsm["topics"], mdata.obs])
    assert mt.tl.compare_topics(mdata, "state", "ill", sample_key="donor", n_top=3, n_jobs=1) is None
    assert fingerprint(mdata.mod) == parts and fingerprint([mdata.obsm["topics"], mdata.obs]) == obsm
    assert set(mdata.uns["mtopic"]) == {*fitted.uns["mtopic"], "comparison"}
    found = mdata.uns["mtopic"]["comparison"]
    assert list(found["signatures"]) == ["rna", "atac"]
    for mod, table in found["signatures"].items():
        top = mt.get.signatures(mdata, mod, n_top=3)
        assert set(table["feature"]) == set(top["feature"]) and len(table) == 4 * len(set(top["feature"]))
        assert np.isfinite(table[COLUMNS].to_numpy()).all()
    every = pd.concat(found["signatures"].values())
    np.testing.assert_allclose(every["q"], false_discovery_control(every["p"]))
    mdata.write_h5mu(tmp_path / "fit.h5mu")
    read = mt.read.h5mu(tmp_path / "fit.h5mu").uns["mtopic"]["comparison"]
    for mod, table in found["signatures"].items():
        pd.testing.assert_frame_equal(read["signatures"][mod], table, check_dtype=False)
    pd.testing.assert_frame_equal(read["topics"], found["topics"], check_dtype=False, check_index_type=False)
    mt.tl.topic_model(mdata, 4, n_iter=3, verbose=False, n_jobs=1)
    assert "comparison" not in mdata.uns["mtopic"], "what was said of an earlier fit is gone"


def test_raw_counts_are_compared(fitted):
    prepared = fitted.copy()
    mt.pp.scale_counts(prepared)
    results = [
        mt.tl.compare_topics(data, "state", "ill", sample_key="donor", copy=True).uns["mtopic"]["comparison"][
            "signatures"
        ]["rna"]
        for data in (fitted, prepared)
    ]
    pd.testing.assert_frame_equal(*results)


def test_chosen_features_copy_prefix_and_threads(fitted, fingerprint):
    mdata = fitted.copy()
    mdata.obsm["my_topics"] = mdata.obsm["topics"]
    mdata["rna"].varm["my_signatures"] = mdata["rna"].varm["signatures"]
    before = fingerprint(mdata)
    options = {"sample_key": "donor", "prefix": "my", "features": {"rna": ["rna_7", "rna_2"]}, "copy": True}
    one, two = (mt.tl.compare_topics(mdata, "state", "ill", n_jobs=n, **options) for n in (1, 2))
    assert fingerprint(mdata) == before and fingerprint(one) == fingerprint(two)
    assert list(one.uns["my_mtopic"]["comparison"]["signatures"]["rna"]["feature"]) == ["rna_7", "rna_2"] * 4
    none = mt.tl.compare_topics(mdata, "state", "ill", **{**options, "features": {}})
    assert none.uns["my_mtopic"]["comparison"]["signatures"] == {}
    every = mt.tl.compare_topics(mdata, "state", "ill", **{**options, "features": None})
    assert list(every.uns["my_mtopic"]["comparison"]["signatures"]) == ["rna"], "the other has no such signatures"


def test_columns_of_a_modality(fitted):
    mdata = fitted.copy()
    mdata["rna"].obs["state"], mdata["rna"].obs["donor"] = mdata.obs["state"], mdata.obs["donor"]
    del mdata.obs["state"], mdata.obs["donor"]
    mt.tl.compare_topics(mdata, "rna:state", "ill", sample_key="rna:donor", features={})
    expected = mt.tl.compare_topics(fitted, "state", "ill", sample_key="donor", copy=True)
    pd.testing.assert_frame_equal(
        mdata.uns["mtopic"]["comparison"]["topics"], expected.uns["mtopic"]["comparison"]["topics"]
    )


def test_too_few_samples(fitted):
    mdata = fitted.copy()
    mdata.obs["donor"] = mdata.obs["state"]
    with pytest.raises(
        ValueError, match=r"group 'ill' has 1 sample in obs\['donor'\].*at least 2 samples.*pl.composition"
    ):
        compare(mdata)
    mdata.obs["donor"] = [f"d{d % 3}" if d % 6 < 3 else "one" for d in range(240)]
    with pytest.raises(ValueError, match="group 'all but ill' has 1 sample"):
        compare(mdata)
    with pytest.raises(ValueError, match="group 'well' has 1 sample"):
        compare(mdata, reference="well")
    mdata.obs["donor"] = [f"d{d % 2}" for d in range(240)]
    with pytest.raises(
        ValueError, match="sample 'd0' .* has observations in both groups .* 1 others.*paired_by='donor'"
    ):
        compare(mdata)


def test_errors(fitted, fingerprint):
    mdata = fitted.copy()
    before = fingerprint(mdata)
    for options, match in (
        ({"scale": "logit"}, "scale='logit': choose"),
        ({"n_top": 0}, "n_top=0"),
        ({"min_counts": 0}, "min_counts=0"),
        ({"level": 95}, "level=95"),
        ({"n_jobs": 0}, "n_jobs=0"),
        ({"reference": "ill"}, "both 'ill'"),
        ({"features": {"rna": []}}, "features is empty"),
        ({"features": {"rna": ["rna_1", "rna_1"]}}, "'rna_1' twice"),
        ({"features": ["rna_1"]}, "say which modality"),
        ({"prefix": "a/b"}, "hold no '/'"),
    ):
        with pytest.raises(ValueError, match=match):
            compare(mdata, **options)
    for options, match in (
        ({"sample_key": "doner"}, "no column 'doner'.*did you mean 'donor'"),
        ({"reference": "wel"}, "no group 'wel'.*did you mean 'well'"),
        ({"features": {"rna": ["rna1"]}}, "no feature 'rna1' in modality 'rna'"),
        ({"features": {"prot": ["a"]}}, "no modality 'prot'"),
        ({"prefix": "my"}, "no table 'my_topics'"),
    ):
        with pytest.raises(KeyError, match=match):
            compare(mdata, **options)
    with pytest.raises(TypeError, match="features='rna_1': give names by modality"):
        compare(mdata, features="rna_1")
    assert fingerprint(mdata) == before


def test_nothing_of_a_topic():
    rng = np.random.default_rng(9)
    adata = cells(rng.normal(0, 0.5, (6, 4)), rng)
    adata.obsm["topics"].iloc[:N_CELLS, 2] = 0.0
    with pytest.raises(ValueError, match=r"sample 'd0' of obs\['donor'\] has nothing of 'topic_3'"):
        compare(adata)


def test_a_topic_that_is_absent_differs_less_by_depth():
    """Proportions of a topic without counts are the prior's: 10 times as large where counts are a tenth."""
    rng = np.random.default_rng(11)
    depth = np.repeat([38.0, 40, 42, 380, 400, 420], N_CELLS)
    adata = cells(rng.normal(0, 0.2, (6, 4)), rng)
    present = adata.obsm["topics"].to_numpy() * [1, 1, 1, 0]
    gamma = 0.5 + depth[:, None] * present / present.sum(axis=1, keepdims=True)
    adata.X = csr_matrix(depth[:, None].astype(np.float32))
    adata.obsm["topics"] = pd.DataFrame(gamma / gamma.sum(axis=1, keepdims=True), adata.obs_names, TOPICS)
    by_depth = compare(adata, scale="log")["topics"].loc["topic_4"]
    assert by_depth["difference"] > 3 and by_depth["q"] < 1e-3
    adata.uns["mtopic"]["params"] = {"alpha": 0.5, "n_topics": 4, "raw": True}
    corrected = compare(adata, scale="log")["topics"]
    assert abs(corrected.loc["topic_4", "difference"]) < 1e-3
    np.testing.assert_allclose(
        corrected.loc["topic_4", ["group", "reference"]].astype(float), by_depth[["group", "reference"]].astype(float)
    )


def test_samples_that_are_all_alike_have_no_test():
    rng = np.random.default_rng(10)
    adata = cells(np.zeros((4, 4)), rng)
    adata.obsm["topics"].loc[:] = 0.25
    table = compare(adata)["topics"]
    assert (table["difference"] == 0).all() and table[["p", "q"]].isna().all(axis=None)


def test_signatures_of_batches(fitted):
    """Those of a modality that not all batches have measured alike are refused, and no others."""
    mdata = fitted.copy()
    mdata.obs["batch"] = np.where(np.arange(mdata.n_obs) % 2, "a", "b")
    mdata.uns["mtopic"]["params"]["batch_key"] = "batch"
    assert set(compare(mdata)["signatures"]) == set(mdata.mod)
    rna = mdata["rna"]
    rna.varm["measured"] = pd.DataFrame({"a": True, "b": np.arange(rna.n_vars) > 0}, rna.var_names)
    with pytest.raises(
        ValueError, match=r"batches of obs\['batch'\] have not measured the same features of modality 'rna'"
    ):
        compare(mdata)
    atac = {"atac": mdata["atac"].var_names[:2]}
    assert set(compare(mdata, features=atac)["signatures"]) == {"atac"}
    assert not compare(mdata, features={})["signatures"]


def with_pairs(rng, n_pairs=5, effect=0.0, spread=1.0):
    """Donors that differ much, each with a sample that is ill and one that is not; ``effect`` on topic 1."""
    donors = rng.normal(0, spread, (n_pairs, 4))
    log_shares = np.vstack([donors, donors]) + rng.normal(0, 0.1, (2 * n_pairs, 4)) * [1, 0.1, 1, 4]
    log_shares[:n_pairs, 0] += effect
    adata = cells(log_shares, rng, spread=1e3)
    adata.obs["sample"] = adata.obs["donor"]
    adata.obs["donor"] = [f"d{int(sample[1:]) % n_pairs}" for sample in adata.obs["sample"]]
    return adata


def compare_pairs(data, **options):
    return compare(data, **{"sample_key": "sample", "paired_by": "donor", **options})


def test_differences_within_donors():
    rng = np.random.default_rng(14)
    adata = with_pairs(rng)
    found = compare_pairs(adata, level=0.9, scale="log")
    means = adata.obsm["topics"].groupby([adata.obs["state"], adata.obs["donor"]], observed=True).mean()
    ill, well = means.loc["ill"], means.loc["well"]
    np.testing.assert_allclose(found["topics"]["group"], ill.mean())
    np.testing.assert_allclose(found["topics"]["reference"], well.mean())
    difference = (np.log2(ill).mean() - np.log2(well).mean()).to_numpy()
    for name, values in by_moments(ttest_rel(np.log2(ill), np.log2(well)), difference, 0.9).items():
        np.testing.assert_allclose(found["topics"][name], values, err_msg=name)
    of_pairs = {"sample_key": "sample", "paired_by": "donor", "n_pairs": 5, "n_group": 5, "n_reference": 5}
    assert of_pairs.items() <= found["params"].items()
    centred = compare_pairs(adata, scale="clr")["topics"]["difference"]
    np.testing.assert_allclose(centred, difference - difference.mean())
    relative = compare_pairs(adata)["topics"]["difference"]
    np.testing.assert_allclose(relative, difference - np.median(difference))


def test_pairs_find_what_groups_do_not():
    rng, of_pairs, of_groups = np.random.default_rng(15), [], []
    for _ in range(20):
        adata = with_pairs(rng, effect=0.5)
        of_pairs.append(compare_pairs(adata)["topics"]["q"].iloc[0] < 0.05)
        of_groups.append(compare(adata, sample_key="sample")["topics"]["q"].iloc[0] < 0.05)
    assert np.mean(of_pairs) > 0.9 and np.mean(of_groups) < 0.3


def test_pairs_of_several_samples_and_incomplete_ones(recwarn):
    """Samples of a donor are averaged, however many cells they have; donors with one group are left out."""
    adata = with_pairs(np.random.default_rng(16))
    twice = adata.copy()
    twice.obs["sample"] = twice.obs["sample"] + np.where(np.arange(adata.n_obs) % 4, "a", "b")
    found = compare_pairs(twice, scale="log")
    assert found["params"]["n_group"] == 10 and found["params"]["n_pairs"] == 5
    means = np.log2(twice.obsm["topics"].groupby([twice.obs["state"], twice.obs["sample"]], observed=True).mean())
    np.testing.assert_allclose(found["topics"]["difference"], means.loc["ill"].mean() - means.loc["well"].mean())
    assert not recwarn

    part = adata[~((adata.obs["donor"] == "d1") & (adata.obs["state"] == "ill"))].copy()
    with pytest.warns(UserWarning, match=r"1 of 5 in obs\['donor'\] have one group only and are left out: 'd1'"):
        found = compare_pairs(part)
    expected = compare_pairs(adata[adata.obs["donor"] != "d1"].copy())
    pd.testing.assert_frame_equal(found["topics"], expected["topics"])
    assert found["params"] == expected["params"]


def test_groups_within_samples():
    """Parts of a sample are pairs, too."""
    adata = with_pairs(np.random.default_rng(17))
    expected = compare_pairs(adata)["topics"]
    pd.testing.assert_frame_equal(compare_pairs(adata, sample_key="donor")["topics"], expected)
    pd.testing.assert_frame_equal(compare_pairs(adata[::-1].copy(), sample_key="donor")["topics"], expected)


def test_signatures_of_pairs():
    """Donors' own signatures, which make groups overlap, fall out."""
    rng, found = np.random.default_rng(18), {"donor": [], None: []}
    for _ in range(8):
        adata = counted(rng, effect=0.5, sd=0.0, depth=2000)
        own = rng.lognormal(0, 0.7, (5, N_FEATURES))
        x = adata.X.toarray() * np.repeat(np.tile(own, (2, 1)), N_CELLS, axis=0)
        adata.X = csr_matrix(np.round(x).astype(np.float32))
        adata.obs["sample"] = adata.obs["donor"]
        adata.obs["donor"] = [f"d{int(sample[1:]) % 5}" for sample in adata.obs["sample"]]
        for paired_by in found:
            table = compare(adata, sample_key="sample", paired_by=paired_by, features=["g0", "g1", "g2", "g3", "g4"])
            table = table["signatures"]["X"].set_index(["topic", "feature"])
            found[paired_by].append(table.loc[("topic_1", "g0"), "p"] < 0.01)
    assert np.mean(found["donor"]) > 0.8 and np.mean(found[None]) < 0.3


def test_pairs_of_which_one_has_little_of_a_topic():
    """Neither counts for that topic, and both for others."""
    adata = counted(np.random.default_rng(20), depth=1000)
    adata.obs["sample"] = adata.obs["donor"]
    adata.obs["donor"] = [f"d{int(sample[1:]) % 5}" for sample in adata.obs["sample"]]
    topics = adata.obsm["topics"].to_numpy(copy=True)
    topics[:N_CELLS, 1] = topics[6 * N_CELLS : 7 * N_CELLS, 1] = 1e-9
    adata.obsm["topics"] = pd.DataFrame(topics, adata.obs_names, TOPICS)
    table, without = (
        compare_pairs(data, features=["g0", "g1"])["signatures"]["X"].set_index(["topic", "feature"])
        for data in (adata, adata[~adata.obs["donor"].isin(["d0", "d1"])].copy())
    )
    same = np.isclose(table, without, rtol=1e-3)[:, :2].all(axis=1)
    np.testing.assert_array_equal(same, table.index.get_level_values("topic") == "topic_2")


def test_pairs_are_written_and_read(fitted, tmp_path):
    mdata = fitted.copy()
    mdata.obs["pair"] = [f"p{d % 3}" for d in range(240)]
    mt.tl.compare_topics(mdata, "state", "ill", sample_key="donor", paired_by="pair", n_top=2, n_jobs=1)
    mdata.write_h5mu(tmp_path / "fit.h5mu")
    found, read = (data.uns["mtopic"]["comparison"] for data in (mdata, mt.read.h5mu(tmp_path / "fit.h5mu")))
    assert read["params"] == found["params"] and found["params"]["n_pairs"] == 3
    pd.testing.assert_frame_equal(read["signatures"]["atac"], found["signatures"]["atac"], check_dtype=False)
    assert np.isfinite(found["signatures"]["atac"][COLUMNS].to_numpy()).all()


def test_errors_of_pairs(fingerprint):
    adata = with_pairs(np.random.default_rng(19))
    before = fingerprint(adata)
    with pytest.raises(
        ValueError, match=r"0 of 10 in obs\['sample'\] have samples of both groups.*leave paired_by out"
    ):
        compare_pairs(adata, paired_by="sample")
    adata.obs["batch"] = [f"b{d % 2}" for d in range(adata.n_obs)]
    with pytest.raises(
        ValueError, match=r"sample 's?d?0' of obs\['sample'\] has observations of 2 pairs of obs\['batch'\]"
    ):
        compare_pairs(adata, paired_by="batch")
    with pytest.raises(KeyError, match="no column 'doner'.*did you mean 'donor'"):
        compare_pairs(adata, paired_by="doner")
    one = adata[(adata.obs["donor"] == "d0") | (adata.obs["state"] == "ill")].copy()
    with pytest.raises(ValueError, match=r"1 of 5 in obs\['donor'\]"):
        compare_pairs(one)
    del adata.obs["batch"]
    assert fingerprint(adata) == before
