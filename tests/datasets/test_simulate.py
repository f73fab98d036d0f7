import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, issparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

import mtopic

TISSUES = ["smooth", "sharp", "gradient", "scattered", "noise"]


def expected_counts(mdata, mod):
    """Counts that the known topics lead one to expect, given the totals."""
    adata = mdata[mod]
    proportions = mdata.obsm["true_topics"].loc[adata.obs_names].to_numpy()
    shares = proportions @ adata.varm["true_signatures"].to_numpy().T
    return shares * np.asarray(adata.X.sum(axis=1)).reshape(-1, 1)


def chi_square(mdata, mod):
    """Pearson's statistic a count, over counts whose expectation is not tiny: 1 if the model is right."""
    expected = expected_counts(mdata, mod)
    seen = expected > 0.5
    return ((mdata[mod].X.toarray() - expected)[seen] ** 2 / expected[seen]).mean()


def total_variation(proportions, pairs):
    return 0.5 * np.abs(proportions[pairs[:, 0]] - proportions[pairs[:, 1]]).sum(axis=1).mean()


def tissue_of(kind, n_obs=1500, n_topics=6, **options):
    """A tissue of one kind, its true topics, and its pairs of neighbours."""
    mdata = mtopic.datasets.simulate(n_obs, n_topics, modalities={"rna": 5}, depth=5, tissue=kind, **options)
    neighbours = cKDTree(mdata.obsm["spatial"]).query_pairs(101, output_type="ndarray")
    return mdata, mdata.obsm["true_topics"].to_numpy(), neighbours


def correlation(proportions, pairs):
    """Moran's I over pairs, all topics together."""
    centred = proportions - proportions.mean(axis=0)
    return (centred[pairs[:, 0]] * centred[pairs[:, 1]]).sum() / len(pairs) / centred.var(axis=0).sum()


def test_defaults():
    mdata = mtopic.datasets.simulate()
    assert {mod: adata.shape for mod, adata in mdata.mod.items()} == {"rna": (1000, 300), "atac": (1000, 600)}
    assert mdata.obsm["true_topics"].shape == (1000, 8)
    assert mdata.obsm["spatial"].shape == (1000, 2)
    assert "section" not in mdata.obs


def test_slots_names_and_types():
    mdata = mtopic.datasets.simulate(60, 3, modalities={"rna": 20, "atac": 200, "prot": 5})
    assert list(mdata.mod) == ["rna", "atac", "prot"]
    assert list(mdata.obs_names[:2]) == ["spot_0", "spot_1"]
    assert list(mdata["rna"].var_names[:2]) == ["rna_0", "rna_1"]
    assert mdata["atac"].var_names.str.fullmatch(r"chr([1-9]|1\d):\d+-\d+").all()
    assert mdata["atac"].var_names[0] == "chr1:1000-1500"
    assert mdata.var_names.is_unique
    for adata in mdata.mod.values():
        assert issparse(adata.X) and adata.X.format == "csr" and adata.X.dtype == np.float32
        assert adata.X.has_canonical_format
        np.testing.assert_array_equal(adata.X.data, np.rint(adata.X.data))
        assert adata.X.data.min() >= 1
        signatures = adata.varm["true_signatures"]
        assert list(signatures.index) == list(adata.var_names)
        assert list(signatures.columns) == ["topic_1", "topic_2", "topic_3"]
        np.testing.assert_allclose(signatures.sum(), 1)
        assert (signatures.to_numpy() >= 0).all()
    topics = mdata.obsm["true_topics"]
    assert list(topics.index) == list(mdata.obs_names) and (topics.dtypes == np.float64).all()
    np.testing.assert_allclose(topics.sum(axis=1), 1)
    assert mdata.obsm["spatial"].dtype == np.float64


def test_cells_have_no_coordinates():
    mdata = mtopic.datasets.simulate(50, 3, spatial=False)
    assert list(mdata.obs_names[:2]) == ["cell_0", "cell_1"]
    assert "spatial" not in mdata.obsm


