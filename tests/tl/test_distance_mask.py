import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import mtopic as mt

GENES = pd.DataFrame(
    {"chrom": ["chr1", "chr1", "chr2"], "start": [1000, 50_000, 2000], "end": [3000, 52_000, 2500]},
    index=["a", "b", "c"],
)
PEAKS = ["chr1:100-500", "chr1:2000-2100", "chr1:3400-3600", "chr2:2600-2700", "chrX:1-10", "chr1:49000-49700"]


def reference(genes, peaks, window):
    """Pair by pair: the gap between two closed intervals."""
    mask = np.zeros((len(peaks), len(genes)), bool)
    for p, peak in enumerate(peaks):
        chrom, _, span = peak.partition(":")
        low, high = map(int, span.split("-"))
        for g, (_, gene) in enumerate(genes.iterrows()):
            gap = max(0, gene["start"] - high, low - gene["end"])
            mask[p, g] = chrom == gene["chrom"] and gap <= window
    return mask


@pytest.mark.parametrize("window", [0, 300, 399, 400, 500, 100_000])
def test_against_all_pairs(window):
    mask = mt.tl.distance_mask(GENES, PEAKS, window)
    assert sparse.issparse(mask)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask.toarray(), reference(GENES, PEAKS, window))


def test_many_random_intervals():
    rng = np.random.default_rng(0)
    starts = rng.integers(1, 10**6, 300)
    peaks = [f"chr{rng.integers(1, 4)}:{s}-{s + rng.integers(1, 5000)}" for s in starts]
    low = rng.integers(1, 10**6, 80)
    genes = pd.DataFrame({"chrom": [f"chr{rng.integers(1, 4)}" for _ in low], "start": low, "end": low + 3000})
    genes.index = [f"g{i}" for i in range(80)]
    np.testing.assert_array_equal(mt.tl.distance_mask(genes, peaks, 20_000).toarray(), reference(genes, peaks, 20_000))


def test_strand_measures_from_the_start_of_transcription():
    genes = GENES.assign(strand=["-", "+", "+"])
    mask = mt.tl.distance_mask(genes, PEAKS, 500).toarray()
    assert list(mask[:, 0]) == [False, False, True, False, False, False]
    assert list(mask[:, 1]) == [False, False, False, False, False, True]


@pytest.mark.parametrize("peak", ["chr1:2000-2100", "chr1-2000-2100", "chr1_2000_2100"])
def test_spellings_of_peaks_and_columns(peak):
    genes = GENES.rename(columns={"chrom": "Chromosome", "start": "Start", "end": "End"})
    assert list(mt.tl.distance_mask(genes, pd.DataFrame(index=[peak]), 0).toarray()[0]) == [True, False, False]


def test_names_of_genes_give_the_columns_and_those_without_place_are_warned_of():
    with pytest.warns(UserWarning, match="1 of 3 genes have no position, such as 'z'"):
        mask = mt.tl.distance_mask(GENES, PEAKS, 0, genes=["c", "z", "a"])
    expected = reference(GENES, PEAKS, 0)
    np.testing.assert_array_equal(mask.toarray(), np.column_stack([expected[:, 2], np.zeros(6, bool), expected[:, 0]]))


def test_genes_without_any_position():
    genes = GENES.assign(start=np.nan)
    with pytest.warns(UserWarning, match="3 of 3 genes have no position"), pytest.warns(match="allows no pair"):
        assert mt.tl.distance_mask(genes, PEAKS, genes=GENES.index).nnz == 0


def test_long_peaks_and_genes_that_are_asked_for_twice():
    peaks = [*PEAKS, "chr1:1-60000"]
    mask = mt.tl.distance_mask(GENES, peaks, 100, genes=["b", "a", "b"]).toarray()
    np.testing.assert_array_equal(mask, reference(GENES, peaks, 100)[:, [1, 0, 1]])


def test_as_a_mask():
    a, b = np.ones((3, 3)), np.random.default_rng(0).random((3, 6)) + 0.1
    weights = mt.tl.feature_associations(a, GENES, b, PEAKS, mask=mt.tl.distance_mask(GENES, PEAKS, 500))
    assert ((weights > 0).to_numpy() <= reference(GENES, PEAKS, 500)).all()


