import warnings
from itertools import combinations

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scanpy.plotting import palettes
from scipy.sparse import block_diag, csr_array, csr_matrix
from sklearn.metrics import adjusted_rand_score

import mtopic as mt
from mtopic.tl import _partitions, _spatial_domains
from mtopic.tl import _ring_means as _ring_means

SIDE = 18
MEANS = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.4, 0.4]])


def square_grid(side):
    """Neighbours above, below and beside."""
    line = np.eye(side, k=1) + np.eye(side, k=-1)
    return np.kron(np.eye(side), line) + np.kron(line, np.eye(side))


def tissue_of(proportions, graph):
    names = [f"spot_{d}" for d in range(len(proportions))]
    adata = AnnData(np.ones((len(names), 1), np.float32), obs=pd.DataFrame(index=names))
    columns = [f"topic_{k + 1}" for k in range(proportions.shape[1])]
    adata.obsm["topics"] = pd.DataFrame(proportions, index=names, columns=columns)
    adata.obsp["spatial_connectivities"] = csr_matrix(graph)
    return adata


def striped(seed=0):
    """A square tissue of three stripes, 4, 6 and 8 columns wide, with noisy topics."""
    stripe = np.tile(np.repeat([0, 1, 2], [4, 6, 8]), SIDE)
    rng = np.random.default_rng(seed)
    proportions = np.array([rng.dirichlet(2.5 * MEANS[i]) for i in stripe])
    adata = tissue_of(proportions, square_grid(SIDE))
    adata.obs["stripe"] = stripe
    return adata


@pytest.fixture
def stripes():
    return striped()


def agreement(data, key="domain"):
    return adjusted_rand_score(data.obs["stripe"], data.obs[key].astype(str))


def test_what_is_below_the_median_says_nothing(stripes):
    """Proportions that are below their medians change places; the medians stay."""
    mt.tl.spatial_domains(stripes, 8)
    table, rng = stripes.obsm["topics"], np.random.default_rng(1)
    values, medians = table.to_numpy().copy(), table.median().to_numpy()
    changed = 0
    for row in values:
        low = np.flatnonzero(row < medians)
        dealt = row[low].sum() * rng.dirichlet(np.ones(len(low)))
        if (dealt < medians[low]).all():
            row[low] = dealt
            changed += 1
    assert changed > 0.3 * len(values)
    stripes.obsm["other"] = pd.DataFrame(values, index=table.index, columns=table.columns)
    mt.tl.spatial_domains(stripes, 8, topics="other", key_added="again")
    assert list(stripes.obs["again"]) == list(stripes.obs["domain"])


def test_regions_are_found_and_numbered_by_size(stripes):
    mt.tl.spatial_domains(stripes, 3)
    domain = stripes.obs["domain"]
    assert agreement(stripes) > 0.85
    assert isinstance(domain.dtype, pd.CategoricalDtype) and list(domain.cat.categories) == ["1", "2", "3"]
    assert domain.value_counts()[["1", "2", "3"]].is_monotonic_decreasing
    by_stripe = domain.astype(str).groupby(stripes.obs["stripe"]).agg(lambda labels: labels.mode()[0])
    assert list(by_stripe) == ["3", "2", "1"]
    assert stripes.uns["domain_colors"] == palettes.default_20[:3]
    assert stripes.uns["domain"] == {
        "params": {
            "topics": "topics",
            "neighbors_key": "spatial",
            "n_rings": 2,
            "method": "mixture",
            "n_domains": 3,
        }
    }


def test_surroundings_tell_more_than_single_observations(stripes):
    mt.tl.spatial_domains(stripes, 3, n_rings=0, key_added="alone")
    mt.tl.spatial_domains(stripes, 3)
    assert agreement(stripes) > agreement(stripes, "alone") + 0.2