@pytest.mark.parametrize("spatial", [True, False])
def test_same_seed_same_data(spatial):
    options = {"spatial": spatial, "n_sections": 2, "missing": {"rna": 0.2}}
    first, second = (mtopic.datasets.simulate(80, 4, rng=rng, **options) for rng in (3, np.random.default_rng(3)))
    other = mtopic.datasets.simulate(80, 4, rng=4, **options)
    pd.testing.assert_frame_equal(first.obsm["true_topics"], second.obsm["true_topics"])
    pd.testing.assert_frame_equal(first.obs, second.obs)
    for mod in first.mod:
        assert list(first[mod].obs_names) == list(second[mod].obs_names)
        assert (first[mod].X != second[mod].X).nnz == 0
    assert (first["atac"].X != other["atac"].X).nnz > 0


def test_a_generator_goes_on_and_the_global_one_is_left_alone():
    before = str(np.random.get_state(legacy=False))
    rng = np.random.default_rng(0)
    first, second = (mtopic.datasets.simulate(40, 3, rng=rng) for _ in range(2))
    assert (first["rna"].X != second["rna"].X).nnz > 0
    assert str(np.random.get_state(legacy=False)) == before


@pytest.mark.parametrize("spatial", [True, False])
def test_counts_come_from_the_known_topics(spatial):
    mdata = mtopic.datasets.simulate(400, 5, spatial=spatial, depth=2000)
    for mod, adata in mdata.mod.items():
        assert chi_square(mdata, mod) == pytest.approx(1, abs=0.05)
        expected = expected_counts(mdata, mod).ravel()
        assert np.corrcoef(adata.X.toarray().ravel(), expected)[0, 1] > 0.95


@pytest.mark.parametrize("block", [1, 1000, 10**9])
def test_counts_come_from_the_known_topics_in_blocks_of_any_size(monkeypatch, block):
    monkeypatch.setattr("mtopic.datasets._simulate.COUNTS_AT_ONCE", block)
    mdata = mtopic.datasets.simulate(50, 3, modalities={"rna": 40})
    assert mdata["rna"].shape == (50, 40)
    assert chi_square(mdata, "rna") == pytest.approx(1, abs=0.15)


def test_depth():
    mdata = mtopic.datasets.simulate(
        2000, 3, modalities={"rna": 30, "prot": 10, "atac": 40}, depth={"prot": 50, "rna": 900}
    )
    totals = {mod: np.asarray(adata.X.sum(axis=1)).ravel() for mod, adata in mdata.mod.items()}
    assert totals["rna"].mean() == pytest.approx(900, rel=0.03)
    assert totals["prot"].mean() == pytest.approx(50, rel=0.03)
    assert totals["atac"].mean() == pytest.approx(500, rel=0.03)
    assert np.log(totals["rna"]).std() == pytest.approx(0.3, rel=0.1)
    everywhere = mtopic.datasets.simulate(2000, 3, modalities={"rna": 30, "prot": 10}, depth=200)
    assert all(adata.X.sum() / 2000 == pytest.approx(200, rel=0.03) for adata in everywhere.mod.values())


@pytest.mark.parametrize("spatial", [True, False])
@pytest.mark.parametrize("concentration", [None, 0.05, 2.0])
def test_proportions_are_dirichlet_in_distribution(spatial, concentration):
    mdata = mtopic.datasets.simulate(
        4000, 4, modalities={"rna": 5}, depth=1, spatial=spatial, concentration=concentration
    )
    topics = mdata.obsm["true_topics"].to_numpy()
    alpha = 0.25 if concentration is None else concentration
    np.testing.assert_allclose(topics.mean(axis=0), 0.25, atol=0.06)
    assert topics.var(axis=0).mean() == pytest.approx(3 / 16 / (4 * alpha + 1), rel=0.15)


def test_hardly_any_concentration_is_one_topic_a_spot():
    topics = mtopic.datasets.simulate(100, 2, concentration=1e-5).obsm["true_topics"].to_numpy()
    assert np.isfinite(topics).all()
    assert (topics.max(axis=1) > 0.999).mean() > 0.95


def test_every_topic_has_markers_of_its_own():
    mdata = mtopic.datasets.simulate(50, 6)
    for adata in mdata.mod.values():
        signatures = adata.varm["true_signatures"].to_numpy()
        cosine = np.corrcoef(signatures.T) - np.eye(6)
        assert cosine.max() < 0.3


