from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from scipy.sparse import csr_array, csr_matrix

import mtopic as mt
from mtopic._data import graph as _graph

METHODS = {
    "radius": {"radius": 0.3, "n_neighbors": None},
    "knn": {"radius": 0.3, "n_neighbors": 3},
    "delaunay": {"radius": 0.3, "n_neighbors": None, "method": "delaunay"},
    "grid": {"radius": 0.3, "n_neighbors": 4, "method": "grid"},
}
every_method = pytest.mark.parametrize("method", METHODS)


def built(points, method="radius", **kwargs):
    return _graph.build(np.asarray(points, dtype=np.float64), **{**METHODS[method], **kwargs})


def scattered(n_obs=40, dimensions=2, seed=0):
    return np.random.default_rng(seed).random((n_obs, dimensions)) * [300, 200, 250][:dimensions] + 1000


def between(points):
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def edges(graph):
    return graph.connectivities.toarray() != 0


def assert_same(one, two):
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(one, part), getattr(two, part))


def delaunay(points):
    """Pairs of observations in a simplex whose circumscribed sphere holds no other."""
    found = np.zeros((len(points), len(points)), dtype=bool)
    for corners in map(list, combinations(range(len(points)), points.shape[1] + 1)):
        first, others = points[corners[0]], points[corners[1:]]
        centre = np.linalg.solve(2 * (others - first), (others**2).sum(axis=1) - (first**2).sum())
        inside = np.linalg.norm(points - centre, axis=1) < np.linalg.norm(first - centre) * (1 - 1e-9)
        if not inside.any():
            found[np.ix_(corners, corners)] = True
    np.fill_diagonal(found, False)
    return found


@pytest.fixture
def two():
    """Two modalities of which one holds fewer observations, in another order."""
    names = [f"spot_{d}" for d in range(6)]
    rna = AnnData(np.ones((6, 2)), obs=pd.DataFrame(index=names))
    atac = AnnData(np.ones((4, 3)), obs=pd.DataFrame(index=names[3::-1]), var=pd.DataFrame(index=["p", "q", "r"]))
    return MuData({"rna": rna, "atac": atac})


