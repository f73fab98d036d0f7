import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.special import digamma, gammaln
from sklearn.metrics import normalized_mutual_info_score

import mtopic as mt
from mtopic.inference.posterior import Posterior
from mtopic.inference.schedule import EXPLORE, WINDOW


def fit(data, n_iter=12, *, n_jobs=1, schedule="fast", tol=None, **kwargs):
    model = mt.tl.MTM(data, 4, n_jobs=n_jobs, verbose=False, **kwargs)
    model.VI(n_iter, schedule=schedule, tol=tol)
    return model


def assert_same_bits(a, b):
    np.testing.assert_array_equal(a.gamma, b.gamma)
    assert a.elbo == b.elbo
    for mod in a.modalities:
        np.testing.assert_array_equal(a.lambda_[mod], b.lambda_[mod])


def test_attributes(tissue):
    model = mt.tl.MTM(tissue, 4, verbose=False)
    assert not model.fitted
    assert (model.n_topics, model.alpha, model.eta, model.seed, model.n_jobs) == (4, 0.25, 0.01, 2291, 10)
    assert model.modalities == ["rna", "atac"]
    assert list(model.barcodes) == list(tissue.obs_names)
    assert list(model.features["atac"]) == list(tissue["atac"].var_names)
    model.VI(2)
    assert model.fitted
    assert model.gamma.shape == (150, 4)
    assert model.gamma.dtype == np.float32
    assert {mod: lam.shape for mod, lam in model.lambda_.items()} == {"rna": (4, 60), "atac": (4, 90)}
    assert "150 observations × [rna 60, atac 90], 4 topics; 2 iterations" in repr(model)
    assert (model.inference, model.params()["inference"]) == ("variational", "variational")


def test_mass_is_conserved(tissue):
    model = fit(tissue, dtype="float64")
    total = sum(np.asarray(adata.X.sum(axis=1, dtype=float)).ravel() for adata in tissue.mod.values())
    np.testing.assert_allclose(model.gamma.sum(axis=1), total + 1, rtol=1e-9)
    for mod, lam in model.lambda_.items():
        assert lam.sum() == pytest.approx(tissue[mod].X.sum(dtype=float) + 0.01 * lam.size, rel=1e-9)


@pytest.mark.parametrize("schedule", ["fast", "original"])
def test_threads_change_no_bit(tissue, schedule):
    one, two, five = (fit(tissue, EXPLORE + 5, n_jobs=n_jobs, schedule=schedule) for n_jobs in (1, 2, 5))
    assert_same_bits(one, two)
    assert_same_bits(one, five)


@pytest.mark.parametrize("schedule", ["fast", "original"])
@pytest.mark.parametrize("first", [7, EXPLORE + 2])
def test_a_fit_goes_on(tissue, schedule, first):
    whole = fit(tissue, first + 5, schedule=schedule)
    parts = fit(tissue, first, schedule=schedule)
    parts.VI(5, schedule=schedule, tol=None)
    assert_same_bits(whole, parts)


def test_a_converged_fit_stops_where_it_is_cut(tissue):
    whole = fit(tissue, 400, tol="auto")
    assert whole.converged
    parts = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False)
    while not parts.converged:
        parts.VI(7)
    assert_same_bits(whole, parts)
    assert len(whole.elbo) < 400
    whole.VI(3, tol=None)
    assert len(whole.elbo) == len(parts.elbo) + 3


def test_seeds(tissue):
    assert_same_bits(fit(tissue, seed=1), fit(tissue, seed=1))
    assert_same_bits(fit(tissue, seed=1), fit(tissue, seed=np.random.default_rng(1)))
    assert fit(tissue, seed=1).elbo != fit(tissue, seed=2).elbo


