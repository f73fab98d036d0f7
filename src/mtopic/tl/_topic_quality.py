from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, vstack
from scipy.special import entr

from mtopic._api import public
from mtopic._data import Data, DataLike, record
from mtopic._data.count_matrix import Summary
from mtopic._data.in_rows import raw_counts_in_rows
from mtopic._data.measured import batches, measured_where, warn_if_ignored
from mtopic._data.proportions import proportions
from mtopic._data.ranking import exclusivity
from mtopic._data.slots import find_signatures, with_signatures


@public
def topic_quality(
    data: DataLike,
    topics: str = "topics",
    signatures: str = "signatures",
    *,
    n_top: int = 10,
    key_added: str = "topic_quality",
    batch_key: str | None = None,
) -> None:
    """Measure how coherent, how different and how much used the topics are.

    The first three measures use the ``n_top`` features with the highest weight in a topic's signature, separately for
    each modality.

    *Coherence* says whether they are counted in the same observations. With p_i the share of the modality's
    observations in which feature i was counted, and p_ij that of i and j together, a pair has the normalised pointwise
    mutual information ln(p_ij / (p_i p_j)) / -ln p_ij; the topic has the mean over its pairs. 1: only ever together, 0:
    as by chance, -1: never together. A pair that is counted in every observation scores 0, because it says nothing. So
    coherence is of little use where nearly everything is counted everywhere, as with panels of proteins.

    *Exclusivity* says whether they belong to this topic alone: the topic's share of a feature's probability, φ_kv / Σ_j
    φ_jv with φ the signatures scaled to sum 1, mean over the features; 1 / K if all topics are equal, 1 if they share
    no feature.

    *Diversity* is the share of distinct features among the top features of all topics; 1 if no two topics have one in
    common.

    The *effective number of topics* is the exponential of the entropy (nats) of the topics' mean proportions: the
    number of topics of equal size that would be as even. By observation, it says over how many topics an observation is
    spread.

    {Parameters data:counts topics}
        Rows need not sum to 1.
    {signatures}
        Modalities without are left out.
    n_top
        Number of features of each topic, 2 or more; all of them where there are fewer.
    {key_added:uns batch_key:scored}

    Returns
    -------
    None. Sets ``uns[key_added]`` to a dict of

    ``"topics"`` : DataFrame
        A row for each topic: ``proportion``, its mean over the observations, and for each modality ``coherence`` and
        ``exclusivity``, as ``rna:coherence``.
    ``"modalities"`` : DataFrame
        A row for each modality: ``coherence`` and ``exclusivity``, means over the topics, and ``diversity``.
    ``"effective_n_topics"``, ``"effective_n_topics_per_observation"`` : float
        Of the mean proportions; mean over the observations.
    ``"n_top"`` : int
        As given.

    Observations whose proportions are missing do not count in proportions and numbers of topics. The coherence of a
    modality with one feature is NaN. A pair of features is scored by the observations that have measured both.

    Raises
    ------
    KeyError
        If there are no such proportions, or no modality has such signatures.
    ValueError
        If ``n_top`` is less than 2, signatures and proportions are of different topics, or proportions, signatures or
        counts are not valid.

    References
    ----------
    Coherence: Bouma (2009), Normalized (pointwise) mutual information in collocation extraction; Aletras and Stevenson
    (2013), Evaluating topic coherence using distributional semantics; Lau, Newman and Baldwin (2014), Machine reading
    tea leaves. Exclusivity: Bischof and Airoldi (2012), Summarizing topical content with word frequency and
    exclusivity. Diversity: Dieng, Ruiz and Blei (2020), Topic modeling in embedding spaces. Effective number: Hill
    (1973), Diversity and evenness.

    {Examples:data}
    >>> mt.tl.topic_quality(mdata, "true_topics", "true_signatures")
    >>> quality = mdata.uns["topic_quality"]
    >>> list(quality["topics"].columns)
    ['proportion', 'rna:coherence', 'rna:exclusivity', 'atac:coherence', 'atac:exclusivity']
    >>> round(quality["effective_n_topics"])
    3
    """
    data.uns[key_added] = quality(data, topics, signatures, n_top, batch_key)
    record.note(data, record.head_of(topics), f"uns:{key_added}", names_topics=True)