class TestBuild:
    @pytest.mark.parametrize("dimensions", [1, 2, 3])
    def test_radius(self, dimensions):
        points = scattered(dimensions=dimensions)
        distance = between(points)
        expected = distance <= 0.3 * np.ptp(points, axis=0).max()
        np.testing.assert_array_equal(edges(built(points)), expected & ~np.eye(40, dtype=bool))

    @pytest.mark.parametrize("dimensions", [1, 2, 3])
    def test_nearest(self, dimensions):
        points = scattered(dimensions=dimensions)
        distance = between(points)
        found = edges(built(points, "knn"))
        assert [set(np.flatnonzero(row)) for row in found] == [set(row[1:4]) for row in distance.argsort(axis=1)]

    @pytest.mark.parametrize("dimensions", [2, 3])
    def test_delaunay(self, dimensions):
        points = scattered(14, dimensions)
        np.testing.assert_array_equal(edges(built(points, "delaunay")), delaunay(points))

    def test_square_grid(self):
        places = np.array([(x, y) for x in range(6) for y in range(5)])
        graph = built(places * 7.0 + 50, "grid")
        steps = abs(places[:, None] - places[None]).sum(axis=2)
        np.testing.assert_array_equal(edges(graph), steps == 1)
        np.testing.assert_allclose(graph.distances.data, 7)

    def test_a_grid_has_six_neighbours_unless_told_otherwise(self):
        places = np.array([(x + y / 2, y * np.sqrt(0.75)) for x in range(6) for y in range(5)]) * 20
        graph = built(places, "grid", n_neighbors=None)
        np.testing.assert_array_equal(edges(graph), np.isclose(between(places), 20))
        assert graph.params["n_neighbors"] == 6

    @every_method
    def test_distances_are_in_the_units_of_the_coordinates(self, method):
        points = scattered()
        graph = built(points, method)
        np.testing.assert_allclose(graph.distances.toarray(), between(points) * edges(graph), rtol=1e-12)
        assert graph.distances.nnz == graph.connectivities.nnz > 0
        assert (graph.connectivities.dtype, graph.distances.dtype) == (np.float32, np.float64)

    @every_method
    def test_the_points_are_left_alone(self, method):
        points = scattered()
        built(points, method)
        np.testing.assert_array_equal(points, scattered())

    @pytest.mark.parametrize("method", ["radius", "knn", "delaunay"])
    def test_coincident_observations(self, method):
        points = scattered(12)
        points[[7, 9]] = points[2]
        graph = built(points, method)
        for d in (2, 7, 9):
            assert set(np.flatnonzero(edges(graph)[d])) >= {2, 7, 9} - {d}
            assert not graph.distances[[d], :][:, [2, 7, 9]].nnz
        assert not edges(graph).diagonal().any()

    def test_delaunay_neighbours_of_coincident_observations(self):
        points = scattered(12)
        alone = delaunay(points)
        again = np.array([*range(12), 2, 5])
        expected = (alone | np.eye(12, dtype=bool))[np.ix_(again, again)] & ~np.eye(14, dtype=bool)
        np.testing.assert_array_equal(edges(built(points[again], "delaunay")), expected)

    def test_delaunay_of_a_plane_in_space(self):
        points = scattered(14)
        flat = np.column_stack([points, np.full(14, 5.0)])
        np.testing.assert_array_equal(edges(built(flat, "delaunay")), delaunay(points))

    def test_a_grid_in_a_plane_in_space(self):
        places = np.array([(x, y, 9) for x in range(4) for y in range(4)])
        assert_same(built(places, "grid").connectivities, built(places[:, :2], "grid").connectivities)

    def test_one_observation_has_no_neighbour(self):
        assert built([[3, 4]]).connectivities.shape == (1, 1)
        assert built([[3, 4]]).connectivities.nnz == 0

    @pytest.mark.parametrize(
        "points",
        [
            [[0, 0]],
            [[0, 0], [1, 2]],
            np.zeros((9, 2)),
            np.outer(np.arange(9), [1, 0]),
            np.outer(np.arange(9), [1, 2]),
            np.outer(np.arange(9), [1, 2, 3]),
            np.arange(9)[:, None],
        ],
    )
    def test_delaunay_of_what_has_no_triangles(self, points):
        with pytest.raises(ValueError, match=f"the {len(points)} observations are too few.*use radius or n_neighbors"):
            built(points, "delaunay")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"radius": 0}, "radius=0: it must be positive"),
            ({"radius": float("nan")}, "radius=nan"),
            ({"n_neighbors": 40}, "n_neighbors=40.*less than the 40 observations"),
            ({"n_neighbors": 2.5}, "n_neighbors=2.5"),
            ({"n_neighbors": 0, "method": "grid"}, "n_neighbors=0"),
            ({"n_neighbors": 6, "method": "delaunay"}, "n_neighbors=6: method='delaunay'"),
        ],
    )
    def test_bad_arguments(self, arguments, said):
        with pytest.raises(ValueError, match=said):
            built(scattered(), **arguments)

    def test_an_unknown_method(self):
        with pytest.raises(ValueError, match="method='hexagon': it must be one of 'delaunay', 'grid', or None"):
            _graph.build(scattered(), 0.3, None, method="hexagon")

    def test_a_grid_has_two_dimensions(self):
        with pytest.raises(ValueError, match="method='grid' is for two dimensions, the coordinates have 3"):
            built(scattered(dimensions=3), "grid")


