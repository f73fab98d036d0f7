"""Observations that lack a modality, and batches that have measured other features than others."""

import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_rgba
from mudata import MuData
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from sklearn.neighbors import NearestNeighbors

import mtopic as mt
from mtopic._data import count_matrix
from mtopic.inference import stored
from mtopic.model import new_counts
from mtopic.tl import _select_n_topics as selection


@contextmanager
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def whole(parts, **tables):
    with quiet():
        return MuData(parts, **tables)


@pytest.fixture(scope="module")
def lacking():
    """Spots of which a third lack each modality; not to be changed."""
    return mt.datasets.simulate(
        240, 4, modalities={"rna": 60, "atac": 90}, missing={"rna": 0.3, "atac": 0.3}, depth=300
    )


def filled(mdata):
    """The same with a row of zeros wherever an observation lacks a modality."""
    parts = {}
    for mod, adata in mdata.mod.items():
        x = pd.DataFrame(adata.X.toarray(), adata.obs_names, adata.var_names).reindex(mdata.obs_names, fill_value=0)
        parts[mod] = AnnData(csr_matrix(x.to_numpy()), pd.DataFrame(index=mdata.obs_names), adata.var)
    target = whole(parts)
    target.obsm["spatial"] = mdata.obsm["spatial"]
    return target


def mtm(mdata):
    model = mt.tl.MTM(mdata, n_topics=4, verbose=False, n_jobs=1)
    model.VI(5)
    return [model.gamma]


def svi(mdata):
    model = mt.tl.MTM(mdata, n_topics=4, verbose=False, n_jobs=1, modality_weights="auto")
    model.SVI(10, 50)
    return [model.gamma]


def smtm(mdata):
    model = mt.tl.sMTM(mdata, n_topics=4, n_neighbors=6, spatial_key="spatial", verbose=False, n_jobs=1)
    model.VI(14)
    return [model.gamma, model.strength]


def topic_model(mdata):
    target = mdata.copy()
    mt.tl.topic_model(target, 4, verbose=False, n_jobs=1)
    shares, params = target.obsm["modality_shares"], target.uns["mtopic"]["params"]
    return [target.obsm["topics"], shares, list(params["modality_weights"].values())]


