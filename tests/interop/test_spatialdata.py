"""A SpatialData wherever data are taken: its one table is fitted, and bears the results in its own store."""

import inspect
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from tests.test_package import CALLABLES

import mtopic as mt

pytestmark = pytest.mark.filterwarnings("ignore")

QUIET = {"n_jobs": 1, "verbose": False}
MAY_BE_A_FRAME = {"tl.motif_enrichment": {"motifs"}}
TAKE_DATA = {
    name: [p.name for p in inspect.signature(function).parameters.values() if "AnnData" in str(p.annotation)]
    for name, function in CALLABLES.items()
}
for name, tables in MAY_BE_A_FRAME.items():
    TAKE_DATA[name] = [parameter for parameter in TAKE_DATA[name] if parameter not in tables]
TAKE_DATA = {name: parameters for name, parameters in TAKE_DATA.items() if parameters} | {
    "pl.convergence": ["model_or_data"]
}


def spatial_data(*tables):
    """Spots of a tissue as shapes, and tables about them."""
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel

    spots = ShapesModel.parse(tables[0].obsm["spatial"], geometry=0, radius=27.5)
    names = ["table", "second"][: len(tables)]
    keys = {"region": "spots", "region_key": "element", "instance_key": "spot"}
    parsed = {}
    for name, adata in zip(names, tables, strict=True):
        adata = adata.copy()
        adata.obs["element"] = pd.Categorical(["spots"] * adata.n_obs)
        adata.obs["spot"] = np.arange(adata.n_obs)
        parsed[name] = TableModel.parse(adata, **keys)
    return SpatialData(shapes={"spots": spots}, tables=parsed)


@pytest.fixture
def counts(adata):
    """RNA as it was before the fit."""
    for slots in (adata.obsm, adata.varm):
        for name in ("topics", "signatures"):
            slots.pop(name, None)
    return adata


def test_results_are_on_the_table_and_those_of_the_table_alone(counts):
    sdata, expected = spatial_data(counts), counts.copy()
    table = sdata["table"]
    for data in (sdata, expected):
        mt.pp.tfidf(data)
        mt.tl.topic_model(data, 4, spatial_key="spatial", strength=1, n_iter=3, **QUIET)
        mt.tl.dominant_topics(data)
        mt.tl.zscores(data)
        mt.tl.topic_autocorr(data, n_perms=None)
    assert sdata["table"] is table
    np.testing.assert_array_equal(table.obsm["topics"], expected.obsm["topics"])
    np.testing.assert_array_equal(table.varm["signatures"], expected.varm["signatures"])
    np.testing.assert_array_equal(table.obsm["zscores"], expected.obsm["zscores"])
    assert list(table.obs["topic"]) == list(expected.obs["topic"])
    assert table.uns["topic_autocorr"].equals(expected.uns["topic_autocorr"])
    assert mt.get.signatures(sdata).equals(mt.get.signatures(expected))
    np.testing.assert_array_equal(mt.get.topics(sdata).X, expected.obsm["topics"])
    panels = [mt.pl.dominant_topics(data, "spatial", show=False) for data in (sdata, expected)]
    first, second = (np.vstack([points.get_offsets() for points in panel.collections]) for panel in panels)
    np.testing.assert_array_equal(first, second)


def test_a_table_of_a_store_is_fitted_where_it_lies(counts, tmp_path):
    """One of several tables; on a grid."""
    spatial_data(counts, counts[:40].copy()).write(tmp_path / "sample.zarr")
    table, expected = mt.read.lazy(tmp_path / "sample.zarr" / "tables" / "table"), counts.copy()
    options = {"spatial_key": "spatial", "neighbors_method": "grid", "n_neighbors": 4, "n_iter": 3} | QUIET
    mt.tl.topic_model(table, 4, **options, scratch=tmp_path)
    mt.tl.topic_model(expected, 4, **options)
    pd.testing.assert_frame_equal(table.obsm["topics"], expected.obsm["topics"])


