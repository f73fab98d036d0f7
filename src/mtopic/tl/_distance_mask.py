import re

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array

from mtopic._api import public
from mtopic._data.names import absent
from mtopic._warn import warn

COLUMNS = {
    "chromosome": ("chrom", "chromosome", "chr", "seqname", "seqnames", "seqid"),
    "start": ("start", "chromstart", "gene_start", "txstart"),
    "end": ("end", "chromend", "gene_end", "txend", "stop"),
    "strand": ("strand",),
}
STRANDS = {
    "+": ("+", "1", "1.0", "+1", "forward", "fwd", "f", "plus", "positive"),
    "-": ("-", "-1", "-1.0", "−", "reverse", "rev", "r", "minus", "negative"),
    "": (".", "*", "?", "", "0", "0.0", "nan", "none", "<na>"),
}
LITTLE = 0.1
PEAK = re.compile(r"^(?P<chromosome>.+?)[:\-_](?P<start>\d+)[\-_](?P<end>\d+)$")


@public
def distance_mask(
    data: pd.DataFrame,
    peaks: pd.DataFrame | pd.Index | ArrayLike,
    window: int = 100_000,
    *,
    genes: ArrayLike | None = None,
) -> csc_array:
    """Which peaks lie within a distance of each gene, as a mask for `mtopic.tl.feature_associations`.

    The distance runs from the peak's nearer edge to the gene's transcription start where ``data`` has strands (its
    ``end`` on the minus strand), else to the nearer end of the gene; it is 0 inside.

    Parameters
    ----------
    data
        Positions of genes by name (the index), in base pairs: columns for chromosome, start and end, and strand
        (``+`` or ``-``, ``1`` or ``-1``, ``forward`` or ``reverse``) if it is known. Usual spellings such as
        ``Chromosome``, ``chr``, ``seqname``, ``chromStart`` are understood. Chromosomes may be named as Ensembl
        does (``1``, ``MT``) or as UCSC (``chr1``, ``chrM``).
    peaks
        Peaks by names such as ``chr1:1000-1500`` (also ``chr1-1000-1500`` and ``chr1_1000_1500``), or a table whose
        index holds such names.
    window
        Largest distance in base pairs.
    genes
        Names of the genes, the columns of the mask; all of ``data`` if None.

    Returns
    -------
    Sparse boolean matrix, peaks × genes.

    Warns
    -----
    UserWarning
        If genes have no position: they have no allowed peaks; if few genes and peaks have chromosomes in common, these
        are named in two ways, or nothing is allowed.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If the name of a peak is not a position, genes have two positions, a strand is not understood, ``window`` is
        negative, or genes and peaks have no chromosome in common.

    Examples
    --------
    >>> import mtopic as mt, pandas as pd
    >>> genes = pd.DataFrame({"chrom": ["chr1"], "start": [5000], "end": [9000]}, index=["Gad1"])
    >>> peaks = ["chr1:1000-4500", "chr1:90000-90500", "chr2:5000-5500"]
    >>> mt.tl.distance_mask(genes, peaks, window=1000).toarray().ravel()
    array([ True, False, False])
    """
    if not window >= 0:
        raise ValueError(f"window={window}: it must be 0 base pairs or more")
    places = _places(peaks)
    table = _positions(data)
    names = table.index if genes is None else pd.Index(np.asarray(genes))
    unknown = table.index.get_indexer(names) < 0
    if unknown.any():
        warn(
            f"{unknown.sum()} of {len(names)} genes have no position, such as {names[unknown][0]!r}: nothing "
            "is allowed for them"
        )
    places["chromosome"], table["chromosome"] = _one_naming(places["chromosome"], table["chromosome"])
    of_genes = table.reindex(names).assign(number=np.arange(len(names))).groupby("chromosome")
    pairs = [np.empty((2, 0), np.int64)]
    for chromosome, there in places.groupby("chromosome"):
        if chromosome in of_genes.groups:
            pairs.append(_near(there, of_genes.get_group(chromosome), window))
    found = np.hstack(pairs)
    if not found.size and len(places) and len(names):
        warn(
            f"the mask allows no pair: no peak is within {window:,} base pairs of a gene; check window and genome build"
        )
    return csc_array((np.ones(found.shape[1], bool), tuple(found)), shape=(len(places), len(names)))


