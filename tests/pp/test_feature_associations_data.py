import numpy as np
import pytest

import mtopic as mt


@pytest.fixture
def tissue():
    return mt.datasets.simulate(50, 3, modalities={"rna": 20, "atac": 30})


def test_matrices_and_annotations(tissue):
    tissue["rna"].varm["signatures"] = 7 * tissue["rna"].varm["true_signatures"]
    tissue["atac"].varm["signatures"] = tissue["atac"].varm["true_signatures"]
    parts = mt.pp.feature_associations_data(tissue, ["rna", "atac"])
    assert list(parts) == ["rna", "atac"]
    for mod, (matrix, var) in parts.items():
        expected = np.asarray(tissue[mod].varm["signatures"], dtype=float).T
        np.testing.assert_allclose(matrix, expected / expected.sum(axis=1)[:, None], rtol=1e-12)
        assert matrix.dtype == np.float64
        assert var.index.equals(tissue[mod].var_names)
    raw, _ = mt.pp.feature_associations_data(tissue, ["rna"], normalize=False)["rna"]
    np.testing.assert_allclose(raw, np.asarray(tissue["rna"].varm["signatures"], dtype=float).T)


def test_without_signatures(tissue):
    with pytest.raises(KeyError, match=r"mtopic\.tl\.topic_model"):
        mt.pp.feature_associations_data(tissue, ["rna"])
