from functools import cache

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData, read_h5mu
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csc_matrix
from scipy.special import digamma

import mtopic as mt

pytestmark = pytest.mark.whole_start

FITS = {
    "collapsed": {},
    "variational": {"inference": "variational"},
    "weighted": {"modality_weights": {"rna": 1.0, "atac": 0.3}},
}


def apart(one, other):
    """Total variation between proportions, by observation."""
    return abs(np.asarray(one) - np.asarray(other)).sum(axis=1) / 2


def error(found, truth):
    """Mean total variation to known proportions, topics matched one to one."""
    found, truth = np.asarray(found), np.asarray(truth)
    distance = abs(found[:, :, None] - truth[:, None]).sum(axis=0)
    return apart(found, truth[:, linear_sum_assignment(distance)[1]]).mean()


def transformed(reference, data, **options):
    new = data.copy()
    assert mt.tl.transform(reference, new, verbose=False, **options) is None
    return new.obsm[options.get("key_added", "topics")]


def fresh(data):
    """The data as they are before a fit."""
    new = data.copy()
    new.obsm.pop("topics", None)
    new.uns.pop("mtopic", None)
    for adata in new.mod.values():
        adata.varm.pop("signatures", None)
    return new


@pytest.fixture(scope="module")
def cells():
    """Two halves of the same cells."""
    mdata = mt.datasets.simulate(600, 5, modalities={"rna": 120, "atac": 200}, depth=300, spatial=False)
    return mdata[:300].copy(), mdata[300:].copy()


@pytest.fixture(scope="module", params=FITS)
def fitted(request, cells):
    train = cells[0].copy()
    mt.tl.topic_model(train, 5, verbose=False, **FITS[request.param])
    return train


@pytest.fixture(scope="module")
def reference(cells):
    train = cells[0].copy()
    mt.tl.topic_model(train, 5, verbose=False)
    return train


def test_new_cells_come_out_as_in_a_joint_fit(cells, fitted):
    new = cells[1]
    found = transformed(fitted, new)
    joint = mt.datasets.simulate(600, 5, modalities={"rna": 120, "atac": 200}, depth=300, spatial=False)
    mt.tl.topic_model(joint, 5, verbose=False)
    truth = new.obsm["true_topics"]
    together = joint.obsm["topics"].loc[new.obs_names]
    assert error(found, truth) < error(together, truth) + 0.005
    assert list(found.columns) == list(fitted.obsm["topics"].columns)
    assert list(found.index) == list(new.obs_names)
    assert (found.dtypes == np.float64).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_fitted_cells_come_out_as_in_the_fit(fitted):
    again = transformed(fitted, fresh(fitted))
    assert apart(again, fitted.obsm["topics"]).mean() < 0.002


def test_a_model_is_as_good_as_its_export(cells):
    train = cells[0].copy()
    model = mt.tl.MTM(train, 5, verbose=False)
    model.VI(30)
    mt.tl.export_params(model, train, "mine")
    pd.testing.assert_frame_equal(transformed(model, cells[1]), transformed(train, cells[1], prefix="mine"))


@pytest.mark.parametrize("family", ["variational", "collapsed"])
def test_topics_are_the_fixed_point_of_the_e_step(cells, family):
    train, new = cells
    model = mt.tl.MTM(
        train, 5, inference=family, dtype="float64", alpha=0.4, modality_weights={"atac": 0.5}, verbose=False
    )
    model.VI(20)
    theta = transformed(model, new).to_numpy()
    x = np.hstack([new["rna"].X.toarray(), 0.5 * new["atac"].X.toarray()])
    lam = model.lambda_.values()
    if family == "variational":
        b = np.hstack([np.exp(digamma(one) - digamma(one.sum(axis=1, keepdims=True))) for one in lam])
    else:
        b = np.hstack([one / one.sum(axis=1, keepdims=True) for one in lam])
    gamma = theta * (x.sum(axis=1) + 5 * 0.4)[:, None]
    t = np.exp(digamma(gamma))
    np.testing.assert_allclose(0.4 + t * ((x / (t @ b)) @ b.T), gamma, atol=0.02)


