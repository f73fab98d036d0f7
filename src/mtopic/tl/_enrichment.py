from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import pandas as pd
from packaging.version import Version

from mtopic._api import public
from mtopic._data import DataLike, record
from mtopic._data.names import absent, require_in_common
from mtopic._data.ranking import By, Measure, shares
from mtopic._data.slots import find_signatures, modalities
from mtopic._data.writable import writable

from ._t_tests import adjusted

SINCE = {"ulm": "2.0", "ora": "2.3.1", "gsea": "2.3.1"}
"""The version of decoupler from which on p-values are right."""

OWN_BACKGROUND: dict[str, dict[str, Any]] = {"ora": {"n_bg": None}}


@public
def enrichment(
    data: DataLike,
    mod: str | None = None,
    *,
    net: pd.DataFrame,
    method: Literal["ulm", "ora", "gsea"] = "ulm",
    by: By = "lift",
    tmin: int = 5,
    signatures: str = "signatures",
    key_added: str = "enrichment",
    **options: Any,
) -> None:
    """Test which sets of features, such as pathways or targets of a regulator, each topic is enriched in.

    The test is decoupler's :cite:p:`badia2022`, of every topic and every source of the net. It compares the features of
    the source with the others, by how much more frequent features are in the topic than in all counts (``by="lift"``).
    By their shares alone, each topic is enriched in what is frequent in all.

    {Parameters data:signatures mod}
    net
        A row for each feature of a set, as decoupler takes it: columns ``source`` (the set), ``target`` (the feature)
        and, if they differ, ``weight`` (signed; ``"ulm"`` only).
    method
        ``"ulm"``: a linear model of the measure by the weights; the score is its t-value. ``"ora"``: Fisher's exact
        test of the first features, a twentieth of them unless ``n_up`` says how many; the score is the logarithm of the
        odds ratio, and the background are the features of the modality. ``"gsea"``: a running sum with ``times``
        permutations; the score is the normalised one. The last two take decoupler 2.3.1, which needs Python 3.12.
    {by:features}
    tmin
        Sources with fewer targets among the features of the modality are left out.
    {signatures key_added:uns}
        That of the modality.
    options
        Options of the method of decoupler, such as ``n_up`` of ``"ora"`` and ``times`` and ``seed`` of ``"gsea"``.

    Returns
    -------
    None. Sets ``mdata[mod].uns[key_added]``: DataFrame with a row for each topic and source, by topic and falling
    score. Columns ``topic``, ``source``, ``score`` (negative: less than other features), ``p``, ``q``, adjusted by
    Benjamini and Hochberg over all tests of the modality, and ``n_targets``, how many targets the modality has.

    Features of a pathway vary together, which the tests do not know: they say that a set stands out among features, not
    that it would again in other samples. They were told topics from the counts that they are tested with.

    Raises
    ------
    ImportError
        If decoupler is not installed (``pip install 'mtopic[enrichment]'``), or too old for the method.
    KeyError
        If there are no such modality, signatures or columns of the net.
    ValueError
        If targets and features have no name in common, no source has ``tmin`` targets, the net has a pair twice or
        weights that are no numbers, or there is one topic only.

    Warns
    -----
    UserWarning
        If targets and features have few names in common.

    See Also
    --------
    mtopic.tl.motif_enrichment : Motifs in the peaks of a topic.
    mtopic.pl.enrichment : Draw the first sources of each topic.

    {Examples:fit}
    >>> net = mt.get.signatures(mdata, "rna", key="true_signatures", n_top=20, as_net=True)
    >>> mt.tl.enrichment(mdata, "rna", net=net)
    >>> mdata["rna"].uns["enrichment"].columns.to_list()
    ['topic', 'source', 'score', 'p', 'q', 'n_targets']
    """
    _require_decoupler(method)
    name, adata, table = find_signatures(data, mod, signatures)
    where = f"varm[{signatures!r}] of modality {name!r}"
    if table.shape[1] < 2:
        raise ValueError(f"{where} has 1 topic: enrichment is told from others")
    measure = Measure.of(table.to_numpy(np.float64), by)
    values = pd.DataFrame(measure.scores(shares(table, where)).T, table.columns.astype(str), table.index.astype(str))
    net = _chosen(net, values.columns, tmin, name)
    score, p = _tested(values, net, method, {**OWN_BACKGROUND.get(method, {}), **options})
    results = tidy(score, p, net["source"].value_counts())
    modalities(writable(data, copy=False))[name].uns[key_added] = results
    record.note(data, record.head_of(signatures, "signatures"), f"{name}:uns:{key_added}", names_topics=True)


