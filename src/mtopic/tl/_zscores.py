from os import PathLike
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mtopic._api import public
from mtopic._data import DataLike, record
from mtopic._data.count_matrix import CSR, Summary, count_matrix
from mtopic._data.in_rows import raw_counts_in_rows
from mtopic._data.measured import batches, measured_where, warn_if_ignored
from mtopic._data.ranking import By, Measure, shares
from mtopic._data.slots import find_signatures, modalities, modality, with_signatures
from mtopic._files import read

SCALE = 10_000


@public
def zscores(
    mdata: DataLike,
    raw_data_path: str | PathLike[str] | None = None,
    signatures: str = "signatures",
    mod: str | None = None,
    n_top: int = 10,
    thr: float | None = 5,
    out_key: str = "zscores",
    *,
    batch_key: str | None = None,
    across: Literal["features", "observations"] = "features",
    by: By = "probability",
) -> None:
    """Score the expression of each topic's top features in each observation.

    Raw counts are scaled to 10,000 per observation and log1p-transformed, then standardised (population standard
    deviation) and clipped to ±``thr``. A topic's score is the mean over its first ``n_top`` features. Features that an
    observation's batch has not measured take no part.

    {Parameters mdata=data:signatures}
    raw_data_path
        A file (h5mu or h5ad) with the raw counts in ``X``, matched by name. If None, ``layers["counts"]``, else ``X``.
    {signatures}
    mod
        The modality; all that have signatures if None. For an AnnData, the modality of the file.
    {n_top}
        All of them where there are fewer.
    thr
        Where z-scores are clipped; None does not clip.
    out_key
        Key of the scores in ``obsm``.
    {batch_key:scored}
    across
        What values are standardised over. ``"features"``: all features of the observation, as the original does; where
        most counts are 0, top features are far above the mean everywhere. ``"observations"``: all observations, or
        those of the batch where batches have measured other features, each feature by itself. That shows where a
        topic's features are above their own mean.
    {by:features}
        The original ranks by probability. ``across="observations", by="FREX"`` makes maps of the topics' markers.

    Returns
    -------
    None. Sets ``mdata[mod].obsm[out_key]``: DataFrame, observations × topics, float64; NaN where none of a topic's top
    features were measured.

    Raises
    ------
    KeyError
        If there is no such modality or there are no such signatures.
    ValueError
        If the modality has no features, ``n_top`` is less than 1, ``thr`` is not positive, ``across`` is something
        else, counts are not valid, or the file lacks observations or features.

    {Examples:fit}
    >>> mt.tl.zscores(mdata, mod="rna")
    >>> mdata["rna"].obsm["zscores"].shape
    (200, 3)
    """
    if n_top < 1:
        raise ValueError(f"n_top={n_top}: a topic is scored by at least 1 feature")
    if thr is not None and not thr > 0:
        raise ValueError(f"thr={thr}: z-scores are clipped at a positive value, or None")
    if across not in ("features", "observations"):
        raise ValueError(f"across={across!r}: choose 'features' or 'observations'")
    head, chosen = record.head_of(signatures, "signatures"), None if isinstance(mdata, AnnData) else mod
    key = batch_key or record.params_if_any(mdata, head).batch_key
    batch, limit = batches(mdata, key), np.inf if thr is None else thr
    scores = {}
    for one in with_signatures(mdata, signatures) if chosen is None else [chosen]:
        name, adata, weights = find_signatures(mdata, one, signatures)
        if not len(weights):
            raise ValueError(f"modality {name!r} has no features: there is nothing to score")
        top = _top(weights, n_top, by)
        if raw_data_path is None:
            parts = raw_counts_in_rows(adata, name)
        else:
            x = _counts_of_file(raw_data_path, mod if isinstance(mdata, AnnData) else name, adata)
            parts = iter([(slice(0, adata.n_obs), x)])
        of_batch, measured = measured_where(adata, name, batch)
        summary, tables = Summary(adata.n_obs, adata.n_vars), []
        for rows, counts in parts:
            summary.add(counts)
            if across == "features":
                tables.append(_scores(counts, top, limit, of_batch[rows], measured))
            else:
                tables.append(_logs_of_top(counts, top))
        if raw_data_path is None:
            record.warn_other_raw_counts(mdata, head, name, summary)
        warn_if_ignored({name: adata}, key)
        whole = pd.concat(tables)
        if across == "observations":
            whole = _of_observations(whole.to_numpy(), top, limit, of_batch, measured)
        scores[name] = whole
    for name, table in scores.items():
        modalities(mdata)[name].obsm[out_key] = table.set_axis(modalities(mdata)[name].obs_names)
        record.note(mdata, head, f"{name}:obsm:{out_key}", names_topics=True)


