"""Priors that are not the same for all topics or all features."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import read_h5mu
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.special import digamma

import mtopic as mt

ALPHA = [0.1, 1.5, 0.4, 0.2]
FAMILIES = ["variational", "collapsed"]


def fit(data, n_iter=15, n_topics=4, schedule="fast", **options):
    model = mt.tl.MTM(data, n_topics, **{"n_jobs": 1, "verbose": False, **options})
    model.VI(n_iter, schedule=schedule, tol=None)
    return model


def uneven(data, mod="rna", rng=0):
    """A number for each feature, by name, in an order of its own."""
    names = data[mod].var_names
    rng = np.random.default_rng(rng)
    return pd.Series(rng.gamma(0.5, 0.2, len(names)) + 1e-3, names).sample(frac=1, random_state=1)


def share(gamma):
    return gamma / gamma.sum(axis=1, keepdims=True)


@pytest.mark.whole_start
@pytest.mark.parametrize("inference", FAMILIES)
def test_priors_are_what_they_are_given_as(tissue, inference):
    eta = uneven(tissue)
    model = fit(tissue, inference=inference, alpha=ALPHA, eta={"rna": eta, "atac": 0.3})
    np.testing.assert_array_equal(model.alpha, ALPHA)
    np.testing.assert_array_equal(model.eta["rna"], eta[tissue["rna"].var_names])
    assert model.eta["atac"] == 0.3
    assert (model.gamma >= np.array(ALPHA) * (1 - 1e-6)).all()
    assert model.gamma.min(axis=0) == pytest.approx(ALPHA, rel=0.1)
    assert (model.lambda_["rna"] >= model.eta["rna"] * (1 - 1e-6)).all()
    assert 0.3 <= model.lambda_["atac"].min() * (1 + 1e-6) < 0.4


def test_a_series_goes_by_names_and_an_array_by_order(tissue):
    eta = uneven(tissue)
    more = pd.concat([eta, pd.Series({"another": 3.0})])
    by_order = eta[tissue["rna"].var_names].to_numpy()
    models = [fit(tissue, eta={"rna": given}) for given in (eta, more, by_order, by_order.tolist())]
    for model in models[1:]:
        np.testing.assert_array_equal(model.gamma, models[0].gamma)
        assert model.elbo == models[0].elbo
    assert models[0].eta["atac"] == 0.01


def test_what_was_given_is_neither_changed_nor_kept(tissue):
    alpha, eta = np.array(ALPHA), np.full(60, 0.2)
    model = mt.tl.MTM(tissue, 4, verbose=False, alpha=alpha, eta={"rna": eta})
    alpha[:], eta[:] = 9, 9
    np.testing.assert_array_equal(model.alpha, ALPHA)
    assert model.eta["rna"] == 0.2


@pytest.mark.parametrize("schedule", ["fast", "original"])
def test_a_number_by_modality_is_the_number(tissue, schedule):
    by_modality, number = (fit(tissue, schedule=schedule, eta=eta) for eta in ({"rna": 0.05, "atac": 0.05}, 0.05))
    np.testing.assert_array_equal(by_modality.gamma, number.gamma)
    np.testing.assert_allclose(by_modality.elbo, number.elbo, rtol=1e-9)


@pytest.mark.parametrize("inference", FAMILIES)
def test_the_bound_never_falls(tissue, inference):
    options = {"inference": inference, "dtype": "float64", "alpha": ALPHA, "eta": {"rna": uneven(tissue)}}
    refined = np.array(fit(tissue, 50, **options).elbo[10:])
    assert (np.diff(refined) >= -1e-12 * abs(refined[-1])).all()


def test_the_original_schedule_against_plain_numpy(tissue):
    adata, eta = tissue["rna"], uneven(tissue)
    begun = mt.tl.MTM(adata, 4, verbose=False, dtype="float64", alpha=ALPHA, eta={"X": eta})
    lam, x, eta = begun.lambda_["X"], adata.X.toarray(), eta[adata.var_names].to_numpy()
    for _ in range(2):
        b, gamma = np.exp(digamma(lam) - digamma(lam.sum(axis=1, keepdims=True))), np.ones((150, 4))
        for _ in range(2000):
            t = np.exp(digamma(gamma))
            gamma = ALPHA + t * ((x / (t @ b)) @ b.T)
        lam = eta + b * (np.exp(digamma(gamma)).T @ (x / (np.exp(digamma(gamma)) @ b)))
    begun.VI(2, 2000, schedule="original")
    np.testing.assert_allclose(share(begun.gamma), share(gamma), atol=5e-4)
    np.testing.assert_allclose(begun.lambda_["X"], lam, rtol=1e-2, atol=1e-2)


def cells(alpha, depth=20, n_obs=400, seed=0):
    """Cells of few counts, of topics of unequal size."""
    rng = np.random.default_rng(seed)
    theta, beta = rng.dirichlet(alpha, n_obs), rng.dirichlet(np.full(80, 0.2), len(alpha))
    counts = np.stack([rng.multinomial(depth, t @ beta) for t in theta])
    return AnnData(csr_matrix(counts.astype(np.float32))), theta, beta


@pytest.mark.whole_start
@pytest.mark.parametrize("inference", FAMILIES)
def test_topics_of_unequal_size_come_back_better_under_their_prior(inference):
    """Total variation from the known proportions: about .25 against .50 in either family."""
    alpha, errors = np.array([0.1, 3.0, 0.1, 1.0, 0.3]), []
    for prior in (alpha, alpha.mean(), "auto"):
        of_prior = []
        for seed in range(2):
            adata, theta, beta = cells(alpha, seed=seed)
            model = fit(adata, 60, 5, inference=inference, alpha=prior, eta=0.2)
            likeness = np.corrcoef(beta, model.lambda_["X"])[:5, 5:]
            found = share(model.gamma)[:, linear_sum_assignment(-likeness)[1]]
            of_prior.append(np.abs(found - theta).sum(axis=1).mean() / 2)
            if prior is alpha:
                assert model.gamma.sum(axis=0).argmax() == 1
        errors.append(np.mean(of_prior))
    assert errors[0] < 0.7 * min(errors[1:])


@pytest.mark.whole_start
def test_topics_part_before_priors_are_learned():
    """Topics that are alike ask for a large α, under which all observations would have the same for good."""
    rng = np.random.default_rng(0)
    signatures, shares = rng.dirichlet(np.full(800, 0.5), 15), rng.dirichlet(np.full(15, 0.2), 300)
    x = rng.poisson(800 * shares @ signatures).astype(np.float32)
    model = mt.tl.MTM(AnnData(csr_matrix(x)), 15, inference="collapsed", alpha="auto", eta="auto", verbose=False)
    model.VI(300)
    assert model.converged and model.alpha < 0.2
    assert model.gamma.max(axis=1).mean() > 0.5 * model.gamma.sum(axis=1).mean()


@pytest.mark.parametrize("inference", FAMILIES)
def test_a_feature_of_large_eta_does_not_tell_topics_apart(tissue, inference):
    """A marker whose η outweighs its counts has nearly the same share in all topics; other features are as before."""
    free = fit(tissue, inference=inference)
    marker = (free.lambda_["rna"].max(axis=0) / free.lambda_["rna"].sum(axis=0)).argmax()
    eta = np.full(60, 0.01)
    eta[marker] = 5 * tissue["rna"].X[:, marker].sum()
    held = fit(tissue, inference=inference, eta={"rna": eta})

    def spread(model, feature):
        lam = model.lambda_["rna"][:, feature]
        return lam.max() / lam.min()

    assert spread(free, marker) > 50
    assert spread(held, marker) < 1.25
    others = np.delete(np.arange(60), marker)
    likeness = np.corrcoef(free.lambda_["rna"][:, others], held.lambda_["rna"][:, others])[:4, 4:]
    assert likeness[linear_sum_assignment(-likeness)].min() > 0.95


@pytest.mark.parametrize("smoothing", ["prior", "original"])
def test_under_neighbours(tissue, smoothing):
    where = {"spatial_key": "spatial", "n_neighbors": 6, "smoothing": smoothing, "verbose": False}
    model = mt.tl.sMTM(tissue, 4, alpha=ALPHA, eta={"rna": uneven(tissue)}, modality_weights="auto", **where)
    model.VI(25)
    assert np.isfinite(model.elbo).all()
    if smoothing == "prior":
        assert model.strength >= 0
        assert (model.gamma >= np.array(ALPHA) * (1 - 1e-6)).all()
    np.testing.assert_array_equal(model.alpha, ALPHA)


@pytest.mark.parametrize("inference", FAMILIES)
def test_threads_and_going_on_change_no_bit(tissue, tmp_path, inference):
    options = {"inference": inference, "alpha": ALPHA, "eta": {"rna": uneven(tissue)}}
    whole, parts = fit(tissue, 20, n_jobs=2, **options), fit(tissue, 8, **options)
    parts.save(tmp_path / "model.h5")
    again = mt.tl.load_model(tmp_path / "model.h5", tissue)
    np.testing.assert_array_equal(again.alpha, ALPHA)
    np.testing.assert_array_equal(again.eta["rna"], parts.eta["rna"])
    for model in (parts, again):
        model.VI(12, tol=None)
        np.testing.assert_array_equal(model.gamma, whole.gamma)
        assert model.elbo == whole.elbo
    whole.SVI(5, 30)
    assert (whole.lambda_["rna"] >= whole.eta["rna"] * 0.99).all()


@pytest.fixture
def exported(tissue):
    """A fit under uneven priors in its data, and the model."""
    model = fit(tissue, 30, alpha=ALPHA, eta={"rna": uneven(tissue), "atac": 0.02})
    model._run.fit.posterior.gamma[:, 1] = 1e-3  # is dropped
    mt.tl.export_params(model, tissue)
    return tissue, model


def test_the_record_goes_through_a_file(exported, tmp_path):
    mdata, model = exported
    mdata.write(tmp_path / "data.h5mu")
    for data in (mdata, read_h5mu(tmp_path / "data.h5mu")):
        params = data.uns["mtopic"]["params"]
        assert {name: float(value) for name, value in params["alpha"].items()} == {
            f"topic_{k + 1}": value for k, value in enumerate(ALPHA)
        }
        assert float(params["eta"]["atac"]) == 0.02
        table = params["eta"]["rna"]
        np.testing.assert_array_equal(table.loc[mdata["rna"].var_names, "eta"], model.eta["rna"])


def test_what_follows_from_a_fit_knows_its_priors(exported, tmp_path):
    """Features in another order, topics dropped, read from a file: γ of an observation without counts is the prior."""
    mdata, _ = exported
    mdata.write(tmp_path / "data.h5mu")
    reference = read_h5mu(tmp_path / "data.h5mu")
    new = mdata[:40].copy()
    for mod in new.mod:
        counts = new[mod].X.toarray()
        counts[3] = 0
        new.mod[mod] = AnnData(csr_matrix(counts[:, ::-1]), new[mod].obs[[]], new[mod].var[[]][::-1])
    new.obsm.clear()
    new.uns.clear()
    with pytest.warns(UserWarning, match="1 of 40 observations have no counts"):
        mt.tl.transform(reference, new, key_added="new", verbose=False)
    kept = np.delete(ALPHA, 1)
    assert list(new.obsm["new"].columns) == ["topic_1", "topic_3", "topic_4"]
    np.testing.assert_allclose(new.obsm["new"].iloc[3], kept / kept.sum(), rtol=1e-5)
    score = mt.tl.perplexity(reference, new)
    pd.testing.assert_frame_equal(score, mt.tl.perplexity(mdata, new))
    mt.tl.uncertainty(reference)
    mt.tl.uncertainty(mdata)
    np.testing.assert_allclose(reference.obsm["topics_sd"], mdata.obsm["topics_sd"], rtol=1e-9)
    mt.tl.modality_agreement(reference)
    assert np.isfinite(reference.obsm["modality_agreement"].to_numpy()).any()


def test_uncertainty_is_by_the_fits_own_prior(tissue):
    """An observation without counts is as uncertain as its prior: the variance of a Dirichlet distribution."""
    for mod in tissue.mod:
        counts = tissue[mod].X.toarray()
        counts[3] = 0
        tissue[mod].X = csr_matrix(counts)
    with pytest.warns(UserWarning, match="1 of 150"):
        mt.tl.export_params(fit(tissue, alpha=ALPHA), tissue)
    mt.tl.uncertainty(tissue)
    total, mean = sum(ALPHA), np.array(ALPHA) / sum(ALPHA)
    np.testing.assert_allclose(tissue.obsm["topics_sd"].iloc[3] ** 2, mean * (1 - mean) / (total + 1), rtol=1e-3)


def test_an_unknown_topic_in_the_record(exported):
    mdata, _ = exported
    mdata.obsm["topics"] = mdata.obsm["topics"].rename(columns={"topic_1": "topic_x"})
    with pytest.raises(KeyError, match=r"no topic 'topic_x' in the fit's params\['alpha'\]"):
        mt.tl.modality_agreement(mdata)


def test_topic_model_takes_them(tissue):
    mt.tl.topic_model(tissue, 4, alpha=ALPHA, eta={"rna": 0.1}, n_iter=5, verbose=False)
    params = tissue.uns["mtopic"]["params"]
    assert list(params["alpha"].values()) == ALPHA
    assert params["eta"] == {"rna": 0.1, "atac": 0.01}


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"alpha": [0.1, 0.2]}, ValueError, r"alpha has shape \(2,\): there are 4 topics"),
        ({"alpha": np.ones((4, 1))}, ValueError, r"alpha has shape \(4, 1\)"),
        ({"alpha": [0.1, 0.2, 0, 0.1]}, ValueError, "alpha is 0.0 at position 2: .* positive"),
        ({"alpha": [0.1, 0.2, np.nan, 0.1]}, ValueError, "alpha is nan at position 2"),
        ({"alpha": ["a", 1, 1, 1]}, ValueError, "alpha=.*: give positive numbers"),
        ({"alpha": {"topic_1": 1}}, ValueError, "alpha={'topic_1': 1}: give a positive number, an array"),
        ({"eta": np.full(60, 0.1)}, ValueError, r"give a mapping by modality, such as \{'rna': …\}"),
        ({"eta": {"rnaa": 0.1}}, KeyError, r"no modality 'rnaa' in modalities \(eta\); did you mean 'rna'"),
        ({"eta": {"rna": -1}}, ValueError, r"eta\['rna'\] is -1.0 at position 0"),
        ({"eta": {"rna": "auto"}}, ValueError, r"eta\['rna'\]='auto': give positive numbers"),
        ({"eta": {"rna": np.full(59, 0.1)}}, ValueError, r"eta\['rna'\] has shape \(59,\): there are 60 features"),
        ({"eta": {"rna": pd.Series(0.1, [f"g{i}" for i in range(60)])}}, ValueError, "no number for 60 of 60 features"),
        ({"eta": {"rna": pd.Series([0.1, 0.2], ["rna_0", "rna_0"])}}, ValueError, "has 'rna_0' more than once"),
    ],
)
def test_bad_priors(tissue, options, error, said):
    with pytest.raises(error, match=said):
        mt.tl.MTM(tissue, 4, verbose=False, **options)


def test_uneven_priors_are_not_learned(tissue):
    model = fit(tissue, alpha="auto", eta={"rna": 0.1})
    assert model.alpha != 0.25
    assert model.eta == {"rna": 0.1, "atac": 0.01}


def spatial(data, eta="frequency", model=mt.tl.sMTM, **options):
    return model(data, 4, spatial_key="spatial", n_neighbors=6, eta=eta, n_jobs=1, verbose=False, **options)


@pytest.mark.parametrize("inference", FAMILIES)
def test_eta_by_frequency_is_in_proportion_to_the_counts(tissue, inference):
    model = fit(tissue, eta="frequency", inference=inference)
    for mod, eta in model.eta.items():
        counts = np.asarray(tissue[mod].X.sum(axis=0)).ravel()
        shares = eta[counts > 0] * 4 / counts[counts > 0]
        assert 0.0009 < shares[0] < 0.31
        np.testing.assert_allclose(shares, shares[0], rtol=1e-3)
        assert (model.lambda_[mod] >= eta * (1 - 1e-6)).all()
    assert (np.diff(model.elbo[11:]) >= -1e-7 * abs(model.elbo[-1])).all()


def test_eta_by_frequency_goes_on_to_the_same_bits(tissue, tmp_path):
    """Also from a file that was written before it was learned, and after."""
    whole, parts = spatial(tissue), spatial(tissue)
    whole.VI(24, tol=None)
    for n_iter in (12, 12):
        parts.save(tmp_path / "model.h5")
        parts = mt.tl.load_model(tmp_path / "model.h5", tissue)
        parts.VI(n_iter, tol=None)
    np.testing.assert_array_equal(parts.gamma, whole.gamma)
    for mod, eta in whole.eta.items():
        np.testing.assert_array_equal(parts.eta[mod], eta)
    assert parts.elbo == whole.elbo


def test_eta_by_frequency_is_learned_from_raw_counts_and_made_for_those_of_the_fit(tissue):
    raw = fit(tissue, eta="frequency", n_iter=1)
    mt.pp.tfidf(tissue, mod="atac")
    mt.pp.scale_counts(tissue)
    prepared = fit(tissue, eta="frequency", n_iter=1)

    def share(model, counts):
        totals = np.asarray(counts.sum(axis=0)).ravel()
        return np.median(model.eta["atac"][totals > 0] * 4 / totals[totals > 0])

    of_raw, of_prepared = tissue["atac"].layers["counts"], tissue["atac"].X
    assert share(prepared, of_prepared) == pytest.approx(share(raw, of_raw), rel=1e-5)


def test_starts_have_one_eta_by_frequency(tissue):
    one, several = spatial(tissue), spatial(tissue, n_init=3)
    for model in (one, several):
        model.VI(5)
    for mod, eta in one.eta.items():
        np.testing.assert_array_equal(several.eta[mod], eta)


def test_batches_have_eta_by_frequency(tissue):
    """What is learned before the first batch is what is learned before the first iteration."""
    model = mt.tl.MTM(tissue, 4, eta="frequency", n_jobs=1, verbose=False)
    model.SVI(n_batches=10, batch_size=50)
    for mod, eta in fit(tissue, eta="frequency", n_iter=1).eta.items():
        np.testing.assert_array_equal(model.eta[mod], eta)
        assert eta.min() < eta.max()


def test_the_original_has_no_eta_by_frequency(tissue):
    with pytest.raises(ValueError, match="numbers for alpha and eta"):
        fit(tissue, eta="frequency", schedule="original")
    with pytest.raises(ValueError, match="eta='frequencies'.*'frequency'"):
        fit(tissue, eta="frequencies")