def test_what_is_written(reference, cells, tmp_path, fingerprint):
    new = cells[1].copy()
    before, parts = fingerprint(new), fingerprint(new.mod)
    copied = mt.tl.transform(reference, new, verbose=False, copy=True)
    assert fingerprint(new) == before
    trained = fingerprint(reference)
    mt.tl.transform(reference, new, verbose=False)
    assert fingerprint(reference) == trained
    assert fingerprint(new.mod) == parts
    assert set(new.obsm) - set(cells[1].obsm) == {"topics"} and set(new.uns) - set(cells[1].uns) == {"mtopic"}
    pd.testing.assert_frame_equal(new.obsm["topics"], copied.obsm["topics"])
    record, params = new.uns["mtopic"], reference.uns["mtopic"]["params"]
    assert record["params"]["transformed"] and record["params"]["n_topics"] == 5
    assert record["params"]["n_counts"] == sum(adata.X.sum() for adata in new.mod.values())
    assert all(record["params"][key] == params[key] for key in ("alpha", "eta", "inference", "modality_weights"))
    assert list(record["features"].loc["rna"]) == [120, 0, 0, 0]
    new.write(tmp_path / "new.h5mu")
    back = read_h5mu(tmp_path / "new.h5mu")
    pd.testing.assert_frame_equal(back.obsm["topics"], new.obsm["topics"])


def test_a_reference_from_a_file(reference, cells, tmp_path):
    reference.write(tmp_path / "reference.h5mu")
    pd.testing.assert_frame_equal(
        transformed(read_h5mu(tmp_path / "reference.h5mu"), cells[1]), transformed(reference, cells[1])
    )


def test_other_names(reference, cells):
    new = cells[1].copy()
    for key_added in ("topics", "mine", "other_topics"):
        mt.tl.transform(reference, new, key_added=key_added, verbose=False)
    np.testing.assert_array_equal(new.obsm["mine"], new.obsm["topics"])
    assert {"mtopic", "mine_mtopic", "other_mtopic"} <= set(new.uns)


def test_what_follows_from_topics(reference, cells):
    new = cells[1].copy()
    mt.tl.transform(reference, new, verbose=False)
    mt.tl.dominant_topics(new)
    mt.tl.modality_agreement(new)
    assert mt.get.topics(new).shape == (300, 5)
    assert (new.obsm["modality_agreement"].mean() > 0.8).all()
    with pytest.raises(KeyError, match="elbo"):
        mt.pl.convergence(new, show=False)
    mt.tl.transform(reference, new, verbose=False)
    assert set(new.obsm) == {"topics", *cells[1].obsm}
    assert set(new.uns["mtopic"]) == {"params", "features", "version", "id", "results"}


def test_threads_change_no_bit(reference, cells):
    results = [transformed(reference, cells[1], n_jobs=n_jobs) for n_jobs in (1, 2, 3)]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_order_form_and_others_do_not_matter(reference, cells, capsys):
    """Observations, features and modalities in another order, dense or by column, with features that nobody knows."""
    new, rng = cells[1], np.random.default_rng(0)
    expected = transformed(reference, new)
    strangers = AnnData(
        rng.poisson(3, (300, 7)).astype(np.float32), var=pd.DataFrame(index=[f"new_{i}" for i in range(7)])
    )
    rna = new["rna"][:, rng.permutation(120)].copy()
    wide = AnnData(
        np.hstack([strangers.X, rna.X.toarray()]),
        obs=pd.DataFrame(index=new.obs_names),
        var=pd.DataFrame(index=[*strangers.var_names, *rna.var_names]),
    )
    atac = new["atac"][rng.permutation(300)].copy()
    atac.X = csc_matrix(atac.X)
    other = MuData({"atac": atac, "rna": wide})
    mt.tl.transform(reference, other)
    np.testing.assert_array_equal(other.obsm["topics"].loc[new.obs_names], expected)
    assert other.uns["mtopic"]["features"].loc["rna", "others"] == 7
    assert "rna: 120 of 120 features matched, 7 others left out" in capsys.readouterr().out