def _scores(
    counts: CSR,
    top: pd.DataFrame,
    limit: float,
    batch: NDArray[np.intp],
    measured: NDArray[np.bool_],
) -> pd.DataFrame:
    """Mean z-scores of each topic's top features, of those that an observation's batch has measured."""
    logs = _logs(counts)
    n = measured.sum(axis=0)[batch]
    mean = logs.sum(axis=1) / n
    sd = np.sqrt(np.maximum(logs.multiply(logs).sum(axis=1) / n - mean**2, 0))
    sd = np.where(sd > 0, sd, 1)
    zero, rows = np.clip(-mean / sd, -limit, limit), np.repeat(np.arange(len(n)), np.diff(logs.indptr))
    logs.data = np.clip((logs.data - mean[rows]) / sd[rows], -limit, limit) - zero[rows]
    of_top = (measured.T.astype(np.float64) @ top.to_numpy())[batch]
    values = logs @ top.to_numpy() / np.where(of_top > 0, of_top, np.nan) + zero[:, None]
    return pd.DataFrame(values, columns=top.columns)


def _of_observations(
    logs: NDArray[np.float64],
    top: pd.DataFrame,
    limit: float,
    batch: NDArray[np.intp],
    measured: NDArray[np.bool_],
) -> pd.DataFrame:
    """Mean z-scores as of `_scores`, of the logarithms of the features that are at the top of some topic."""
    chosen = top.any(axis=1).to_numpy()
    of_topic = top.to_numpy()[chosen]
    z = np.full(logs.shape, np.nan)
    for b in np.unique(batch):
        rows, columns = batch == b, measured[chosen, b]
        part = logs[np.ix_(rows, columns)]
        sd = part.std(axis=0)
        z[np.ix_(rows, columns)] = np.clip((part - part.mean(axis=0)) / np.where(sd > 0, sd, 1), -limit, limit)
    n = np.isfinite(z).astype(np.float64) @ of_topic
    return pd.DataFrame(np.nan_to_num(z) @ of_topic / np.where(n > 0, n, np.nan), columns=top.columns)


def _top(weights: pd.DataFrame, n_top: int, by: By) -> pd.DataFrame:
    """1 for the first features of each topic, features × topics."""
    measure = Measure.of(weights.to_numpy(np.float64), by)
    scores = weights.to_numpy() if by == "probability" else measure.scores(shares(weights, "signatures"))
    top = np.zeros(weights.shape)
    np.put_along_axis(top, np.argsort(-scores, axis=0, kind="stable")[:n_top], 1, axis=0)
    return pd.DataFrame(top, index=weights.index, columns=weights.columns)


def _logs_of_top(counts: CSR, top: pd.DataFrame) -> pd.DataFrame:
    """Of the features that are at the top of some topic."""
    return pd.DataFrame(_logs(counts)[:, np.flatnonzero(top.any(axis=1))].toarray())


def _logs(counts: CSR) -> csr_array:
    """log1p of counts scaled to 10,000 an observation."""
    x = csr_array(counts, dtype=np.float64, copy=True)
    total = x.sum(axis=1)
    x.data *= np.repeat(SCALE / np.where(total > 0, total, 1), np.diff(x.indptr))
    return x.log1p()


def _counts_of_file(path: str | PathLike[str], mod: str | None, adata: AnnData) -> CSR:
    mod, raw = modality(read(path), mod)
    parts = {"observations": (raw.obs_names, adata.obs_names), "features": (raw.var_names, adata.var_names)}
    for what, (there, wanted) in parts.items():
        missing = wanted.difference(there)
        if len(missing):
            raise ValueError(f"{path} lacks {len(missing)} {what} of modality {mod!r}, the first is {missing[0]!r}")
    return count_matrix(raw[adata.obs_names, adata.var_names], mod)
