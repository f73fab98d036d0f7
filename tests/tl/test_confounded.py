"""Groups that have no batch in common are warned of where effects of batches were learned."""

import warnings

import numpy as np
import pytest

import mtopic as mt

OPTIONS = {"n_jobs": 1, "verbose": False}
STATES = {
    "a single batch": lambda batch, _: batch == "batch_1",
    "several batches": lambda batch, _: batch.isin(["batch_1", "batch_2"]),
    "half of each batch": lambda _, half: half == 0,
    "half of one batch": lambda batch, half: (batch == "batch_1") & (half == 0),
}


def fitted(sd=0.5, n_topics=3, **options):
    """Four batches of four samples each, and two halves of each batch."""
    tissue = {"modalities": {"rna": 60}, "depth": 200, "spatial": False}
    data = mt.datasets.simulate(400, 3, n_batches=4, batch_effects=sd, **tissue)
    number = np.arange(data.n_obs) % 4
    data.obs["half"], data.obs["sample"] = (
        number % 2,
        [f"{b}_{n}" for b, n in zip(data.obs["batch"], number, strict=True)],
    )
    mt.tl.topic_model(data, n_topics, **{"n_iter": 20, "batch_key": "batch", **OPTIONS, **options})
    return data


@pytest.fixture(scope="module")
def with_effects():
    return fitted()


def compare(data, state, **options):
    ill = STATES[state](data.obs["batch"].astype(str), data.obs["half"])
    data = data.copy()
    data.obs["state"] = np.where(ill, "ill", "well")
    mt.tl.compare_topics(data, "state", "ill", **{"sample_key": "sample", "features": {}, **OPTIONS, **options})


def said(data, state, **options):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        compare(data, state, **options)
    return [str(one.message) for one in found if "in common" in str(one.message)]


def test_a_group_that_is_a_single_batch(with_effects):
    with pytest.warns(
        UserWarning,
        match=r"groups 'ill' and 'well' of obs\['state'\] have no batch of obs\['batch'\] in common.*single batch.*"
        "batch_effects=False",
    ):
        compare(with_effects, "a single batch", reference="well")


def with_topic(data, topic, values):
    """A copy in which a topic has these proportions, and the others what is left."""
    data = data.copy()
    theta = data.obsm["topics"]
    others = theta.drop(columns=topic)
    theta = others.mul((1 - values) / others.sum(axis=1), axis=0).assign(**{topic: values})[theta.columns]
    data.obsm["topics"] = theta
    return data


def alternately(data):
    """1 and -1, as many of each in a sample."""
    return np.where(data.obs.groupby("sample").cumcount() % 2, 1.0, -1.0)


def test_batches_within_groups_do_no_harm_to_topics_that_vary(with_effects):
    assert not said(with_effects, "several batches")


def test_batches_within_groups_and_a_topic_that_hardly_varies(with_effects):
    data = with_topic(with_effects, "topic_2", np.full(with_effects.n_obs, 0.2))
    with pytest.warns(
        UserWarning,
        match=r"'ill' and all others of obs\['state'\] have no batch of obs\['batch'\] in common.*in part.*too "
        r"small.*vary little: 'topic_2'\. .*batch_effects=False",
    ):
        compare(data, "several batches")


@pytest.mark.parametrize(("spread", "warned"), [(0.09, True), (0.11, False)])
def test_how_much_a_topic_may_vary(with_effects, spread, warned):
    """Within samples: that these differ from each other tells no topic from effects."""
    sample = with_effects.obs["sample"].astype("category").cat.codes.to_numpy()
    data = with_topic(with_effects, "topic_2", 0.2 + 0.04 * sample + spread * alternately(with_effects))
    assert bool(said(data, "several batches")) == warned


def test_five_topics_are_named_and_the_flattest_first():
    data = fitted(n_topics=7)
    by_topic = np.array([0.07, -0.06, 0.05, -0.04, -0.03, 0.02, -0.01])
    data.obsm["topics"] = data.obsm["topics"] * 0 + 1 / 7 + alternately(data)[:, None] * by_topic
    assert "'topic_7', 'topic_6', 'topic_5', 'topic_4', 'topic_3', …." in said(data, "several batches")[0]


def test_samples_of_one_observation_tell_of_no_variation(with_effects):
    data = with_effects.copy()
    data.obs["sample"] = data.obs_names.to_series().where(data.obs.groupby("batch").cumcount() < 2)
    assert "'topic_1'" in said(data, "several batches")[0]


@pytest.mark.parametrize("state", ["half of each batch", "half of one batch"])
def test_a_batch_in_common_is_enough(with_effects, state):
    assert not said(with_effects, state)


def test_batches_of_other_groups_do_not_count(with_effects):
    """The reference shares a batch with the group only as long as its samples there take part."""
    data = with_effects.copy()
    data.obs["sample"] = data.obs["sample"].where((data.obs["batch"] != "batch_1") | (data.obs["half"] == 0), None)
    assert said(data, "half of one batch") and not said(with_effects, "half of one batch")


@pytest.mark.parametrize("how", [{"sd": 0.0, "n_iter": 200}, {"batch_effects": False}, {"batch_key": None}])
def test_without_effects_there_is_nothing_to_say(how):
    assert not said(fitted(**how), "a single batch")
