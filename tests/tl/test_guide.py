"""Topics that are guided by what is known of them."""

import numpy as np
import pandas as pd
import pytest

import mtopic as mt

QUIET = {"n_jobs": 1, "verbose": False}
NAMES = ["one", "two", "three"]


@pytest.fixture(scope="module")
def truth():
    return mt.datasets.simulate(n_obs=400, n_topics=6, modalities={"rna": 200, "protein": 30}, rng=3)


@pytest.fixture(scope="module")
def markers(truth):
    """Ten genes of each of the last three topics."""
    signatures = truth["rna"].varm["true_signatures"]
    lift = signatures * np.log(signatures.div(signatures.mean(axis=1), axis=0))
    return {name: [*lift.iloc[:, k].nlargest(10).index] for name, k in zip(NAMES, (3, 4, 5), strict=True)}


def fitted(truth, guide, n_topics=6, **options):
    data = truth.copy()
    mt.tl.topic_model(data, n_topics, guide=guide, **{**QUIET, **options})
    return data


def correlation(found, true):
    return [np.corrcoef(found[name], true.iloc[:, k])[0, 1] for name, k in zip(NAMES, (3, 4, 5), strict=True)]


@pytest.mark.whole_start
@pytest.mark.parametrize("where", [{}, {"spatial_key": "spatial"}])
def test_topics_are_what_they_are_guided_to_and_bear_its_names(truth, markers, where):
    data = fitted(truth, {"rna": markers}, **where)
    topics = data.obsm["topics"]
    assert list(topics) == [*NAMES, "topic_1", "topic_2", "topic_3"]
    assert all(list(adata.varm["signatures"]) == list(topics) for adata in data.mod.values())
    assert min(correlation(topics, truth.obsm["true_topics"])) > 0.95
    assert min(correlation(data["rna"].varm["signatures"], truth["rna"].varm["true_signatures"])) > 0.95
    guides = data.uns["mtopic"]["guides"]
    assert guides["topic"].tolist() == NAMES and (guides["rank"] == 1).all() and (guides["lift"] > 3).all()
    assert (guides["modality"] == "rna").all() and (guides["n_features"] == 10).all()
    np.testing.assert_allclose(guides["asked"], 6)
    np.testing.assert_allclose(guides["strength"], 0.03)


def as_net(markers):
    rows = [(topic, gene) for topic, genes in markers.items() for gene in genes]
    return pd.DataFrame(rows, columns=["source", "target"])


