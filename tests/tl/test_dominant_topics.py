import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgba
from scanpy.plotting import palettes

import mtopic as mt

TOPICS = "true_topics"


def with_topics(n_obs, n_topics):
    data = mt.datasets.simulate(n_obs, 2, modalities={"rna": 5}, depth=5)
    shares = np.random.default_rng(0).dirichlet(np.ones(n_topics), n_obs)
    columns = [f"topic_{k + 1}" for k in range(n_topics)]
    data.obsm["topics"] = pd.DataFrame(shares, index=data.obs_names, columns=columns)
    return data


def everywhere(n_topics):
    """Data in which each topic is dominant somewhere."""
    data = with_topics(n_topics, n_topics)
    data.obsm["topics"].iloc[:, :] = np.eye(n_topics)
    return data


def above_the_mean(proportions):
    roots = np.sqrt(proportions)
    return roots - roots.mean()


@pytest.mark.parametrize(("options", "of"), [({}, above_the_mean), ({"by": "proportion"}, pd.DataFrame)])
def test_what_dominates(tissue, fingerprint, options, of):
    before = fingerprint(tissue.mod)
    mt.tl.dominant_topics(tissue, TOPICS, **options)
    topic = tissue.obs["topic"]
    assert isinstance(topic.dtype, pd.CategoricalDtype)
    assert list(topic) == list(of(tissue.obsm[TOPICS]).idxmax(axis=1))
    assert list(topic.cat.categories) == ["topic_1", "topic_2", "topic_3", "topic_4"]
    assert tissue.uns["topic_colors"] == palettes.default_20[:4]
    assert before == fingerprint(tissue.mod)


def test_a_topic_that_all_have_in_common_is_not_everybodys(tissue):
    own = tissue.obsm[TOPICS]
    mt.tl.dominant_topics(tissue, TOPICS)
    before = tissue.obs["topic"].astype(str)
    common = own * 0.3
    common["common"] = 0.7
    tissue.obsm["topics"] = common
    mt.tl.dominant_topics(tissue)
    assert (tissue.obs["topic"].astype(str) == before).mean() == 1
    mt.tl.dominant_topics(tissue, by="proportion")
    assert set(tissue.obs["topic"]) == {"common"}


def test_scale_of_rows_and_rounding_do_not_matter(tissue):
    mt.tl.dominant_topics(tissue, TOPICS)
    before = tissue.obs["topic"].copy()
    tissue.obsm["topics"] = tissue.obsm[TOPICS].mul(np.linspace(1, 9, tissue.n_obs), axis=0).astype(np.float32)
    mt.tl.dominant_topics(tissue)
    assert (tissue.obs["topic"] == before).mean() > 0.99
    tissue.obsm["topics"].iloc[:] = [0.2, 0.3, 0.4, 0.1]  # all alike: no deviation but by rounding
    mt.tl.dominant_topics(tissue)
    assert set(tissue.obs["topic"]) == {"topic_3"}


def test_deviations_of_what_is_no_proportion(tissue):
    tissue.obsm["topics"] = -tissue.obsm[TOPICS]
    with pytest.raises(ValueError, match=r"obsm\['topics'\] holds values that are no proportions.*by='proportion'"):
        mt.tl.dominant_topics(tissue)
    assert "topic" not in tissue.obs
    mt.tl.dominant_topics(tissue, by="proportion")
    assert list(tissue.obs["topic"]) == list(tissue.obsm[TOPICS].idxmin(axis=1))
    with pytest.raises(KeyError, match="by 'largest'"):
        mt.tl.dominant_topics(tissue, TOPICS, by="largest")


def test_topics_that_occur_are_categories_in_the_order_of_the_table(tissue):
    names = [f"topic_{k}" for k in (12, 3, 7, 1)]
    tissue.obsm["topics"] = tissue.obsm[TOPICS].set_axis(names, axis=1)
    tissue.obsm["topics"]["topic_7"] = 0.0
    mt.tl.dominant_topics(tissue, key_added="domain")
    assert list(tissue.obs["domain"].cat.categories) == ["topic_12", "topic_3", "topic_1"]
    assert tissue.uns["domain_colors"] == [palettes.default_20[k] for k in (0, 1, 3)]
    assert "topic" not in tissue.obs and "topic_colors" not in tissue.uns


def test_of_equals_the_first_and_of_missing_none(tissue):
    tissue.obsm["topics"] = tissue.obsm[TOPICS].copy()
    tissue.obsm["topics"].iloc[0] = [0.1, 0.4, 0.1, 0.4]
    tissue.obsm["topics"].iloc[1] = np.nan
    tissue.obsm["topics"].iloc[2, 0] = np.nan
    mt.tl.dominant_topics(tissue, by="proportion")
    topic = tissue.obs["topic"]
    assert topic.iloc[0] == "topic_2"
    assert topic.isna().sum() == 2 and topic.isna().iloc[1] and topic.isna().iloc[2]