def test_missing_features(reference, cells):
    new, truth = cells[1].copy(), cells[1].obsm["true_topics"]
    lam = reference["rna"].varm["signatures"]
    share = (lam / lam.sum()).to_numpy()
    heavy = np.argsort(-share[:, 0])[:6]
    keep = np.setdiff1d(np.arange(120), heavy)
    new.mod["rna"] = new["rna"][:, keep].copy()
    with pytest.warns(UserWarning, match="'rna' lacks 6 of the 120 features") as caught:
        found = transformed(reference, new)
    missing = share[heavy].sum(axis=0)
    (message,) = [str(w.message) for w in caught if w.category is UserWarning]
    assert f"with {missing.mean():.1%} of the signatures' mass ({missing.max():.1%} of topic_1's)" in message
    whole = error(transformed(reference, cells[1]), truth)
    assert error(found, truth) < whole + 0.05


def test_signatures_are_of_the_features_that_are_there():
    """Two thirds of a topic are missing; taken for zeros, these would speak for the other one."""
    rng = np.random.default_rng(1)
    profiles = np.full((2, 40), 1.0)
    profiles[0, :20] = 2  # missing in the new data
    profiles[1, 20:30] = 6
    profiles /= profiles.sum(axis=1, keepdims=True)
    kinds = np.repeat([0, 1], 150)
    x = np.array([rng.multinomial(500, profiles[k]) for k in kinds], dtype=np.float32)
    train = AnnData(x, var=pd.DataFrame(index=[f"g{v}" for v in range(40)]))
    mt.tl.topic_model(train, 2, verbose=False)
    seen = np.array([rng.multinomial(500, profiles[k, 20:] / profiles[k, 20:].sum()) for k in kinds], dtype=np.float32)
    zeros = AnnData(np.hstack([np.zeros((300, 20), np.float32), seen]), var=train.var[[]].copy())
    with pytest.warns(UserWarning, match="lacks 20 of the 40"):
        found = transformed(train, zeros[:, 20:].copy())
    known = train.obsm["topics"].to_numpy().argmax(axis=1)
    assert (known[:150] == known[0]).all() and known[0] != known[150]
    assert (found.to_numpy().argmax(axis=1) == known).mean() > 0.98
    assert (transformed(train, zeros).to_numpy().argmax(axis=1) == known).mean() < 0.6


@pytest.mark.parametrize("mod", ["rna", "atac"])
def test_some_of_the_modalities(reference, cells, mod):
    new = MuData({mod: cells[1][mod].copy()})
    found = transformed(reference, new)
    assert error(found, cells[1].obsm["true_topics"].loc[new.obs_names]) < 0.1
    with pytest.raises(KeyError, match=r"no modality 'X' in the training; .*MuData\(\{'rna': adata\}\)"):
        mt.tl.transform(reference, new[mod])


def test_cells_that_lack_a_modality(reference, cells):
    new = cells[1].copy()
    part = MuData({"rna": new["rna"][:200].copy(), "atac": new["atac"][100:].copy()})
    found = transformed(reference, part)
    alone = transformed(reference, MuData({"rna": new["rna"][:100].copy()}))
    np.testing.assert_array_equal(found.loc[alone.index], alone)


def test_anndata(cells):
    """One modality is known whatever its name."""
    train, new = (mdata["rna"].copy() for mdata in cells)
    mt.tl.topic_model(train, 5, verbose=False)
    found = transformed(train, new)
    assert error(found, cells[1].obsm["true_topics"]) < 0.1
    np.testing.assert_array_equal(transformed(train, MuData({"gex": new})), found)
    with pytest.raises(KeyError, match="no modality 'rna' in the training"):
        mt.tl.transform(train, cells[1])


def test_a_prepared_anndata_keeps_its_record(cells):
    """The record of the preparation and that of the fit share a place."""
    train, new = (mdata["rna"].copy() for mdata in cells)
    for adata in (train, new):
        mt.pp.tfidf(adata)
        mt.pp.scale_counts(adata)
    model = mt.tl.MTM(train, 5, verbose=False)
    model.VI(30)
    mt.tl.export_params(model, train)
    raw = cells[1]["rna"].copy()
    pd.testing.assert_frame_equal(transformed(train, new), transformed(model, raw))
    mt.tl.transform(train, new, verbose=False)
    assert list(new.uns["mtopic"]["steps"]) == ["tfidf", "scale_counts"] and "features" in new.uns["mtopic"]