def test_single_precision_agrees_with_double(tissue):
    single, double = fit(tissue, 5), fit(tissue, 5, dtype="float64")
    assert double.gamma.dtype == np.float64
    np.testing.assert_allclose(single.gamma, double.gamma, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(single.elbo, double.elbo, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bound_never_falls_while_refining(large_tissue, dtype):
    model = mt.tl.MTM(large_tissue, 8, n_jobs=1, verbose=False, dtype=dtype)
    model.VI(EXPLORE + 40, tol=None)
    refined = np.array(model.elbo[EXPLORE:])
    slack = 1e-7 if dtype == "float32" else 1e-12
    assert (np.diff(refined) >= -slack * abs(refined[-1])).all()
    assert refined[-1] > model.elbo[0]


@pytest.mark.parametrize("schedule", ["fast", "original"])
def test_known_topics_come_back(large_tissue, schedule):
    mdata = large_tissue.copy()
    model = mt.tl.MTM(mdata, 8, n_jobs=1, verbose=False)
    model.VI(60, schedule=schedule)
    mt.tl.export_params(model, mdata)
    assert mt.datasets.recovery(mdata)["correlation"].mean() > 0.9


def test_collapsed_inference_finds_known_topics(large_tissue):
    mdata = large_tissue.copy()
    model = mt.tl.MTM(mdata, 8, n_jobs=1, verbose=False, inference="collapsed", dtype="float64")
    model.VI(60, tol=None)
    refined = np.array(model.elbo[EXPLORE:])
    assert (np.diff(refined) >= -1e-12 * abs(refined[-1])).all()
    assert model.params()["inference"] == "collapsed"
    mt.tl.export_params(model, mdata)
    assert mt.datasets.recovery(mdata)["correlation"].mean() > 0.98


def test_collapsed_threads_and_going_on_change_no_bit(tissue):
    options = {"inference": "collapsed", "alpha": "auto", "eta": "auto"}
    whole = fit(tissue, EXPLORE + 5, n_jobs=1, **options)
    parts = fit(tissue, 7, **options)
    parts.VI(EXPLORE - 2, tol=None)
    assert_same_bits(whole, parts)
    assert (whole.alpha, whole.eta, whole.passes) == (parts.alpha, parts.eta, parts.passes)


@pytest.mark.parametrize("inference", ["variational", "collapsed"])
def test_priors_given_and_learned(tissue, inference):
    given = fit(tissue, inference=inference, alpha=0.7, eta=0.05)
    assert (given.alpha, given.eta) == (0.7, 0.05)
    assert 0.7 <= given.gamma.min() < 0.75
    learned = fit(tissue, 40, inference=inference, alpha="auto", eta="auto")
    assert learned.params()["alpha"] == learned.alpha != 0.25
    assert 0.01 < learned.eta < 1
    assert learned.passes > given.passes > 12


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), float("inf"), "learn"])
@pytest.mark.parametrize("name", ["alpha", "eta"])
def test_bad_priors(tissue, name, bad):
    with pytest.raises(ValueError, match=f"{name}={bad!r}"):
        mt.tl.MTM(tissue, verbose=False, **{name: bad})


@pytest.mark.parametrize("options", [{"inference": "collapsed"}, {"alpha": "auto"}, {"eta": "auto"}])
def test_the_original_schedule_has_the_original_model(tissue, options):
    model = mt.tl.MTM(tissue, 4, verbose=False, **options)
    with pytest.raises(ValueError, match="schedule='original' is variational with fixed priors"):
        model.VI(2, schedule="original")
    assert not model.fitted


@pytest.mark.parametrize("options", [{"inference": "collapsed"}, {"alpha": "auto"}])
def test_a_refused_schedule_changes_nothing(tissue, options):
    model = fit(tissue, 3, **options)
    before = (model.gamma, *model.lambda_.values())
    copies, trace, params, passes = [table.copy() for table in before], list(model.elbo), model.params(), model.passes
    with pytest.raises(ValueError, match="schedule='original'"):
        model.VI(2, schedule="original")
    for table, copy in zip((model.gamma, *model.lambda_.values()), copies, strict=True):
        assert table.dtype == np.float32
        np.testing.assert_array_equal(table, copy)
    assert (model.elbo, model.params(), model.passes) == (trace, params, passes)


def expected_log(values):
    return digamma(values) - digamma(values.sum(axis=1, keepdims=True))


def divergence(values, prior):
    """Σ KL(Dirichlet(values) ‖ Dirichlet(prior)) over the rows."""
    own = gammaln(values.sum(axis=1)) - gammaln(values).sum(axis=1)
    given = gammaln(prior * values.shape[1]) - values.shape[1] * gammaln(prior)
    return (own - given + ((values - prior) * expected_log(values)).sum(axis=1)).sum()


def exact_bound(model, mdata):
    """The evidence lower bound of γ and λ as they are, or with mean signatures and their prior in place of λ."""
    gamma = model.gamma.astype(float)
    t, total = np.exp(expected_log(gamma)), -divergence(gamma, model.alpha)
    for mod, lam in model.lambda_.items():
        lam = lam.astype(float)
        if model.inference == "variational":
            b = np.exp(expected_log(lam))
            total -= divergence(lam, model.eta)
        else:
            b, (n_topics, n_features) = lam / lam.sum(axis=1, keepdims=True), lam.shape
            total += n_topics * (gammaln(n_features * (model.eta + 1)) - n_features * gammaln(model.eta + 1))
            total += model.eta * np.log(b).sum()
        total += (mdata[mod].X.toarray() * np.log(t @ b)).sum()
    return total


