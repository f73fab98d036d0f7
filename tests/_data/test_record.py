"""The id of a fit, what follows from it, and what is said when either is of another."""

import warnings

import numpy as np
import pytest
from mudata import read_h5mu

import mtopic as mt
from mtopic._data import record

FOLLOWING = {
    "obs:topic": lambda data: mt.tl.dominant_topics(data),
    "rna:obsm:zscores": lambda data: mt.tl.zscores(data, mod="rna"),
    "uns:topic_quality": lambda data: mt.tl.topic_quality(data),
    "uns:topic_autocorr": lambda data: mt.tl.topic_autocorr(data),
    "uns:topic_neighborhoods": lambda data: mt.tl.topic_neighborhoods(data, n_perms=5),
    "obs:topic_border": lambda data: mt.tl.borders(data),
    "obs:domain": lambda data: mt.tl.spatial_domains(data, 2),
    "rna:layers:denoised": lambda data: mt.tl.denoise(data, "rna", list(data["rna"].var_names[:3])),
}
READERS = {
    "obs:topic": lambda data: mt.pl.composition(data, "topic", show=False),
    "rna:obsm:zscores": lambda data: mt.pl.zscores(data, "rna", "spatial", show=False),
    "uns:topic_neighborhoods": lambda data: mt.pl.topic_neighborhoods(data, show=False),
    "obs:topic_border": lambda data: mt.pl.borders(data, "spatial", show=False),
    "obs:domain": lambda data: mt.get.topics(data),
}
OF_THE_FIT = ("topics_sd", "topics_low", "topics_high", "modality_agreement")


def fit(data, n_topics, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mt.tl.topic_model(data, n_topics, n_neighbors=4, spatial_key="spatial", n_iter=5, verbose=False, **options)


@pytest.fixture(scope="module")
def followed():
    """A fit and what follows from it, then another fit."""
    data = mt.datasets.simulate(n_obs=80, modalities={"rna": 20, "atac": 30})
    fit(data, 3)
    for call in FOLLOWING.values():
        call(data)
    before = data.copy()
    fit(data, 4)
    return before, data


def test_the_id_is_that_of_the_fit(followed):
    before, after = followed
    again = mt.datasets.simulate(n_obs=80, modalities={"rna": 20, "atac": 30})
    fit(again, 3, n_jobs=1)
    assert again.uns["mtopic"]["id"] == before.uns["mtopic"]["id"] != after.uns["mtopic"]["id"]


@pytest.mark.parametrize("slot", FOLLOWING)
def test_what_follows_bears_the_id_and_is_outdated_by_the_next_fit(followed, slot):
    before, after = followed
    assert before.uns["mtopic"]["results"].loc[slot, "fit"] == before.uns["mtopic"]["id"]
    assert not record.is_outdated(before, slot)
    assert record.is_outdated(after, slot)
    made_anew = after.copy()
    FOLLOWING[slot](made_anew)
    assert not record.is_outdated(made_anew, slot)


@pytest.mark.parametrize("slot", READERS)
def test_readers_say_what_is_of_an_earlier_fit(followed, slot):
    before, after = followed
    with pytest.warns(UserWarning, match=f"{slot} follows from an earlier fit"):
        READERS[slot](after.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        READERS[slot](before.copy())


def test_a_slot_follows_from_the_table_that_it_was_last_made_of(followed):
    data = followed[0].copy()
    mt.tl.dominant_topics(data, "true_topics")
    assert "obs:topic" not in data.uns["mtopic"]["results"].index
    with pytest.warns(UserWarning, match="follow from an earlier fit") as caught:
        mt.tl.topic_model(data, 4, n_iter=2, verbose=False)
    assert not any("obs:topic," in str(one.message) for one in caught)
    mt.tl.dominant_topics(data)
    assert data.uns["mtopic"]["results"].loc["obs:topic", "fit"] == data.uns["mtopic"]["id"]


def test_the_next_fit_names_what_it_outdates_and_takes_its_own_tables_away(followed):
    data = followed[0].copy()
    mt.tl.uncertainty(data)
    mt.tl.modality_agreement(data)
    del data.obs["topic_border"]
    with pytest.warns(UserWarning, match="follow from an earlier fit") as caught:
        mt.tl.topic_model(data, 4, n_iter=2, verbose=False)
    (said,) = (str(one.message) for one in caught if "earlier fit" in str(one.message))
    assert "obs:topic," in said
    assert "rna:layers:denoised" in said
    assert "topic_border" not in said
    assert not {*OF_THE_FIT} & {*data.obsm}


def test_ids_and_marks_are_kept_in_files(followed, tmp_path):
    followed[1].write_h5mu(tmp_path / "data.h5mu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = read_h5mu(tmp_path / "data.h5mu")
    assert all(record.is_outdated(data, slot) for slot in FOLLOWING)


COUNTS = {
    "logarithms": lambda adata: setattr(adata, "X", np.log1p(adata.X)),
    "doubled": lambda adata: setattr(adata, "X", adata.X * 2),
}
READ_COUNTS = {
    "uncertainty": lambda data: mt.tl.uncertainty(data),
    "signature_uncertainty": lambda data: mt.tl.signature_uncertainty(data),
    "zscores": lambda data: mt.tl.zscores(data, mod="X"),
    "topic_quality": lambda data: mt.tl.topic_quality(data),
    "denoise": lambda data: mt.tl.denoise(data, "X", list(data.var_names[:2])),
    "expected_counts": lambda data: mt.get.expected_counts(data, "X", list(data.var_names[:2])),
    "compare_topics": lambda data: mt.tl.compare_topics(data, "state", "a", sample_key="donor"),
}


@pytest.fixture(scope="module")
def cells():
    adata = mt.datasets.simulate(n_obs=80, n_topics=3, modalities={"rna": 20}, spatial=False)["rna"].copy()
    fit_options = {"n_iter": 5, "verbose": False}
    mt.tl.topic_model(adata, 3, **fit_options)
    adata.obs["donor"] = [str(d % 4) for d in range(80)]
    adata.obs["state"] = ["a" if d % 4 < 2 else "b" for d in range(80)]
    return adata


@pytest.mark.parametrize("change", COUNTS)
@pytest.mark.parametrize("call", READ_COUNTS)
def test_counts_that_are_not_those_of_the_fit_are_told(cells, call, change):
    changed = cells.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        READ_COUNTS[call](cells.copy())
    COUNTS[change](changed)
    with pytest.warns(UserWarning, match="does not hold the counts of the fit"):
        READ_COUNTS[call](changed)


def test_features_that_are_gone_are_told(cells):
    part, new = cells[:, :8].copy(), cells[:20].copy()
    with pytest.warns(UserWarning, match="8 of the 20 features of the fit"):
        mt.tl.transform(part, new, key_added="again", verbose=False)
    with pytest.warns(UserWarning, match="8 features in place of 20"):
        mt.tl.uncertainty(part)


def test_a_part_of_the_cells_is_said_where_all_count(cells):
    part = cells[:40].copy()
    with pytest.warns(UserWarning, match="40 observations in place of 80: results are of these; call this on all"):
        mt.tl.uncertainty(part)
    assert part.obsm["topics_sd"].shape == (40, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        mt.get.expected_counts(part, None, list(part.var_names[:2]))