def test_models_and_new_data(counts):
    sdata, new = spatial_data(counts), spatial_data(counts[:40].copy())
    model = mt.tl.MTM(sdata, n_topics=3, **QUIET)
    model.VI(3)
    mt.tl.export_params(model=model, mdata=sdata)
    mt.tl.transform(sdata, new, **QUIET)
    assert sdata["table"].obsm["topics"].shape == (150, 3)
    assert list(new["table"].obsm["topics"].index) == list(counts.obs_names[:40])
    less = mt.pp.filter_var_list(sdata, counts.var_names[:30], verbose=False)
    joined = mt.pp.concat({"first": spatial_data(counts[:100]), "second": counts[100:].copy()})
    assert less.shape == (150, 30)
    assert list(joined.obs_names) == list(counts.obs_names)


def test_a_store_that_was_written_and_read(counts, tmp_path):
    from spatialdata import read_zarr

    sdata = spatial_data(counts)
    mt.tl.topic_model(sdata, 4, spatial_key="spatial", strength=1, n_iter=3, **QUIET)
    sdata.write(tmp_path / "tissue.zarr")
    back = read_zarr(tmp_path / "tissue.zarr")
    pd.testing.assert_frame_equal(back["table"].obsm["topics"], sdata["table"].obsm["topics"], check_index_type=False)
    assert back["table"].uns["spatialdata_attrs"]["region"] == "spots"
    mt.tl.dominant_topics(back)
    assert back["table"].obs["topic"].notna().all()


def test_coordinates_are_the_centroids_of_the_shapes(counts):
    from spatialdata import get_centroids

    sdata = spatial_data(counts)
    points = sdata["table"].obsm.pop("spatial")
    with pytest.raises(KeyError, match="no coordinates 'spatial'"):
        mt.tl.topic_model(sdata, 4, spatial_key="spatial", **QUIET)
    table = sdata["table"]
    table.obsm["spatial"] = get_centroids(sdata["spots"]).compute().loc[table.obs["spot"]].to_numpy()
    np.testing.assert_allclose(table.obsm["spatial"], points)
    mt.tl.topic_model(sdata, 4, spatial_key="spatial", n_iter=2, **QUIET)
    assert table.uns["mtopic"]["params"]["spatial_key"] == "spatial"


@pytest.mark.parametrize("name", TAKE_DATA)
def test_a_type_checker_lets_it_pass_wherever_data_are_taken(name):
    parameters = inspect.signature(CALLABLES[name]).parameters
    for taken in TAKE_DATA[name]:
        annotation = str(parameters[taken].annotation)
        assert "SpatialData" in annotation or "DataLike" in annotation, taken


@pytest.mark.parametrize("name", TAKE_DATA)
def test_several_tables_are_named_wherever_data_are_taken(counts, name):
    sdata = spatial_data(counts, counts)
    function = CALLABLES[name]
    required = [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    given = dict.fromkeys([*required, *TAKE_DATA[name]], sdata)
    if name == "pp.concat":
        given = {"data": {"one": sdata}}
    with pytest.raises(ValueError, match=r"2 tables, 'table', 'second': .*sdata\.tables\[name\]"):
        function(**given)


def test_one_of_several_tables_and_none_at_all(counts):
    from spatialdata import SpatialData

    sdata = spatial_data(counts, counts)
    mt.tl.topic_model(sdata.tables["second"], 3, n_iter=2, **QUIET)
    assert "topics" in sdata["second"].obsm and "topics" not in sdata["table"].obsm
    with pytest.raises(ValueError, match="the SpatialData has no table"):
        mt.tl.topic_model(SpatialData(), 3)


def test_spatialdata_is_not_loaded_for_others():
    script = (
        "import sys, mtopic as mt\n"
        "mdata = mt.datasets.simulate(20, 2)\n"
        "mt.pp.tfidf(mdata, 'rna'), mt.tl.MTM(mdata, 2, verbose=False)\n"
        "print('spatialdata' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"]
