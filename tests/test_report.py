"""The page about a fit, through the command line."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import mtopic as mt
from mtopic import cli


class Page(HTMLParser):
    """What a browser would find on it."""

    def __init__(self, text):
        super().__init__()
        self.open, self.pictures, self.links, self.cells, self.headings = [], [], [], [], []
        self.captions, self.warnings, self.terms, self.text = [], [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        attributes = dict(attrs)
        self.pictures += [attributes] if tag == "img" else []
        self.explained = attributes.get("title")
        self.links += [attributes[name] for name in ("href", "src") if name in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] in ("h2", "h3"):
            self.headings.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)
        if self.open and self.open[-1] == "abbr":
            self.terms[data] = self.explained
            self.cells.append(data)
        if self.open and self.open[-1] == "figcaption":
            self.captions.append(data)
        if self.open and self.open[-1] == "li":
            self.warnings.append(data)


def test_priors_by_topic_and_feature_are_shown_as_ranges():
    mdata = mt.datasets.simulate(150, 4, modalities={"rna": 40, "atac": 60}, depth=300)
    eta = {"rna": np.linspace(0.02, 0.7, 40), "atac": 0.03}
    mt.tl.topic_model(mdata, 4, alpha=[0.1, 2, 0.3, 0.4], eta=eta, n_init=2, n_iter=3, verbose=False)
    cells = Page(mt.report(mdata, title="priors")).cells
    assert cells[cells.index("prior of proportions, α") + 1] == "0.1 to 2"
    assert cells[cells.index("prior of signatures, η") + 1] == "0.02 to 0.7"
    assert cells[cells.index("starts") + 1] == "2"
    weights = mdata.uns["mtopic"]["params"]["modality_weights"]
    assert cells[cells.index("weights of modalities") + 1] == f"rna {weights['rna']:.3g}, atac {weights['atac']:.3g}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    mdata = mt.datasets.simulate(150, 4, modalities={"rna": 40, "atac": 60}, depth=300)
    mdata["rna"].var_names = ["<gene & co>", *mdata["rna"].var_names[1:]]
    mdata.update()
    mdata.obs["layer"] = pd.Categorical(np.repeat(["L1", "L2", "L3"], 50))
    mdata["rna"].obs["batch"] = pd.Categorical(np.resize(["one", "two"], 150))
    mdata["rna"].obs["donor"] = "the only one"
    mt.tl.topic_model(mdata, 4, verbose=False)
    path = tmp_path_factory.mktemp("report") / "trained.h5mu"
    mdata.write_h5mu(path)
    return path


def written(path, out, *options):
    assert cli.main(["report", str(path), "-o", str(out), *options]) == 0
    text = out.read_text(encoding="utf-8")
    return Page(text), text


def test_the_page_tells_of_the_fit_and_needs_nothing_else(trained, tmp_path, capsys):
    page, text = written(trained, tmp_path / "report.html", "--n-top", "5")
    assert page.open == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert "<script" not in text and "@import" not in text and "url(" not in text
    assert page.headings == ["Topics", "Features", "rna", "atac", "Composition", "Quality", "Fit"]
    pictures = [picture["alt"] for picture in page.pictures]
    assert pictures[:2] == ["Observations by dominant topic", "Proportion of each topic"]
    assert sorted(said.split()[-1].split(":")[-1] for said in pictures[2:-1]) == ["batch", "layer"]
    assert pictures[-1] == "The bound after each iteration"
    assert len(page.captions) == len(pictures)
    assert all(caption.startswith(said) for caption, said in zip(page.captions, pictures, strict=True))
    mdata = mt.read.h5mu(trained)
    for mod in mdata.mod:
        top = mt.get.top_features(mdata, mod, n_top=5)
        for _, names in top.groupby("topic", observed=True)["feature"]:
            assert ", ".join(names) in page.cells
    assert "top 5 features by FREX" in page.cells
    assert "report.html" in capsys.readouterr().out


def test_features_by_another_measure(trained, tmp_path):
    page, _ = written(trained, tmp_path / "report.html", "--n-top", "4", "--by", "probability")
    top = mt.get.signatures(mt.read.h5mu(trained), "rna", n_top=4)
    for _, names in top.groupby("topic", observed=True)["feature"]:
        assert ", ".join(names) in page.cells


def test_names_are_escaped(trained, tmp_path):
    page, text = written(trained, tmp_path / "report.html", "--n-top", "40")
    assert "<gene" not in text
    assert any("<gene & co>" in cell for cell in page.cells)


def test_chosen_category_and_title(trained, tmp_path):
    page, _ = written(trained, tmp_path / "report.html", "--groupby", "layer", "--title", "Our tissue")
    assert "Our tissue" in page.text
    assert len(page.pictures) == 4


def test_without_coordinates_and_categories(trained, tmp_path):
    mdata = mt.read.h5mu(trained)
    del mdata.obsm["spatial"]
    for holder in (mdata, mdata["rna"]):
        holder.obs = holder.obs[[]]
    mdata.write_h5mu(tmp_path / "bare.h5mu")
    page, _ = written(tmp_path / "bare.h5mu", tmp_path / "report.html")
    assert page.headings == ["Features", "rna", "atac", "Quality", "Fit"]


def test_data_without_topics(tmp_path, capsys):
    mt.datasets.simulate(50, 3).write_h5mu(tmp_path / "raw.h5mu")
    assert cli.main(["report", str(tmp_path / "raw.h5mu"), "-o", str(tmp_path / "report.html")]) == 2
    assert "mtopic.tl.topic_model" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


@pytest.fixture(scope="module")
def cells():
    """An AnnData with a fit, in places."""
    adata = mt.datasets.simulate(80, 3, modalities={"rna": 40}, rng=1)["rna"].copy()
    mt.tl.topic_model(adata, 3, n_iter=5, verbose=False)
    return adata


def test_page_of_an_anndata(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    page, text = written(tmp_path / "cells.h5ad", tmp_path / "report.html")
    assert page.headings == ["Features", "Quality", "Fit"]
    assert "3 topics of 80 observations × 40 features" in text
    assert {"topic_1", "topic_2", "topic_3", "coherence"} <= set(page.cells)
    assert not any(cell.startswith("X") for cell in page.cells)


def test_page_from_python(cells, tmp_path, fingerprint):
    before = fingerprint(cells)
    text = mt.report(cells, title="Our cells")
    assert "<h1>Our cells</h1>" in text
    assert mt.report(cells, tmp_path / "page.html", title="Our cells") is None
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text
    assert fingerprint(cells) == before
    with pytest.raises(FileNotFoundError, match="cannot be written"):
        mt.report(cells, tmp_path / "nowhere" / "page.html")


def test_page_before_a_fit_points_to_topic_model():
    with pytest.raises(KeyError, match="mtopic.tl.topic_model"):
        mt.report(mt.datasets.simulate(50, 3))


def test_what_to_know_comes_first(cells):
    adata = cells.copy()
    assert Page(mt.report(adata)).warnings == [
        "The fit did not end by its stopping rule: more iterations would change topics. Go on with it."
    ]
    fit = adata.uns["mtopic"]
    fit["params"] = {**fit["params"], "converged": True, "modality_weights": {"X": 0.0}}
    fit["stability"] = pd.DataFrame({"correlation": [0.99, 0.3, 0.9]}, index=adata.obsm["topics"].columns)
    fit["counts"] = fit["counts"].assign(whole=False)
    fit["guides"] = pd.DataFrame({"topic": ["topic_1", "topic_3"], "modality": "X", "rank": [1, 2]})
    mt.tl.dominant_topics(adata)
    fit["results"] = adata.uns["mtopic"]["results"].assign(fit="another")
    said = Page(mt.report(adata)).warnings
    assert [text.split()[:3] for text in said] == [
        ["X", "has", "no"],
        ["The", "counts", "of"],
        ["topic_2", "is", "another"],
        ["topic_3", "is", "not"],
    ]


def test_a_modality_with_hardly_a_say_is_told(trained):
    mdata = mt.read.h5mu(trained)
    mdata.obsm["modality_shares"] = pd.DataFrame({"rna": 0.995, "atac": 0.005}, index=mdata.obs_names)
    mdata.uns["mtopic"]["params"]["modality_weights"] = {"rna": 1.0, "atac": 0.1}
    assert "atac has hardly a say in topics: 0.5% of the evidence." in Page(mt.report(mdata)).warnings


def test_results_of_an_earlier_fit_are_told(cells):
    adata = cells.copy()
    mt.tl.dominant_topics(adata)
    with pytest.warns(UserWarning, match="earlier fit"):
        mt.tl.topic_model(adata, 3, n_iter=5, seed=5, verbose=False)
    assert "obs:topic follows from an earlier fit: make it anew." in Page(mt.report(adata)).warnings


def test_the_fit_is_told_in_sentences(trained):
    mdata = mt.read.h5mu(trained)
    params = mdata.uns["mtopic"]["params"]
    said = " ".join(Page(mt.report(mdata)).text)
    assert "A topic model was fitted to raw counts by collapsed inference." in said
    assert f"It took {params['n_iter']} iterations over all observations." in said
    params |= {"smoothing": "prior", "strength": 2.5, "library_key": "section", "batch_key": "donor"}
    said = " ".join(Page(mt.report(mdata)).text)
    assert (
        "neighbours are the prior of an observation's topics, with strength 2.5; sections are those of 'section'; "
        "batches are those of 'donor'" in said
    )
    params["transformed"] = True
    assert "by the signatures of another data set" in " ".join(Page(mt.report(mdata)).text)


def test_terms_are_explained(trained):
    terms = Page(mt.report(mt.read.h5mu(trained))).terms
    assert {"rna:coherence", "rna:exclusivity", "Effective number of topics", "prior of proportions, α"} <= set(terms)
    assert all(len(text) > 20 for text in terms.values())


def test_the_viewer_is_inside_if_asked_for(trained):
    mdata = mt.read.h5mu(trained)
    page = Page(mt.report(mdata, viewer=True))
    assert "Look" in page.headings and page.open == []
    assert "Look" not in Page(mt.report(mdata)).headings