def test_tissue_is_a_round_hexagonal_grid():
    points = mtopic.datasets.simulate(800, 3, modalities={"rna": 5}).obsm["spatial"]
    distance, _ = cKDTree(points).query(points, k=7)
    np.testing.assert_allclose(distance[:, 1], 100)
    assert (np.isclose(distance[:, 6], 100)).mean() > 0.8
    np.testing.assert_array_equal(points.min(axis=0), 0)
    width, height = np.ptp(points, axis=0)
    assert 0.6 < width / height < 1.7
    assert 0.6 < 800 * 100**2 * np.sqrt(0.75) / (width * height) < 0.95, "a disc fills pi/4 of its box"


@pytest.mark.parametrize("n_topics", [3, 20])
def test_topics_are_smooth_on_the_tissue(n_topics):
    mdata = mtopic.datasets.simulate(1500, n_topics, modalities={"rna": 5})
    topics, points = mdata.obsm["true_topics"].to_numpy(), mdata.obsm["spatial"]
    neighbours = cKDTree(points).query_pairs(101, output_type="ndarray")
    random = np.random.default_rng(0).integers(0, 1500, (3000, 2))
    assert total_variation(topics, neighbours) < 0.3 * total_variation(topics, random)
    assert len(np.unique(topics.argmax(axis=1))) == n_topics


def test_smooth_tissue_is_what_it_was_before_there_were_others():
    mdata = mtopic.datasets.simulate(120, 3, modalities={"rna": 6}, depth=50, n_sections=2, rng=5)
    expected = [
        [0.6320385711129295, 0.20592499936090908, 0.1620364295261614],
        [0.02326185005672447, 0.032574715284851764, 0.9441634346584239],
        [0.04091249371987626, 0.8727552402285679, 0.08633226605155588],
    ]
    np.testing.assert_allclose(mdata.obsm["true_topics"].to_numpy()[[0, 40, 119]], expected, rtol=1e-9)
    np.testing.assert_allclose(mdata.obsm["spatial"].sum(axis=0), [46150, 41655.821922031566])
    np.testing.assert_array_equal(mdata["rna"].X.sum(axis=0), [[424, 1217, 2062, 986, 1182, 0]])
    np.testing.assert_array_equal(mdata["rna"].X[:2].toarray(), [[2, 6, 24, 1, 11, 0], [1, 3, 55, 1, 3, 0]])


def test_smooth_is_the_default():
    default, smooth = (mtopic.datasets.simulate(80, 4, n_sections=2, **o) for o in ({}, {"tissue": "smooth"}))
    pd.testing.assert_frame_equal(default.obsm["true_topics"], smooth.obsm["true_topics"], check_exact=True)
    pd.testing.assert_frame_equal(default.obs, smooth.obs)
    np.testing.assert_array_equal(default.obsm["spatial"], smooth.obsm["spatial"])
    for mod in default.mod:
        assert (default[mod].X != smooth[mod].X).nnz == 0


@pytest.mark.parametrize("kind", TISSUES)
def test_every_tissue_is_sane(kind):
    mdata, topics, _ = tissue_of(kind, n_sections=2)
    np.testing.assert_allclose(topics.sum(axis=1), 1)
    np.testing.assert_allclose(topics.mean(axis=0), 1 / 6, atol=0.13)
    for section in ("section_1", "section_2"):
        assert (topics[(mdata.obs["section"] == section).to_numpy()].mean(axis=0) > 0.03).all(), "topics are shared"
    written = {"sharp": {"region"}, "scattered": {"scattered"}}.get(kind, set())
    assert set(mdata.obs) == {"section"} | written


@pytest.mark.parametrize("kind", TISSUES)
def test_same_seed_same_tissue(kind):
    first, second, other = (tissue_of(kind, 200, 4, rng=rng)[0] for rng in (3, np.random.default_rng(3), 4))
    pd.testing.assert_frame_equal(first.obsm["true_topics"], second.obsm["true_topics"], check_exact=True)
    pd.testing.assert_frame_equal(first.obs, second.obs)
    assert (first["rna"].X != second["rna"].X).nnz == 0
    assert not np.allclose(first.obsm["true_topics"], other.obsm["true_topics"])


@pytest.mark.parametrize("kind", TISSUES)
def test_counts_of_every_tissue_come_from_the_known_topics(kind):
    mdata = mtopic.datasets.simulate(300, 4, tissue=kind, depth=1000, missing={"rna": 0.3})
    for mod in mdata.mod:
        assert chi_square(mdata, mod) == pytest.approx(1, abs=0.07)