class TestSections:
    @every_method
    @given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(6, 20), min_size=1, max_size=4))
    @settings(max_examples=15, deadline=None)
    def test_together_as_alone(self, method, seed, sizes):
        rng = np.random.default_rng(seed)
        codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        points = rng.random((codes.size, 2)) * rng.uniform(1, 1e4, (len(sizes), 2))[codes] + 100
        sections = pd.CategoricalIndex(np.array(list("dbca"))[codes])
        together = built(points, method, sections=sections)
        weights = together.weights(points, None, sections)
        assert edges(together)[codes[:, None] != codes].sum() == 0
        for code in range(len(sizes)):
            members = np.flatnonzero(codes == code)
            alone = built(points[members], method)
            part = together.reorder(members)
            assert_same(part.connectivities, alone.connectivities)
            assert_same(part.distances, alone.distances)
            assert_same(weights[members][:, members], alone.weights(points[members], None))
            np.testing.assert_array_equal(
                _graph.scaled(points, sections)[members], _graph.normalised(points[members])[0]
            )

    @every_method
    def test_one_section_is_none(self, method):
        points = scattered()
        one = built(points, method, sections=pd.Categorical(["s"] * 40, categories=["empty", "s"]))
        assert_same(one.connectivities, built(points, method).connectivities)
        assert_same(one.distances, built(points, method).distances)

    def test_a_radius_is_in_units_of_the_section(self):
        points = np.concatenate([scattered(20), scattered(20) * 10])
        graph = built(points, sections=pd.CategoricalIndex(["a"] * 20 + ["b"] * 20, name="slide"))
        np.testing.assert_array_equal(edges(graph)[:20, :20], edges(graph)[20:, 20:])
        sides = [np.ptp(part, axis=0).max() for part in np.split(points, 2)]
        np.testing.assert_allclose(graph.params["radius"], 0.3 * np.array(sides))

    def test_sections_in_one_place(self):
        points = np.concatenate([scattered(20), scattered(20)])
        graph = built(points, "knn", sections=pd.Categorical(["a"] * 20 + ["b"] * 20))
        assert (edges(graph).sum(axis=1) == 3).all()
        assert not edges(graph)[:20, 20:].any()

    def test_a_section_of_one_observation(self):
        sections = pd.Categorical(["a"] * 10 + ["b"])
        neighbours = built(scattered(11), radius=2.0, sections=sections).neighbours()
        assert np.diff(neighbours.indptr).tolist() == [9] * 10 + [0]

    @pytest.mark.parametrize(
        ("method", "said"),
        [
            ("knn", "n_neighbors=3.*less than the 2 observations of section 'b'"),
            ("grid", "n_neighbors=4.*less than the 2 observations of section 'b'"),
            ("delaunay", "the 2 observations of section 'b' are too few"),
        ],
    )
    def test_a_section_that_is_too_small_is_named(self, method, said):
        with pytest.raises(ValueError, match=said):
            built(scattered(12), method, sections=pd.Categorical(["a"] * 10 + ["b"] * 2))

    def test_each_observation_needs_one(self):
        sections = pd.Categorical(["a"] * 5 + [None, "b", None] + ["a"] * 4)
        with pytest.raises(ValueError, match="2 observations have no section, the first is number 5"):
            built(scattered(12), sections=sections)
        with pytest.raises(ValueError, match="12 observations have a section, of 40"):
            built(scattered(), sections=sections)


class TestSectionsOfTheData:
    @pytest.mark.parametrize("labels", [list("aabbcc"), pd.Categorical(list("aabbcc"), categories=list("zcba"))])
    def test_text_and_categories(self, two, labels):
        for data in (two, two["rna"]):
            data.obs["slide"] = labels
            found = _graph.sections(data, "slide")
            assert list(found) == list("aabbcc")
            assert (list(found.categories), found.name) == (list("abc"), "slide")

    def test_numbers_become_text(self, two):
        two["rna"].obs["slide"] = [1, 1, 2, 2, 10, 10]
        assert list(_graph.sections(two["rna"], "slide")) == ["1", "1", "2", "2", "10", "10"]

    def test_of_a_modality_by_name(self, two):
        two["rna"].obs["slide"] = pd.Categorical(list("aabbcc"))
        expected = pd.Series(list("aabbcc"), index=two["rna"].obs_names)[two.obs_names]
        for key in ("slide", "rna:slide"):
            assert list(_graph.sections(two, key)) == list(expected)

    def test_modalities_complete_each_other(self, two):
        two["atac"].obs["slide"] = list("dcba")
        two["rna"].obs["slide"] = pd.Categorical([None, None, None, "d", "e", "f"])
        found = dict(zip(two.obs_names, _graph.sections(two, "slide"), strict=True))
        assert found == {f"spot_{d}": label for d, label in enumerate("abcdef")}

    @pytest.mark.parametrize("key", [3, None, ["slide"]])
    def test_keys_that_are_no_names(self, two, key):
        with pytest.raises(TypeError, match="give the name of a column of obs"):
            _graph.sections(two, key)

    def test_missing_labels(self, two):
        two["atac"].obs["slide"] = list("dcba")
        with pytest.raises(ValueError, match=r"obs\['slide'\] names no section for 2 observations.*'spot_4'"):
            _graph.sections(two, "slide")

    @pytest.mark.parametrize("key", ["slied", "rna:slied", "other:slide"])
    def test_an_unknown_column(self, two, key):
        two["rna"].obs["slide"] = list("aabbcc")
        with pytest.raises(KeyError, match=f"no column '{key}' in obs.*did you mean 'slide'"):
            _graph.sections(two, key)

    def test_nothing_is_written(self, two, fingerprint):
        two["rna"].obs["slide"] = list("aabbcc")
        before = fingerprint(two)
        _graph.sections(two, "slide")
        assert fingerprint(two) == before