@pytest.mark.parametrize(
    ("n_topics", "palette"), [(20, palettes.default_20), (28, palettes.default_28), (102, palettes.default_102)]
)
def test_colours_are_scanpys(n_topics, palette):
    data = everywhere(n_topics)
    mt.tl.dominant_topics(data)
    assert data.uns["topic_colors"] == [to_hex(colour) for colour in palette[:n_topics]]


def test_colours_are_those_of_the_plot():
    data = with_topics(300, 5)
    mt.tl.dominant_topics(data)
    ax = mt.pl.dominant_topics(data, x="spatial")
    drawn = [to_hex(handle.get_color()) for handle in ax.get_legend().legend_handles]
    assert drawn == data.uns["topic_colors"]


def test_more_topics_than_any_palette():
    data = everywhere(110)
    mt.tl.dominant_topics(data)
    assert len(set(data.uns["topic_colors"])) == 110


def test_colours_that_fit_are_kept(tissue):
    own = ["red", "green", "blue", "black"]
    tissue.uns["topic_colors"] = own
    mt.tl.dominant_topics(tissue, TOPICS)
    assert tissue.uns["topic_colors"] == own
    tissue.uns["topic_colors"] = own[:3]
    mt.tl.dominant_topics(tissue, TOPICS)
    assert tissue.uns["topic_colors"] == palettes.default_20[:4]


