from functools import reduce

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import read_h5mu
from scipy.sparse import csc_matrix
from scipy.stats import hypergeom

import mtopic as mt

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
COLUMNS = ["topic", "source", "score", "p", "q", "n_targets", "n_found", "expected"]


def peaks_of(n, rng, counts=None):
    """Peaks of 3 topics as signatures, whose counts and lengths vary together."""
    size = rng.gamma(1, 1, n)
    lengths = (100 + 400 * size * rng.uniform(0.5, 2, n)).astype(int)
    names = [f"chr1:{10_000 * v}-{10_000 * v + length}" for v, length in enumerate(lengths)]
    share = rng.dirichlet(np.full(3, 0.5), n)
    lam = 0.01 + (50 * size[:, None] if counts is None else counts) * share
    adata = AnnData(np.ones((2, n)), var=pd.DataFrame({"length": lengths}, index=names))
    adata.varm["signatures"] = pd.DataFrame(lam, names, ["topic_1", "topic_2", "topic_3"])
    return adata, share, size


@pytest.fixture
def adata():
    return peaks_of(2000, np.random.default_rng(0))[0]


@pytest.fixture
def motifs():
    """For each topic a motif that a third of its peaks have and a tenth of the others, and one that goes by length."""
    rng = np.random.default_rng(1)
    adata, share, size = peaks_of(2000, np.random.default_rng(0))
    has = {f"of_topic_{k + 1}": rng.random(2000) < np.where(share[:, k] > 0.8, 0.33, 0.1) for k in range(3)}
    has |= {f"long_{i}": rng.random(2000) < np.minimum(0.15 * size, 1) for i in range(20)}
    return pd.DataFrame(has, index=adata.var_names)


def test_planted_motifs_come_first_for_their_topics(adata, motifs):
    mt.tl.motif_enrichment(adata, motifs=motifs)
    found = adata.uns["enrichment"]
    for topic, rows in found.groupby("topic"):
        assert rows["source"].iloc[0] == f"of_{topic}" and rows["q"].iloc[0] < 1e-4
    assert not (found[found["source"].str.startswith("long")]["q"] < 0.05).any()


def test_peaks_are_matched(adata, motifs):
    """Beside all peaks, the frequent ones of a topic have more motifs that go by length."""
    found = {}
    for n_bins in (1, 10):
        mt.tl.motif_enrichment(adata, motifs=motifs, by="probability", n_bins=n_bins)
        rows = adata.uns["enrichment"]
        found[n_bins] = (rows[rows["source"].str.startswith("long")]["p"] < 0.05).mean()
    assert found[1] > 0.9 and found[10] < 0.15


def test_p_values_are_uniform_where_there_is_nothing(adata):
    rng = np.random.default_rng(3)
    motifs = pd.DataFrame(rng.random((2000, 500)) < rng.uniform(0.02, 0.3, 500), adata.var_names)
    mt.tl.motif_enrichment(adata, motifs=motifs.add_prefix("m"))
    found = adata.uns["enrichment"]
    for level in (0.01, 0.05, 0.2):
        assert (found["p"] < level).mean() == pytest.approx(level, abs=0.35 * level)
    assert not (found["q"] < 0.05).any()


