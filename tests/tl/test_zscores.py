import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import mtopic as mt


@pytest.fixture
def trained(tissue):
    model = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False)
    model.VI(5)
    mt.tl.export_params(model, tissue)
    return tissue


def plain(counts, weights, n_top, thr):
    total = counts.sum(axis=1, keepdims=True)
    logs = np.log1p(counts / np.where(total > 0, total, 1) * 10_000)
    sd = logs.std(axis=1, keepdims=True)
    z = np.clip((logs - logs.mean(axis=1, keepdims=True)) / np.where(sd > 0, sd, 1), -thr, thr)
    return np.column_stack([z[:, np.argsort(-w, kind="stable")[:n_top]].mean(axis=1) for w in weights.T])


@pytest.mark.parametrize(("n_top", "thr"), [(10, 5), (3, 1.5), (70, np.inf)])
def test_against_numpy(trained, n_top, thr):
    counts = trained["rna"].X.toarray()
    counts[5] = 0
    trained["rna"].X = csr_matrix(counts)
    mt.tl.zscores(trained, mod="rna", n_top=n_top, thr=thr)
    scores = trained["rna"].obsm["zscores"]
    weights = trained["rna"].varm["signatures"].to_numpy()
    np.testing.assert_allclose(scores, plain(trained["rna"].X.toarray(), weights, n_top, thr), atol=1e-6)
    assert list(scores.columns) == list(trained.obsm["topics"].columns)
    assert list(scores.index) == list(trained["rna"].obs_names)
    assert (scores.loc["spot_5"] == 0).all()


def test_no_clipping(trained):
    mt.tl.zscores(trained, mod="rna", thr=None, out_key="free")
    mt.tl.zscores(trained, mod="rna", thr=1e9)
    np.testing.assert_array_equal(trained["rna"].obsm["free"], trained["rna"].obsm["zscores"])


def test_raw_counts_come_from_the_layer_or_from_a_file(trained, tmp_path):
    mt.tl.zscores(trained, mod="atac")
    expected = trained["atac"].obsm["zscores"].copy()
    shuffled = trained[np.random.default_rng(0).permutation(150)].copy()
    shuffled.write_h5mu(tmp_path / "raw.h5mu")
    mt.pp.tfidf(trained, mod="atac")
    mt.tl.zscores(trained, mod="atac")
    np.testing.assert_allclose(trained["atac"].obsm["zscores"], expected, atol=1e-12)
    trained["atac"].layers.pop("counts")
    mt.tl.zscores(trained, tmp_path / "raw.h5mu", mod="atac")
    np.testing.assert_allclose(trained["atac"].obsm["zscores"], expected, atol=1e-12)


def test_a_file_that_lacks_observations(trained, tmp_path):
    trained[:100].copy().write_h5mu(tmp_path / "part.h5mu")
    with pytest.raises(ValueError, match="lacks 50 observations of modality 'rna'"):
        mt.tl.zscores(trained, tmp_path / "part.h5mu", mod="rna")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"mod": "rna", "n_top": 0}, ValueError, "n_top=0"),
        ({"mod": "rna", "thr": 0}, ValueError, "thr=0"),
        ({"mod": "rnaa"}, KeyError, "did you mean 'rna'"),
        ({"mod": "rna", "signatures": "signature"}, KeyError, "did you mean 'signatures'"),
    ],
)
def test_bad_arguments(trained, arguments, error, said):
    with pytest.raises(error, match=said):
        mt.tl.zscores(trained, **arguments)
    assert "zscores" not in trained["rna"].obsm


def test_anndata_names_the_modality_of_the_file(trained, tmp_path):
    trained.write_h5mu(tmp_path / "raw.h5mu")
    adata = trained["rna"].copy()
    mt.tl.zscores(adata)
    expected = adata.obsm["zscores"].copy()
    mt.tl.zscores(adata, tmp_path / "raw.h5mu", mod="rna")
    np.testing.assert_array_equal(adata.obsm["zscores"], expected)


def test_anndata_needs_no_modality(trained):
    adata = trained["rna"].copy()
    mt.tl.zscores(adata)
    mt.tl.zscores(trained, mod="rna")
    np.testing.assert_array_equal(adata.obsm["zscores"], trained["rna"].obsm["zscores"])


def test_a_modality_without_features(trained):
    adata = trained["rna"][:, []].copy()
    with pytest.raises(ValueError, match="modality 'X' has no features"):
        mt.tl.zscores(adata)


