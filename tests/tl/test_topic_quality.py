from itertools import combinations
from math import exp, log

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csc_matrix, csr_matrix

import mtopic as mt

TRUE = ("true_topics", "true_signatures")


def plain_coherence(counts, top):
    seen = counts > 0
    scores = []
    for i, j in combinations(top, 2):
        both = (seen[:, i] & seen[:, j]).mean()
        if both == 0:
            scores.append(-1)
        elif both == 1:
            scores.append(0)
        else:
            scores.append(log(both / (seen[:, i].mean() * seen[:, j].mean())) / -log(both))
    return np.mean(scores)


def plain_effective(shares):
    return exp(-sum(p * log(p) for p in shares if p > 0))


def permuted(signatures):
    order = np.random.default_rng(0).permutation(len(signatures))
    return signatures.iloc[order].set_axis(signatures.index)


def plain(data, n_top):
    """The measures from dense arrays, one number at a time."""
    topics, modalities = {}, {}
    names = list(data.obsm[TRUE[0]])
    for mod, adata in data.mod.items():
        phi = adata.varm[TRUE[1]].to_numpy()
        phi = phi / phi.sum(axis=0)
        tops = [list(np.argsort(-phi[:, k], kind="stable")[:n_top]) for k in range(len(names))]
        topics[f"{mod}:coherence"] = [plain_coherence(adata.X.toarray(), top) for top in tops]
        topics[f"{mod}:exclusivity"] = [np.mean([phi[v, k] / phi[v].sum() for v in top]) for k, top in enumerate(tops)]
        modalities[mod] = {
            "coherence": np.mean(topics[f"{mod}:coherence"]),
            "exclusivity": np.mean(topics[f"{mod}:exclusivity"]),
            "diversity": len(set(sum(tops, []))) / sum(map(len, tops)),
        }
    return pd.DataFrame(topics, index=names), pd.DataFrame(modalities).T