@pytest.mark.parametrize("fit", [mtm, svi, smtm, topic_model])
def test_a_modality_that_is_not_there_adds_nothing(lacking, fit):
    for one, other in zip(fit(lacking), fit(filled(lacking)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def fitted(lacking):
    target = lacking.copy()
    mt.tl.topic_model(target, 4, verbose=False, n_jobs=1)
    return target


def has(mdata, mod):
    return mdata.obs_names.isin(mdata[mod].obs_names)


def test_topics_come_from_what_is_there(fitted):
    assert (mt.datasets.recovery(fitted)["correlation"] > 0.95).all()
    shares = fitted.obsm["modality_shares"]
    for mod, other in (("rna", "atac"), ("atac", "rna")):
        assert (shares.loc[~has(fitted, mod), mod] == 0).all()
        assert (shares.loc[~has(fitted, mod), other] == 1).all()
        assert (shares.loc[has(fitted, mod), mod] > 0).all()


def test_observations_of_which_nothing_is_heard_are_told_of(lacking):
    n = int((~has(lacking, "atac")).sum())
    with pytest.warns(UserWarning, match=f"{n} of 240 observations have counts only in modalities of weight 0"):
        mt.tl.MTM(lacking, 4, modality_weights={"rna": 0}, verbose=False)


def test_what_follows_from_a_fit(fitted):
    mdata = fitted.copy()
    mt.tl.uncertainty(mdata)
    sd, both = mdata.obsm["topics_sd"].mean(axis=1), has(mdata, "rna") & has(mdata, "atac")
    assert sd[~both].mean() > 1.15 * sd[both].mean()
    mt.tl.modality_agreement(mdata)
    agreement = mdata.obsm["modality_agreement"]
    assert agreement[~both].isna().all(axis=None)
    assert agreement[both].mean().min() > 0.9
    mt.tl.topic_quality(mdata)
    for mod, adata in mdata.mod.items():
        mt.tl.zscores(mdata, mod=mod)
        assert adata.obsm["zscores"].shape == (adata.n_obs, 4)
        assert mdata.uns["topic_quality"]["topics"][f"{mod}:coherence"].notna().all()


def test_new_observations(fitted, lacking):
    """Known ones come out as the fit has them, whatever they lack."""
    chosen, rng = lacking.obs_names[:100], np.random.default_rng(0)
    parts = {mod: adata[adata.obs_names.isin(chosen)] for mod, adata in lacking.mod.items()}
    new = whole({mod: part[rng.permutation(part.n_obs)].copy() for mod, part in parts.items()})
    mt.tl.transform(fitted, new, verbose=False)
    apart = np.abs(new.obsm["topics"] - fitted.obsm["topics"].loc[new.obs_names]).sum(axis=1) / 2
    assert apart.mean() < 0.01
    assert mt.tl.perplexity(fitted, new)["log_likelihood"].notna().all()


def test_preparation_goes_by_observations_that_are_there(lacking):
    mdata = lacking.copy()
    rna = mdata["rna"].X.toarray()
    mt.pp.tfidf(mdata, mod="rna")
    expected = np.log(len(rna) / np.maximum((rna > 0).sum(axis=0), 1)) + 1
    np.testing.assert_allclose(mdata["rna"].var["mtopic_idf"], expected)
    mt.pp.clr(mdata, mod="atac")
    mt.pp.scale_counts(mdata)
    for adata in mdata.mod.values():
        assert adata.X.sum() == pytest.approx(10_000 * adata.n_obs, rel=1e-4)


def test_cross_validation_prepares_as_the_functions_do(lacking, monkeypatch):
    trainings, original = [], selection._fit
    monkeypatch.setattr(
        selection, "_fit", lambda training, *args, **how: trainings.append(training) or original(training, *args, **how)
    )
    mdata = lacking.copy()
    mt.tl.select_n_topics(
        mdata,
        (2, 4),
        n_folds=2,
        n_iter=3,
        n_jobs=1,
        verbose=False,
        is_spatial=True,
        spatial_key="spatial",
        n_neighbors=6,
        prepare=True,
    )
    assert np.isfinite(mdata.uns["CV_results"]["total"].astype(float)).all()
    expected = lacking[(mdata.obs["CV_split"] != 0).to_numpy()].copy()
    for mod in expected.mod:
        mt.pp.tfidf(expected, mod=mod)
    mt.pp.scale_counts(expected)
    for mod, adata in expected.mod.items():
        found = trainings[0][mod][adata.obs_names].X.toarray()
        np.testing.assert_allclose(found, adata.X.toarray(), rtol=1e-5)
        assert trainings[0][mod].n_obs == adata.n_obs
    at = expected.obs_names.get_indexer(trainings[0].obs_names)
    np.testing.assert_array_equal(trainings[0].obsm["spatial"], np.asarray(expected.obsm["spatial"])[at])


def test_maps_show_what_is_there(fitted):
    mdata = fitted.copy()
    mt.tl.zscores(mdata, mod="atac")
    drawn = [
        *mt.pl.feature_activity(mdata, "spatial", [mdata["atac"].var_names[0]], show=False),
        *mt.pl.zscores(mdata, "atac", "spatial", show=False),
    ]
    grey = to_rgba("lightgrey")
    for ax in drawn:
        colours = np.concatenate(
            [
                points.to_rgba(points.get_array()) if points.get_array() is not None else points.get_facecolors()
                for points in ax.collections
            ]
        )
        assert np.isclose(colours, grey).all(axis=1).any()
    for ax in mt.pl.topics(mdata, "spatial", show=False):
        assert sum(len(c.get_offsets()) for c in ax.collections) == 240


def in_batches(mdata, seed=0, shared=0.2):
    """Two batches, in each of which 60 % of the features were measured."""
    rng = np.random.default_rng(seed)
    first, parts = rng.random(mdata.n_obs) < 0.5, {}
    kept = ({}, {})
    for mod, adata in mdata.mod.items():
        order = rng.permutation(adata.n_vars)
        common, rest = np.split(order, [int(shared * order.size)])
        for features, own in zip(kept, np.array_split(rest, 2), strict=True):
            features[mod] = np.sort(np.concatenate([common, own]))
    for name, features, rows in zip("ab", kept, (first, ~first), strict=True):
        names = mdata.obs_names[rows]
        parts[name] = whole({mod: adata[names][:, features[mod]].copy() for mod, adata in mdata.mod.items()})
        parts[name].obsm["spatial"] = np.asarray(mdata.obsm["spatial"])[rows]
    with quiet():
        return mt.pp.concat(parts)


def matched(truth, found):
    """Known proportions in the order of the topics that were found, and this order."""
    theta = truth.obsm["true_topics"].loc[found.obs_names].to_numpy()
    distance = np.abs(theta[:, :, None] - found.obsm["topics"].to_numpy()[:, None]).sum(axis=0)
    order = linear_sum_assignment(distance.T)[1]
    return theta[:, order], order


def errors(truth, found):
    """Mean total variation of proportions, and of the signatures of each modality."""
    theta, order = matched(truth, found)
    result = [np.abs(theta - found.obsm["topics"]).to_numpy().sum(axis=1).mean() / 2]
    for mod, adata in found.mod.items():
        true = truth[mod].varm["true_signatures"].loc[adata.var_names].to_numpy()[:, order]
        lam = adata.varm["signatures"].to_numpy()
        result.append(np.abs(true / true.sum(axis=0) - lam / lam.sum(axis=0)).sum(axis=0).mean() / 2)
    return np.array(result)


@pytest.fixture(scope="module")
def tissue():
    """All features; not to be changed."""
    return mt.datasets.simulate(500, 5, modalities={"rna": 150, "prot": 80}, depth={"rna": 200, "prot": 100}, rng=1)


@pytest.fixture(scope="module")
def batches(tissue):
    return in_batches(tissue)


@pytest.fixture(scope="module")
def mosaic(batches):
    target = batches.copy()
    mt.tl.topic_model(target, 5, batch_key="batch", verbose=False, n_jobs=1)
    return target


@pytest.mark.parametrize("how", [{"inference": "collapsed"}, {"inference": "variational"}, {"spatial_key": "spatial"}])
def test_features_that_were_not_measured_are_no_zeros(tissue, batches, how):
    """Errors are not far above those of a fit to all features, where zeros make two sets of topics."""
    fits = {}
    for name, data, options in (
        ("all", tissue, {}),
        ("zeros", batches, {}),
        ("mosaic", batches, {"batch_key": "batch"}),
    ):
        fits[name] = data.copy()
        with quiet():
            mt.tl.topic_model(fits[name], 5, verbose=False, n_jobs=1, **options, **how)
    error = {name: errors(tissue, found) for name, found in fits.items()}
    assert (error["mosaic"] < 2 * error["all"]).all()
    assert (error["mosaic"] < 0.5 * error["zeros"]).all()
    theta, _ = matched(tissue, fits["mosaic"])
    off = (fits["mosaic"].obsm["topics"] - theta).groupby(batches.obs["batch"], observed=True).mean()
    assert off.abs().max(axis=None) < 0.03, "no topic is more of a batch than it is"
    assert fits["mosaic"].uns["mtopic"]["params"]["batch_key"] == "batch"


def test_svi(tissue, batches):
    target = batches.copy()
    model = mt.tl.MTM(target, 5, batch_key="batch", inference="collapsed", verbose=False, n_jobs=1, seed=1)
    model.SVI(20, 100, kappa=0.6)
    before = model.lambda_["rna"].copy()
    model.SVI(200, 100, kappa=0.6)
    model.VI(10)
    assert (model.lambda_["rna"] > 0).all()
    assert not np.array_equal(before, model.lambda_["rna"])
    assert model.elbo[-1] > model.elbo[0]


def test_saved_and_loaded(batches, tmp_path):
    """To the same bits, with the data in another order."""
    straight, model = (
        mt.tl.MTM(batches, 5, batch_key="batch", modality_weights="auto", verbose=False, n_jobs=1) for _ in range(2)
    )
    straight.VI(8)
    model.VI(5)
    model.save(tmp_path / "model.h5")
    rng = np.random.default_rng(0)
    parts = {
        mod: batches[mod][rng.permutation(500)][:, rng.permutation(batches[mod].n_vars)].copy()
        for mod in ("prot", "rna")
    }
    again = mt.tl.load_model(tmp_path / "model.h5", whole(parts, obs=batches.obs))
    again.VI(3)
    assert again.batch_key == "batch"
    assert again.elbo == straight.elbo
    np.testing.assert_array_equal(again.gamma, straight.gamma)
    for mod, lam in straight.lambda_.items():
        np.testing.assert_array_equal(again.lambda_[mod], lam)
    without = mt.tl.load_model(tmp_path / "model.h5")
    pd.testing.assert_frame_equal(without.modality_shares(), model.modality_shares())
    other = batches.copy()
    other.obs["batch"] = other.obs["batch"].cat.rename_categories({"a": "b", "b": "a"})
    with pytest.raises(ValueError, match="were not measured"):
        mt.tl.load_model(tmp_path / "model.h5", other)


def test_new_observations_of_batches(tissue, batches, mosaic):
    new = batches[:200].copy()
    mt.tl.transform(mosaic, new, batch_key="batch", verbose=False)
    apart = np.abs(new.obsm["topics"] - mosaic.obsm["topics"].loc[new.obs_names]).sum(axis=1) / 2
    assert apart.mean() < 0.01
    alone = batches[(batches.obs["batch"] == "a").to_numpy()].copy()
    parts = {mod: adata[:, adata.varm["measured"]["a"]].copy() for mod, adata in alone.mod.items()}
    alone = whole(parts)
    for adata in alone.mod.values():
        del adata.varm["measured"]
    with pytest.warns(UserWarning, match="lacks"):
        mt.tl.transform(mosaic, alone, verbose=False)
    both = [name for name in alone.obs_names if name in new.obs_names]
    np.testing.assert_allclose(alone.obsm["topics"].loc[both], new.obsm["topics"].loc[both], atol=1e-5)
    score = mt.tl.perplexity(mosaic, new, batch_key="batch", n_jobs=1)
    with pytest.warns(UserWarning, match="batch_key"):
        zeros = mt.tl.perplexity(mosaic, new, n_jobs=1)
    assert score.loc["total", "log_likelihood"] > zeros.loc["total", "log_likelihood"] + 0.2
    assert score.loc["total", "n_counts"] == zeros.loc["total", "n_counts"]
    few = batches[:50].copy()
    for adata in few.mod.values():
        adata.varm["measured"] = adata.varm["measured"] & (np.arange(adata.n_vars) < 3)[:, None]
        adata.X = csr_matrix(adata.shape, dtype=np.float32)
    with pytest.raises(ValueError, match="batch '[ab]': the data lacks most"):
        mt.tl.transform(mosaic, few, batch_key="batch", verbose=False)


@pytest.mark.parametrize("how", [{}, {"spatial_key": "spatial", "inference": "collapsed"}], ids=["cells", "tissue"])
def test_batches_on_disk(batches, tmp_path, monkeypatch, how):
    """One block gives the bits of counts in memory, several the same topics."""
    batches.write_h5mu(tmp_path / "batches.h5mu")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    options = {"n_topics": 5, "n_iter": 12, "batch_key": "batch", "n_jobs": 1, "verbose": False} | how
    known, on_disk = batches.copy(), mt.read.lazy(tmp_path / "batches.h5mu")
    mt.tl.topic_model(known, **options)
    mt.tl.topic_model(on_disk, **options, scratch=scratch)
    pd.testing.assert_frame_equal(on_disk.obsm["topics"], known.obsm["topics"])
    assert not list(scratch.iterdir())
    for data in (known, on_disk):
        mt.tl.uncertainty(data, n_jobs=1, verbose=False, scratch=scratch if data is on_disk else None)
    pd.testing.assert_frame_equal(on_disk.obsm["topics_sd"], known.obsm["topics_sd"])
    monkeypatch.setattr(stored, "BLOCK", 5000)
    mt.tl.topic_model(on_disk, **options, scratch=scratch)
    np.testing.assert_allclose(on_disk.obsm["topics"], known.obsm["topics"], atol=1e-5)
    assert not list(scratch.iterdir())


def test_a_copy_of_batches_that_is_kept(batches, tmp_path):
    batches.write_h5mu(tmp_path / "batches.h5mu")
    options = {"batch_key": "batch", "n_jobs": 1, "verbose": False, "scratch": tmp_path, "keep_scratch": True}
    models = [mt.tl.MTM(mt.read.lazy(tmp_path / "batches.h5mu"), 5, **options) for _ in range(2)]
    for model in models:
        model.VI(8)
    np.testing.assert_array_equal(models[0].gamma, models[1].gamma)
    models[0].save(tmp_path / "model.h5")
    with pytest.raises(ValueError, match="give the data as well"):
        mt.tl.load_model(tmp_path / "model.h5", scratch=tmp_path)
    again = mt.tl.load_model(tmp_path / "model.h5", mt.read.lazy(tmp_path / "batches.h5mu"), scratch=tmp_path)
    for model in (again, models[1]):
        model.VI(3)
    np.testing.assert_array_equal(again.gamma, models[1].gamma)
    del model, models, again
    assert len(list(tmp_path.glob("mtopic-*"))) == len(list(tmp_path.glob("mtopic-kept-*"))) == 1


def test_counts_on_disk_of_features_that_were_not_measured(batches, tmp_path, monkeypatch):
    """The first is named as in memory, in whatever block it is; nothing stays on disk."""
    other, said = batches.copy(), []
    feature = other["rna"].var_names[other["rna"].varm["measured"]["b"]][0]
    other["rna"].varm["measured"].loc[feature] = [True, False]
    monkeypatch.setattr(stored, "BLOCK", 2000)
    for scratch in (None, tmp_path):
        with pytest.raises(ValueError, match="counts are of features that were not measured") as error:
            mt.tl.topic_model(other, 5, batch_key="batch", n_jobs=1, verbose=False, scratch=scratch)
        said.append(str(error.value))
    assert said[0] == said[1] and f"'{feature}'" in said[0]
    assert not list(tmp_path.iterdir())


def test_new_observations_of_batches_on_disk(batches, mosaic, tmp_path, monkeypatch):
    new = batches[:200].copy()
    new.write_h5mu(tmp_path / "new.h5mu")
    on_disk, read = mt.read.lazy(tmp_path / "new.h5mu"), []
    monkeypatch.setattr(new_counts, "ROWS_AT_ONCE", 30)
    monkeypatch.setattr(count_matrix, "loaded", lambda x, load=count_matrix.loaded: read.append(x.shape[0]) or load(x))
    for data in (new, on_disk):
        mt.tl.transform(mosaic, data, batch_key="batch", n_jobs=1, verbose=False)
    np.testing.assert_allclose(on_disk.obsm["topics"], new.obsm["topics"], atol=1e-6)
    assert sorted(read) == [20] * 2 + [30] * 12 + [200] * 2  # those in memory are read at once
    scores = [mt.tl.perplexity(mosaic, data, batch_key="batch", n_jobs=1) for data in (new, on_disk)]
    np.testing.assert_allclose(scores[1]["log_likelihood"], scores[0]["log_likelihood"], rtol=0.01)


def test_what_follows_from_batches(tissue, mosaic):
    mdata = mosaic.copy()
    mt.tl.uncertainty(mdata)
    theta, _ = matched(tissue, mdata)
    low, high = (mdata.obsm[f"topics_{end}"].to_numpy() for end in ("low", "high"))
    assert 0.8 < ((low <= theta) & (theta <= high)).mean() < 0.97
    mt.tl.modality_agreement(mdata, "batch")
    assert mdata.uns["mtopic"]["modality_agreement"].min(axis=None) > 0.75
    assert (mdata.uns["mtopic"]["topic_shares"].sum(axis=1) - 1).abs().max() < 1e-9


def test_preparation_by_batch(batches):
    mdata = batches.copy()
    mt.pp.tfidf(mdata, mod="rna", batch_key="batch")
    rna, batch = mdata["rna"], mdata.obs["batch"]
    there = (rna.varm["measured"] * batch.value_counts()).sum(axis=1)
    df = np.asarray((rna.layers["counts"] > 0).sum(axis=0)).ravel()
    np.testing.assert_allclose(rna.var["mtopic_idf"], np.log(there / np.maximum(df, 1)) + 1)
    mt.pp.clr(mdata, mod="prot", batch_key="batch")
    for name in "ab":
        rows, columns = mdata.obs_names[batch == name], batches["prot"].varm["measured"][name].to_numpy()
        alone = batches["prot"][rows, columns].copy()
        mt.pp.clr(alone)
        np.testing.assert_allclose(mdata["prot"][rows, columns].X.toarray(), alone.X.toarray(), rtol=1e-6)
    mt.pp.scale_counts(mdata)
    model = mt.tl.MTM(mdata, 5, batch_key="batch", verbose=False, n_jobs=1)
    model.VI(5)
    mt.tl.export_params(model, mdata)
    new = batches[:100].copy()
    mt.tl.transform(mdata, new, batch_key="batch", verbose=False)
    again = mdata[:100].copy()
    again.uns.clear()
    for adata in again.mod.values():
        del adata.varm["signatures"], adata.layers["counts"]
    mt.tl.transform(model, again, batch_key="batch", verbose=False)
    np.testing.assert_allclose(new.obsm["topics"], again.obsm["topics"], atol=1e-5)


@pytest.mark.parametrize("prepare", [mt.pp.tfidf, mt.pp.clr])
def test_preparation_that_takes_features_for_zeros_says_so(batches, recwarn, prepare):
    mdata = batches.copy()
    del mdata["prot"].varm["measured"]
    prepare(mdata, mod="prot")
    assert not [one for one in recwarn if "batch_key" in str(one.message)]
    with pytest.warns(UserWarning, match="of modality 'rna' says that batches lack features.*batch_key"):
        prepare(mdata, mod="rna")


@pytest.mark.parametrize("prepare", [True, False])
def test_cross_validation_of_batches(batches, prepare):
    how = {"n_folds": 2, "n_iter": 12, "n_jobs": 1, "verbose": False, "prepare": prepare}
    one, other = batches.copy(), batches.copy()
    mt.tl.select_n_topics(one, (2, 5), batch_key="batch", **how)
    with pytest.warns(UserWarning, match="batch_key"):
        mt.tl.select_n_topics(other, (2, 5), **how)
    totals = [data.uns["CV_fit_info"]["scores"]["mean"] for data in (one, other)]
    assert (totals[0] > totals[1]).all()
    assert totals[0].idxmax() == 5


@pytest.mark.slow
@pytest.mark.parametrize("split", ["by barcode", pytest.param("at random", marks=pytest.mark.weekly)])
def test_cells_without_atac(real_mudata, split):
    """SNARE-seq: the half of the cells without ATAC is placed as by RNA alone, the others as in the joint model."""
    with quiet():
        mdata = real_mudata("snareseq_small")
    n_obs, labels = mdata.n_obs, mdata.obs["cell_type"].astype(str)
    order = np.random.default_rng(0).permutation(n_obs) if split == "at random" else np.argsort(mdata.obs_names)
    half = np.argsort(order) < n_obs // 2
    kept = mdata["atac"].obs_names.isin(mdata.obs_names[~half])
    data = {
        "joint": mdata,
        "alone": mdata["rna"],
        "mosaic": whole({"rna": mdata["rna"].copy(), "atac": mdata["atac"][kept].copy()}),
    }
    scored = ~labels.isin(["Mis", "ambiguous", "nan"]).to_numpy()
    purity = {}
    for name, one in data.items():
        found = mt.tl.topic_model(one, 20, verbose=False, n_jobs=-1, copy=True)
        points = np.sqrt(found.obsm["topics"].loc[mdata.obs_names].to_numpy())[scored]
        near = NearestNeighbors(n_neighbors=15).fit(points).kneighbors(return_distance=False)
        purity[name] = (labels.to_numpy()[scored][near] == labels.to_numpy()[scored][:, None]).mean(axis=1)
    without, both = half[scored], ~half[scored]
    assert purity["mosaic"][without].mean() > purity["alone"][without].mean() - 0.05
    assert purity["mosaic"][both].mean() > purity["joint"][both].mean() - 0.05