def test_by_definition(adata, motifs):
    """Numbers of each bin counted one by one, and the sum of hypergeometric numbers convolved."""
    mt.tl.motif_enrichment(adata, motifs=motifs, n_top=150, n_bins=3)
    found = adata.uns["enrichment"].set_index(["topic", "source"])
    counts, lengths = adata.varm["signatures"].sum(axis=1), adata.var["length"]
    by_counts = (counts.rank() - 0.5) * 3 // 2000
    bins = by_counts * 3 + lengths.groupby(by_counts).transform(lambda part: (part.rank() - 0.5) * 3 // len(part))
    top = mt.get.top_features(adata, by="lift", n_top=150)
    for topic in ("topic_1", "topic_3"):
        first = adata.var_names.isin(top.loc[top["topic"] == topic, "feature"])
        for motif in motifs.columns[:6]:
            has = motifs[motif].to_numpy()
            row = found.loc[topic, motif]
            drawn = [hypergeom((bins == b).sum(), has[bins == b].sum(), first[bins == b].sum()) for b in range(9)]
            mean, sd = sum(one.mean() for one in drawn), np.sqrt(sum(one.var() for one in drawn))
            assert row["n_found"] == (first & has).sum() and row["n_targets"] == has.sum()
            assert row["expected"] == pytest.approx(mean) and row["score"] == pytest.approx(
                (row["n_found"] - mean) / sd
            )
            exact = reduce(np.convolve, [one.pmf(np.arange(151)) for one in drawn])[int(row["n_found"]) :].sum()
            assert row["p"] == pytest.approx(exact, rel=0.05)


def test_tables_in_any_form_and_order(adata, motifs):
    rng = np.random.default_rng(5)
    mt.tl.motif_enrichment(adata, motifs=motifs)
    expected = adata.uns["enrichment"]
    shuffled = motifs.iloc[rng.permutation(len(motifs))]
    as_anndata = AnnData(
        csc_matrix(shuffled.to_numpy(float)), shuffled.index.to_frame()[[]], motifs.columns.to_frame()[[]]
    )
    more = pd.concat([motifs, pd.DataFrame(True, [f"chr9:{v}-{v + 9}" for v in range(50)], motifs.columns)])
    scores = motifs.astype(float) * rng.uniform(0.1, 20, motifs.shape) - 5.0 * ~motifs
    for table in (shuffled, motifs.T, as_anndata, as_anndata.T.copy(), more, scores, motifs.astype(object)):
        mt.tl.motif_enrichment(adata, motifs=table)
        pd.testing.assert_frame_equal(adata.uns["enrichment"], expected)


def test_peaks_that_the_table_lacks_take_no_part(adata, motifs):
    mt.tl.motif_enrichment(adata, motifs=motifs[:1500])
    some = adata.uns["enrichment"]
    assert list(some.columns) == COLUMNS
    n_targets = some.drop_duplicates("source").set_index("source")["n_targets"]
    assert (n_targets[motifs.columns] == motifs[:1500].sum()).all()
    assert some["n_found"].max() <= 150


def test_rare_motifs_are_left_out(adata, motifs):
    motifs["rare"] = np.arange(2000) < 4
    mt.tl.motif_enrichment(adata, motifs=motifs)
    assert "rare" not in set(adata.uns["enrichment"]["source"])
    with pytest.raises(ValueError, match="no motif has tmin=2001 peaks"):
        mt.tl.motif_enrichment(adata, motifs=motifs, tmin=2001)


def test_lengths(adata, motifs):
    """By the names, by a column, or not at all, which is told."""
    mt.tl.motif_enrichment(adata, motifs=motifs)
    expected = adata.uns["enrichment"]
    mt.tl.motif_enrichment(adata, motifs=motifs, length_key="length")
    pd.testing.assert_frame_equal(adata.uns["enrichment"], expected)
    renamed = [f"peak_{v}x" for v in range(2000)]
    adata.var_names, motifs.index = renamed, renamed
    adata.varm["signatures"].index = renamed
    with pytest.warns(UserWarning, match="'peak_0x', tell no length.*matched by counts only.*length_key"):
        mt.tl.motif_enrichment(adata, motifs=motifs)
    assert not adata.uns["enrichment"].equals(expected)
    mt.tl.motif_enrichment(adata, motifs=motifs, length_key="length")
    pd.testing.assert_frame_equal(adata.uns["enrichment"], expected)
    with pytest.raises(KeyError, match="did you mean 'length'"):
        mt.tl.motif_enrichment(adata, motifs=motifs, length_key="lengths")
    adata.var["length"] = np.nan
    with pytest.raises(ValueError, match="2000 lengths are missing"):
        mt.tl.motif_enrichment(adata, motifs=motifs, length_key="length")


def test_names_with_other_separators_are_told(adata, motifs):
    motifs.index = motifs.index.str.replace("[:-]", "-", regex=True)
    with pytest.raises(
        ValueError,
        match="no names in common.*'chr1-0-.*'chr1:0-.*alike but for what separates chromosome, start and end",
    ):
        mt.tl.motif_enrichment(adata, motifs=motifs)


def test_few_names_in_common(adata, motifs):
    motifs.index = [name if v < 150 else f"chr8:{v}-{v + 5}" for v, name in enumerate(motifs.index)]
    with pytest.warns(UserWarning, match="have 150 names in common, of 2,000 and 2,000"):
        mt.tl.motif_enrichment(adata, motifs=motifs)


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        (lambda table: table.to_numpy(), {}, TypeError, "motifs is ndarray"),
        (lambda table: pd.concat([table, table[:2]]), {}, ValueError, "2 peaks of the table of motifs occur twice"),
        (lambda table: table.rename(columns={"long_1": "long_0"}), {}, ValueError, "1 motifs of the table occur twice"),
        (lambda table: table, {"n_top": 2000}, ValueError, "n_top=2000: there are 2000 peaks"),
        (lambda table: table, {"n_top": 0}, ValueError, "n_top=0"),
        (lambda table: table, {"n_bins": 0}, ValueError, "n_bins=0"),
        (lambda table: table, {"by": "weight"}, ValueError, "by='weight'"),
        (lambda table: table, {"mod": "atac"}, KeyError, "no modality 'atac'"),
    ],
)
def test_errors(adata, motifs, fingerprint, change, options, error, match):
    before = fingerprint(adata)
    with pytest.raises(error, match=match):
        mt.tl.motif_enrichment(adata, motifs=change(motifs), **options)
    assert fingerprint(adata) == before


def test_of_a_fit_written_and_read(tmp_path):
    mdata = mt.datasets.simulate(100, 3, depth=200)
    mt.tl.topic_model(mdata, 3, n_iter=10, verbose=False)
    has = np.random.default_rng(0).random((600, 12)) < 0.2
    motifs = pd.DataFrame(has, mdata["atac"].var_names, [f"motif_{i}" for i in range(12)])
    mt.tl.motif_enrichment(mdata, "atac", motifs=motifs, key_added="motifs")
    assert "atac:uns:motifs" in mdata.uns["mtopic"]["results"].index and "enrichment" not in mdata["atac"].uns
    mdata.write(tmp_path / "data.h5mu")
    expected, again = mdata["atac"].uns["motifs"], read_h5mu(tmp_path / "data.h5mu")["atac"].uns["motifs"]
    for column in COLUMNS:
        assert list(again[column]) == list(expected[column])
