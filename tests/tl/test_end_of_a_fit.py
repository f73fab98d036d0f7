"""Where a default fit of real tissue stops, going on changes nothing."""

import pytest
from anndata import read_h5ad

import mtopic as mt


@pytest.mark.parametrize(
    ("name", "n_topics", "inference"), [("her2st_B1", 8, "variational"), ("mob_st", 15, "collapsed")]
)
def test_further_iterations_change_next_to_nothing(shared, name, n_topics, inference):
    data = read_h5ad(shared / "data" / f"{name}.h5ad")
    data = data[:, (data.X > 0).sum(axis=0) > 0.6 * data.n_obs].copy()
    where = {"spatial_key": "spatial", "n_neighbors": 6, "inference": inference, "n_jobs": 1, "verbose": False}
    mt.tl.topic_model(data, n_topics, **where)
    fit = data.uns["mtopic"]
    assert fit["params"]["converged"]
    n_iter = len(fit["elbo"]) + 300
    mt.tl.topic_model(data, n_topics, **where, n_iter=n_iter, tol=None, key_added="later")
    ended, later = data.obsm["topics"], data.obsm["later_topics"]
    assert abs(ended - later.to_numpy()).to_numpy().sum(axis=1).mean() / 2 < 0.01
    for key in ("topics", "later_topics"):
        mt.tl.dominant_topics(data, topics=key, key_added=key)
    assert (data.obs["topics"].astype(str) != data.obs["later_topics"].astype(str)).mean() < 0.02