def prepare(mdata):
    mt.pp.tfidf(mdata, mod="rna")
    mt.pp.clr(mdata, mod="atac")
    mt.pp.scale_counts(mdata)


@pytest.mark.parametrize("kind", ["model", "reference"])
def test_counts_are_prepared_by_the_training_statistics(cells, kind):
    train, new = cells[0].copy(), cells[1].copy()
    prepare(train)
    model = mt.tl.MTM(train, 5, verbose=False)
    model.VI(30)
    mt.tl.export_params(model, train)
    source = model if kind == "model" else train
    again = transformed(source, fresh(train))
    assert apart(again, train.obsm["topics"]).mean() < 0.01
    by_hand = new.copy()
    rna = new["rna"].X.multiply(train["rna"].var["mtopic_idf"].to_numpy()).toarray()
    by_hand["rna"].X = (rna * train["rna"].uns["mtopic"]["scale"]).astype(np.float32)
    logs = np.log1p(new["atac"].X.toarray())
    ratios = np.log1p(new["atac"].X.toarray() / (np.expm1(logs.mean(axis=1, keepdims=True)) + 1e-6))
    by_hand["atac"].X = (ratios * train["atac"].uns["mtopic"]["scale"]).astype(np.float32)
    by_hand["rna"].uns["mtopic"] = {"steps": ["tfidf", "scale_counts"]}
    by_hand["atac"].uns["mtopic"] = {"steps": ["clr", "scale_counts"]}
    expected = transformed(source, by_hand)
    np.testing.assert_allclose(transformed(source, new), expected, atol=1e-3)
    prepare(new)
    np.testing.assert_allclose(transformed(source, new), expected, atol=1e-3)


def test_counts_that_were_prepared_otherwise(cells, reference):
    train, new = cells[0].copy(), cells[1].copy()
    prepare(train)
    model = mt.tl.MTM(train, 5, verbose=False)
    model.VI(3)
    prepared = new.copy()
    mt.pp.scale_counts(prepared)
    plain = mt.tl.MTM(cells[0], 5, verbose=False)
    plain.VI(3)
    for source in (reference, plain):
        np.testing.assert_array_equal(transformed(source, prepared), transformed(source, new))
    for adata in prepared.mod.values():
        del adata.layers["counts"]
    for source, steps in ((model, "tfidf, scale_counts"), (reference, "nothing")):
        with pytest.raises(
            ValueError, match=f"'rna' has been prepared by scale_counts, that of the training by {steps}"
        ):
            mt.tl.transform(source, prepared)
    mt.tl.export_params(model, train)
    del train["rna"].var["mtopic_idf"]
    with pytest.raises(ValueError, match=r"var\['mtopic_idf'\] of modality 'rna' .* lacks the weights of 120 features"):
        mt.tl.transform(train, new)
    assert "topics" not in new.obsm


@pytest.fixture(scope="module")
def tissue():
    return mt.datasets.simulate(500, 5, modalities={"rna": 120, "atac": 200}, depth=60, tissue="sharp")


@pytest.mark.parametrize("prepared", [False, True])
def test_tissue_comes_out_as_in_the_fit(tissue, prepared):
    train = tissue.copy()
    if prepared:
        prepare(train)
    model = mt.tl.sMTM(train, 5, n_neighbors=6, spatial_key="spatial", strength=1.0, verbose=False)
    model.VI(100)
    mt.tl.export_params(model, train)
    again = transformed(model, fresh(train), spatial_key="spatial")
    pd.testing.assert_frame_equal(transformed(train, fresh(train), spatial_key="spatial"), again)
    alone = transformed(train, fresh(train))
    fit = train.obsm["topics"]
    assert apart(again, fit).mean() < 2e-3
    assert apart(alone, fit).mean() > 0.02
    np.testing.assert_array_equal(transformed(train, fresh(train), neighbors_key="spatial"), again)