@pytest.mark.parametrize("inference", ["variational", "collapsed"])
def test_the_trace_is_at_most_the_bound_of_the_posterior_and_comes_to_it(tissue, inference):
    model = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False, dtype="float64", inference=inference)
    gaps = []
    for n_iter in (1, EXPLORE - 2, 1, 1, 150):
        model.VI(n_iter, tol=None)
        gaps.append((exact_bound(model, tissue) - model.elbo[-1]) / abs(model.elbo[-1]))
    assert min(gaps) > -1e-12
    assert gaps[-1] < 1e-5 < gaps[0]


def test_learned_priors_never_lower_the_bound(large_tissue):
    model = mt.tl.MTM(large_tissue, 8, n_jobs=1, verbose=False, dtype="float64", alpha="auto", eta="auto")
    model.VI(EXPLORE + 40, tol=None)
    refined = np.array(model.elbo[EXPLORE:])
    assert (np.diff(refined) >= -1e-12 * abs(refined[-1])).all()
    fixed = mt.tl.MTM(large_tissue, 8, n_jobs=1, verbose=False, dtype="float64")
    fixed.VI(EXPLORE + 40, tol=None)
    assert refined[-1] > fixed.elbo[-1]


@pytest.mark.whole_start
@pytest.mark.parametrize("inference", ["variational", "collapsed"])
@pytest.mark.parametrize("true", [0.05, 0.3])
def test_learned_alpha_is_near_that_of_the_simulation(inference, true):
    cells = mt.datasets.simulate(600, 6, concentration=true, spatial=False)
    model = mt.tl.MTM(cells, 6, n_jobs=1, verbose=False, inference=inference, alpha="auto", eta="auto")
    model.VI(80)
    assert model.alpha == pytest.approx(true, rel=0.3)
    assert 0.02 < model.eta < 0.3  # most features have a concentration of 0.05, the markers 1


def test_work_is_counted(tissue):
    model = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False)
    assert model.passes == 0
    seen = [0.0]
    for n_iter in (1, 1, 1):
        model.VI(n_iter, max_iter_d=5, tol=None)
        seen.append(model.passes)
    start, *later = np.diff(seen)
    assert start > later[0]  # the first iteration has the start before it
    assert all(1 < each <= 6 for each in later)
    model.VI(2, max_iter_d=3, schedule="original")
    assert model.passes - seen[-1] == pytest.approx(8)  # 3 rounds and one M-step, twice
    before = model.passes
    model.SVI(4, 75)
    assert model.passes > before + 2


def test_unknown_inference(tissue):
    with pytest.raises(KeyError, match="did you mean 'collapsed'"):
        mt.tl.MTM(tissue, verbose=False, inference="colapsed")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"n_topics": 1}, ValueError, "n_topics=1"),
        ({"n_topics": 2.5}, ValueError, "n_topics=2.5: give a whole number"),
        ({"n_topics": None}, TypeError, "n_topics=None: give a whole number"),
        ({"n_jobs": 0}, ValueError, "n_jobs=0"),
    ],
)
def test_bad_arguments(tissue, arguments, error, said):
    with pytest.raises(error, match=said):
        mt.tl.MTM(tissue, verbose=False, **arguments)


def test_unknown_dtype_and_schedule(tissue):
    with pytest.raises(KeyError, match="float32"):
        mt.tl.MTM(tissue, dtype="float16")
    with pytest.raises(KeyError, match="did you mean 'original'"):
        mt.tl.MTM(tissue, verbose=False).VI(schedule="orginal")


@pytest.mark.parametrize(
    "arguments", [{"n_iter": -1}, {"max_iter_d": 0}, {"tol": -1.0}], ids=lambda arguments: next(iter(arguments))
)
def test_bad_fit_arguments_leave_the_model_as_it_was(tissue, arguments):
    model = fit(tissue, 3)
    before = model.gamma.copy()
    with pytest.raises(ValueError, match=next(iter(arguments))):
        model.VI(**arguments)
    np.testing.assert_array_equal(model.gamma, before)


@pytest.mark.parametrize("size", [1.5, np.inf, "3", None])
def test_sizes_that_are_no_whole_numbers(tissue, size):
    model = mt.tl.MTM(tissue, verbose=False)
    for fit, name in ((model.VI, "n_iter"), (model.VI, "max_iter_d"), (model.SVI, "batch_size")):
        error = ValueError if isinstance(size, float) else TypeError
        with pytest.raises(error, match=f"{name}={size!r}: (text is no number, )?give a whole number"):
            fit(**{name: size})
    assert not model.fitted