class TestWeights:
    @every_method
    @pytest.mark.parametrize("bandwidth", [40.0, 3, np.float32(1e3)])
    def test_gauss(self, method, bandwidth):
        points = scattered()
        graph = built(points, method)
        weights = graph.weights(points, bandwidth)
        expected = np.exp(-((between(points) / bandwidth) ** 2) / 2) * edges(graph)
        np.testing.assert_allclose(weights.toarray(), expected, rtol=1e-10, atol=1e-100)
        assert (weights.format, weights.dtype, weights.has_sorted_indices) == ("csr", np.float64, True)

    @pytest.mark.parametrize(("bandwidth", "entries"), [(0.1, 8), (0.05, 8), (0.0265, 0), (1e-6, 0)])
    def test_weights_that_have_hardly_a_reciprocal_are_none(self, bandwidth, entries):
        """At distance 1 these weigh 2e-22, 1e-87 and next to nothing; the third is no normal number."""
        points = np.column_stack([np.arange(5.0), np.zeros(5)])
        graph = _graph.build(points, 0.25, None)
        assert graph.weights(points, bandwidth).nnz == entries

    @pytest.mark.parametrize("bandwidth", [None, "auto"])
    def test_the_bandwidth_is_the_median_distance_of_the_nearest(self, bandwidth):
        points = scattered()
        distance = between(points) + np.diag(np.full(40, np.inf))
        unit = np.median(distance.min(axis=1))
        graph = built(points, "knn")
        expected = np.exp(-((distance / unit) ** 2) / 2) * edges(graph)
        np.testing.assert_allclose(graph.weights(points, bandwidth).toarray(), expected, rtol=1e-10)

    def test_each_section_has_its_bandwidth(self):
        points = np.concatenate([scattered(20), scattered(20) * 10])
        sections = pd.Categorical(["a"] * 20 + ["b"] * 20)
        weights = built(points, "knn", sections=sections).weights(points, None, sections).toarray()
        np.testing.assert_allclose(weights[:20, :20], weights[20:, 20:], rtol=1e-9)

    @given(st.floats(1e-3, 1e3))
    @settings(max_examples=20, deadline=None)
    def test_the_unit_of_the_coordinates_does_not_matter(self, factor):
        points = scattered(15)
        graph = built(points, "delaunay")
        for bandwidths in ((30.0, 30.0 * factor), (None, None)):
            one, other = (graph.weights(at, h) for at, h in zip((points, points * factor), bandwidths, strict=True))
            np.testing.assert_allclose(one.toarray(), other.toarray(), rtol=1e-6)

    def test_an_infinite_bandwidth_weighs_all_alike(self):
        points, graph = scattered(), built(scattered())
        for at in (points, None):
            assert_same(graph.weights(at, np.inf), graph.neighbours())
        bare = _graph.Graph(graph.connectivities * 0.5)
        assert_same(bare.weights(None, np.inf), graph.neighbours())

    def test_coincident_neighbours(self):
        points = scattered(12)
        points[[7, 9]] = points[2]
        graph = built(points, "knn")
        nearest = [row[row > 0].min() for row in np.where(edges(graph), between(points), 0) if (row > 0).any()]
        for weights in (graph.weights(points), graph.weights(None)):
            assert weights[2, 7] == weights[9, 2] == 1
            expected = np.exp(-((between(points) / np.median(nearest)) ** 2) / 2) * edges(graph)
            np.testing.assert_allclose(weights.toarray(), expected, rtol=1e-10)

    def test_all_in_one_place(self):
        points = np.ones((5, 2))
        graph = built(points)
        np.testing.assert_array_equal(graph.weights(points).toarray(), 1 - np.eye(5))

    def test_isolated_observations_have_empty_rows(self):
        points = np.array([[0, 0], [0, 1], [100, 100], [1, 0]])
        weights = built(points, radius=0.1).weights(points)
        assert np.diff(weights.indptr).tolist() == [2, 2, 0, 2]
        with pytest.warns(UserWarning, match="1 of 4 observations"):
            _graph.warn_isolated(weights)

    @pytest.mark.filterwarnings("error::RuntimeWarning")
    def test_neighbours_too_far_to_weigh_anything_are_none(self):
        points = scattered()
        assert built(points).weights(points, 1e-200).nnz == 0

    def test_self_is_left_out(self):
        points = scattered(4)
        graph = _graph.Graph(csr_array(np.ones((4, 4))), csr_array(between(points)))
        for weights in (graph.weights(points), graph.weights(None), _graph.Graph(graph.connectivities).weights(None)):
            assert (weights.nnz, weights.diagonal().sum()) == (12, 0)

    @every_method
    def test_stored_distances_weigh_as_those_of_the_points(self, method):
        points = scattered()
        graph = built(points, method)
        for bandwidth in (None, 30.0):
            stored, measured = graph.weights(None, bandwidth), graph.weights(points, bandwidth)
            np.testing.assert_allclose(stored.toarray(), measured.toarray(), rtol=1e-12)

    def test_distances_of_one_direction_serve_both(self):
        distances = csr_array(np.array([[0, 2.0, 0], [0, 0, 3.0], [0, 0, 0]]))
        graph = _graph.Graph(csr_array((distances + distances.T).astype(bool), dtype=np.float32), distances)
        expected = np.exp(-(np.array([[np.inf, 2, np.inf], [2, np.inf, 3], [np.inf, 3, np.inf]]) ** 2) / 8)
        np.testing.assert_allclose(graph.weights(None, 2.0).toarray(), expected)

    def test_connectivities_weigh_where_there_is_no_distance(self):
        fuzzy = np.array([[9, 0.25, 0], [0.5, 0, 1], [0, 0.125, 0]], dtype=np.float32)
        weights = _graph.Graph(csr_array(fuzzy)).weights(None)
        np.testing.assert_array_equal(weights.toarray(), fuzzy - np.diag([9, 0, 0]))
        assert weights.dtype == np.float64

    @pytest.mark.parametrize("bad", [0, -1.0, float("nan"), -np.inf, "wide"])
    def test_bad_bandwidths(self, bad):
        for points in (scattered(), None):
            with pytest.raises(ValueError, match=f"bandwidth={bad!r}: it must be positive"):
                built(scattered()).weights(points, bad)

    def test_a_bandwidth_needs_distances(self):
        with pytest.raises(ValueError, match="bandwidth=3.0: the graph has no distances"):
            _graph.Graph(csr_array(np.ones((3, 3)))).weights(None, 3)

    @pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
    def test_unsound_values_of_a_stored_graph(self, bad):
        ones, values = csr_array(1 - np.eye(2)), csr_array(np.array([[0, bad], [1, 0]]))
        with pytest.raises(ValueError, match="1 connectivities of the graph are negative or not finite"):
            _graph.Graph(values).weights(None)
        with pytest.raises(ValueError, match="1 distances of the graph are negative or not finite"):
            _graph.Graph(ones, values).weights(None)