@pytest.mark.parametrize("kind", TISSUES)
@pytest.mark.parametrize("n_obs", [1, 3])
def test_smallest_of_every_tissue(kind, n_obs):
    _, topics, _ = tissue_of(kind, n_obs, 2)
    np.testing.assert_allclose(topics.sum(axis=1), 1)


@pytest.mark.parametrize("rng", [0, 1])
def test_space_says_more_or_less_of_topics(rng):
    near = {kind: correlation(*tissue_of(kind, rng=rng)[1:]) for kind in TISSUES}
    assert near["noise"] == pytest.approx(0, abs=0.05)
    assert 0.2 < near["scattered"] < 0.6 < near["sharp"] < near["smooth"]
    assert near["gradient"] > 0.93


@pytest.mark.parametrize("n_topics", [3, 20])
def test_gradient_is_of_mixtures_and_long(n_topics):
    mdata, topics, neighbours = tissue_of("gradient", n_topics=n_topics)
    assert np.quantile(topics.max(axis=1), 0.95) < 0.9
    assert total_variation(topics, neighbours) < 0.05
    assert 0.5 * np.abs(np.diff(topics[neighbours], axis=1)).sum(axis=2).max() < 0.25, "there are no borders"
    points = mdata.obsm["spatial"]
    half_a_radius = cKDTree(points).query_pairs(500, output_type="ndarray")
    assert correlation(topics, half_a_radius) > 0.65
    purer = tissue_of("gradient", n_topics=n_topics, concentration=0.05)[1]
    assert purer.max(axis=1).mean() > topics.max(axis=1).mean() + 0.2


@pytest.mark.parametrize(("n_topics", "n_regions"), [(3, 12), (8, 16)])
@pytest.mark.parametrize("n_sections", [1, 2])
def test_regions_are_alike_inside_and_unlike_each_other(n_topics, n_regions, n_sections):
    mdata, topics, _ = tissue_of("sharp", 2000, n_topics, n_sections=n_sections)
    region = mdata.obs["region"]
    assert isinstance(region.dtype, pd.CategoricalDtype)
    assert list(region.cat.categories) == [f"region_{i + 1}" for i in range(n_regions)]
    assert region.value_counts().min() > 0
    means = pd.DataFrame(topics).groupby(region.to_numpy()).transform("mean").to_numpy()
    assert np.abs(topics - means).mean(axis=0).max() < 0.03
    assert 0 < (topics - means).std() < 0.03

    section = mdata.obs["section"] if n_sections > 1 else np.zeros(2000)
    for name in np.unique(section):
        here = np.flatnonzero(section == name)
        pairs = here[cKDTree(mdata.obsm["spatial"][here]).query_pairs(101, output_type="ndarray")]
        inside = np.equal(*region.cat.codes.to_numpy()[pairs].T)
        assert total_variation(topics, pairs[~inside]) > 10 * total_variation(topics, pairs[inside])
        _, piece = connected_components(
            coo_array((inside[inside], pairs[inside].T), shape=(2000, 2000)), directed=False
        )
        largest = (
            pd.Series(piece[here]).groupby(region.to_numpy()[here]).agg(lambda pieces: pieces.value_counts().max())
        )
        assert largest.sum() > 0.98 * here.size, "regions are in one piece"


def test_neighbouring_regions_differ():
    mdata, topics, neighbours = tissue_of("sharp", 2000, 8)
    region = mdata.obs["region"].cat.codes.to_numpy()
    means = pd.DataFrame(topics).groupby(region).mean().to_numpy()
    touching = np.unique(np.sort(region[neighbours], axis=1), axis=0)
    touching = touching[touching[:, 0] != touching[:, 1]]
    assert len(touching) > 20
    assert 0.5 * np.abs(means[touching[:, 0]] - means[touching[:, 1]]).sum(axis=1).min() > 0.4


def test_concentration_of_regions():
    pure, mixed = (tissue_of("sharp", concentration=c)[1].max(axis=1).mean() for c in (0.002, 5.0))
    assert mixed < 0.4 and pure > 0.98


