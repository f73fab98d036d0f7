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