class TestStored:
    @every_method
    @pytest.mark.parametrize("sections", [None, pd.CategoricalIndex(["a/1", "b"] * 20, name="slide")])
    def test_there_and_back(self, method, sections, tmp_path):
        adata = AnnData(np.ones((40, 1)), obs=pd.DataFrame(index=[f"spot_{d}" for d in range(40)]))
        graph = built(scattered(), method, sections=sections)
        key = _graph.store(graph, adata, "mtopic", "mtopic_spatial")
        adata.write_h5ad(tmp_path / "graph.h5ad")
        again = _graph.find(read_h5ad(tmp_path / "graph.h5ad"), key)
        assert_same(again.connectivities, graph.connectivities)
        assert_same(again.distances, graph.distances)
        assert {**graph.params, "mtopic": "mtopic"}.keys() == again.params.keys()
        for name, value in graph.params.items():
            np.testing.assert_array_equal(again.params[name], value)

    def test_params_say_what_was_used(self):
        points, slides = scattered(), pd.CategoricalIndex(["b", "a"] * 20, name="slide")
        side = np.ptp(points, axis=0).max()
        assert built(points).params == {"coord_type": "generic", "radius": pytest.approx(0.3 * side)}
        assert built(points, "knn").params == {"coord_type": "generic", "n_neighbors": 3}
        assert built(points, "delaunay").params == {"coord_type": "generic", "method": "delaunay"}
        assert built(points, "grid").params == {"coord_type": "grid", "method": "grid", "n_neighbors": 4}
        params = built(points, "knn", sections=slides).params
        assert (params["library_key"], list(params["sections"])) == ("slide", ["a", "b"])

    def test_a_graph_of_scanpy_needs_no_coordinates(self):
        import scanpy as sc

        adata = AnnData(np.random.default_rng(0).random((30, 3)))
        sc.pp.neighbors(adata, n_neighbors=4, use_rep="X", method="gauss", key_added="near")
        graph = _graph.find(adata, "near")
        apart = between(adata.X)
        expected = np.exp(-((apart / 0.2) ** 2) / 2) * (adata.obsp["near_connectivities"].toarray() > 0)
        np.testing.assert_allclose(graph.weights(None, 0.2).toarray(), expected, rtol=1e-4)
        del adata.obsp["near_distances"]
        fuzzy = _graph.find(adata, "near").weights(None)
        np.testing.assert_allclose(fuzzy.toarray(), adata.obsp["near_connectivities"].toarray())

    def test_a_matrix_serves_as_an_array(self):
        adata = AnnData(np.ones((3, 1)))
        adata.obsp["ring_connectivities"] = csr_matrix(np.roll(np.eye(3), 1, axis=1))
        np.testing.assert_array_equal(_graph.find(adata, "ring").weights(None).toarray(), np.roll(np.eye(3), 1, axis=1))