@pytest.mark.parametrize("where", ["e_step", "m_step", "bound"])
@pytest.mark.parametrize("done", [0, 3])
def test_interrupted_fits_keep_their_last_whole_iteration(tissue, monkeypatch, where, done):
    model = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False)
    if done:
        model.VI(done, tol=None)
    before = model.gamma.copy()

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Posterior, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.VI(5, tol=None)
    monkeypatch.undo()
    np.testing.assert_array_equal(model.gamma, before)
    model.VI(5 - done, tol=None)
    assert_same_bits(model, fit(tissue, 5))


@pytest.mark.parametrize("where", ["learned_alpha", "learned_eta"])
def test_fits_interrupted_while_priors_are_learned_keep_all_of_an_iteration(tissue, monkeypatch, where):
    options = {"alpha": "auto", "eta": "auto", "inference": "collapsed"}
    model = fit(tissue, EXPLORE + 1, **options)
    before = model.gamma.copy(), model.alpha, model.eta, len(model.elbo)

    def interrupted(posterior):
        raise KeyboardInterrupt

    monkeypatch.setattr(Posterior, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.VI(2, tol=None)
    monkeypatch.undo()
    np.testing.assert_array_equal(model.gamma, before[0])
    assert (model.alpha, model.eta, len(model.elbo)) == before[1:]
    model.VI(2, tol=None)
    assert_same_bits(model, fit(tissue, EXPLORE + 3, **options))


def test_convergence_is_that_of_the_schedule_at_hand(tissue):
    model = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False)
    model.VI(60, schedule="original")
    model.VI(30, tol=1e-1)
    assert len(model.elbo) == 60 + WINDOW + 1
    assert model.converged


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_fitted_model_can_be_pickled(tissue, n_jobs):
    model = fit(tissue, 3, n_jobs=n_jobs)
    again = pickle.loads(pickle.dumps(model))
    for each in (model, again):
        each.VI(2, tol=None)
    assert_same_bits(model, again)


@pytest.mark.parametrize("total", [1e-9, 1e-7, 1e-3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tiny_totals(tissue, total, dtype):
    adata = tissue["rna"].copy()
    adata.X = adata.X * (total / adata.X.sum(axis=1).max())
    model = mt.tl.MTM(adata, 4, verbose=False, dtype=dtype)
    model.VI(3, tol=None)
    np.testing.assert_allclose(model.gamma.sum(axis=1), 1, atol=2 * total)
    assert np.isfinite(model.elbo).all()


def test_counts_too_large_for_single_precision(tissue):
    adata = tissue["rna"].copy()
    adata.X = adata.X.astype(np.float64) * 1e40
    with pytest.raises(ValueError, match="too large for float32"):
        mt.tl.MTM(adata, 4)
    mt.tl.MTM(adata, 4, dtype="float64")


def test_warnings_point_at_the_callers_line(tissue):
    counts = tissue["rna"].X.toarray()
    counts[3] = 0
    adata = tissue["rna"].copy()
    adata.X = csr_matrix(counts)
    for call in (mt.tl.MTM, lambda data: mt.tl.topic_model(data, 3, n_iter=1, verbose=False)):
        with pytest.warns(UserWarning, match="1 of 150 observations have no counts") as caught:
            call(adata)
        assert caught[0].filename == __file__


def test_progress_is_shown_with_the_bound_or_not_at_all(tissue, capsys):
    mt.tl.MTM(tissue, 4).VI(3)
    assert "ELBO per count" in capsys.readouterr().err
    mt.tl.MTM(tissue, 4, verbose=False).VI(3)
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""


@pytest.mark.slow
def test_topics_of_the_mouse_cortex_follow_its_cell_types(real_mudata):
    """20 iterations of the original reach an NMI of 0.454 to 0.474 over 3 seeds (benchmarks/cell_types.py)."""
    mdata = real_mudata("snareseq_mouse_cortex")
    for mod in mdata.mod:
        mt.pp.tfidf(mdata, mod=mod)
    mt.pp.scale_counts(mdata)
    model = mt.tl.MTM(mdata, 20, n_jobs=1, verbose=False)
    model.VI(20)
    cell_type = mdata.obs["cell_type"]
    known = ~cell_type.isin(["Mis", "ambiguous", "undetermined", "unassigned"]).to_numpy()
    score = normalized_mutual_info_score(cell_type[known], model.gamma[known].argmax(axis=1))
    assert score > 0.45
