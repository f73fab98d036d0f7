import numpy as np
import pytest
from mudata import MuData
from scipy import sparse

import mtopic as mt


@pytest.fixture
def tissue():
    return mt.datasets.simulate(200, 4, modalities={"rna": 60, "atac": 80}, depth=400)


@pytest.fixture
def model(tissue):
    model = mt.tl.MTM(tissue, 4, verbose=False)
    model.VI(10)
    return model


def dense(x):
    return np.asarray(x.todense() if sparse.issparse(x) else x)


def importance(model, mod):
    """Written anew: rows of λ scaled to sum 1, summed over topics, in units of the largest."""
    lam = model.lambda_[mod].astype(float)
    total = (lam / lam.sum(axis=1)[:, None]).sum(axis=0)
    return total / total.max()


def test_the_head_goes_and_the_rest_is_raw(tissue, model, capsys):
    mt.pp.tfidf(tissue, mod="rna")
    tissue["rna"].varm["loadings"] = np.arange(120.0).reshape(60, 2)
    less = mt.pp.filter_var_knee(tissue, model, knee_sensitivity={"rna": 1})
    weights = importance(model, "rna")
    kept = tissue["rna"].var_names.isin(less["rna"].var_names)
    assert 0 < kept.sum() < 60
    assert weights[~kept].min() >= weights[kept].max()
    np.testing.assert_array_equal(dense(less["rna"].X), dense(tissue["rna"].layers["counts"])[:, kept])
    np.testing.assert_array_equal(less["rna"].varm["loadings"], np.arange(120.0).reshape(60, 2)[kept])
    np.testing.assert_array_equal(less.obsm["spatial"], tissue.obsm["spatial"])
    assert less["atac"].n_vars == 80
    gone = 60 - kept.sum()
    assert capsys.readouterr().out == (
        f"rna: {kept.sum()} of 60 features kept, {gone} dropped\natac: 80 of 80 features kept, 0 dropped\n"
    )


def test_knee_is_that_of_kneedle(tissue, model):
    from kneed import KneeLocator

    curve = np.sort(importance(model, "rna"))[::-1]
    knee = KneeLocator(np.arange(60), curve, S=2, curve="convex", direction="decreasing").knee
    less = mt.pp.filter_var_knee(tissue, model, knee_sensitivity={"rna": 2}, verbose=False)
    assert less["rna"].n_vars == 60 - knee


def test_file_and_object_give_the_same(tissue, model, tmp_path, fingerprint):
    tissue.write_h5mu(tmp_path / "raw.h5mu")
    before = fingerprint(tissue)
    from_file = mt.pp.filter_var_knee(tmp_path / "raw.h5mu", model, 1, verbose=False)
    from_object = mt.pp.filter_var_knee(tissue, model, 1, verbose=False)
    assert fingerprint(tissue) == before
    for mod in tissue.mod:
        assert list(from_file[mod].var_names) == list(from_object[mod].var_names)
        np.testing.assert_array_equal(dense(from_file[mod].X), dense(from_object[mod].X))


def test_no_knee_keeps_all_and_warns(tissue, model):
    with pytest.warns(UserWarning, match="modality 'rna' has no knee at S=1000"):
        less = mt.pp.filter_var_knee(tissue, model, {"rna": 1000}, verbose=False)
    assert less["rna"].n_vars == 60


def test_knee_errors(tissue, model):
    with pytest.raises(KeyError, match="did you mean 'rna'"):
        mt.pp.filter_var_knee(tissue, model, {"rma": 1})
    with pytest.raises(ValueError, match="sensitivity of 0"):
        mt.pp.filter_var_knee(tissue, model, 0)
    with pytest.raises(ValueError, match=r"call model\.VI\(\) first"):
        mt.pp.filter_var_knee(tissue, mt.tl.MTM(tissue, 3, verbose=False))
    with pytest.raises(ValueError, match="has not seen 60 features of modality 'rna'"):
        other = tissue.copy()
        other["rna"].var_names = [f"other_{v}" for v in range(60)]
        mt.pp.filter_var_knee(other, model)


def test_list_of_names(tissue, capsys):
    names = [*tissue["rna"].var_names[[5, 2]], "atac:" + tissue["atac"].var_names[7]]
    less = mt.pp.filter_var_list(tissue, names)
    assert isinstance(less, MuData)
    assert list(less["rna"].var_names) == list(tissue["rna"].var_names[[2, 5]])
    assert list(less["atac"].var_names) == [tissue["atac"].var_names[7]]
    np.testing.assert_array_equal(dense(less["rna"].X), dense(tissue["rna"].X)[:, [2, 5]])
    assert "rna: 2 of 60 features kept, 58 dropped" in capsys.readouterr().out


def test_names_by_modality_leave_the_others_whole(tissue):
    less = mt.pp.filter_var_list(tissue, {"rna": tissue["rna"].var_names[:3]}, verbose=False)
    assert (less["rna"].n_vars, less["atac"].n_vars) == (3, 80)


def test_a_name_in_two_modalities_is_kept_in_both(tissue):
    for mod in tissue.mod:
        tissue[mod].var_names = ["both", *tissue[mod].var_names[1:]]
    assert [mt.pp.filter_var_list(tissue, ["both"], verbose=False)[mod].n_vars for mod in tissue.mod] == [1, 1]
    with pytest.raises(ValueError, match="modality 'atac' would be left"):
        mt.pp.filter_var_list(tissue, ["rna:both"])


def test_anndata(tissue):
    less = mt.pp.filter_var_list(tissue["rna"], tissue["rna"].var_names[:4], verbose=False)
    assert less.shape == (200, 4)


def test_list_errors(tissue):
    with pytest.raises(KeyError, match=r"no feature 'rna_O1' .*did you mean .*2 names are not there"):
        mt.pp.filter_var_list(tissue, ["rna_O1", "rna_O2", tissue["rna"].var_names[0]])
    with pytest.raises(KeyError, match="no modality 'prot'"):
        mt.pp.filter_var_list(tissue, {"prot": ["a"]})
    with pytest.raises(TypeError, match="is one name"):
        mt.pp.filter_var_list(tissue, "rna_1")
    with pytest.raises(FileNotFoundError, match="no file"):
        mt.pp.filter_var_list("nowhere.h5mu", ["a"])


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_observations_that_occur_twice(tissue):
    names = list(tissue["rna"].obs_names)
    tissue["rna"].obs_names = [names[1], *names[1:]]
    with pytest.raises(ValueError, match="observation names of modality 'rna' occur twice"):
        mt.pp.filter_var_list(tissue, {"rna": ["rna_1"]})