@pytest.mark.parametrize("n_top", [2, 10, 75])
def test_against_plain_numpy(tissue, n_top):
    mt.tl.topic_quality(tissue, *TRUE, n_top=n_top)
    quality = tissue.uns["topic_quality"]
    topics, modalities = plain(tissue, n_top)
    shares = tissue.obsm[TRUE[0]].to_numpy()
    assert list(quality["topics"].columns) == ["proportion", *topics.columns]
    assert list(quality["topics"].index) == list(topics.index)
    np.testing.assert_allclose(quality["topics"]["proportion"], shares.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(quality["topics"][topics.columns], topics, rtol=1e-10)
    assert list(quality["modalities"].index) == ["rna", "atac"]
    np.testing.assert_allclose(quality["modalities"][modalities.columns], modalities, rtol=1e-10)
    assert quality["effective_n_topics"] == pytest.approx(plain_effective(shares.mean(axis=0)))
    assert quality["effective_n_topics_per_observation"] == pytest.approx(np.mean([*map(plain_effective, shares)]))
    assert quality["n_top"] == n_top


def hand_made(counts, signatures, shares):
    adata = AnnData(csr_matrix(np.array(counts, dtype=np.float32)))
    columns = [f"topic_{k + 1}" for k in range(len(shares[0]))]
    adata.varm["signatures"] = pd.DataFrame(signatures, index=adata.var_names, columns=columns, dtype=float)
    adata.obsm["topics"] = pd.DataFrame(shares, index=adata.obs_names, columns=columns, dtype=float)
    return adata


def test_by_hand():
    """Topic 1: two features only ever together; topic 2: two that never meet. They share nothing."""
    counts = [[3, 1, 5, 0], [1, 9, 0, 2], [0, 0, 1, 0], [0, 0, 0, 1]]
    adata = hand_made(counts, [[4, 0], [4, 0], [0, 1], [0, 1]], [[1, 0], [1, 0], [0, 1], [0.5, 0.5]])
    mt.tl.topic_quality(adata, n_top=2)
    quality = adata.uns["topic_quality"]
    assert list(quality["topics"]["X:coherence"]) == [1, -1]
    assert list(quality["topics"]["X:exclusivity"]) == [1, 1]
    assert list(quality["topics"]["proportion"]) == [0.625, 0.375]
    assert quality["modalities"].loc["X", "diversity"] == 1
    assert quality["modalities"].loc["X", "coherence"] == 0
    assert quality["effective_n_topics_per_observation"] == 1.25


def test_equal_topics_are_neither_exclusive_nor_diverse():
    adata = hand_made([[1, 0, 1], [1, 1, 0], [1, 1, 1]], [[3, 9], [2, 6], [1, 3]], [[0.5, 0.5]] * 3)
    mt.tl.topic_quality(adata, n_top=2)
    quality = adata.uns["topic_quality"]
    np.testing.assert_allclose(quality["topics"]["X:exclusivity"], 0.5)
    assert quality["modalities"].loc["X", "diversity"] == 0.5
    assert quality["effective_n_topics"] == pytest.approx(2)
    assert list(quality["topics"]["X:coherence"]) == [0, 0], "a feature that is everywhere tells nothing"


def test_features_counted_everywhere_score_as_by_chance():
    adata = hand_made(np.ones((4, 3)), [[3, 1], [2, 2], [1, 3]], [[0.5, 0.5]] * 4)
    mt.tl.topic_quality(adata, n_top=2)
    assert list(adata.uns["topic_quality"]["topics"]["X:coherence"]) == [0, 0]


def test_one_feature_has_no_pairs():
    adata = hand_made([[1], [2]], [[1, 3]], [[0.5, 0.5]] * 2)
    mt.tl.topic_quality(adata)
    assert adata.uns["topic_quality"]["topics"]["X:coherence"].isna().all()
    np.testing.assert_allclose(adata.uns["topic_quality"]["topics"]["X:exclusivity"], 0.5)


def test_raw_counts_whatever_form_they_have(tissue):
    mt.tl.topic_quality(tissue, *TRUE, key_added="raw")
    tissue["rna"].X = csc_matrix(tissue["rna"].X)
    tissue["atac"].X = tissue["atac"].X.toarray().astype(int)
    mt.tl.topic_quality(tissue, *TRUE, key_added="forms")
    for part in tissue.mod.values():
        part.layers["counts"] = part.X.copy()
        part.X = np.ones(part.shape, dtype=np.float32)
    mt.tl.topic_quality(tissue, *TRUE, key_added="layer")
    for key in ("forms", "layer"):
        pd.testing.assert_frame_equal(tissue.uns[key]["topics"], tissue.uns["raw"]["topics"])


def test_gamma_and_missing_proportions(tissue):
    part = tissue[10:].copy()
    mt.tl.topic_quality(part, *TRUE)
    expected = part.uns["topic_quality"]["effective_n_topics"]
    tissue.obsm["gamma"] = tissue.obsm[TRUE[0]].mul(np.arange(1, 151), axis=0)
    tissue.obsm["gamma"].iloc[:10, 0] = np.nan
    mt.tl.topic_quality(tissue, "gamma", TRUE[1])
    assert tissue.uns["topic_quality"]["effective_n_topics"] == pytest.approx(expected)
    proportion = tissue.uns["topic_quality"]["topics"]["proportion"]
    np.testing.assert_allclose(proportion, part.uns["topic_quality"]["topics"]["proportion"])


def test_order_of_topics_in_the_signatures_does_not_matter(tissue):
    mt.tl.topic_quality(tissue, *TRUE, key_added="before")
    tissue["rna"].varm[TRUE[1]] = tissue["rna"].varm[TRUE[1]].iloc[:, ::-1]
    mt.tl.topic_quality(tissue, *TRUE, key_added="after")
    pd.testing.assert_frame_equal(tissue.uns["before"]["topics"], tissue.uns["after"]["topics"])


def test_modalities_without_signatures_are_left_out(tissue):
    del tissue["atac"].varm[TRUE[1]]
    mt.tl.topic_quality(tissue, *TRUE)
    assert list(tissue.uns["topic_quality"]["modalities"].index) == ["rna"]


def test_nothing_else_is_changed(tissue, fingerprint):
    before = fingerprint(tissue)
    mt.tl.topic_quality(tissue, *TRUE)
    del tissue.uns["topic_quality"]
    assert fingerprint(tissue) == before


@pytest.mark.parametrize("form", ["h5mu", "h5ad"])
def test_survives_a_file(tissue, tmp_path, form):
    import anndata

    data, read = (tissue, mt.read.h5mu) if form == "h5mu" else (tissue["rna"].copy(), anndata.read_h5ad)
    data.obsm["true_topics"] = tissue.obsm["true_topics"]
    mt.tl.topic_quality(data, *TRUE)
    getattr(data, f"write_{form}")(tmp_path / f"data.{form}")
    again, written = read(tmp_path / f"data.{form}").uns["topic_quality"], data.uns["topic_quality"]
    assert set(again) == set(written)
    for key in ("topics", "modalities"):
        assert list(again[key].index) == list(written[key].index)
        assert list(again[key].columns) == list(written[key].columns)
        np.testing.assert_array_equal(again[key], written[key])
    assert again["effective_n_topics"] == written["effective_n_topics"]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"n_top": 1}, ValueError, "n_top=1"),
        ({"topics": "true_topisc"}, KeyError, "did you mean 'true_topics'"),
        ({"signatures": "true_signature"}, KeyError, "did you mean 'true_signatures'"),
        ({"topics": "fewer"}, ValueError, "modality 'rna' has 4 topics, of which 3 are among the 3"),
        ({"topics": "negative"}, ValueError, r"obsm\['negative'\] holds values that are no proportions"),
        ({"topics": "zero"}, ValueError, r"obsm\['zero'\] holds values that are no proportions"),
        ({"topics": "nothing"}, ValueError, r"obsm\['nothing'\] holds no proportions"),
        (
            {"signatures": "negative"},
            ValueError,
            r"varm\['negative'\] of modality 'atac' holds values that are no weights",
        ),
    ],
)
def test_bad_input(tissue, fingerprint, arguments, error, said):
    shares = tissue.obsm[TRUE[0]]
    tissue.obsm["fewer"] = shares.iloc[:, :3]
    tissue.obsm["negative"] = -shares
    tissue.obsm["zero"] = shares * (np.arange(150) > 0)[:, None]
    tissue.obsm["nothing"] = shares * np.nan
    tissue["atac"].varm["negative"] = -tissue["atac"].varm[TRUE[1]]
    before = fingerprint(tissue)
    with pytest.raises(error, match=said):
        mt.tl.topic_quality(tissue, **{"topics": TRUE[0], "signatures": TRUE[1], **arguments})
    assert fingerprint(tissue) == before


