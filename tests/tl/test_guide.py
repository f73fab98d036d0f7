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
    assert list(topics) == [*NAMES, "topic_4", "topic_5", "topic_6"]
    assert all(list(adata.varm["signatures"]) == list(topics) for adata in data.mod.values())
    assert min(correlation(topics, truth.obsm["true_topics"])) > 0.95
    assert min(correlation(data["rna"].varm["signatures"], truth["rna"].varm["true_signatures"])) > 0.95
    guides = data.uns["mtopic"]["guides"]
    assert guides["topic"].tolist() == NAMES and (guides["rank"] == 1).all() and (guides["lift"] > 3).all()
    assert (guides["modality"] == "rna").all() and (guides["n_features"] == 10).all()
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
    first, second = (fitted(rna, guide, n_iter=2) for guide in ({"rna": markers}, markers))
    pd.testing.assert_frame_equal(first.obsm["topics"], second.obsm["topics"])


def test_a_topic_may_be_guided_in_several_modalities(truth, markers):
    protein = truth["protein"].varm["true_signatures"]
    of_protein = {"two": [*protein.iloc[:, 4].nlargest(2).index], "four": [*protein.iloc[:, 0].nlargest(2).index]}
    data = fitted(truth, {"rna": markers, "protein": of_protein})
    assert list(data.obsm["topics"]) == [*NAMES, "four", "topic_5", "topic_6"]
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


def test_alpha_by_name_of_the_guide(truth, markers):
    names = [*NAMES, "topic_4", "topic_5", "topic_6"]
    alpha = pd.Series([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], names)
    data = fitted(truth, {"rna": markers}, alpha=alpha[::-1], n_iter=2)
    assert data.uns["mtopic"]["params"]["alpha"] == alpha.to_dict()


BAD = {
    "a modality that is not there": ({"rn": {"a": ["rna_1"]}}, KeyError, "did you mean 'rna'"),
    "no mapping by modality": (pd.DataFrame({"a": [1.0]}, ["rna_1"]), TypeError, "give a mapping by modality"),
    "a number": ({"rna": 3}, TypeError, "guide\\['rna'\\] is int: give lists of features by topic"),
    "no topic": ({"rna": {}}, ValueError, "guides no topic"),
    "no feature": ({"rna": {"a": []}}, ValueError, "'a'\\] has no feature of positive weight"),
    "unknown features": ({"rna": {"a": ["CD3D"]}}, ValueError, "no names in common"),
    "a topic of unknown features": ({"rna": {"a": ["rna_1"], "b": ["CD3D"]}}, ValueError, "'b'\\]: none of its 1"),
    "a weight that is no number": ({"rna": {"a": {"rna_1": "much"}}}, ValueError, "no finite weight for 'rna_1'"),
    "a feature twice": ({"rna": {"a": pd.Series(1.0, ["rna_1"] * 2)}}, ValueError, "'rna_1' more than once"),
    "a name that a free topic has": ({"rna": {"topic_6": ["rna_1"]}}, ValueError, "topic 'topic_6': a free topic"),
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
