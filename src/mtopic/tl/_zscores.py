from os import PathLike

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_array

from mtopic._api import public
from mtopic._data import Data, record
from mtopic._data.count_matrix import CSR, count_matrix, raw_counts
from mtopic._data.slots import find_signatures, modality
from mtopic._files import read

SCALE = 10_000


@public
def zscores(
    mdata: Data,
    raw_data_path: str | PathLike[str] | None = None,
    signatures: str = "signatures",
    mod: str | None = None,
    n_top: int = 10,
    thr: float | None = 5,
    out_key: str = "zscores",
) -> None:
    """Score the expression of each topic's top features in each observation.

    Raw counts are scaled to 10,000 per observation and log1p-transformed, then standardised over all features of the
    observation (population standard deviation) and clipped to ±``thr``. A topic's score is the mean over its ``n_top``
    features of highest signature weight.

    {Parameters mdata=data:signatures}
    raw_data_path
        A h5mu file with the raw counts of ``mod`` in ``X``, matched by name. If None, ``layers["counts"]``, else ``X``.
    {signatures mod}
        For an AnnData, the modality of the file.
    {n_top}
        All of them where there are fewer.
    thr
        Where z-scores are clipped; None does not clip.
    out_key
        Key of the scores in ``obsm``.

    Returns
    -------
    None. Sets ``mdata[mod].obsm[out_key]``: DataFrame, observations × topics, float64.

    Raises
    ------
    KeyError
        If there is no such modality or there are no such signatures.
    ValueError
        If the modality has no features, ``n_top`` is less than 1, ``thr`` is not positive, counts are not valid, or the
        file lacks observations or features.

    {Examples:fit}
    >>> mt.tl.zscores(mdata, mod="rna")
    >>> mdata["rna"].obsm["zscores"].shape
    (200, 3)
    """
    name, adata, weights = find_signatures(mdata, None if isinstance(mdata, AnnData) else mod, signatures)
    if not len(weights):
        raise ValueError(f"modality {name!r} has no features: there is nothing to score")
    if n_top < 1:
        raise ValueError(f"n_top={n_top}: a topic is scored by at least 1 feature")
    if thr is not None and not thr > 0:
        raise ValueError(f"thr={thr}: z-scores are clipped at a positive value, or None")
    if raw_data_path is None:
        counts = raw_counts(adata, name)
        record.warn_other_raw_counts(mdata, record.head_of(signatures, "signatures"), name, counts)
    else:
        counts = _counts_of_file(raw_data_path, mod if isinstance(mdata, AnnData) else name, adata)
    logs, mean, sd = _standard(counts)
    scores = {}
    for topic in weights.columns:
        top = np.argsort(-weights[topic].to_numpy(), kind="stable")[:n_top]
        z = (logs[:, top].toarray() - mean[:, None]) / sd[:, None]
        scores[topic] = (z if thr is None else np.clip(z, -thr, thr)).mean(axis=1)
    adata.obsm[out_key] = pd.DataFrame(scores, index=adata.obs_names)
    record.note(mdata, record.head_of(signatures, "signatures"), f"{name}:obsm:{out_key}")


def _standard(counts: CSR) -> tuple[csr_array, np.ndarray, np.ndarray]:
    """log1p of counts scaled to 10,000 an observation; their mean and standard deviation over all features."""
    x = csr_array(counts, dtype=np.float64, copy=True)
    total = x.sum(axis=1)
    x.data *= np.repeat(SCALE / np.where(total > 0, total, 1), np.diff(x.indptr))
    logs = x.log1p()
    mean = logs.sum(axis=1) / x.shape[1]
    squares = logs.multiply(logs).sum(axis=1) / x.shape[1]
    sd = np.sqrt(np.maximum(squares - mean**2, 0))
    return logs, mean, np.where(sd > 0, sd, 1)


def _counts_of_file(path: str | PathLike[str], mod: str | None, adata: AnnData) -> CSR:
    mod, raw = modality(read(path), mod)
    parts = {"observations": (raw.obs_names, adata.obs_names), "features": (raw.var_names, adata.var_names)}
    for what, (there, wanted) in parts.items():
        missing = wanted.difference(there)
        if len(missing):
            raise ValueError(f"{path} lacks {len(missing)} {what} of modality {mod!r}, the first is {missing[0]!r}")
    return count_matrix(raw[adata.obs_names, adata.var_names], mod)