def tidy(score: pd.DataFrame, p: pd.DataFrame, n_targets: pd.Series, **more: pd.DataFrame) -> pd.DataFrame:
    """A row for each topic and source (tables topics × sources), by topic and falling score."""
    topics, sources = score.index.repeat(score.shape[1]), np.tile(score.columns, len(score))
    columns = {"score": score, "p": p, "q": adjusted(p.to_numpy(np.float64).ravel()), "n_targets": n_targets[sources]}
    values = {name: np.asarray(value).ravel() for name, value in {**columns, **more}.items()}
    results = pd.DataFrame({"topic": np.asarray(topics), "source": sources, **values})
    order = np.lexsort([-results["score"], np.arange(len(score)).repeat(score.shape[1])])
    return results.iloc[order].reset_index(drop=True)


def _require_decoupler(method: str) -> None:
    if method not in SINCE:
        raise ValueError(f"method={method!r}: choose {', '.join(map(repr, SINCE))}")
    if find_spec("decoupler") is None:
        raise ImportError("mtopic.tl.enrichment needs decoupler: pip install 'mtopic[enrichment]'")
    if Version(version("decoupler")) < Version(SINCE[method]):
        raise ImportError(
            f"method={method!r} needs decoupler {SINCE[method]} or newer, on Python 3.12 or newer, and this is "
            f"{version('decoupler')}, whose p-values are wrong: take method='ulm', or install a newer one"
        )


def _chosen(net: pd.DataFrame, features: pd.Index, tmin: int, mod: str) -> pd.DataFrame:
    """The rows of the net whose targets are features, of sources that have enough of them."""
    if not isinstance(net, pd.DataFrame):
        raise TypeError(f"net is {type(net).__name__}: give a DataFrame with columns 'source' and 'target'")
    for column in ("source", "target"):
        if column not in net:
            raise KeyError(absent(column, net.columns, "column", "the net"))
    names = {column: net[column].astype(str).to_numpy() for column in ("source", "target")}
    weights = pd.to_numeric(net["weight"], errors="coerce").to_numpy(np.float64) if "weight" in net else 1.0
    chosen = pd.DataFrame({**names, "weight": weights})
    twice = chosen.duplicated(["source", "target"])
    if twice.any():
        pair = " → ".join(chosen.loc[twice.idxmax(), ["source", "target"]])
        raise ValueError(f"{twice.sum()} pairs are twice in the net, the first is {pair}: net.drop_duplicates(…)")
    if not np.isfinite(chosen["weight"]).all():
        raise ValueError(f"{(~np.isfinite(chosen['weight'])).sum()} weights of the net are missing or no numbers")
    require_in_common(pd.Index(chosen["target"]), features, "the targets of the net", f"modality {mod!r}")
    chosen = chosen[chosen["target"].isin(features)]
    n_targets = chosen.groupby("source")["target"].transform("size")
    if not (n_targets >= tmin).any():
        raise ValueError(
            f"no source of the net has tmin={tmin} targets in modality {mod!r}, which has {n_targets.max()} of "
            f"{chosen['source'][n_targets.idxmax()]!r}: give a lower tmin"
        )
    return chosen[n_targets >= tmin].reset_index(drop=True)


def _tested(
    values: pd.DataFrame, net: pd.DataFrame, method: str, options: dict[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and p-values, topics × sources: what decoupler does up to adjusting each topic's p-values by itself."""
    import decoupler as dc

    test = getattr(dc.mt, method)
    matrix, topics, features = dc.pp.extract(values, empty=False)
    if test.adj:
        sources, _, weights = dc.pp.adjmat(features, net)
        found = test.func(matrix, weights, **options)
    else:
        sources, *sets = dc.pp.idxmat(features, net)
        found = test.func(matrix, *sets, **options)
    score, p = (pd.DataFrame(np.asarray(values), topics, sources) for values in found)
    return score, p