def test_bad_counts_are_named(tissue):
    tissue["atac"].X.data[0] = -1
    with pytest.raises(ValueError, match="X of modality 'atac': 1 values are negative"):
        mt.tl.topic_quality(tissue, *TRUE)
    assert "topic_quality" not in tissue.uns


def test_true_topics_are_better_than_shuffled_ones(large_tissue):
    """Of the known topics the top features go together; of signatures with permuted features they do not."""
    data = large_tissue.copy()
    mt.tl.topic_quality(data, *TRUE)
    true = data.uns["topic_quality"]["modalities"]
    for part in data.mod.values():
        part.varm[TRUE[1]] = permuted(part.varm[TRUE[1]])
    mt.tl.topic_quality(data, *TRUE)
    shuffled = data.uns["topic_quality"]["modalities"]
    assert (true["coherence"] > shuffled["coherence"] + 0.1).all()
    np.testing.assert_allclose(true["exclusivity"], shuffled["exclusivity"])


@pytest.mark.slow
def test_real_data(real_mudata):
    """Real cells: topics beat signatures with permuted features; a cell has fewer topics than all cells together."""
    data = real_mudata("snareseq_small")
    mt.tl.topic_model(data, 15, n_iter=100, n_jobs=1, verbose=False)
    mt.tl.topic_quality(data)
    quality = data.uns["topic_quality"]
    assert np.isfinite(quality["topics"].to_numpy()).all()
    assert 1 < quality["effective_n_topics_per_observation"] < 0.5 * quality["effective_n_topics"] <= 7.5
    for mod, adata in data.mod.items():
        tops = [np.argsort(-w, kind="stable")[:10] for w in adata.varm["signatures"].to_numpy().T]
        x = adata.X.toarray()
        expected = [plain_coherence(x, top) for top in tops]
        np.testing.assert_allclose(quality["topics"][f"{mod}:coherence"], expected, rtol=1e-10)
        adata.varm["signatures"] = permuted(adata.varm["signatures"])
    mt.tl.topic_quality(data, key_added="permuted")
    gain = quality["modalities"]["coherence"] - data.uns["permuted"]["modalities"]["coherence"]
    assert (gain > 0.2).all()


def test_coherence_is_of_observations_that_have_measured_both_features(tissue):
    rna, batch = tissue["rna"], np.where(np.arange(150) < 60, "x", "y")
    tops = np.argsort(-rna.varm[TRUE[1]].to_numpy(), axis=0, kind="stable")[:5]
    measured = pd.DataFrame(True, rna.var_names, ["x", "y"])
    measured.iloc[tops[:, 0], 1] = False  # of the first topic
    rna.X = csr_matrix(rna.X.toarray() * measured.to_numpy().T[(batch == "y").astype(int)])
    rna.varm["measured"], tissue.obs["batch"] = measured, batch
    with pytest.warns(UserWarning, match="name the column of batches in obs with batch_key"):
        mt.tl.topic_quality(tissue, *TRUE, n_top=5)
    zeros = tissue.uns["topic_quality"]["topics"]["rna:coherence"]
    mt.tl.topic_quality(tissue, *TRUE, n_top=5, batch_key="batch")
    coherence = tissue.uns["topic_quality"]["topics"]["rna:coherence"]
    np.testing.assert_allclose(coherence.iloc[0], plain_coherence(rna.X.toarray()[:60], tops[:, 0]))
    assert coherence.iloc[0] < zeros.iloc[0] - 0.05