def _near(peaks: pd.DataFrame, genes: pd.DataFrame, window: float) -> NDArray[np.int64]:
    """Numbers of peaks and genes of one chromosome, 2 × pairs that have at most ``window`` between them."""
    peaks = peaks.sort_values("start")
    starts, ends = peaks["start"].to_numpy(), peaks["end"].to_numpy()
    low, high = genes["start"].to_numpy() - window, genes["end"].to_numpy() + window
    first = np.searchsorted(starts, low - max(0, (ends - starts).max()))
    n = np.searchsorted(starts, high, side="right") - first
    gene = np.repeat(np.arange(len(genes)), n)
    peak = np.arange(gene.size) + np.repeat(first + n - n.cumsum(), n)
    reach = ends[peak] >= low[gene]
    return np.stack([peaks["number"].to_numpy()[peak[reach]], genes["number"].to_numpy()[gene[reach]]])


def _places(peaks: pd.DataFrame | pd.Index | ArrayLike) -> pd.DataFrame:
    names = peaks.index if isinstance(peaks, pd.DataFrame) else pd.Index(np.asarray(peaks))
    found = names.astype(str).to_series().str.extract(PEAK)
    bad = found["start"].isna().to_numpy()
    if bad.any():
        raise ValueError(
            f"{bad.sum()} names of peaks are no places, such as {names[bad][0]!r}: write them as chr1:1000-1500"
        )
    return found.astype({"start": np.int64, "end": np.int64}).assign(number=np.arange(len(names)))


def _positions(data: pd.DataFrame) -> pd.DataFrame:
    """Chromosome and the interval that distances are measured to, by gene."""
    spelled = {str(name).lower(): name for name in data.columns}
    columns = {}
    for what, spellings in COLUMNS.items():
        known = [spelled[spelling] for spelling in spellings if spelling in spelled]
        if known:
            columns[what] = data[known[0]]
        elif what != "strand":
            raise KeyError(absent(what, data.columns, "column", "the positions of genes"))
    if not data.index.is_unique:
        twice = data.index[data.index.duplicated()][0]
        raise ValueError(f"positions of genes: {twice!r} is there twice; keep one of them")
    table = pd.DataFrame(columns).dropna(subset=["chromosome", "start", "end"])
    ends = table[["start", "end"]]
    table = table.assign(start=ends.min(axis=1), end=ends.max(axis=1))
    if "strand" in table:
        strand = _strands(table["strand"])
        table["start"], table["end"] = (
            table["start"].where(strand != "-", table["end"]),
            table["end"].where(strand != "+", table["start"]),
        )
    return table.assign(chromosome=table["chromosome"].astype(str))


def _strands(given: pd.Series) -> pd.Series:
    """The strand of each gene as + or -, empty where it is not known."""
    known = {spelling: strand for strand, spellings in STRANDS.items() for spelling in spellings}
    texts = given.astype(object).map(str).str.strip().str.lower()
    strange = ~texts.isin(known.keys())
    if strange.any():
        raise ValueError(
            f"strand {given[strange].iloc[0]!r} of gene {given.index[strange][0]!r} is not understood: write + or -, "
            "and . where it is not known"
        )
    return texts.map(known)


def _one_naming(of_peaks: pd.Series, of_genes: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Chromosomes of peaks and genes in one way of naming, if they are named in two."""
    if not len(of_peaks) or not len(of_genes):
        return of_peaks, of_genes
    plain = _plain(of_peaks), _plain(of_genes)
    before, after = _in_common(of_peaks, of_genes), _in_common(*plain)
    examples = f"such as {of_genes.iloc[0]!r} of genes and {of_peaks.iloc[0]!r} of peaks"
    if not after:
        raise ValueError(f"genes and peaks have no chromosome in common, {examples}: give both the same names")
    if after > before:
        warn(f"chromosomes are named in two ways, {examples}: 'chr' and M or MT make no difference here")
        of_peaks, of_genes = plain
    if after < LITTLE:
        warn(
            f"only {after:.1%} of genes and peaks are on chromosomes that both have, {examples}: check that both are "
            "named alike"
        )
    return of_peaks, of_genes


def _plain(chromosomes: pd.Series) -> pd.Series:
    """Without "chr", in capitals, the mitochondrial one as MT."""
    return chromosomes.str.upper().str.removeprefix("CHR").replace("M", "MT")


def _in_common(a: pd.Series, b: pd.Series) -> float:
    """The share of one that is on chromosomes of the other, the larger of the two."""
    return float(max(a.isin(b.unique()).mean(), b.isin(a.unique()).mean()))
