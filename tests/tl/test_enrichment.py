import importlib
import importlib.util
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
from mudata import read_h5mu
from packaging.version import Version
from scipy.stats import false_discovery_control

import mtopic as mt

dc = pytest.importorskip("decoupler")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
RIGHT = pytest.mark.skipif(Version(version("decoupler")) < Version("2.3.1"), reason="decoupler is too old")
METHODS = ["ulm", pytest.param("ora", marks=RIGHT), pytest.param("gsea", marks=RIGHT)]
COLUMNS = ["topic", "source", "score", "p", "q", "n_targets"]


@pytest.fixture(scope="module")
def fitted():
    """Cells with 100 features that are as frequent in every topic; not to be changed."""
    mdata = mt.datasets.simulate(400, 4, modalities={"rna": 300, "atac": 200}, depth=300, spatial=False)
    rna = mdata["rna"]
    rng = np.random.default_rng(0)
    depth = np.asarray(rna.X.sum(axis=1)).ravel()
    frequent = np.stack([rng.multinomial(int(4 * n), np.full(100, 0.01)) for n in depth])
    counts = rna.X.toarray()
    counts[:, -100:] = frequent
    rna.X = counts
    mt.tl.topic_model(mdata, 4, n_iter=60, verbose=False)
    return mdata


@pytest.fixture
def mdata(fitted):
    return fitted.copy()


@pytest.fixture(scope="module")
def net(fitted):
    """For each known topic a set, twelve of whose twenty genes are its markers; sets of frequent genes; random ones."""
    rng = np.random.default_rng(1)
    true = fitted["rna"].varm["true_signatures"].iloc[:-100]
    genes, sets = fitted["rna"].var_names, {}
    for topic in true:
        markers = (true[topic] / true.sum(axis=1))[true[topic] > 1 / 300].nlargest(20).index
        sets[f"planted_{topic}"] = [
            *rng.choice(markers, 12, replace=False),
            *rng.choice(genes[-100:], 8, replace=False),
        ]
    sets |= {f"frequent_{i}": rng.choice(genes[-100:], 20, replace=False) for i in range(10)}
    sets |= {f"random_{i}": rng.choice(genes, 20, replace=False) for i in range(20)}
    return net_of(sets)


def net_of(sets):
    pairs = [(source, target) for source, targets in sets.items() for target in targets]
    return pd.DataFrame(pairs, columns=["source", "target"])


def partners(mdata):
    """The known topic of each topic."""
    true, found = mdata.obsm["true_topics"], mdata.obsm["topics"]
    return {topic: true.corrwith(found[topic]).idxmax() for topic in found}


def lift(mdata, mod="rna"):
    """How often a feature is in a topic beside all counts, with the share that few counts do not exceed."""
    top = mt.get.top_features(mdata, mod, n_top=mdata[mod].n_vars, by="lift")
    return top.pivot(index="topic", columns="feature", values="score")[mdata[mod].var_names]


@pytest.mark.parametrize("method", METHODS)
def test_planted_sets_come_first_for_their_topics(mdata, net, method):
    options = {"times": 200} if method == "gsea" else {}
    mt.tl.enrichment(mdata, "rna", net=net, method=method, **options)
    found = mdata["rna"].uns["enrichment"]
    first = found.groupby("topic", sort=False).first()["source"]
    for topic, true in partners(mdata).items():
        assert first[topic] == f"planted_{true}"
    surely = found[(found["q"] < 0.05) & (found["score"] > 0)]
    assert not surely["source"].str.startswith("frequent").any()


