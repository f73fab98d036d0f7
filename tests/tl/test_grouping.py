"""Columns that make no groups, wherever observations are grouped by one."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import mtopic as mt

N_OBS = 200


@pytest.fixture(scope="module")
def fitted():
    data = mt.datasets.simulate(N_OBS, 3, modalities={"rna": 20, "atac": 20})
    mt.tl.topic_model(data, 3, n_iter=5, verbose=False)
    mt.tl.modality_agreement(data)
    return data


@pytest.fixture
def data(fitted):
    data = fitted.copy()
    data.obs["share"] = np.random.default_rng(0).random(N_OBS)
    data.obs["total"] = np.arange(N_OBS)
    data.obs["barcode"] = data.obs_names.astype(str)
    data.obs["state"] = np.resize(["ill", "well"], N_OBS)
    data.obs["donor"] = np.resize([f"donor {d}" for d in range(8)], N_OBS)
    return data


GROUPED = {
    "pl.composition": lambda data, by: mt.pl.composition(data, by),
    "pl.modality_agreement": lambda data, by: mt.pl.modality_agreement(data, by),
    "tl.modality_agreement": lambda data, by: mt.tl.modality_agreement(data, groupby=by),
    "tl.compare_topics": lambda data, by: mt.tl.compare_topics(data, by, "ill", sample_key="donor"),
    "tl.compare_topics of samples": lambda data, by: mt.tl.compare_topics(data, "state", "ill", sample_key=by),
}


@pytest.mark.parametrize("by", ["share", "total", "barcode"])
@pytest.mark.parametrize("name", GROUPED)
def test_values_of_single_observations(data, name, by):
    with pytest.raises(ValueError, match=f"obs\\['{by}'\\] has 200 different values, .* makes no groups.*pandas.cut"):
        GROUPED[name](data, by)
    assert not plt.get_fignums()


def test_the_way_out(data):
    data.obs["total"] = pd.cut(data.obs["total"], 5)
    assert mt.pl.composition(data, "total").images[0].get_array().shape == (5, 3)


@pytest.mark.parametrize("values", [[1, 2, 3], [0.1, 0.5, 1.0], [True, False], [f"sample {s}" for s in range(60)]])
def test_few_values_are_groups(data, values):
    data.obs["group"] = np.resize(values, N_OBS)
    assert len(mt.pl.composition(data, "group").images[0].get_array()) == len(values)


@pytest.mark.parametrize("kind", ["heatmap", "bar"])
def test_one_category_in_order_of_similarity(data, kind):
    data.obs["one"] = "all"
    ax = mt.pl.composition(data, "one", kind=kind, cluster=True)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["all"]


@pytest.mark.parametrize("cluster", [True, False])
def test_a_category_without_topics_is_left_out(data, cluster):
    data.obsm["topics"].loc[data.obs["donor"] == "donor 3"] = np.nan
    with pytest.warns(UserWarning, match="'donor 3' are left out"):
        ax = mt.pl.composition(data, "donor", cluster=cluster)
    assert len(ax.get_yticklabels()) == 7


def test_a_map_of_too_many_columns():
    with pytest.raises(ValueError, match="arr1 has 3,000 columns and arr2 has 2,000"):
        mt.pl.corr_heatmap(np.ones((3, 3000)), np.ones((3, 2000)))


def test_modalities_that_name_different_sections(data):
    data["rna"].obs["slide"], data["atac"].obs["slide"] = "a", "b"
    with pytest.raises(
        ValueError, match="different sections obs.'slide'.* say which are meant, 'rna:slide' or 'atac:sl"
    ):
        mt.pl.topics(data, x="spatial", library_key="slide")
    assert len(mt.pl.topics(data, x="spatial", library_key="rna:slide")) == 3