def test_a_quarter_of_the_spots_is_scattered():
    mdata, topics, neighbours = tissue_of("scattered")
    scattered = mdata.obs["scattered"].to_numpy()
    assert scattered.dtype == bool and scattered.sum() == 375
    np.testing.assert_array_equal(topics[scattered].max(axis=1), 1)
    assert np.bincount(topics[scattered].argmax(axis=1)).min() > 375 / 6 / 2, "all topics are scattered"
    assert abs(correlation(scattered[:, None].astype(float), neighbours)) < 0.06
    around = neighbours[~scattered[neighbours].any(axis=1)]
    assert correlation(topics, around) > 0.6
    strangers = neighbours[scattered[neighbours].sum(axis=1) == 1]
    assert correlation(topics, strangers) < 0

    _, background, _ = tissue_of("smooth")
    np.testing.assert_array_equal(topics[~scattered], background[~scattered])
    assert (topics[scattered].argmax(axis=1) != background[scattered].argmax(axis=1)).all()


def test_noise_is_dirichlet():
    topics = tissue_of("noise", 4000, 4, concentration=0.5)[1]
    np.testing.assert_allclose(topics.mean(axis=0), 0.25, atol=0.02)
    assert topics.var(axis=0).mean() == pytest.approx(3 / 16 / 3, rel=0.05)


