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


def fitted(sd=0.5, **options):
    """Four batches of four samples each, and two halves of each batch."""
    tissue = {"modalities": {"rna": 60}, "depth": 200, "spatial": False}
    data = mt.datasets.simulate(400, 3, n_batches=4, batch_effects=sd, **tissue)
    number = np.arange(data.n_obs) % 4
    data.obs["half"], data.obs["sample"] = (
        number % 2,
        [f"{b}_{n}" for b, n in zip(data.obs["batch"], number, strict=True)],
    )
    mt.tl.topic_model(data, 3, **{"n_iter": 20, "batch_key": "batch", **OPTIONS, **options})
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


def test_batches_within_groups(with_effects):
    with pytest.warns(
        UserWarning, match=r"'ill' and all others of .* in common.*in part.*too small.*batch_effects=False"
    ):
        compare(with_effects, "several batches")


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