FORMS = {
    "weights": lambda markers: {topic: dict.fromkeys(genes, 2.0) for topic, genes in markers.items()},
    "series": lambda markers: {topic: pd.Series(0.5, genes) for topic, genes in markers.items()},
    "net": as_net,
    "net with weights": lambda markers: as_net(markers).assign(weight=3),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_guide_say_the_same(truth, markers, form):
    rna = truth["rna"].copy()
    first, second = (fitted(rna, guide, n_iter=3) for guide in (markers, FORMS[form](markers)))
    pd.testing.assert_frame_equal(first.obsm["topics"], second.obsm["topics"])
    pd.testing.assert_frame_equal(first.uns["mtopic"]["guides"], second.uns["mtopic"]["guides"])


def test_one_modality_may_be_named(truth, markers):
    rna = mt.datasets.simulate(n_obs=100, modalities={"rna": 200}, rng=0)
    for data in (rna, rna["rna"].copy()):
        first, second = (fitted(data, guide, n_iter=2) for guide in ({"rna": markers}, markers))
        pd.testing.assert_frame_equal(first.obsm["topics"], second.obsm["topics"])
    with pytest.raises(KeyError, match="no modality 'rn' in modalities"):
        fitted(rna, {"rn": markers})


def test_a_topic_may_be_guided_in_several_modalities(truth, markers):
    protein = truth["protein"].varm["true_signatures"]
    of_protein = {"two": [*protein.iloc[:, 4].nlargest(2).index], "four": [*protein.iloc[:, 0].nlargest(2).index]}
    data = fitted(truth, {"rna": markers, "protein": of_protein})
    assert list(data.obsm["topics"]) == [*NAMES, "four", "topic_1", "topic_2"]
    guides = data.uns["mtopic"]["guides"]
    assert [*zip(guides["topic"], guides["modality"], strict=True)] == [
        *((name, "rna") for name in NAMES),
        ("two", "protein"),
        ("four", "protein"),
    ]


@pytest.mark.parametrize("inference", ["variational", "collapsed"])
def test_signatures_of_infinite_strength_stay_as_they_are(truth, inference):
    known = truth["rna"].varm["true_signatures"].iloc[:, [3, 4]].set_axis(["one", "two"], axis=1) + 1e-5
    known = known.drop(index=["rna_0", "rna_1"])
    data = fitted(truth, {"rna": known}, guide_strength=np.inf, inference=inference)
    found = data["rna"].varm["signatures"].loc[known.index, ["one", "two"]]
    np.testing.assert_allclose(found / found.sum(), known / known.sum(), rtol=1e-4)
    assert np.isinf(data.uns["mtopic"]["guides"]["strength"]).all()


@pytest.mark.parametrize("effects", [False, True])
@pytest.mark.parametrize("inference", ["variational", "collapsed"])
def test_what_a_signature_lacks_stays_away_and_the_bound_climbs(inference, effects):
    """Zeros of a table are known, too; batches learn their factors beside signatures as they are."""
    mdata = mt.datasets.simulate(400, 4, modalities={"rna": 100}, n_batches=2, batch_effects=0.5, rng=1)
    known = mdata["rna"].varm["true_signatures"].iloc[:, [0]].set_axis(["held"], axis=1).copy()
    known.loc[known["held"].nlargest(20).index, "held"] = 0
    how = {"guide": known, "guide_strength": np.inf, "batch_key": "batch", "batch_effects": effects}
    model = mt.tl.MTM(mdata, 4, raw=True, inference=inference, **how, **QUIET)
    model.VI(60, tol=None)
    held = model.lambda_["rna"][0]
    np.testing.assert_allclose(held / held.sum(), known["held"] / known["held"].sum(), atol=1e-5)
    elbo = np.array(model.elbo[15:])
    assert np.diff(elbo).min() > -1e-7 * abs(elbo[-1])


def test_a_table_may_have_names_that_look_like_numbers(truth):
    rna = truth["rna"].copy()
    rna.var_names = [str(v) for v in range(100, 300)]
    known = rna.varm["true_signatures"].iloc[:, :2].set_axis(["one", "two"], axis=1)
    by_number = known.set_axis(known.index.astype(int))
    first, second = (mt.tl.MTM(rna, 6, guide=of, **QUIET)._run.fit.posterior.guide for of in (known, by_number))
    np.testing.assert_array_equal(first.lifts, second.lifts)
    assert first.lifts.max() <= 6 and first.lifts.min() >= 1 / 6
    part = mt.tl.MTM(rna, 6, guide=known[10:], **QUIET)._run.fit.posterior.guide
    np.testing.assert_array_equal(part.lifts[:10], 1)
    assert not part.weights[:10].any()


def test_a_guide_of_prepared_counts_stands_for_as_many_in_each_modality():
    mdata = mt.datasets.simulate(300, 4, modalities={"rna": 80, "atac": 120}, depth={"rna": 2000, "atac": 60}, rng=2)
    mt.pp.tfidf(mdata, mod="rna")
    mt.pp.tfidf(mdata, mod="atac")
    mt.pp.scale_counts(mdata)
    model = mt.tl.MTM(mdata, 4, guide={"rna": {"a": ["rna_1", "rna_2"]}}, modality_weights="auto", **QUIET)
    fit, observed = model._run.fit, model._run.observed
    of = fit.begun(observed, np.random.default_rng(0)).guide
    for block in observed.blocks:
        assert of.mean[block].sum() == pytest.approx(observed.by_column[block].sum() / 4, rel=1e-3)


def test_strength_by_topic(truth):
    known = truth["rna"].varm["true_signatures"].iloc[:, 3:].set_axis(NAMES, axis=1) + 1e-5
    data = fitted(truth, {"rna": known}, guide_strength={"one": np.inf, "two": 0.2}, n_iter=3)
    np.testing.assert_allclose(data.uns["mtopic"]["guides"]["strength"], [np.inf, 0.2, 0.03])
    of_one = data["rna"].varm["signatures"]["one"]
    np.testing.assert_allclose(of_one / of_one.sum(), known["one"] / known["one"].sum(), rtol=1e-4)


@pytest.mark.whole_start
def test_a_stronger_guide_holds_a_topic_nearer(truth, markers):
    rng = np.random.default_rng(0)
    wrong = {"wrong": [*rng.choice(truth["rna"].var_names, 10, replace=False)]}
    lifts = [fitted(truth, {"rna": wrong}, guide_strength=s).uns["mtopic"]["guides"]["lift"][0] for s in (0.02, 1.0)]
    right = fitted(truth, {"rna": markers}).uns["mtopic"]["guides"]["lift"].min()
    assert lifts[0] < lifts[1] and lifts[0] < right / 2


@pytest.mark.whole_start
def test_wrong_guides_lose(truth):
    rng = np.random.default_rng(1)
    wrong = {name: [*rng.choice(truth["rna"].var_names, 10, replace=False)] for name in NAMES}
    errors = []
    for guide in (None, {"rna": wrong}):
        data = fitted(truth, guide)
        pairs = mt.datasets.recovery(data)
        found, true = data.obsm["topics"][pairs["topic"]], data.obsm["true_topics"][pairs["truth"]]
        errors.append(np.abs(found.to_numpy() - true.to_numpy()).mean())
    assert errors[1] < 1.1 * errors[0]


def test_topics_that_leave_their_guide_are_named(truth, markers):
    twice = {"one": markers["one"], "again": markers["one"]}
    with pytest.warns(UserWarning, match=r"topic '(one|again)' has left its guide: the 10 features of guide\['rna'\]"):
        fitted(truth, {"rna": twice})


@pytest.mark.whole_start
def test_signatures_of_a_reference_guide_other_data(truth):
    cells, others = truth[:200].copy(), truth[200:].copy()
    reference = fitted(cells, None)
    mt.tl.rename_topics(reference, {"topic_2": "known"})
    data = fitted(others, {mod: adata.varm["signatures"] for mod, adata in reference.mod.items()})
    assert list(data.obsm["topics"]) == list(reference.obsm["topics"])
    for mod in data.mod:
        theirs, ours = (of[mod].varm["signatures"] for of in (reference, data))
        assert min(np.corrcoef(theirs[name], ours[name])[0, 1] for name in theirs) > 0.9


def test_a_fit_that_is_saved_and_goes_on_has_the_same_bits(truth, markers, tmp_path):
    known = truth["protein"].varm["true_signatures"].iloc[:, [0]].set_axis(["fixed"], axis=1)

    def model():
        guide = {"guide": {"rna": markers, "protein": known}, "guide_strength": {"fixed": np.inf}}
        return mt.tl.MTM(truth, 6, raw=True, alpha="auto", eta="auto", **guide, **QUIET)

    whole, first = model(), model()
    whole.VI(12, tol=None)
    first.VI(5, tol=None)
    first.save(tmp_path / "model.h5")
    again = mt.tl.load_model(tmp_path / "model.h5", truth)
    assert list(again.topics[:3]) == NAMES
    again.n_jobs, again.verbose = 1, False
    again.VI(7, tol=None)
    np.testing.assert_array_equal(again.gamma, whole.gamma)
    pd.testing.assert_frame_equal(again.guides, whole.guides)


@pytest.mark.whole_start
def test_steps_from_batches_and_several_starts_are_guided(truth, markers):
    by_batches = mt.tl.MTM(truth, 6, raw=True, guide={"rna": markers}, **QUIET)
    by_batches.SVI(40, 50)
    data = truth.copy()
    mt.tl.export_params(by_batches, data)
    assert min(correlation(data.obsm["topics"], truth.obsm["true_topics"])) > 0.9
    data = fitted(truth, {"rna": markers}, n_init=2)
    assert min(correlation(data.obsm["topics"], truth.obsm["true_topics"])) > 0.95
    assert list(data.uns["mtopic"]["stability"].index) == list(data.obsm["topics"])


@pytest.mark.whole_start
def test_a_fit_that_begins_at_a_part_is_guided(truth, markers, monkeypatch):
    monkeypatch.setattr("mtopic.inference.part.SMALLEST", 40)
    data = fitted(truth, {"rna": markers})
    assert min(correlation(data.obsm["topics"], truth.obsm["true_topics"])) > 0.95
    assert (data.uns["mtopic"]["guides"]["rank"] == 1).all()


def test_counts_on_disk_are_guided_to_the_same_bits(truth, markers, tmp_path):
    first, second = (fitted(truth, {"rna": markers}, n_iter=5, **how) for how in ({}, {"scratch": tmp_path}))
    pd.testing.assert_frame_equal(first.obsm["topics"], second.obsm["topics"])


def test_batches_that_have_measured_other_features_are_guided():
    mdata = mt.datasets.simulate(n_obs=400, n_topics=4, modalities={"rna": 100}, n_batches=2, rng=0)
    true = mdata["rna"].varm["true_signatures"]
    ratio = true * np.log(true.div(true.mean(axis=1), axis=0))
    guide = {"rna": {"known": [*ratio.iloc[:, 2].nlargest(8).index]}}
    names = mdata["rna"].var_names
    parts = {
        batch: mdata["rna"][np.asarray(mdata.obs["batch"] == batch), names != absent].copy()
        for batch, absent in zip(mdata.obs["batch"].cat.categories, ("rna_3", "rna_7"), strict=True)
    }
    both = mt.pp.concat(parts, label="batch")
    mt.tl.topic_model(both, 4, batch_key="batch", guide=guide["rna"], **QUIET)
    true_topic = mdata.obsm["true_topics"].iloc[:, 2]
    found = both.obsm["topics"]["known"]
    assert np.corrcoef(found, true_topic.loc[found.index])[0, 1] > 0.95


def test_names_of_guides_are_renamed_and_written(truth, markers, tmp_path):
    data = fitted(truth, {"rna": markers}, n_iter=3)
    mt.tl.rename_topics(data, {"one": "first"})
    assert data.uns["mtopic"]["guides"]["topic"].tolist() == ["first", "two", "three"]
    data.write(tmp_path / "topics.h5mu")
    back = mt.read.h5mu(tmp_path / "topics.h5mu")
    pd.testing.assert_frame_equal(back.uns["mtopic"]["guides"], data.uns["mtopic"]["guides"], check_dtype=False)
    mt.tl.topic_model(data, 6, n_iter=2, **QUIET)
    assert "guides" not in data.uns["mtopic"]


def test_some_signatures_of_a_reference_guide(truth):
    known = truth["rna"].varm["true_signatures"][["topic_2", "topic_6"]]
    data = fitted(truth, {"rna": known}, n_iter=2)
    assert list(data.obsm["topics"]) == ["topic_2", "topic_6", "topic_1", "topic_3", "topic_4", "topic_5"]


def test_a_checkpoint_of_another_guide_is_not_gone_on_with(truth, tmp_path):
    names = [*truth["rna"].var_names]
    path = {"checkpoint": tmp_path / "fit.h5", "n_iter": 2}
    fitted(truth, {"rna": {"a": pd.Index(names[:150])}}, **path)
    again = fitted(truth, {"rna": {"a": set(names[:150])}}, **{**path, "n_iter": 3})
    assert len(again.uns["mtopic"]["elbo"]) == 3
    with pytest.raises(ValueError, match="other options"):
        fitted(truth, {"rna": {"a": pd.Index([*names[:149], names[160]])}}, **path)


def test_a_guided_topic_that_is_left_out_is_named(truth):
    noise = pd.DataFrame({"noise": np.random.default_rng(0).permutation(200) ** 4.0}, truth["rna"].var_names)
    model = mt.tl.MTM(truth, 6, raw=True, guide={"rna": noise}, guide_strength=np.inf, **QUIET)
    model.VI(30)
    largest = (model.gamma / model.gamma.sum(axis=1, keepdims=True)).max(axis=0)
    assert largest[0] < largest[1:].min()
    data = truth.copy()
    with pytest.warns(UserWarning, match="guided topic 'noise' is left out"):
        mt.tl.export_params(model, data, filter_threshold=1.01 * float(largest[0]))
    assert "noise" not in data.obsm["topics"] and "noise" not in set(data.uns["mtopic"]["guides"]["topic"])
    mt.tl.rename_topics(data, {"topic_1": "noise"})


def test_guides_are_known_after_the_fit_only(truth, markers):
    model = mt.tl.MTM(truth, 6, guide={"rna": markers}, **QUIET)
    assert model.guides is None and list(model.topics[:3]) == NAMES


def test_alpha_by_name_of_the_guide(truth, markers):
    names = [*NAMES, "topic_1", "topic_2", "topic_3"]
    alpha = pd.Series([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], names)
    data = fitted(truth, {"rna": markers}, alpha=alpha[::-1], n_iter=2)
    assert data.uns["mtopic"]["params"]["alpha"] == alpha.to_dict()


NETS = pd.DataFrame({"source": ["a", None], "target": ["rna_1", "rna_2"]})
RANKED = pd.DataFrame({"group": ["1"], "names": ["rna_1"], "scores": [2.0]})
TWICE = pd.DataFrame([[1.0, 2.0]], ["rna_1"], ["a", "a"])
BAD = {
    "a modality that is not there": ({"rn": {"a": ["rna_1"]}}, KeyError, "did you mean 'rna'"),
    "no mapping by modality": (pd.DataFrame({"a": [1.0]}, ["rna_1"]), TypeError, "give a mapping by modality"),
    "a number": ({"rna": 3}, TypeError, r"guide\['rna'\] is int: give lists of features by topic"),
    "no topic": ({"rna": {}}, ValueError, "guides no topic"),
    "no feature": ({"rna": {"a": []}}, ValueError, "'a'\\] has no feature of positive weight"),
    "nothing": ({"rna": {"a": None}}, TypeError, "'a'\\]=None: give a list of names"),
    "lists of lists": ({"rna": {"a": [["rna_1"]]}}, TypeError, "give a list of names"),
    "unknown features": ({"rna": {"a": ["CD3D"]}}, ValueError, "no names in common"),
    "a topic of unknown features": ({"rna": {"a": ["rna_1"], "b": ["CD3D"]}}, ValueError, "'b'\\]: none of its 1"),
    "names in upper case": (
        {"rna": {"a": ["rna_1"], "b": ["RNA_1"]}},
        ValueError,
        "alike but for upper and lower case",
    ),
    "a weight that is no number": ({"rna": {"a": {"rna_1": "much"}}}, ValueError, "no finite weight for 'rna_1'"),
    "a feature twice": ({"rna": {"a": pd.Series(1.0, ["rna_1"] * 2)}}, ValueError, "the first is 'rna_1'"),
    "a topic twice": ({"rna": {1: ["rna_1"], "1": ["rna_2"]}}, ValueError, "the first is '1'"),
    "a column twice": ({"rna": TWICE}, ValueError, "the first is 'a'"),
    "a net without a source": ({"rna": NETS}, ValueError, "rows without source or target"),
    "other columns": ({"rna": RANKED}, ValueError, "column 'group' has no numbers: of a net, rename its columns"),
    "a name that no file can hold": (
        {"rna": {"CD4/CD8": ["rna_1"]}},
        ValueError,
        "'CD4/CD8': a name is a key in files",
    ),
    "too many": ({"rna": {f"t{k}": ["rna_1"] for k in range(7)}}, ValueError, "7 topics and n_topics=6"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_guide_that_is_none(truth, what):
    guide, error, said = BAD[what]
    data = truth.copy()
    with pytest.raises(error, match=said):
        mt.tl.topic_model(data, 6, guide=guide, **QUIET)
    assert "mtopic" not in data.uns and "topics" not in data.obsm


@pytest.mark.parametrize(
    ("strength", "error", "said"),
    [
        (float("inf"), ValueError, "inf of 'one': guide\\['rna'\\] names features and has no shares that could stay"),
        (None, (TypeError, ValueError), "guide_strength"),
        (0, ValueError, "guide_strength=0 of 'one': give a number above 0"),
        (float("nan"), ValueError, "guide_strength=nan of 'one'"),
        ({"none": 1.0}, KeyError, "no topic 'none' in the guide"),
    ],
)
def test_a_strength_that_is_none(truth, markers, strength, error, said):
    with pytest.raises(error, match=said):
        fitted(truth, {"rna": markers}, guide_strength=strength)


def test_what_of_a_guide_takes_no_part_is_said(truth, markers):
    with pytest.warns(UserWarning, match=r"guide\['rna'\]\['one'\]: 1 of 11 features are not there: 'CD3D'"):
        fitted(truth, {"rna": {**markers, "one": [*markers["one"], "CD3D"]}}, n_iter=1)
    net = as_net(markers).assign(weight=1.0)
    net.loc[0, "weight"] = -1
    with pytest.warns(UserWarning, match=r"1 weights are negative, and these features left out"):
        data = fitted(truth, {"rna": net}, n_iter=1)
    assert data.uns["mtopic"]["guides"]["n_features"].tolist() == [9, 10, 10]
