"""Options of the models: defaults that stand once, and what files hold."""

import inspect
import json
from dataclasses import fields

import numpy as np
import pytest

import mtopic as mt
from mtopic.model.settings import Settings, SpatialSettings, recipe


def defaults(kind):
    given = inspect.signature(kind).parameters.values()
    return {one.name: one.default for one in given if one.default is not inspect.Parameter.empty}


@pytest.mark.parametrize("kind", [mt.tl.MTM, mt.tl.sMTM])
def test_signatures_have_the_defaults_of_the_settings_and_no_other_options(kind):
    known = {one.name: one.default for part in (Settings, SpatialSettings) for one in fields(part)}
    found = defaults(kind)
    assert found == {name: known[name] for name in found}
    own = {one.name for one in fields(Settings)} - {"spatial"}
    space = {one.name for one in fields(SpatialSettings)} if kind is mt.tl.sMTM else set()
    assert found.keys() == own | space


def test_settings_come_back_from_a_file():
    given = Settings(n_topics=7, seed=3, dtype="float64", raw=True, n_init=2, batch_key="run", inference="collapsed")
    again = Settings.from_dict(json.loads(json.dumps(given.as_dict())), np.random.default_rng())
    assert again == given


def test_a_generator_as_seed_is_the_one_that_goes_on():
    rng = np.random.default_rng(0)
    assert Settings.from_dict(Settings(seed=np.random.default_rng(1)).as_dict(), rng).seed is rng


@pytest.mark.parametrize("where", [{}, {"n_neighbors": 4, "spatial_key": "spatial"}])
def test_topic_model_fits_by_the_recipe(where):
    data = mt.datasets.simulate(n_obs=60, modalities={"rna": 20, "atac": 30})
    by_name = data.copy()
    mt.tl.topic_model(data, 3, n_iter=3, tol=None, verbose=False, **where)
    model = (mt.tl.sMTM if where else mt.tl.MTM)(by_name, 3, verbose=False, **recipe(bool(where)), **where)
    model.VI(3, tol=None)
    mt.tl.export_params(model, by_name)
    np.testing.assert_array_equal(data.obsm["topics"], by_name.obsm["topics"])
    assert data.uns["mtopic"]["id"] == by_name.uns["mtopic"]["id"]
