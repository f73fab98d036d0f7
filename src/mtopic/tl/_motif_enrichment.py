from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import betainc
from scipy.stats import rankdata

from mtopic._api import public
from mtopic._check import at_least
from mtopic._data import DataLike, record
from mtopic._data.names import look_up, n_in, require_in_common, unique
from mtopic._data.ranking import By, Measure, shares
from mtopic._data.slots import find_signatures, modalities
from mtopic._data.writable import writable
from mtopic._warn import warn

from ._distance_mask import PEAK
from ._enrichment import tidy

FIRST = 0.1


@public
def motif_enrichment(
    data: DataLike,
    mod: str | None = None,
    *,
    motifs: AnnData | pd.DataFrame,
    n_top: int | None = None,
    by: By = "lift",
    n_bins: int = 10,
    length_key: str | None = None,
    tmin: int = 5,
    signatures: str = "signatures",
    key_added: str = "enrichment",
) -> None:
    r"""Test which motifs the first peaks of each topic have more often than peaks that are as accessible and as long.

    Long peaks have more motifs, and peaks with many counts are other places of the genome than peaks with few. So peaks
    are put into bins of equal size, by their counts and within these by their length. If a topic's :math:`n_b` first
    peaks of a bin were drawn from its :math:`N_b` peaks at random, the number with the motif, which :math:`K_b` have,
    would be hypergeometric. The sum over the bins is compared with

    .. math::
        E = \sum_b n_b \frac{K_b}{N_b}, \qquad
        V = \sum_b n_b \frac{K_b}{N_b} \Big(1 - \frac{K_b}{N_b}\Big) \frac{N_b - n_b}{N_b - 1},

    the mean and the variance of a sum of hypergeometric numbers, as in the test of Mantel and Haenszel
    :cite:p:`mantel1959`. The
    p-value is that of the binomial distribution with this mean and variance, which is close to that of the sum.

    {Parameters data:signatures mod}
    motifs
        Which peak has which motif: a table of peaks × motifs or of motifs × peaks (AnnData, whose ``X`` is taken, or
        DataFrame), in any order. A value above 0 means that the peak has the motif. Peaks that it lacks take no part.
    n_top
        Number of first peaks of each topic; a tenth of the peaks if None.
    {by:features}
    n_bins
        Number of bins of counts, and within each of length.
    length_key
        Column of ``var`` with the length of the peaks. None: that of the names, such as ``chr1:1000-1500`` or
        ``chr1-1000-1500``.
    tmin
        Motifs that fewer peaks have are left out.
    {signatures}
        Their row sums are the peaks' counts in the fit.
    {key_added:uns}
        That of the modality.

    Returns
    -------
    None. Sets ``mdata[mod].uns[key_added]``: DataFrame with a row for each topic and motif, by topic and falling score.
    Columns ``topic``, ``source`` (the motif), ``score``, the number of first peaks with the motif as standard
    deviations above what was expected, ``p``, one-sided, ``q``, adjusted by Benjamini and Hochberg over all tests of
    the modality, ``n_targets``, the number of peaks with the motif, ``n_found`` of them among the first, and
    ``expected``.

    Raises
    ------
    KeyError
        If there are no such modality, signatures or column of lengths.
    ValueError
        If the names of peaks and the table have nothing in common, are there twice or in both directions, no motif has
        ``tmin`` peaks, or a number or ``by`` is out of range.

    Warns
    -----
    UserWarning
        If few peaks are in the table, or lengths are not known, so that peaks are matched by counts only.

    See Also
    --------
    mtopic.pl.enrichment : Draw the first motifs of each topic.

    {Examples:fit}
    >>> import numpy as np, pandas as pd
    >>> peaks = mdata["atac"].var_names
    >>> has = np.random.default_rng(0).random((len(peaks), 8)) < 0.3
    >>> motifs = pd.DataFrame(has, peaks, [f"motif_{i}" for i in range(8)])
    >>> mt.tl.motif_enrichment(mdata, "atac", motifs=motifs)
    >>> len(mdata["atac"].uns["enrichment"])
    24
    """
    at_least(1, n_bins=n_bins, tmin=tmin, **({} if n_top is None else {"n_top": n_top}))
    name, adata, table = find_signatures(data, mod, signatures)
    where = f"varm[{signatures!r}] of modality {name!r}"
    peaks = unique(adata.var_names, f"features of modality {name!r}", "var_names_make_unique()")
    known, has, names = _aligned(motifs, peaks, name)
    often = np.asarray(has.sum(axis=0)) >= tmin
    if not often.any():
        raise ValueError(f"no motif has tmin={tmin} peaks of modality {name!r}: give a lower tmin")
    has, names = has[:, often], names[often]
    weights = table.to_numpy(np.float64)
    scores = Measure.of(weights, by).scores(shares(table, where))[known]
    first = _first(scores, n_top or int(np.ceil(FIRST * len(scores))))
    bins = _bins(weights.sum(axis=1)[known], _lengths(adata.var.loc[known], length_key, name), n_bins)
    results = _compared(first, has, bins)
    tables = {what: pd.DataFrame(values.T, table.columns.astype(str), names) for what, values in results.items()}
    n_targets = pd.Series(np.asarray(has.sum(axis=0)).astype(np.int64), names)
    tidied = tidy(tables.pop("score"), tables.pop("p"), n_targets, **tables).astype({"n_found": np.int64})
    modalities(writable(data, copy=False))[name].uns[key_added] = tidied
    record.note(data, record.head_of(signatures, "signatures"), f"{name}:uns:{key_added}", names_topics=True)


