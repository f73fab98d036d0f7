from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtopic._api import public
from mtopic._data import Data, DataLike, record
from mtopic._data.in_rows import warn_if_loaded
from mtopic._data.modality_shares import modality_shares, modality_totals
from mtopic._data.proportions import proportions
from mtopic._data.slots import categories, modalities
from mtopic._data.writable import writable
from mtopic._progress import watched
from mtopic._warn import warn
from mtopic.inference.by_modality import leave_modality_out
from mtopic.model.fitted import own_posterior

from ._agreement import Pairs, is_chance, is_half

SEED = 2291


@public
def modality_agreement(
    data: DataLike,
    groupby: str | None = None,
    *,
    prefix: str | None = None,
    n_jobs: int = -1,
    verbose: bool = True,
    copy: bool = False,
) -> Data | None:
    """Measure how much each modality tells about every topic and observation, and whether the modalities agree.

    The proportions of an observation are inferred from each modality alone and from all others together, with
    signatures from other observations: a fifth of them at a time is left out, so that no signature recognises noise
    that it was made of. Their similarity, the Bhattacharyya coefficient Σ_k √(θ_k θ'_k), is scaled so that 0 is the
    average over pairs of different observations and 1 is identity :cite:p:`bhattacharyya1943`. A modality is compared
    with the others and not with all, because it is part of all and would agree with them even if it were noise. With
    two modalities, each is compared with the other, and the columns are equal.

    Agreement near 0 means that a modality is noise, that its observations are out of order, or that it shows other
    things than the others do; its share of the topics tells the first of these from the rest. Agreement is near 1 only
    if each side alone has enough counts.

    Parameters
    ----------
    data
        MuData of two or more modalities with topics.
    groupby
        Column of ``obs`` such as the sample, or ``"mod:column"`` for a column of a modality. Agreement is averaged over
        its groups, and a warning names groups whose modalities do not belong together.
    {prefix n_jobs verbose copy}

    Returns
    -------
    None, or the copy. Sets

    ``obsm["modality_shares"]`` : DataFrame, observations × modalities, float64
        Each modality's share of the evidence, counts × the modality's weight in the fit; rows sum to 1. NaN in
        observations without counts.
    ``obsm["modality_agreement"]`` : DataFrame, observations × modalities, float64
        Agreement, at most 1; negative where it is less than by chance. NaN where the modality or all others have no
        counts, and everywhere if all observations have the same topics.
    ``uns["mtopic"]["topic_shares"]`` : DataFrame, topics × modalities, float64
        What topics explain of each modality's counts, in nats, divided by the sum over the modalities: rows sum to 1. A
        topic that is seen in one modality only has nearly 1 there, and noise has nearly 0 everywhere. NaN in a topic
        that explains nothing.
    ``uns["mtopic"]["modality_agreement"]`` : DataFrame, groups × modalities, float64
        Mean agreement, with ``groupby``.

    Warns
    -----
    UserWarning
        If topics explain nothing of a modality, or it agrees with the others hardly better than by chance: by less than
        0.1 or three standard errors. A group (of ten observations or more) is named if this is so within it and its
        agreement is also less than half of that elsewhere, by three standard errors: in a group of one kind of
        observation there is nothing to agree on, and no fault.

    Raises
    ------
    KeyError
        If there are no topics of that prefix, or there is no such column.
    ValueError
        If there is only one modality or one topic, proportions are missing, or the counts are not valid.

    {Examples:fit}
    >>> mt.tl.modality_agreement(mdata)
    >>> bool((mdata.obsm["modality_agreement"].mean() > 0.9).all()), mdata.uns["mtopic"]["topic_shares"].shape
    (True, (3, 2))
    """
    head = record.head(prefix)
    groups = None if groupby is None else categories(data, groupby)
    names = list(modalities(data))
    if len(names) < 2:
        raise ValueError(
            f"the data has one modality, {names[0]!r}, which has none to agree with: give a MuData of two or more"
        )
    warn_if_loaded(data, "modality_agreement")
    fitted, counts = own_posterior(data, head, n_jobs)
    if fitted.n_topics < 2:
        raise ValueError(f"obsm['{head}topics'] has one topic: there is nothing to agree on")
    totals = modality_totals(counts)
    with watched(fitted.backend, None, "agreement", "row", verbose=verbose):
        found = leave_modality_out(fitted, np.random.default_rng(SEED))
    pairs = {
        mod: Pairs.of(one, other, _known(totals, mod))
        for mod, one, other in zip(totals.columns, found.alone, found.others, strict=True)
    }
    agreement = pd.DataFrame({mod: pair.agreement() for mod, pair in pairs.items()}, index=totals.index)
    explained = pd.DataFrame(found.explained, proportions(data, f"{head}topics").columns, totals.columns)
    weights = dict(zip(totals.columns, fitted.corpus.modality_weights, strict=True))
    results = {"topic_shares": _shares_of_sum(explained.clip(lower=0) * fitted.corpus.modality_weights)}
    if groups is not None:
        results["modality_agreement"] = agreement.groupby(groups, observed=True).mean().rename(index=str)

    target = writable(data, copy=copy)
    target.obsm[f"{head}modality_shares"] = modality_shares(totals, weights)
    target.obsm[f"{head}modality_agreement"] = agreement
    record.drop(target, head, "modality_agreement")
    record.add(target, head, **results)
    _warn_of_chance(pairs, agreement, _warn_of_noise(explained.sum()))
    if groups is not None:
        _warn_of_groups(pairs, agreement, groups, str(groupby))
    return target if copy else None


