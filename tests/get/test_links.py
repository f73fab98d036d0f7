import numpy as np
import pandas as pd
import pytest

import mtopic as mt

WEIGHTS = pd.DataFrame({"g1": [0.1, 0.7, 0.2, 0.0], "g2": [0.5, 0.0, 0.0, 0.5], "g3": [0.0] * 4}, index=list("abcd"))


def test_strongest_links_of_each_feature():
    links = mt.get.links(WEIGHTS, 2)
    assert links["feature"].tolist() == ["g1", "g1", "g2", "g2"]
    assert links["partner"].tolist() == ["b", "c", "a", "d"]
    assert links["rank"].tolist() == [1, 2, 1, 2]
    np.testing.assert_array_equal(links["weight"], [0.7, 0.2, 0.5, 0.5])


def test_all_links_and_least_weight():
    assert len(mt.get.links(WEIGHTS, None)) == 5
    assert mt.get.links(WEIGHTS, None, min_weight=0.2)["partner"].tolist() == ["b", "a", "d"]


def test_number_out_of_range():
    with pytest.raises(ValueError, match="n_top=0"):
        mt.get.links(WEIGHTS, 0)


def test_sparse_tables_give_the_links_of_dense_ones():
    for fill in (0.0, np.nan):
        table = WEIGHTS.astype(pd.SparseDtype(float, fill))
        pd.testing.assert_frame_equal(mt.get.links(table, 2, min_weight=0.1), mt.get.links(WEIGHTS, 2, min_weight=0.1))