def _aligned(motifs: object, peaks: pd.Index, mod: str) -> tuple[NDArray[np.bool_], csr_array, pd.Index]:
    """Which peaks the table has, which of these have which motif, and the names of the motifs."""
    if not isinstance(motifs, AnnData | pd.DataFrame):
        raise TypeError(f"motifs is {type(motifs).__name__}: give an AnnData or a DataFrame of peaks × motifs")
    values: Any = motifs.X if isinstance(motifs, AnnData) else motifs.to_numpy()
    axes = (motifs.obs_names, motifs.var_names) if isinstance(motifs, AnnData) else (motifs.index, motifs.columns)
    rows, columns = (pd.Index(axis).astype(str) for axis in axes)
    if n_in(columns, peaks) > n_in(rows, peaks):
        rows, columns, values = columns, rows, values.T
    require_in_common(rows, peaks, "the table of motifs", f"the peaks of modality {mod!r}")
    unique(rows, "peaks of the table of motifs", "one row for each")
    unique(columns, "motifs of the table", "one column for each")
    order = rows.get_indexer(peaks)
    known = order >= 0
    has = csr_array(values.astype(np.float64) if values.dtype == object else values)[order[known]] > 0
    return known, csr_array(has, dtype=np.float64), columns


def _lengths(var: pd.DataFrame, key: str | None, mod: str) -> NDArray[np.float64] | None:
    """Lengths of peaks by a column or by their names, None with a warning where these are no places."""
    if key is not None:
        lengths = np.asarray(look_up(dict(var), key, "column", f"var of modality {mod!r}"), np.float64)
        if not np.isfinite(lengths).all():
            raise ValueError(f"var[{key!r}] of modality {mod!r}: {(~np.isfinite(lengths)).sum()} lengths are missing")
        return lengths
    places = var.index.astype(str).to_series().str.extract(PEAK)
    if not places["start"].isna().any():
        return np.asarray(places["end"].astype(np.int64) - places["start"].astype(np.int64), np.float64)
    warn(
        f"names of modality {mod!r}, such as {var.index[places['start'].isna()][0]!r}, tell no length as "
        "'chr1:1000-1500' does: peaks are matched by counts only; name a column of lengths by length_key"
    )
    return None


def _first(scores: NDArray[np.float64], n_top: int) -> csr_array:
    """Whether a peak is among the first of a topic, peaks × topics."""
    if n_top >= len(scores):
        raise ValueError(f"n_top={n_top}: there are {len(scores)} peaks, so that none is left to compare with")
    order = np.argsort(-scores, axis=0, kind="stable")[:n_top]
    columns = np.broadcast_to(np.arange(scores.shape[1]), order.shape)
    return csr_array((np.ones(order.size), (order.ravel(), columns.ravel())), shape=scores.shape)


def _bins(counts: NDArray[np.float64], lengths: NDArray[np.float64] | None, n_bins: int) -> csr_array:
    """Bins of equal size, by counts and within these by length, peaks × bins."""
    bins = _quantiles(counts, n_bins)
    if lengths is not None:
        within = np.empty_like(bins)
        for one in np.unique(bins):
            within[bins == one] = _quantiles(lengths[bins == one], n_bins)
        bins = bins * n_bins + within
    return csr_array((np.ones(len(bins)), bins, np.arange(len(bins) + 1)), shape=(len(bins), bins.max() + 1))


def _quantiles(values: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """The n-th of the values that each is in; equal values are in the same."""
    return (n * (rankdata(values) - 0.5) / len(values)).astype(np.intp)


def _compared(first: csr_array, has: csr_array, bins: csr_array) -> dict[str, NDArray[np.float64]]:
    """Peaks with a motif among the first of a topic, and in as many of the same bins; motifs × topics."""
    size = np.asarray(bins.sum(axis=0))
    chosen, rate = (bins.T @ first).toarray(), (bins.T @ has).toarray() / np.maximum(size, 1)[:, None]
    found, expected = (has.T @ first).toarray(), rate.T @ chosen
    spread = chosen * ((size[:, None] - chosen) / np.maximum(size - 1, 1)[:, None])
    variance = (rate * (1 - rate)).T @ spread
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(variance > 0, (found - expected) / np.sqrt(variance), 0.0)
        p = np.where(variance > 0, _tail(found, expected, variance), 1.0)
    return {"score": score, "p": p, "n_found": found, "expected": expected}


def _tail(found: NDArray[np.float64], mean: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of so many or more by a binomial distribution of this mean and variance."""
    rate = np.maximum(1 - variance / mean, np.finfo(float).eps)
    left = np.maximum(mean / rate - found + 1, np.finfo(float).tiny)
    return np.where(found > 0, betainc(np.maximum(found, 1), left, rate), 1.0)