def _known(totals: pd.DataFrame, mod: str) -> NDArray[np.bool_]:
    """Where the modality has counts, and another one too."""
    return np.asarray((totals[mod] > 0) & (totals.drop(columns=mod) > 0).any(axis=1))


def _shares_of_sum(values: pd.DataFrame) -> pd.DataFrame:
    """Rows scaled to sum 1, NaN where there is nothing."""
    return values.div(values.sum(axis=1).replace(0, np.nan), axis=0)


def _subjects(names: pd.Index) -> Iterator[tuple[str, str]]:
    """Each modality, and how a sentence on its agreement begins; two modalities share one sentence."""
    if len(names) == 2:
        yield names[0], f"modalities {names[0]!r} and {names[1]!r} agree"
        return
    for name in names:
        yield name, f"modality {name!r} agrees with the others"


def _warn_of_noise(explained: pd.Series) -> list[str]:
    """Warn of the modalities that topics do not explain; return the others."""
    noise = explained.index[explained <= 0]
    if len(noise):
        warn(
            f"topics explain nothing of {' and '.join(map(repr, noise))} in observations that the signatures were "
            "not made of: the modality may be noise or out of order, or have too few counts"
        )
    return list(explained.index.difference(noise))


def _warn_of_chance(pairs: Mapping[str, Pairs], agreement: pd.DataFrame, telling: list[str]) -> None:
    everywhere = np.ones(len(agreement), bool)
    for mod, subject in _subjects(agreement.columns):
        if len(telling) > 1 and mod in telling and is_chance(pairs[mod].within(everywhere)):
            warn(
                f"{subject} hardly better than chance (mean agreement {agreement[mod].mean():.2f}), and yet topics "
                "explain their counts: the observations of a modality may be out of order, or it tells of other "
                "things"
            )


def _warn_of_groups(pairs: Mapping[str, Pairs], agreement: pd.DataFrame, groups: pd.Categorical, groupby: str) -> None:
    for mod, subject in _subjects(agreement.columns):
        named = []
        for code, label in enumerate(groups.categories):
            rows = groups.codes == code
            here, there = (agreement.loc[part, mod].dropna() for part in (rows, ~rows))
            if is_chance(pairs[mod].within(rows)) and is_half(here.to_numpy(), there.to_numpy()):
                named.append(f"{label!r} ({here.mean():.2f} against {there.mean():.2f} elsewhere)")
        if named:
            warn(
                f"{subject} hardly better than chance in these of obs[{groupby!r}]: {', '.join(named)}; there, "
                "observations of a modality may be those of another sample, or out of order"
            )