def test_new_tissue_has_neighbours_of_its_own(tissue):
    """The neighbours of new spots make their topics better, and their graph is written."""
    west = tissue.obsm["spatial"][:, 0] < np.median(tissue.obsm["spatial"][:, 0])
    train, new = tissue[west].copy(), tissue[~west].copy()
    mt.tl.topic_model(train, 5, spatial_key="spatial", strength=1.0, verbose=False)
    beside = new.copy()
    mt.tl.transform(train, beside, spatial_key="spatial", verbose=False)
    truth = new.obsm["true_topics"]
    assert error(beside.obsm["topics"], truth) < error(transformed(train, new), truth)
    params = beside.uns["mtopic"]["params"]
    assert (params["strength"], params["n_neighbors"], params["stored_graph"]) == (1.0, 6, "spatial")
    assert (np.diff(beside.obsp["spatial_connectivities"].indptr) == 6).all()
    wide = new.copy()
    mt.tl.transform(train, wide, spatial_key="spatial", n_neighbors=12, verbose=False)
    assert wide.uns["mtopic"]["params"]["n_neighbors"] == 12
    results = [transformed(train, new, spatial_key="spatial", n_jobs=n_jobs) for n_jobs in (1, 2)]
    np.testing.assert_array_equal(*results)


def test_neighbours_that_were_no_prior(reference, tissue):
    new = tissue.copy()
    with pytest.raises(
        ValueError, match=r"spatial_key='spatial': neighbours were not the prior in the training \(MTM\)"
    ):
        mt.tl.transform(reference, new, spatial_key="spatial")


def test_observations_without_counts(reference, cells):
    new = cells[1].copy()
    for adata in new.mod.values():
        adata.X.data[: adata.X.indptr[3]] = 0
    with pytest.warns(UserWarning, match="3 of 300 observations have no counts"):
        found = transformed(reference, new)
    np.testing.assert_allclose(found.iloc[:3], 0.2)


def test_bad_input_changes_nothing(reference, cells, fingerprint):
    def renamed(new):
        new["rna"].var_names = [f"ENS{i}" for i in range(120)]

    def emptied(new):
        for mod in new.mod:
            new.mod[mod] = new[mod][:, :2].copy()

    def negative(new):
        new["atac"].X.data[0] = -1

    def fitted(new):
        mt.tl.topic_model(new, 3, n_iter=2, verbose=False)

    def twice(new):
        new["rna"].var_names = ["rna_0", *new["rna"].var_names[:-1]]

    def more(new):
        new.mod["prot"] = AnnData(np.ones((300, 2), np.float32), obs=pd.DataFrame(index=new.obs_names))

    for change, kind, message in (
        (renamed, ValueError, "'rna' has no feature of the training, where the first is 'rna_0' .*'ENS0'"),
        (emptied, ValueError, "lacks most of what the topics were fitted to.*of 'rna'.*of 'atac'.*50% of a modality"),
        (negative, ValueError, "X of modality 'atac': 1 values are negative"),
        (fitted, ValueError, r"'rna' of the data has varm\['signatures'\], of a fit of its own.*key_added='topics'"),
        (twice, ValueError, "feature names of modality 'rna' occur twice"),
        (more, KeyError, "no modality 'prot' in the training.*leave it out"),
    ):
        new = cells[1].copy()
        change(new)
        before = fingerprint(new), fingerprint(new.mod)
        with pytest.raises(kind, match=message):
            mt.tl.transform(reference, new)
        assert (fingerprint(new), fingerprint(new.mod)) == before