def test_scanpy_and_squidpy_draw_in_these_colours(tissue):
    import scanpy as sc
    import squidpy as sq

    own = ["#ff0000", "#00ff00", "#0000ff", "#000000"]
    tissue.uns["topic_colors"] = own
    mt.tl.dominant_topics(tissue, TOPICS)
    adata = mt.get.topics(tissue, key=TOPICS)
    expected = {
        tuple(np.float32(place)): to_rgba(own[code])
        for place, code in zip(adata.obsm["spatial"], adata.obs["topic"].cat.codes, strict=True)
    }
    axes = [sc.pl.embedding(adata, "spatial", color="topic", show=False)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes.append(sq.pl.spatial_scatter(adata, color="topic", shape=None, return_ax=True, ax=plt.figure().gca()))
    for ax in axes:
        drawn = [artist for artist in ax.collections if len(artist.get_offsets()) == adata.n_obs][-1]
        places = map(tuple, np.asarray(drawn.get_offsets(), dtype=np.float32))
        assert dict(zip(places, map(tuple, drawn.get_facecolors()), strict=True)) == expected


def test_muon_draws_a_mudata(tissue):
    import muon as mu

    mt.tl.dominant_topics(tissue, TOPICS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ax = mu.pl.embedding(tissue, "spatial", color="topic", show=False)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"topic_{k}" for k in (1, 2, 3, 4)]


def test_anndata_and_a_view(tissue):
    adata = tissue["rna"].copy()
    adata.obsm["topics"] = tissue.obsm[TOPICS].to_numpy()
    mt.tl.dominant_topics(adata)
    mt.tl.dominant_topics(tissue, TOPICS)
    assert list(adata.obs["topic"]) == list(tissue.obs["topic"])
    part = adata[:20]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mt.tl.dominant_topics(part, key_added="again", by="proportion")
    assert list(part.obs["again"]) == list(tissue.obsm[TOPICS][:20].idxmax(axis=1))
    assert "again" not in adata.obs


def test_a_part_of_a_fit_has_the_topics_that_it_has_in_the_whole():
    data = mt.datasets.simulate(n_obs=200, n_topics=4)
    mt.tl.topic_model(data, 4, spatial_key="spatial", verbose=False)
    mt.tl.dominant_topics(data)
    corner = data[data.obsm["spatial"].sum(axis=1) < np.median(data.obsm["spatial"].sum(axis=1))].copy()
    mt.tl.dominant_topics(corner, key_added="again")
    assert list(corner.obs["again"]) == list(corner.obs["topic"])
    mt.tl.topic_model(corner, 4, spatial_key="spatial", verbose=False)
    roots = np.sqrt(corner.obsm["topics"])
    np.testing.assert_allclose(corner.uns["mtopic"]["mean_roots"]["mean_root"], roots.mean(), rtol=1e-6)


def test_survives_a_file(tissue, tmp_path):
    mt.tl.dominant_topics(tissue, TOPICS)
    tissue.write_h5mu(tmp_path / "tissue.h5mu")
    read = mt.read.h5mu(tmp_path / "tissue.h5mu")
    assert list(read.obs["topic"].cat.categories) == list(tissue.obs["topic"].cat.categories)
    assert list(read.obs["topic"]) == list(tissue.obs["topic"])
    assert list(read.uns["topic_colors"]) == tissue.uns["topic_colors"]
    mt.tl.dominant_topics(read, TOPICS)
    assert list(read.uns["topic_colors"]) == tissue.uns["topic_colors"]


def test_bad_tables(tissue, fingerprint):
    tissue.obsm["empty"] = tissue.obsm[TOPICS].iloc[:, :0]
    before = fingerprint(tissue)
    with pytest.raises(KeyError, match="did you mean 'true_topics'"):
        mt.tl.dominant_topics(tissue, "true_topic")
    with pytest.raises(ValueError, match=r"obsm\['empty'\] has no columns"):
        mt.tl.dominant_topics(tissue, "empty")
    assert fingerprint(tissue) == before
    tissue.obsm["twice"] = tissue.obsm[TOPICS].set_axis(["a", "b", "b", "c"], axis=1)
    with pytest.raises(ValueError, match=r"obsm\['twice'\] has two columns 'b'"):
        mt.tl.dominant_topics(tissue, "twice")
    assert "topic" not in tissue.obs


OWN = {"topic_1": "#000000", "topic_2": "#ff00ff", "topic_3": "#00ff00", "topic_4": "#0000ff"}
PLOTS = {
    "dominant_topics": lambda data: mt.pl.dominant_topics(data, x="spatial", topics=TOPICS),
    "scatter_pie": lambda data: mt.pl.scatter_pie(data, TOPICS, x="spatial", radius=None),
    "composition": lambda data: mt.pl.composition(data, "topic", TOPICS, kind="bar"),
}


def shown(ax):
    legend = ax.get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    colours = [
        getattr(handle, "get_color", getattr(handle, "get_facecolor", None))() for handle in legend.legend_handles
    ]
    return dict(zip(names, map(to_hex, colours), strict=True))


def subset(tissue):
    part = tissue[tissue.obs["topic"] != "topic_1"].copy()
    part.obs["topic"] = part.obs["topic"].cat.remove_unused_categories()
    part.uns["topic_colors"] = list(OWN.values())[1:]
    return part


@pytest.mark.parametrize("plot", PLOTS)
def test_topics_keep_their_colours_in_a_part(tissue, plot):
    mt.tl.dominant_topics(tissue, TOPICS)
    tissue.uns["topic_colors"] = list(OWN.values())
    whole, part = PLOTS[plot](tissue), PLOTS[plot](subset(tissue))
    assert shown(whole) == OWN
    of_part = shown(part)
    assert {name: of_part[name] for name in list(OWN)[1:]} == {name: OWN[name] for name in list(OWN)[1:]}


def test_topics_keep_their_colours_when_others_come_and_go(tissue):
    mt.tl.dominant_topics(tissue, TOPICS)
    tissue.uns["topic_colors"] = list(OWN.values())
    tissue.obsm["fewer"] = tissue.obsm[TOPICS].copy()
    tissue.obsm["fewer"]["topic_2"] = 0.0
    mt.tl.dominant_topics(tissue, "fewer")
    assert tissue.uns["topic_colors"] == [OWN[f"topic_{k}"] for k in (1, 3, 4)]
    mt.tl.dominant_topics(tissue, TOPICS)
    colours = dict(zip(tissue.obs["topic"].cat.categories, tissue.uns["topic_colors"], strict=True))
    assert colours == {**OWN, "topic_2": "#ff7f0e"}, "the one whose colour is not known has the default"


def test_colours_for_all_topics_where_some_are_nowhere_dominant(tissue):
    tissue.obsm["fewer"] = tissue.obsm[TOPICS].copy()
    tissue.obsm["fewer"]["topic_2"] = 0.0
    mt.tl.dominant_topics(tissue, "fewer")
    tissue.uns["topic_colors"] = list(OWN.values())
    drawn = shown(mt.pl.dominant_topics(tissue, x="spatial", topics="fewer"))
    assert drawn == {name: colour for name, colour in OWN.items() if name != "topic_2"}
    mt.tl.dominant_topics(tissue, "fewer")
    assert tissue.uns["topic_colors"] == list(drawn.values())


def test_scanpy_and_squidpy_take_the_category(tissue):
    import scanpy as sc
    import squidpy as sq

    tissue.obsm["topics"] = tissue.obsm[TOPICS].copy()
    tissue.obsm["topics"]["topic_3"] *= 1e-3
    mt.tl.dominant_topics(tissue)
    adata = tissue["rna"].copy()
    adata.obs["topic"], adata.obsm["topics"] = tissue.obs["topic"], tissue.obsm["topics"]
    adata.obsm["spatial"] = tissue.obsm["spatial"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.log1p(adata)
        sc.tl.rank_genes_groups(adata, "topic")
        sc.tl.dendrogram(adata, "topic", use_rep="topics")
        sc.pl.dotplot(adata, adata.var_names[:2], "topic", show=False)
        sq.gr.spatial_neighbors(adata)
        sq.gr.centrality_scores(adata, "topic")
    assert len(adata.uns["topic_centrality_scores"]) == 3