def test_by_shares_what_is_frequent_is_in_every_topic(mdata, net):
    """Which is why they are not the default."""
    mt.tl.enrichment(mdata, "rna", net=net, by="probability")
    found = mdata["rna"].uns["enrichment"]
    frequent = found[found["source"].str.startswith("frequent")]
    assert (frequent.query("score > 0")["q"] < 0.05).mean() > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_as_decoupler_called_by_hand(mdata, net, method):
    options = {"ora": {"n_bg": None, "n_up": 40}, "gsea": {"times": 50, "seed": 3}}.get(method, {})
    net = net.assign(weight=np.where(np.arange(len(net)) % 3, 1.0, -0.5)) if method == "ulm" else net
    score, adjusted = getattr(dc.mt, method)(lift(mdata), net, tmin=7, **options)
    mt.tl.enrichment(mdata, "rna", net=net, method=method, tmin=7, **options)
    found = mdata["rna"].uns["enrichment"]
    ours = found.pivot(index="topic", columns="source", values="score")
    pd.testing.assert_frame_equal(ours, score.loc[ours.index, ours.columns], check_names=False, check_exact=False)
    p = found.pivot(index="topic", columns="source", values="p")
    by_topic = false_discovery_control(p, axis=1)
    np.testing.assert_allclose(by_topic, adjusted.loc[p.index, p.columns], rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(found["q"], false_discovery_control(found["p"]))


def test_table(mdata, net, fingerprint):
    before = fingerprint(mdata["atac"])
    mt.tl.enrichment(mdata, "rna", net=net, key_added="sets")
    found = mdata["rna"].uns["sets"]
    assert list(found.columns) == COLUMNS and len(found) == 4 * 34
    assert list(pd.unique(found["topic"])) == list(mdata.obsm["topics"].columns)
    assert (found.groupby("topic")["score"].diff().dropna() <= 0).all()
    assert set(found["n_targets"]) == {20} and found["n_targets"].dtype == np.int64
    assert found["score"].dtype == found["p"].dtype == found["q"].dtype == np.float64
    assert found["p"].between(0, 1).all() and (found["q"] >= found["p"]).all()
    assert fingerprint(mdata["atac"]) == before


def test_targets_that_are_no_features_do_not_count(mdata, net):
    others = pd.DataFrame({"source": "planted_topic_1", "target": [f"other_{i}" for i in range(50)]})
    few = pd.DataFrame({"source": "few", "target": mdata["rna"].var_names[:4]})
    mt.tl.enrichment(mdata, "rna", net=net)
    expected = mdata["rna"].uns["enrichment"]
    mt.tl.enrichment(mdata, "rna", net=pd.concat([others, few, net]))
    pd.testing.assert_frame_equal(mdata["rna"].uns["enrichment"], expected)


@pytest.mark.parametrize("method", ["ulm", pytest.param("ora", marks=RIGHT)])
def test_false_discoveries_of_shuffled_nets_are_at_their_level(mdata, method):
    rng = np.random.default_rng(2)
    genes = mdata["rna"].var_names
    net = net_of({f"random_{i}": rng.choice(genes, 20, replace=False) for i in range(300)})
    mt.tl.enrichment(mdata, "rna", net=net, method=method)
    found = mdata["rna"].uns["enrichment"]
    assert (found["p"] < 0.05).mean() < 0.07
    assert (found["q"] < 0.05).mean() < 0.005


def test_written_and_read(mdata, net, tmp_path):
    mt.tl.enrichment(mdata, "rna", net=net)
    mdata.write(tmp_path / "data.h5mu")
    again = read_h5mu(tmp_path / "data.h5mu")["rna"].uns["enrichment"]
    expected = mdata["rna"].uns["enrichment"]
    for column in COLUMNS:
        assert list(again[column]) == list(expected[column])


def test_anndata(mdata, net):
    adata = mdata["rna"].copy()
    adata.obsm["topics"], adata.uns["mtopic"] = mdata.obsm["topics"].loc[adata.obs_names], mdata.uns["mtopic"]
    mt.tl.enrichment(adata, net=net)
    mt.tl.enrichment(mdata, "rna", net=net)
    pd.testing.assert_frame_equal(adata.uns["enrichment"], mdata["rna"].uns["enrichment"])


def test_after_another_fit_it_is_outdated(mdata, net):
    mt.tl.enrichment(mdata, "rna", net=net)
    assert "rna:uns:enrichment" in mdata.uns["mtopic"]["results"].index
    with pytest.warns(UserWarning, match="rna:uns:enrichment follow"):
        mt.tl.topic_model(mdata, 3, n_iter=3, verbose=False)
    with pytest.warns(UserWarning, match="rna:uns:enrichment follows from an earlier fit"):
        mt.pl.enrichment(mdata, "rna", show=False)


def test_names_that_do_not_match_are_told(mdata, net):
    upper = net.assign(target=net["target"].str.upper())
    with pytest.raises(ValueError, match="no names in common.*'RNA_.*'rna_.*alike but for upper and lower case"):
        mt.tl.enrichment(mdata, "rna", net=upper)
    mostly = upper.assign(
        target=[old if i % 60 == 0 else new for i, (old, new) in enumerate(zip(net.target, upper.target, strict=True))]
    )
    with pytest.warns(UserWarning, match=r"have \d+ names in common.*'RNA_"):
        mt.tl.enrichment(mdata, "rna", net=mostly, tmin=1)


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        (lambda net: net.rename(columns={"target": "gene"}), {}, KeyError, "no column 'target' in the net"),
        (lambda net: dict(net), {}, TypeError, "net is dict"),
        (lambda net: pd.concat([net, net[:3]]), {}, ValueError, "3 pairs are twice in the net, the first is planted"),
        (lambda net: net.assign(weight=["x", *[1.0] * (len(net) - 1)]), {}, ValueError, "1 weights of the net"),
        (lambda net: net, {"tmin": 21}, ValueError, "tmin=21 targets in modality 'rna', which has 20 of '"),
        (lambda net: net, {"method": "fisher"}, ValueError, "method='fisher': choose 'ulm'"),
        (lambda net: net, {"by": "weight"}, ValueError, "by='weight': choose"),
        (lambda net: net, {"signatures": "signature"}, KeyError, "did you mean .*'signatures'"),
    ],
)  # fmt: skip
def test_errors(mdata, net, fingerprint, change, options, error, match):
    before = fingerprint(mdata)
    with pytest.raises(error, match=match):
        mt.tl.enrichment(mdata, "rna", net=change(net), **options)
    assert fingerprint(mdata) == before


def test_one_topic_has_nothing_to_be_compared_with(mdata, net):
    mdata["rna"].varm["signatures"] = mdata["rna"].varm["signatures"][["topic_1"]]
    with pytest.raises(ValueError, match="1 topic"):
        mt.tl.enrichment(mdata, "rna", net=net)


def test_without_decoupler_or_with_an_old_one(mdata, net, monkeypatch):
    module = importlib.import_module("mtopic.tl._enrichment")
    monkeypatch.setattr(module, "version", lambda name: "2.2.0")
    with pytest.raises(ImportError, match="method='ora' needs decoupler 2.3.1 or newer.*this is 2.2.0.*method='ulm'"):
        mt.tl.enrichment(mdata, "rna", net=net, method="ora")
    mt.tl.enrichment(mdata, "rna", net=net)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'mtopic\[enrichment\]'"):
        mt.tl.enrichment(mdata, "rna", net=net)
