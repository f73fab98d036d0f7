import warnings

import numpy as np
import pytest

import mtopic as mt

CELLS = {"inference": "collapsed", "alpha": "auto", "eta": "auto"}
TISSUE = {"inference": "variational", "alpha": "auto", "eta": "frequency"}


def test_raw_counts_are_fitted(tissue):
    prepared = tissue.copy()
    mt.pp.tfidf(prepared, mod="rna")
    mt.pp.scale_counts(prepared)
    for data in (tissue, prepared):
        assert mt.tl.topic_model(data, 4, verbose=False) is None
    np.testing.assert_array_equal(tissue.obsm["topics"], prepared.obsm["topics"])
    assert tissue.uns["mtopic"]["params"]["model"] == "MTM"
    assert tissue.uns["mtopic"]["params"]["raw"]


def test_prepared_counts_without_raw_ones_are_warned_of(tissue):
    mt.pp.tfidf(tissue, mod="atac")
    del tissue["atac"].layers["counts"]
    with pytest.warns(UserWarning, match=r"'atac' was prepared by tfidf and has no layers\['counts'\]"):
        mt.tl.topic_model(tissue, 4, n_iter=2, verbose=False)


def test_logarithms_in_place_of_counts_are_warned_of(tissue):
    tissue["atac"].X = tissue["atac"].X.log1p()
    with pytest.warns(
        UserWarning, match=r"of modality 'atac' are not whole numbers, such as 1.1.*layers\['counts'\]"
    ) as said:
        mt.tl.topic_model(tissue, 4, n_iter=2, verbose=False)
    assert len([one for one in said if "whole numbers" in str(one.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        mt.tl.MTM(tissue, 4, verbose=False)
        tissue["atac"].layers["counts"] = tissue["atac"].X.expm1().rint()
        mt.tl.topic_model(tissue, 4, n_iter=2, verbose=False)


@pytest.mark.parametrize("spatial", [False, True])
def test_it_is_the_model_and_the_export(tissue, spatial, fingerprint):
    by_hand, where = tissue.copy(), {"n_neighbors": 6, "spatial_key": "spatial"} if spatial else {}
    of, defaults = (mt.tl.sMTM, TISSUE) if spatial else (mt.tl.MTM, CELLS)
    model = of(by_hand, 4, raw=True, verbose=False, **where, **defaults)
    model.VI(30, tol=None)
    mt.tl.export_params(model, by_hand)
    mt.tl.topic_model(tissue, 4, n_iter=30, tol=None, verbose=False, **where)
    np.testing.assert_array_equal(tissue.obsm["topics"], by_hand.obsm["topics"])
    assert fingerprint(tissue.uns["mtopic"]["params"]) == fingerprint(by_hand.uns["mtopic"]["params"])
    assert ("spatial_connectivities" in tissue.obsp) is spatial


@pytest.mark.parametrize(
    "arguments",
    [
        {"smoothing": "original"},
        {"strength": 0.7, "bandwidth": 150.0},
        {"neighbors_method": "delaunay", "inference": "collapsed", "alpha": 0.3, "eta": "auto"},
    ],
)
def test_options_of_tissue_are_those_of_the_model(tissue, arguments, fingerprint):
    by_hand, method = tissue.copy(), arguments.get("neighbors_method")
    options = {"n_neighbors": None if method else 6, **TISSUE, **arguments}
    model = mt.tl.sMTM(by_hand, 4, spatial_key="spatial", raw=True, verbose=False, **options)
    model.VI(15, tol=None)
    mt.tl.export_params(model, by_hand)
    mt.tl.topic_model(tissue, 4, spatial_key="spatial", n_iter=15, tol=None, verbose=False, **arguments)
    np.testing.assert_array_equal(tissue.obsm["topics"], by_hand.obsm["topics"])
    assert fingerprint(tissue.uns["mtopic"]["params"]) == fingerprint(by_hand.uns["mtopic"]["params"])


def test_other_inference_and_priors(tissue):
    mt.tl.topic_model(tissue, 4, inference="variational", alpha=None, eta=0.02, n_iter=5, verbose=False)
    params = tissue.uns["mtopic"]["params"]
    assert (params["inference"], params["alpha"], params["eta"]) == ("variational", 0.25, 0.02)


def test_a_graph_makes_it_spatial(tissue):
    mt.tl.topic_model(tissue, 4, spatial_key="spatial", n_neighbors=6, verbose=False)
    first = tissue.obsm["topics"].copy()
    mt.tl.topic_model(tissue, 4, neighbors_key="spatial", key_added="again", verbose=False)
    np.testing.assert_allclose(tissue.obsm["again_topics"], first, atol=1e-4)


@pytest.mark.parametrize(
    "arguments",
    [
        {"radius": 0.2},
        {"n_neighbors": 4},
        {"spatial_key": "spatial"},
        {"neighbors_method": "delaunay"},
        {"neighbors_method": "grid"},
        {"library_key": "section"},
    ],
)
def test_any_word_of_neighbours_makes_it_spatial(tissue, arguments):
    tissue.obs["section"] = ["one"] * 75 + ["two"] * 75
    mt.tl.topic_model(tissue, 4, n_iter=3, verbose=False, **arguments)
    assert tissue.uns["mtopic"]["params"]["model"] == "sMTM"


def test_copy(tissue, fingerprint):
    before = fingerprint(tissue)
    result = mt.tl.topic_model(tissue, 4, key_added="my", copy=True, verbose=False)
    assert fingerprint(tissue) == before
    assert "my_topics" in result.obsm
    assert "my_signatures" in result["rna"].varm
    assert "my_mtopic" in result.uns


def test_anndata(tissue):
    adata = tissue["rna"].copy()
    mt.tl.topic_model(adata, 4, rng=np.random.default_rng(0), verbose=False)
    assert adata.obsm["topics"].shape == (150, 4)
    assert adata.varm["signatures"].shape == (60, 4)


def test_what_cannot_be_written_is_said_before_the_fit(tissue, tmp_path):
    from anndata import read_h5ad

    tissue["rna"].write_h5ad(tmp_path / "rna.h5ad")
    backed = read_h5ad(tmp_path / "rna.h5ad", backed="r")
    tissue.uns["my_mtopic"] = "mine"
    for data, options, said in (
        (tissue, {"key_added": "a/b"}, "key_added='a/b': names of slots hold no '/'"),
        (tissue, {"key_added": "my"}, r"uns\['my_mtopic'\] holds something .* give another key_added"),
        (backed, {"copy": True}, "backed mode"),
    ):
        seen = []
        with pytest.raises(ValueError, match=said):
            mt.tl.topic_model(data, 4, callback=seen.append, verbose=False, **options)
        assert not seen
    backed.file.close()


def test_nothing_is_written_when_it_fails(tissue, fingerprint):
    before = fingerprint(tissue)
    with pytest.raises(KeyError, match="did you mean 'spatial'"):
        mt.tl.topic_model(tissue, 4, spatial_key="spatiall", verbose=False)
    with pytest.raises(ValueError, match="n_topics=1"):
        mt.tl.topic_model(tissue, 1, verbose=False)
    assert fingerprint(tissue) == before


@pytest.mark.parametrize("spatial_key", [None, "spatial"])
def test_known_topics_come_back(large_tissue, spatial_key):
    mdata = large_tissue.copy()
    mt.tl.topic_model(mdata, 8, spatial_key=spatial_key, n_neighbors=6, verbose=False)
    assert mt.datasets.recovery(mdata)["correlation"].mean() > 0.9


def stop_after(n):
    return lambda model: len(model.elbo) == n


@pytest.mark.parametrize("options", [{}, {"spatial_key": "spatial"}, {"n_init": 2}, {"rng": "generator"}])
def test_a_fit_goes_on_from_its_checkpoint_to_the_same_bits(tissue, tmp_path, options, fingerprint):
    path, whole = tmp_path / "model.h5", tissue.copy()

    def fit(data, **more):
        given = options | ({"rng": np.random.default_rng(5)} if "rng" in options else {})
        mt.tl.topic_model(data, 4, n_iter=14, tol=None, verbose=False, **given, **more)

    fit(whole)
    if "n_init" in options:
        with pytest.raises(RuntimeError, match="crash"):
            fit(tissue, checkpoint=path, checkpoint_every=1, callback=crash_at(6))
    else:
        fit(tissue, checkpoint=path, callback=stop_after(6))
    seen = []
    fit(tissue, checkpoint=path, callback=lambda model: seen.append(len(model.elbo)))
    assert seen[0] == 7
    np.testing.assert_array_equal(tissue.obsm["topics"], whole.obsm["topics"])
    assert fingerprint(tissue.uns["mtopic"]["params"]) == fingerprint(whole.uns["mtopic"]["params"])
    fit(tissue, checkpoint=path, callback=lambda model: pytest.fail("all was done"))
    np.testing.assert_array_equal(tissue.obsm["topics"], whole.obsm["topics"])


def crash_at(n):
    def crash(model):
        if len(model.elbo) == n:
            raise RuntimeError("crash")

    return crash


def test_a_checkpoint_of_another_fit_is_not_replaced(tissue, tmp_path):
    path = tmp_path / "model.h5"
    common = {"n_iter": 5, "verbose": False, "checkpoint": path}
    mt.tl.topic_model(tissue, 4, **common)
    for other in ({"n_topics": 5}, {"alpha": 0.3}, {"spatial_key": "spatial"}, {"rng": 1}, {"eta": {"rna": 0.2}}):
        with pytest.raises(ValueError, match="model.h5' holds a fit with other options: name another file, or remove"):
            mt.tl.topic_model(tissue, **{"n_topics": 4, **other}, **common)
    with pytest.raises(ValueError, match="n_iter=3: the fit in checkpoint=.* has had 5 iterations; give more"):
        mt.tl.topic_model(tissue, 4, **{**common, "n_iter": 3})
    mt.tl.topic_model(tissue, 4, n_jobs=1, **common)
    fewer = tissue[:140].copy()
    with pytest.raises(ValueError, match="checkpoint: .*do not belong together.*name another file, or remove this one"):
        mt.tl.topic_model(fewer, 4, **common)
    path.write_text("notes")
    with pytest.raises(ValueError, match="is not a model that model.save wrote; name another file"):
        mt.tl.topic_model(tissue, 4, **common)
    assert path.read_text() == "notes"


def test_coordinates_that_are_not_used_are_told_of(tissue, capsys):
    said = "with spatial_key='spatial', neighbours share their topics"
    mt.tl.topic_model(tissue, 4, n_iter=2)
    assert said in capsys.readouterr().out
    for options in ({"verbose": False}, {"spatial_key": "spatial"}, {"n_neighbors": 4}):
        mt.tl.topic_model(tissue, 4, n_iter=2, **options)
        assert said not in capsys.readouterr().out
    del tissue.obsm["spatial"]
    mt.tl.topic_model(tissue, 4, n_iter=2)
    assert said not in capsys.readouterr().out


def test_more_topics_than_the_data_can_tell_apart_are_warned_of(tissue):
    few = tissue["rna"][:, :6].copy()
    with pytest.warns(UserWarning, match="n_topics=7: the data have but 6 features"):
        mt.tl.topic_model(few, 7, n_iter=2, verbose=False)
    with pytest.warns(UserWarning, match="n_topics=9: the data have but 8 observations"):
        mt.tl.MTM(tissue[:8].copy(), 9, verbose=False)