def test_regions_of_the_same_topics_in_another_arrangement():
    """On the left both topics alternate, on the right there is one of them only."""
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    second = ((row + column) % 2 == 1) & (column < SIDE // 2)
    adata = tissue_of(np.where(second[:, None], [0.1, 0.9], [0.9, 0.1]), square_grid(SIDE))
    adata.obs["stripe"] = (column < SIDE // 2).astype(int)
    mt.tl.spatial_domains(adata, 2, n_rings=0, key_added="alone")
    assert adjusted_rand_score(second, adata.obs["alone"].astype(str)) == 1
    mt.tl.spatial_domains(adata, 3, n_rings=2)
    within = pd.crosstab(adata.obs["domain"], adata.obs["stripe"])
    assert within.min(axis=1).sum() < 0.1 * adata.n_obs


@pytest.mark.parametrize("n_rings", [0, 1, 3])
def test_rings_against_numpy(n_rings, monkeypatch):
    monkeypatch.setattr(_ring_means, "ROWS_AT_ONCE", 7)
    rng = np.random.default_rng(1)
    n_obs = 40
    graph = rng.random((n_obs, n_obs)) < 0.05
    graph = np.triu(graph, 1) | np.triu(graph, 1).T
    graph[3] = graph[:, 3] = False
    shares = rng.dirichlet(np.ones(3), n_obs)
    shares[[5, 8]] = np.nan
    found = _ring_means.ring_means(shares, csr_array(graph.astype(float)), n_rings)

    roots = np.sqrt(shares)
    reached, ring = np.eye(n_obs, dtype=bool), np.eye(n_obs, dtype=bool)
    expected = [roots]
    for _ in range(n_rings):
        ring = ((ring.astype(int) @ graph.astype(int)) > 0) & ~reached
        reached |= ring
        members = [np.flatnonzero(row & ~np.isnan(roots[:, 0])) for row in ring]
        layer = np.array([roots[m].mean(axis=0) if m.size else expected[-1][d] for d, m in enumerate(members)])
        layer[[5, 8]] = np.nan
        expected.append(layer)
    np.testing.assert_allclose(found, np.hstack(expected), atol=1e-12)
    np.testing.assert_allclose(found[3], np.tile(roots[3], n_rings + 1))


def test_number_of_domains_by_stability(stripes, tmp_path):
    mt.tl.spatial_domains(stripes, candidates=range(2, 7), n_runs=4)
    result = stripes.uns["domain"]
    assert result["params"]["n_domains"] == 3
    assert agreement(stripes) > 0.85
    scores = result["stability"]
    assert list(scores.columns) == ["n_domains", "stability", "standard_error"]
    assert list(scores["n_domains"]) == [2, 3, 4, 5, 6]
    assert scores["stability"].between(0, 1).all() and scores["standard_error"].between(0, 0.5).all()
    assert scores["stability"][1] > 0.99
    stripes.write_h5ad(tmp_path / "a.h5ad")
    read = anndata.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(
        read.uns["domain"]["stability"], scores, check_index_type=False, check_column_type=False
    )
    assert list(read.obs["domain"]) == list(stripes.obs["domain"])


@pytest.mark.parametrize(
    ("stability", "errors", "chosen"),
    [
        ([0.9, 0.95, 0.8], [0.01, 0.01, 0.01], 3),
        ([0.95, 0.94, 0.8], [0.0, 0.01, 0.01], 3),
        ([0.95, 0.94, 0.8], [0.1, 0.009, 0.01], 2),
        ([0.95, 0.8, 0.9], [0.0, 0.1, 0.05], 4),
    ],
)
def test_the_largest_number_that_is_as_stable_as_the_best(stripes, stability, errors, chosen, monkeypatch):
    table = pd.DataFrame({"n_domains": [2, 3, 4], "stability": stability, "standard_error": errors})
    monkeypatch.setattr(_spatial_domains, "stability", lambda *args, **kwargs: table)
    mt.tl.spatial_domains(stripes, candidates=range(2, 5))
    assert stripes.uns["domain"]["params"]["n_domains"] == chosen


def test_stability_against_pairs_of_resamples():
    """Partitions by place: into halves or into parities, by the seed."""
    points, seeds = np.arange(40.0)[:, None], []

    def cut(points, numbers, seed):
        seeds.append(seed)
        odd = len(seeds) % 2
        return {n: (points[:, 0] % 2 if odd else points[:, 0] >= 20).astype(int) for n in numbers}

    options = {"n_runs": 3, "n_jobs": 1, "verbose": False}
    table = _partitions.stability(points, [2], cut, rng=np.random.default_rng(0), **options)
    rng = np.random.default_rng(0)
    samples = [set(rng.choice(40, 32, replace=False)) for _ in range(3)]
    scores = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both = np.array(sorted(samples[i] & samples[j]))
        labels = [both % 2, (both >= 20).astype(int), both % 2]
        scores.append(adjusted_rand_score(labels[i], labels[j]))
    assert table["stability"][0] == pytest.approx(np.mean(scores))
    assert table["standard_error"][0] == pytest.approx(np.std(scores) / np.sqrt(3))


def test_mixtures_that_disagree_are_outvoted():
    """Of points in a square there are no groups: single mixtures differ, what they agree on differs less."""
    points = np.random.default_rng(0).random((200, 2))
    single, agreed = (
        [_partitions.mixture(points, [5], seed, n_init=n_init)[5] for seed in range(5)] for n_init in (1, 10)
    )

    def likeness(partitions):
        return np.mean([adjusted_rand_score(a, b) for a, b in combinations(partitions, 2)])

    assert likeness(agreed) > likeness(single)


def test_the_seed_decides(stripes):
    labels, scores = [], []
    for rng, n_jobs in ((0, 1), (0, 2), (np.random.default_rng(0), 1), (1, 1)):
        mt.tl.spatial_domains(stripes, candidates=[3, 5], n_runs=3, n_init=1, rng=rng, n_jobs=n_jobs)
        labels.append(list(stripes.obs["domain"]))
        scores.append(stripes.uns["domain"]["stability"])
    assert labels[0] == labels[1] == labels[2]
    pd.testing.assert_frame_equal(scores[0], scores[1])
    pd.testing.assert_frame_equal(scores[0], scores[2])
    assert not scores[0].equals(scores[3])


def test_missing_and_isolated_observations(stripes):
    stripes.obsm["topics"].iloc[[4, 40], 1] = np.nan
    graph = stripes.obsp["spatial_connectivities"].toarray()
    graph[100] = graph[:, 100] = 0
    stripes.obsp["spatial_connectivities"] = csr_matrix(graph)
    with pytest.warns(UserWarning, match=r"1 of 324 observations \(0.3%\) have no neighbour"):
        mt.tl.spatial_domains(stripes, 3)
    domain = stripes.obs["domain"]
    assert set(np.flatnonzero(domain.isna())) == {4, 40}
    rest = domain.notna()
    assert adjusted_rand_score(stripes.obs["stripe"][rest], domain[rest].astype(str)) > 0.85


def test_several_sections_share_their_domains(stripes):
    other = striped(seed=1)
    proportions = np.vstack([part.obsm["topics"] for part in (stripes, other)])
    graph = block_diag([part.obsp["spatial_connectivities"] for part in (stripes, other)], format="csr")
    both = tissue_of(proportions, graph)
    both.obs["stripe"] = [*stripes.obs["stripe"], *other.obs["stripe"]]
    mt.tl.spatial_domains(both, 3)
    assert agreement(both) > 0.85


def test_mudata(stripes, fingerprint):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata = MuData({"rna": stripes[::-1].copy(), "prot": stripes.copy()})
    del mdata["prot"].obsp["spatial_connectivities"]
    mdata.obsm["topics"] = stripes.obsm["topics"].loc[mdata.obs_names]
    before = fingerprint(mdata.mod)
    mt.tl.spatial_domains(mdata, 3, key_added="region")
    mt.tl.spatial_domains(stripes, 3)
    expected = stripes.obs["domain"].loc[mdata.obs_names]
    assert adjusted_rand_score(mdata.obs["region"].astype(str), expected.astype(str)) > 0.95
    assert set(mdata.uns) == {"region", "region_colors"}
    assert before == fingerprint(mdata.mod)


def test_colours_of_the_user_are_kept(stripes):
    stripes.uns["domain_colors"] = ["red", "green", "blue"]
    mt.tl.spatial_domains(stripes, 3)
    assert stripes.uns["domain_colors"] == ["red", "green", "blue"]
    mt.tl.spatial_domains(stripes, 4)
    assert len(stripes.uns["domain_colors"]) == 4


def test_leiden(stripes):
    for n_domains in (2, 6, 3):
        mt.tl.spatial_domains(stripes, n_domains, method="leiden")
        assert list(stripes.obs["domain"].cat.categories) == [str(d + 1) for d in range(n_domains)]
    assert agreement(stripes) > 0.8
    first = list(stripes.obs["domain"])
    mt.tl.spatial_domains(stripes, 3, method="leiden")
    assert list(stripes.obs["domain"]) == first


def test_leiden_chooses_a_number(stripes):
    mt.tl.spatial_domains(stripes, method="leiden", candidates=[2, 3, 6], n_runs=4)
    assert len(stripes.obs["domain"].cat.categories) == stripes.uns["domain"]["params"]["n_domains"]
    assert list(stripes.uns["domain"]["stability"]["n_domains"]) == [2, 3, 6]


def test_leiden_without_igraph(stripes, monkeypatch):
    monkeypatch.setattr(_partitions, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs igraph: pip install 'mtopic\[leiden\]'"):
        mt.tl.spatial_domains(stripes, 3, method="leiden")


def test_fewer_domains_than_asked_for():
    """Of two kinds of observations there are no three groups."""
    adata = tissue_of(np.repeat([[0.9, 0.1], [0.2, 0.8]], 30, axis=0), np.kron(np.eye(2), np.ones((30, 30))))
    with pytest.warns(UserWarning, match="2 domains in place of 3"):
        mt.tl.spatial_domains(adata, 3)
    assert adata.obs["domain"].iloc[:30].nunique() == adata.obs["domain"].iloc[30:].nunique() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_domains": 1}, "n_domains: 1 is no number of domains"),
        ({"n_domains": 2.5}, "n_domains=2.5: give a whole number"),
        ({"n_domains": 400}, "n_domains: 400 .* at most the 324 observations"),
        ({"candidates": [1, 2]}, "candidates: 1 is no number"),
        ({"candidates": []}, "candidates is empty"),
        ({"n_rings": -1}, "n_rings=-1"),
        ({"n_runs": 1}, "n_runs=1"),
        ({"n_init": 0}, "n_init=0"),
        ({"method": "kmeans"}, "method='kmeans': choose 'mixture' or 'leiden'"),
    ],
)
def test_numbers_out_of_range(stripes, options, message):
    with pytest.raises(ValueError, match=message):
        mt.tl.spatial_domains(stripes, **options)
    assert "domain" not in stripes.obs and not stripes.uns


def test_nothing_to_divide(stripes):
    stripes.obsm["same"] = pd.DataFrame(0.25, index=stripes.obs_names, columns=list("abcd"))
    with pytest.raises(ValueError, match=r"obsm\['same'\]: all observations have the same topics"):
        mt.tl.spatial_domains(stripes, 3, topics="same")
    with pytest.raises(KeyError, match="no neighbour graph 'near'"):
        mt.tl.spatial_domains(stripes, 3, neighbors_key="near")
