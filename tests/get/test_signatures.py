import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import mtopic


@pytest.fixture
def adata():
    adata = AnnData(np.ones((2, 4)), var=pd.DataFrame(index=["a", "b", "c", "d"]))
    weights = {"topic_1": [1.0, 4.0, 1.0, 2.0], "topic_3": [5.0, 0.0, 10.0, 5.0]}
    adata.varm["signatures"] = pd.DataFrame(weights, index=adata.var_names)
    return adata


def test_whole_table(adata):
    expected = pd.DataFrame(
        {
            "topic": ["topic_1"] * 4 + ["topic_3"] * 4,
            "feature": ["b", "d", "a", "c", "c", "a", "d", "b"],
            "rank": [1, 2, 3, 4] * 2,
            "weight": [0.5, 0.25, 0.125, 0.125, 0.5, 0.25, 0.25, 0.0],
        }
    )
    pd.testing.assert_frame_equal(mtopic.get.signatures(adata), expected)


def test_top_features_of_chosen_topics(adata):
    before = adata.varm["signatures"].copy()
    top = mtopic.get.signatures(adata, n_top=2, topics=["topic_3", "topic_1"])
    assert list(top["topic"]) == ["topic_3", "topic_3", "topic_1", "topic_1"]
    assert list(top["feature"]) == ["c", "a", "b", "d"]
    assert list(top["weight"]) == [0.5, 0.25, 0.5, 0.25], "shares of the whole topic"
    assert len(mtopic.get.signatures(adata, n_top=9, topics="topic_1")) == 4
    pd.testing.assert_frame_equal(adata.varm["signatures"], before)


def test_array_has_numbered_topics(adata):
    adata.varm["signatures"] = adata.varm["signatures"].to_numpy()
    assert list(mtopic.get.signatures(adata, "X", n_top=1)["topic"]) == ["topic_1", "topic_2"]


def test_mudata():
    mdata = mtopic.datasets.simulate(30, 3)
    truth = mdata["atac"].varm["true_signatures"]
    table = mtopic.get.signatures(mdata, "atac", key="true_signatures")
    assert table.shape == (3 * 600, 4)
    np.testing.assert_allclose(table.groupby("topic")["weight"].sum(), 1)
    assert (table.groupby("topic")["weight"].diff().dropna() <= 0).all()
    wide = table.pivot(index="feature", columns="topic", values="weight").loc[truth.index]
    np.testing.assert_allclose(wide, truth)
    with pytest.raises(ValueError, match="say which modality"):
        mtopic.get.signatures(mdata, key="true_signatures")
    with pytest.raises(KeyError, match="no modality 'atca'.*did you mean 'atac'"):
        mtopic.get.signatures(mdata, "atca", key="true_signatures")
    with pytest.raises(
        KeyError, match="no signatures 'signatures' in varm of modality 'rna'.*'true_signatures'.*export_params"
    ):
        mtopic.get.signatures(mdata, "rna")


@pytest.mark.parametrize("n_top", [0, -3])
def test_n_top_is_positive(adata, n_top):
    with pytest.raises(ValueError, match=f"n_top={n_top}"):
        mtopic.get.signatures(adata, n_top=n_top)


def test_unknown_topic(adata):
    with pytest.raises(
        KeyError, match="no topic 'topic_2' in varm.'signatures'. of modality 'X'; did you mean 'topic_"
    ):
        mtopic.get.signatures(adata, topics=["topic_1", "topic_2"])


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_topic_without_weight(adata, value):
    adata.varm["signatures"]["topic_3"] = value
    with pytest.raises(ValueError, match=f"the weights of 'topic_3' sum to {value}"):
        mtopic.get.signatures(adata)


def test_as_a_net():
    mdata = mtopic.datasets.simulate(60, 3, modalities={"rna": 20})
    table = mtopic.get.signatures(mdata, "rna", key="true_signatures", n_top=5)
    net = mtopic.get.signatures(mdata, "rna", key="true_signatures", n_top=5, as_net=True)
    assert list(net.columns) == ["source", "target", "weight"]
    assert net.to_numpy().tolist() == table[["topic", "feature", "weight"]].to_numpy().tolist()