def test_errors():
    with pytest.raises(ValueError, match="window=-1"):
        mt.tl.distance_mask(GENES, PEAKS, -1)
    with pytest.raises(ValueError, match="1 names of peaks are no places, such as 'peak_7'"):
        mt.tl.distance_mask(GENES, [*PEAKS, "peak_7"])
    with pytest.raises(KeyError, match="no column 'end' in the positions of genes"):
        mt.tl.distance_mask(GENES.drop(columns="end"), PEAKS)
    with pytest.raises(ValueError, match="'a' is there twice"):
        mt.tl.distance_mask(GENES.set_axis(["a", "a", "c"]), PEAKS)


@pytest.mark.filterwarnings("ignore:chromosomes are named")
@pytest.mark.parametrize(
    ("of_genes", "of_peaks"),
    [("1", "chr1"), ("chr1", "1"), ("Chr1", "chr1"), ("MT", "chrM"), ("M", "MT"), ("x", "chrX"), ("2L", "chr2L")],
)
def test_chromosomes_are_named_in_two_ways(of_genes, of_peaks):
    genes = pd.DataFrame({"chrom": [of_genes, "7"], "start": [10, 10], "end": [20, 20]}, index=["a", "b"])
    mask = mt.tl.distance_mask(genes, [f"{of_peaks}:1-30", f"{of_peaks}:900-950"], 5).toarray()
    np.testing.assert_array_equal(mask, [[True, False], [False, False]])


def test_what_is_said_of_chromosomes():
    peaks = [f"chr1:{i}00-{i}50" for i in range(1, 30)]
    genes = pd.DataFrame({"chrom": "1", "start": range(30), "end": range(30)}, index=[f"g{i}" for i in range(30)])
    with pytest.warns(UserWarning, match="named in two ways, such as '1' of genes and 'chr1' of peaks"):
        mt.tl.distance_mask(genes, peaks)
    with pytest.raises(ValueError, match="no chromosome in common, such as 'NC_1' of genes and 'chr1' of peaks"):
        mt.tl.distance_mask(genes.assign(chrom="NC_1"), peaks)
    few = genes.assign(chrom=["chr1", *["NC_1"] * 29])
    with pytest.warns(UserWarning, match="only 3.3% of genes and peaks"):
        mt.tl.distance_mask(few, [*["un:1-2"] * 29, *peaks[:1]])
    with pytest.warns(UserWarning, match="the mask allows no pair: no peak is within 5 base pairs"):
        mt.tl.distance_mask(genes.assign(chrom="chr1"), ["chr1:9000-9100"], 5)


@pytest.mark.parametrize(
    "strand",
    [[1, -1], [1.0, -1.0], ["1", "-1"], ["forward", "reverse"], ["F", "R"], [" plus", "Minus"], ["+", "−"]],
    ids=str,
)
def test_spellings_of_strands(strand):
    genes = pd.DataFrame({"chrom": "1", "start": [100, 100], "end": [600, 600]}, index=["forward", "reverse"])
    peaks = ["1:90-100", "1:600-610", "1:300-310"]
    mask = mt.tl.distance_mask(genes.assign(strand=strand), peaks, 5).toarray()
    np.testing.assert_array_equal(mask, [[True, False], [False, True], [False, False]])


@pytest.mark.parametrize("strand", [".", "*", np.nan, 0, None])
def test_a_strand_that_is_not_known_leaves_the_whole_gene(strand):
    genes = pd.DataFrame({"chrom": ["1"], "start": [600], "end": [100], "strand": [strand]}, index=["a"])
    assert mt.tl.distance_mask(genes, ["1:90-100", "1:600-610", "1:300-310"], 5).toarray().all()


def test_a_strand_that_is_not_understood():
    with pytest.raises(ValueError, match="strand 'up' of gene 'b' is not understood"):
        mt.tl.distance_mask(GENES.assign(strand=["+", "up", "-"]), PEAKS)


def test_a_mask_that_allows_nothing():
    with pytest.raises(ValueError, match="the mask allows no pair"):
        mt.tl.feature_associations(np.ones((3, 2)), ["a", "b"], np.ones((3, 1)), ["p"], mask=np.zeros((1, 2), bool))