@pytest.mark.parametrize("kind", ["sharp", "scattered"])
def test_round_trip_of_labels(tmp_path, kind):
    mdata, _, _ = tissue_of(kind, 90, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata.write_h5mu(tmp_path / "tissue.h5mu")
    pd.testing.assert_frame_equal(mtopic.read.h5mu(tmp_path / "tissue.h5mu").obs, mdata.obs, check_categorical=False)


def same_counts(first, second, mod):
    return (first[mod].X != second[mod].X).nnz == 0


def test_topics_that_are_not_resolved_share_a_signature():
    mdata = mtopic.datasets.simulate(300, 6, resolved={"rna": [0, 4], "atac": (5, 3, 2, 1)}, depth=1000)
    for mod, shared in {"rna": [1, 2, 3, 5], "atac": [0, 4]}.items():
        signatures = mdata[mod].varm["true_signatures"].to_numpy()
        assert (signatures[:, shared] == signatures[:, shared[:1]]).all()
        assert len(np.unique(signatures, axis=1).T) == 6 - len(shared) + 1
        assert chi_square(mdata, mod) == pytest.approx(1, abs=0.05)


def test_resolved_changes_nothing_else():
    plain, noise = (mtopic.datasets.simulate(80, 4, resolved=resolved) for resolved in (None, {"rna": []}))
    signatures = {name: data["rna"].varm["true_signatures"].to_numpy() for name, data in (("p", plain), ("n", noise))}
    np.testing.assert_array_equal(signatures["n"], np.repeat(signatures["p"][:, :1], 4, axis=1))
    pd.testing.assert_frame_equal(plain.obsm["true_topics"], noise.obsm["true_topics"], check_exact=True)
    np.testing.assert_array_equal(plain["rna"].X.sum(axis=1), noise["rna"].X.sum(axis=1))
    assert same_counts(plain, noise, "atac") and not same_counts(plain, noise, "rna")
    assert same_counts(plain, mtopic.datasets.simulate(80, 4, resolved={"rna": np.arange(4)}), "rna")


def variance_factor(mdata, mod):
    """Variance of the counts, as a multiple of the multinomial's."""
    expected = expected_counts(mdata, mod)
    variance = expected * (1 - expected / expected.sum(axis=1, keepdims=True))
    seen = variance > 1
    return ((mdata[mod].X.toarray() - expected)[seen] ** 2 / variance[seen]).mean()


@pytest.mark.parametrize("block", [3000, 10**9])
def test_overdispersion_is_a_factor_of_the_variance(monkeypatch, block):
    monkeypatch.setattr("mtopic.datasets._simulate.COUNTS_AT_ONCE", block)
    options = {"modalities": {"rna": 60, "prot": 20, "atac": 60}, "depth": {"rna": 100}}
    mdata = mtopic.datasets.simulate(2000, 3, overdispersion={"rna": 4, "prot": 20.0}, **options)
    assert variance_factor(mdata, "rna") == pytest.approx(4, rel=0.1)
    assert variance_factor(mdata, "prot") == pytest.approx(20, rel=0.1)
    assert variance_factor(mdata, "atac") == pytest.approx(1, rel=0.05)


def test_overdispersion_leaves_expected_counts_as_they_are():
    mdata, plain = (mtopic.datasets.simulate(6000, 3, modalities={"rna": 20}, overdispersion=f) for f in (10, None))
    expected, counts = expected_counts(mdata, "rna"), mdata["rna"].X.toarray()
    seen = expected.sum(axis=0) > 1000
    z = (counts - expected).sum(axis=0)[seen] / np.sqrt(10 * expected.sum(axis=0)[seen])
    assert seen.sum() > 10 and np.abs(z).max() < 4
    np.testing.assert_array_equal(counts.sum(axis=1), plain["rna"].X.toarray().sum(axis=1))
    pd.testing.assert_frame_equal(mdata["rna"].varm["true_signatures"], plain["rna"].varm["true_signatures"])


def test_overdispersion_of_1_changes_nothing():
    plain, same = (mtopic.datasets.simulate(80, 4, overdispersion=f) for f in (None, {"rna": 1, "atac": 1.0}))
    assert same_counts(plain, same, "rna") and same_counts(plain, same, "atac")


def test_overdispersion_beyond_the_number_of_counts_is_one_feature():
    mdata = mtopic.datasets.simulate(100, 3, depth=20, overdispersion={"rna": 1000})
    assert (mdata["rna"].X.getnnz(axis=1) == 1).all() and (mdata["atac"].X.getnnz(axis=1) > 1).all()
    expected = mdata.obsm["true_topics"].to_numpy() @ mdata["rna"].varm["true_signatures"].to_numpy().T
    drawn = expected[np.arange(100), mdata["rna"].X.toarray().argmax(axis=1)]
    assert drawn.mean() == pytest.approx((expected**2).sum(axis=1).mean(), rel=0.3)


def test_sections():
    mdata = mtopic.datasets.simulate(700, 4, n_sections=3)
    section = mdata.obs["section"]
    assert isinstance(section.dtype, pd.CategoricalDtype)
    assert list(section.cat.categories) == ["section_1", "section_2", "section_3"]
    assert section.value_counts().between(233, 234).all()
    outlines = []
    for name in section.cat.categories:
        points = mdata.obsm["spatial"][(section == name).to_numpy()]
        np.testing.assert_array_equal(points.min(axis=0), 0)
        assert pdist(points).min() == pytest.approx(100)
        outlines.append(points.max(axis=0))
        topics = mdata.obsm["true_topics"][(section == name).to_numpy()]
        assert (topics.mean() > 0.05).all(), "the sections share the topics"
    assert not np.allclose(outlines[0], outlines[1])
    cells = mtopic.datasets.simulate(10, 2, n_sections=2, spatial=False)
    assert list(cells.obs["section"]) == ["section_1"] * 5 + ["section_2"] * 5


def test_missing_modalities():
    mdata = mtopic.datasets.simulate(200, 3, missing={"rna": 0.4, "atac": 0.6}, n_sections=2)
    rna, atac = set(mdata["rna"].obs_names), set(mdata["atac"].obs_names)
    assert (len(rna), len(atac), mdata.n_obs) == (120, 80, 200)
    assert rna | atac == set(mdata.obs_names)
    assert list(mdata["rna"].obs_names) != sorted(rna, key=lambda name: int(name.split("_")[1]))
    for mod in mdata.mod:
        assert chi_square(mdata, mod) == pytest.approx(1, abs=0.1)

    numbers = mdata.obs_names.str.removeprefix("spot_").astype(int)
    complete = mtopic.datasets.simulate(200, 3, n_sections=2)
    np.testing.assert_array_equal(mdata.obsm["spatial"], complete.obsm["spatial"][numbers])
    assert list(mdata.obs["section"]) == [f"section_{d // 100 + 1}" for d in numbers]


def test_missing_modalities_overlap_where_three_allow_it():
    shares = {"a": 0.9, "b": 0.6, "c": 0.5}
    mdata = mtopic.datasets.simulate(50, 2, modalities=dict.fromkeys(shares, 4), missing=shares)
    assert [adata.n_obs for adata in mdata.mod.values()] == [5, 20, 25]
    assert mdata.n_obs == 50


def test_round_trip(tmp_path):
    mdata = mtopic.datasets.simulate(90, 3, n_sections=2, missing={"atac": 0.3})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mdata.write_h5mu(tmp_path / "tissue.h5mu")
    again = mtopic.read.h5mu(tmp_path / "tissue.h5mu")
    pd.testing.assert_frame_equal(again.obsm["true_topics"], mdata.obsm["true_topics"])
    np.testing.assert_array_equal(again.obsm["spatial"], mdata.obsm["spatial"])
    assert list(again.obs["section"]) == list(mdata.obs["section"])
    for mod in mdata.mod:
        assert (again[mod].X != mdata[mod].X).nnz == 0
        signatures = again[mod].varm["true_signatures"]
        np.testing.assert_array_equal(signatures, mdata[mod].varm["true_signatures"])


def test_says_nothing_of_mudata():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        mtopic.datasets.simulate(30, 3, n_sections=2, missing={"rna": 0.5})
    assert not [warning.message for warning in said if issubclass(warning.category, FutureWarning | UserWarning)]


def test_smallest():
    mdata = mtopic.datasets.simulate(1, 2, modalities={"rna": 1}, depth=0.1)
    assert mdata["rna"].X.toarray() == [[1]]
    np.testing.assert_allclose(mdata.obsm["true_topics"].sum(axis=1), 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_topics": 1}, ValueError, "n_topics=1"),
        ({"n_obs": 0}, ValueError, "n_obs=0"),
        ({"n_sections": 0}, ValueError, "n_sections=0"),
        ({"n_obs": 3, "n_sections": 4}, ValueError, "n_sections=4"),
        ({"modalities": {}}, ValueError, "modalities is empty"),
        ({"modalities": {"rna": 0}}, ValueError, "'rna' has 0 features"),
        ({"concentration": 0}, ValueError, "concentration=0"),
        ({"concentration": np.nan}, ValueError, "concentration=nan"),
        ({"tissue": "rough"}, ValueError, "tissue='rough': choose one of 'smooth', 'sharp'"),
        ({"tissue": "noise", "spatial": False}, ValueError, "tissue='noise' with spatial=False"),
        ({"depth": -5}, ValueError, "depth of modality 'rna' is -5"),
        ({"depth": {"atac": np.inf}}, ValueError, "depth of modality 'atac' is inf"),
        ({"depth": {"rnaa": 5}}, KeyError, "no modality 'rnaa'.*did you mean 'rna'"),
        ({"missing": {"atacc": 0.1}}, KeyError, "no modality 'atacc'.*did you mean 'atac'"),
        ({"missing": {"rna": 1.0}}, ValueError, "missing share of modality 'rna' is 1.0"),
        ({"missing": {"rna": -0.1}}, ValueError, "missing share of modality 'rna' is -0.1"),
        ({"missing": {"rna": 0.6, "atac": 0.5}}, ValueError, "sum to 1.1 over 2 modalities"),
        ({"modalities": {"rna": 5}, "missing": {"rna": 0.5}}, ValueError, "sum to at most 0"),
        ({"resolved": {"rnaa": [0]}}, KeyError, "no modality 'rnaa'.*did you mean 'rna'"),
        ({"resolved": {"rna": [8]}}, ValueError, r"resolved\['rna'\] names topic 8: there are topics 0 to 7"),
        ({"resolved": {"rna": [-1]}}, ValueError, "names topic -1"),
        ({"resolved": {"rna": [1, 2, 1]}}, ValueError, r"resolved\['rna'\] is \[1, 2, 1\]: name each topic once"),
        ({"overdispersion": {"atacc": 2}}, KeyError, "no modality 'atacc'.*did you mean 'atac'"),
        ({"overdispersion": 0.9}, ValueError, "overdispersion of modality 'rna' is 0.9"),
        ({"overdispersion": {"atac": np.inf}}, ValueError, "overdispersion of modality 'atac' is inf"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        mtopic.datasets.simulate(**options)


@pytest.mark.slow
def test_large_sizes_are_feasible():
    mdata = mtopic.datasets.simulate(5000, 50, modalities={"rna": 10_000, "atac": 50_000}, depth=2000)
    assert mdata["atac"].shape == (5000, 50_000)
    assert mdata["atac"].X.sum() == pytest.approx(5000 * 2000, rel=0.02)