def quality(data: Data, topics: str, signatures: str, n_top: int, batch_key: str | None = None) -> dict[str, Any]:
    """What `topic_quality` writes."""
    if n_top < 2:
        raise ValueError(f"n_top={n_top}: coherence is of pairs, so of at least 2 features")
    known = proportions(data, topics).dropna()
    shares = known.to_numpy()
    by_topic = known.mean().to_frame("proportion")
    head = record.head_of(topics)
    key = batch_key or record.params_if_any(data, head).batch_key
    batch = batches(data, key)
    by_modality = {}
    for mod in with_signatures(data, signatures):
        name, adata, weights = find_signatures(data, mod, signatures)
        phi = _distributions(weights, known.columns, name, signatures)
        top = np.argsort(-phi, axis=0, kind="stable")[:n_top].T
        chosen, places = np.unique(top, return_inverse=True)
        summary, seen = Summary(adata.n_obs, adata.n_vars), []
        for _, counts in raw_counts_in_rows(adata, name):
            summary.add(counts)
            seen.append(csr_array(counts[:, chosen] > 0, dtype=np.float64))
        record.warn_other_raw_counts(data, head, name, summary)
        warn_if_ignored({name: adata}, key)
        where = measured_where(adata, name, batch)
        coherence = _coherence(csc_array(vstack(seen)), chosen, places.reshape(top.shape), *where)
        measures = {
            "coherence": coherence,
            "exclusivity": np.take_along_axis(exclusivity(phi), top.T, axis=0).mean(axis=0),
        }
        for measure, values in measures.items():
            by_topic[f"{name}:{measure}"] = values
        means = {measure: float(values.mean()) for measure, values in measures.items()}
        by_modality[name] = {**means, "diversity": np.unique(top).size / top.size}
    return {
        "topics": by_topic,
        "modalities": pd.DataFrame.from_dict(by_modality, orient="index"),
        "effective_n_topics": float(_effective_number(shares.mean(axis=0))),
        "effective_n_topics_per_observation": float(_effective_number(shares).mean()),
        "n_top": int(n_top),
    }


def _distributions(weights: pd.DataFrame, topics: pd.Index, mod: str, key: str) -> NDArray[np.float64]:
    """Signatures (features × topics), the topics in order, columns scaled to sum 1."""
    slot = f"varm[{key!r}] of modality {mod!r}"
    if len(topics.symmetric_difference(weights.columns)):
        raise ValueError(
            f"{slot} has {weights.shape[1]} topics, of which {weights.columns.isin(topics).sum()} are among the "
            f"{len(topics)} of the proportions: give proportions and signatures of the same fit"
        )
    values = weights[topics].to_numpy(dtype=np.float64)
    total = values.sum(axis=0)
    if not (np.isfinite(values).all() and (values >= 0).all() and (total > 0).all()):
        raise ValueError(f"{slot} holds values that are no weights: negative or not finite, or columns of zeros")
    return values / total


def _coherence(
    seen: csc_array,
    chosen: NDArray[np.intp],
    top: NDArray[np.intp],
    batch: NDArray[np.intp],
    measured: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Mean NPMI over the pairs of each topic's top features: places (topics × features) among the ``chosen``.

    ``seen`` says which observations have counts of these. ``measured`` says of which features (features × batches) a
    zero is a count.
    """
    of_batch = csr_array((np.ones(batch.size), batch, np.arange(batch.size + 1)), shape=(batch.size, measured.shape[1]))
    sizes, times = of_batch.sum(axis=0), (seen.T @ of_batch).toarray()
    scores = []
    for k in top:
        part, where = seen[:, k], measured[chosen[k]].astype(np.float64)
        values = _npmi((part.T @ part).toarray(), (times[k] * where) @ where.T, (where * sizes) @ where.T)
        scores.append(values.mean() if values.size else np.nan)
    return np.array(scores)


def _npmi(together: NDArray[np.float64], alone: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    """NPMI of all pairs i < j that were measured together.

    Among so many observations both were counted together, and the first (``alone[i, j]``) or second
    (``alone[j, i]``) at all.
    """
    i, j = np.triu_indices(len(among), k=1)
    i, j = i[among[i, j] > 0], j[among[i, j] > 0]
    n = among[i, j]
    both, p = together[i, j] / n, alone[i, j] / n * (alone[j, i] / n)
    scores = np.where(both > 0, 0.0, -1.0)
    some = (both > 0) & (both < 1)
    scores[some] = np.log(both[some] / p[some]) / -np.log(both[some])
    return scores


def _effective_number(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential of the entropy of the last axis."""
    return np.exp(entr(shares).sum(axis=-1))