def test_bad_references(reference, cells):
    new = cells[1].copy()
    for source, options, kind, message in (
        (cells[0], {}, KeyError, "no signatures 'signatures' in varm of modality 'rna'.*export_params. writes them"),
        (reference, {"prefix": "mine"}, KeyError, "no signatures 'mine_signatures'"),
        (mt.tl.MTM(cells[0], 5, verbose=False), {}, ValueError, "this MTM is not fitted yet"),
        (mt.tl.MTM(cells[0], 5, verbose=False), {"prefix": "mine"}, ValueError, "prefix='mine'.*a model has none"),
        (reference, {"n_jobs": 0}, ValueError, "n_jobs=0"),
        (reference, {"key_added": "rna"}, ValueError, r"obsm\['rna'\] says which observations"),
        (reference, {"key_added": "a/b"}, ValueError, "key_added='a/b': names of slots hold no '/'"),
        ("reference.h5mu", {}, TypeError, "expected an AnnData or a MuData"),
    ):
        with pytest.raises(kind, match=message):
            mt.tl.transform(source, new, **options)
    with pytest.raises(TypeError, match="expected an AnnData or a MuData, got csr_"):
        mt.tl.transform(reference, new["rna"].X)
    broken = reference.copy()
    broken["atac"].varm["signatures"].iloc[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"varm\['signatures'\] of modality 'atac' .* not positive"):
        mt.tl.transform(broken, new)
    del broken.uns["mtopic"], broken["atac"].varm["signatures"]
    with pytest.raises(KeyError, match="no fit 'mtopic' in uns"):
        mt.tl.transform(broken, new)


def test_a_modality_without_a_say(cells):
    train = cells[0].copy()
    mt.tl.topic_model(train, 5, modality_weights={"atac": 0}, verbose=False)
    with pytest.raises(ValueError, match="'atac' had weight 0 in the training"):
        mt.tl.transform(train, MuData({"atac": cells[1]["atac"].copy()}))


REAL = {"snareseq_small": "cell_type", "cite_pbmc1k_small": "protein_gate"}
UNKNOWN = ["Mis", "ambiguous", "undetermined", "unassigned", "nan"]


@pytest.fixture(scope="module")
def real(real_mudata):
    """Two thirds of real cells, fitted, the others, and the labels of those that have one; not to be changed."""

    @cache
    def fitted(stem, seed):
        mdata = real_mudata(stem)
        labels = mdata.obs[REAL[stem]].astype(str)
        order = np.random.default_rng(seed).permutation(mdata.n_obs)
        cut = 2 * mdata.n_obs // 3
        train, new = (mdata[np.sort(rows)].copy() for rows in (order[:cut], order[cut:]))
        mt.tl.topic_model(train, 20, rng=seed, verbose=False)
        return train, new, labels[~labels.isin(UNKNOWN)]

    return fitted


def purity(points, among, labels):
    """Share of the 15 nearest, of some cells among those of another table, that have the cell's own label."""
    from sklearn.neighbors import NearestNeighbors

    points, among = (table.loc[table.index.isin(labels.index)] for table in (points, among))
    nearest = NearestNeighbors(n_neighbors=15).fit(np.sqrt(among)).kneighbors(np.sqrt(points), return_distance=False)
    return (labels[among.index].to_numpy()[nearest] == labels[points.index].to_numpy()[:, None]).mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "n_splits"),
    [*((stem, 1) for stem in REAL), *(pytest.param(stem, 3, marks=pytest.mark.weekly) for stem in REAL)],
)
def test_real_cells_are_placed_as_by_a_joint_fit(real_mudata, real, stem, n_splits):
    """Their labels are those of the nearest fitted cells as often, in the mean of some splits."""
    mdata, found = real_mudata(stem), []
    for seed in range(n_splits):
        train, new, labels = real(stem, seed)
        joint = mt.tl.topic_model(mdata, 20, rng=seed, verbose=False, copy=True).obsm["topics"]
        by_transform = purity(transformed(train, new), train.obsm["topics"], labels)
        found.append((by_transform, purity(joint.loc[new.obs_names], joint.loc[train.obs_names], labels)))
    by_transform, together = np.mean(found, axis=0)
    assert by_transform > together - 0.03
    assert by_transform > 3 * (labels.value_counts(normalize=True) ** 2).sum()


@pytest.mark.slow
@pytest.mark.parametrize("stem", REAL)
def test_real_cells_again_and_by_rna_alone(real, stem):
    train, new, labels = real(stem, 0)
    fitted = train.obsm["topics"]
    assert apart(transformed(train, fresh(train)), fitted).mean() < 0.05
    found = transformed(train, MuData({"rna": new["rna"].copy()})).loc[new.obs_names]
    assert purity(found, fitted, labels) > purity(transformed(train, new), fitted, labels) - 0.1
