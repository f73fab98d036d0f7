"""Arguments of other types, for every parameter of every public function."""

import inspect
from types import NoneType, UnionType
from typing import Union, get_args, get_origin

import numpy as np
import pytest
from tests.test_package import CALLABLES

import mtopic as mt


def members(annotation):
    return set(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else {annotation}


PARAMETERS = {
    (name, p.name): members(p.annotation)
    for name, function in CALLABLES.items()
    for p in inspect.signature(function).parameters.values()
}
SEEDS = ("rng", "seed", "random_state")
WHOLE = [key for key, types in PARAMETERS.items() if int in types and types <= {int, NoneType, np.random.Generator}]
REAL = [key for key, types in PARAMETERS.items() if types <= {float, NoneType} and float in types]
TRUTH = [key for key, types in PARAMETERS.items() if types <= {bool, NoneType} and bool in types]
NAMES = [key for key, types in PARAMETERS.items() if types <= {str, NoneType} and str in types]


def assert_refused(function, parameter, value, said, error=TypeError):
    with pytest.raises(error, match=rf"^{parameter}=.*{said}"):
        CALLABLES[function](**{parameter: value})


@pytest.mark.parametrize(("function", "parameter"), WHOLE)
def test_whole_numbers(function, parameter):
    assert_refused(function, parameter, "20", "text is no number, give a whole number")
    assert_refused(function, parameter, 2.5, "give a whole number", ValueError)
    assert_refused(function, parameter, True, "give a whole number")
    assert_refused(function, parameter, np.float32("nan"), "give a whole number", ValueError)


@pytest.mark.parametrize(("function", "parameter"), REAL)
def test_numbers(function, parameter):
    assert_refused(function, parameter, "0.5", "text is no number, give a number")
    assert_refused(function, parameter, np.True_, "give a number")
    assert_refused(function, parameter, [0.5], "give a number")


@pytest.mark.parametrize(("function", "parameter"), TRUTH)
def test_truth_values(function, parameter):
    assert_refused(function, parameter, "False", "give True or False")


@pytest.mark.parametrize(("function", "parameter"), NAMES)
def test_names(function, parameter):
    assert_refused(function, parameter, ["rna"], "give a name")
    assert_refused(function, parameter, 1, "give a name")


@pytest.fixture
def cells():
    return mt.datasets.simulate(n_obs=30, n_topics=2, modalities={"rna": 20}, rng=1)


def topics(cells, **options):
    mt.tl.topic_model(cells, **({"n_topics": 3, "n_iter": 2, "verbose": False, "n_jobs": 1} | options))
    return cells.obsm["topics"].to_numpy()


@pytest.mark.parametrize(
    "same",
    [
        {"n_topics": 3.0},
        {"n_topics": np.int16(3), "n_jobs": np.float64(1.0)},
        {"n_topics": np.array(3), "n_iter": np.uint8(2)},
        {"rng": np.int64(2291)},
        {"seed": 2291},
        {"random_state": 2291.0},
        {"tol": "auto", "verbose": np.False_},
    ],
    ids=str,
)
def test_what_means_the_same_gives_the_same(cells, same):
    np.testing.assert_array_equal(topics(cells.copy(), **same), topics(cells))


@pytest.mark.parametrize(
    "made",
    [
        np.random.RandomState,
        lambda seed: np.random.Generator(np.random.RandomState(seed)._bit_generator),
        np.random.SeedSequence,
        np.random.PCG64,
        lambda seed: [seed, 1],
    ],
    ids=["RandomState", "old Generator", "SeedSequence", "PCG64", "list"],
)
def test_random_states_of_all_kinds(cells, made):
    first = topics(cells.copy(), rng=made(0))
    np.testing.assert_array_equal(topics(cells.copy(), rng=made(0)), first)
    assert (topics(cells, rng=made(1)) != first).any()


def test_a_generator_where_a_number_is_meant(cells):
    first, again = (mt.pp.permute(cells, rng=np.random.default_rng(3), copy=True)["rna"].X for _ in range(2))
    assert (first != again).nnz == 0


def test_a_seed_is_given_once_and_is_not_negative(cells):
    with pytest.raises(TypeError, match="rng and seed are two names of one option"):
        topics(cells, rng=1, seed=2)
    with pytest.raises(ValueError, match="rng=-1: a seed is 0 or more"):
        topics(cells, rng=-1)


def test_values_in_mappings_and_sequences():
    with pytest.raises(TypeError, match=r"modalities\['rna'\]='20': text is no number"):
        mt.datasets.simulate(modalities={"rna": "20"})
    with pytest.raises(TypeError, match=r"Ks\[1\]='3': text is no number"):
        mt.tl.select_n_topics(Ks=[2, "3"])