def test_different_graphs_of_modalities_are_asked_about():
    data = mt.datasets.simulate(n_obs=40, n_topics=2, modalities={"rna": 20, "atac": 20})
    for shift, adata in enumerate(data.mod.values(), 1):
        adata.obsp["mine_connectivities"] = csr_matrix(np.roll(np.eye(40), shift, axis=1))
    with pytest.raises(ValueError, match="different graphs obsp.*neighbors_key='rna:mine' or 'atac:mine'"):
        _graph.find(data, "mine")
    for mod in data.mod:
        found = _graph.find(data, f"{mod}:mine").connectivities
        assert (found != csr_array(data[mod].obsp["mine_connectivities"])).nnz == 0
        where = {"neighbors_key": f"{mod}:mine", "strength": 1.0}
        mt.tl.topic_model(data, 2, n_iter=20, n_jobs=1, verbose=False, key_added=mod.upper(), **where)
    mt.tl.uncertainty(data, prefix="RNA")
    assert not np.allclose(data.obsm["RNA_topics"], data.obsm["ATAC_topics"])
    data["atac"].obsp["mine_connectivities"] = data["rna"].obsp["mine_connectivities"]
    assert (_graph.find(data, "mine").connectivities != _graph.find(data, "rna:mine").connectivities).nnz == 0