def test_all_modalities_that_have_signatures(trained):
    mt.tl.zscores(trained)
    for mod in ("rna", "atac"):
        of_all = trained[mod].obsm["zscores"].copy()
        mt.tl.zscores(trained, mod=mod)
        np.testing.assert_array_equal(of_all, trained[mod].obsm["zscores"])
    del trained["atac"].varm["signatures"], trained["atac"].obsm["zscores"]
    mt.tl.zscores(trained)
    assert "zscores" not in trained["atac"].obsm


def test_features_that_were_not_measured_take_no_part(trained):
    """Scores of a batch are those of its observations and measured features alone."""
    rna, batch = trained["rna"], np.where(np.arange(150) < 60, "x", "y")
    measured = pd.DataFrame({"x": np.arange(60) >= 20, "y": True}, index=rna.var_names)
    rna.X = csr_matrix(rna.X.toarray() * measured.to_numpy().T[(batch == "y").astype(int)])
    rna.varm["measured"], trained.obs["batch"] = measured, batch
    trained.uns["mtopic"]["params"]["raw"] = False
    rna.varm["signatures"].iloc[:20] = 1e-9  # no top features
    alone = rna[:60, 20:].copy()
    mt.tl.zscores(alone)
    with pytest.warns(UserWarning, match="name the column of batches in obs with batch_key"):
        mt.tl.zscores(trained, mod="rna", out_key="zeros")
    mt.tl.zscores(trained, mod="rna", batch_key="batch")
    np.testing.assert_allclose(rna.obsm["zscores"].iloc[:60], alone.obsm["zscores"], atol=1e-9)
    assert not np.allclose(rna.obsm["zeros"].iloc[:60], alone.obsm["zscores"])
    np.testing.assert_array_equal(rna.obsm["zeros"].iloc[60:], rna.obsm["zscores"].iloc[60:])
    rna.varm["measured"]["x"] = False
    rna.varm["measured"].loc[rna.var_names[0], "x"] = True
    mt.tl.zscores(trained, mod="rna", n_top=1, batch_key="batch")
    assert rna.obsm["zscores"].iloc[:60].isna().any(axis=None)


def test_across_observations_against_numpy(trained):
    mt.tl.zscores(trained, mod="rna", n_top=6, thr=2, across="observations")
    counts, weights = trained["rna"].X.toarray(), trained["rna"].varm["signatures"].to_numpy()
    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 10_000)
    z = np.clip((logs - logs.mean(axis=0)) / np.where(logs.std(axis=0) > 0, logs.std(axis=0), 1), -2, 2)
    expected = np.column_stack([z[:, np.argsort(-w, kind="stable")[:6]].mean(axis=1) for w in weights.T])
    np.testing.assert_allclose(trained["rna"].obsm["zscores"], expected, atol=1e-5)


def test_across_observations_of_a_batch(trained):
    rna = trained["rna"]
    trained.obs["batch"] = pd.Categorical(np.resize(["one", "two"], 150))
    rna.varm["measured"] = pd.DataFrame(True, rna.var_names, ["one", "two"])
    first = rna.var_names[np.argmax(rna.varm["signatures"].iloc[:, 0])]
    rna.varm["measured"].loc[first, "two"] = False
    x = rna.X.toarray()
    x[1::2, rna.var_names.get_loc(first)] = 0
    rna.X = csr_matrix(x)
    mt.tl.zscores(trained, mod="rna", n_top=1, across="observations", batch_key="batch")
    of_first = rna.obsm["zscores"].iloc[:, 0]
    assert of_first[1::2].isna().all()
    assert of_first[::2].notna().all() and abs(of_first[::2].mean()) < 0.2


def test_across_what(trained):
    with pytest.raises(ValueError, match="across='cells'"):
        mt.tl.zscores(trained, mod="rna", across="cells")


def test_by_what_tells_topics_apart(trained):
    mt.tl.zscores(trained, mod="rna", n_top=3, across="observations", by="FREX")
    first = mt.get.top_features(trained, "rna", n_top=3).groupby("topic", sort=False)["feature"].agg(list)
    counts = trained["rna"].to_df()
    logs = np.log1p(counts.div(counts.sum(axis=1), axis=0) * 10_000)
    z = ((logs - logs.mean()) / logs.std(ddof=0)).clip(-5, 5)
    for topic, features in first.items():
        np.testing.assert_allclose(trained["rna"].obsm["zscores"][topic], z[features].mean(axis=1), atol=1e-5)
    with pytest.raises(ValueError, match="by='frex'"):
        mt.tl.zscores(trained, mod="rna", by="frex")
