from collections.abc import Mapping

from mtopic._api import public
from mtopic._data import Data, DataLike, record, topic_names
from mtopic._data.names import absent, require_key
from mtopic._data.slots import table
from mtopic._data.writable import writable
from mtopic._warn import warn


@public
def rename_topics(
    data: DataLike, names: Mapping[str, str], *, prefix: str | None = None, copy: bool = False
) -> Data | None:
    """Give topics names, such as those of cell types, wherever the data name them.

    Numbers, order and colours of topics stay, and so does the id of the fit: what follows from it is not outdated.

    {Parameters data:topics}
    names
        Topic → new name; others keep theirs. Topics may swap names in one call.
    {prefix}
        For topics of `transform`, its ``key_added``.
    {copy}

    Returns
    -------
    None, or the copy. Renames topics in

    ``obsm["topics"]``, ``varm["signatures"]`` of each modality
        Columns, also of the tables of `uncertainty` and `signature_uncertainty`.
    ``uns["mtopic"]``
        Wherever the record of the fit names topics: ``stability``, ``guides``, ``mean_roots``, ``params["alpha"]``, and
        the results of `modality_agreement` and `compare_topics`.
    what follows from the fit
        By whatever key: the categories of `dominant_topics`, scores of `zscores`, and the tables of `topic_quality`,
        `topic_autocorr` and `topic_neighborhoods`. What follows from an earlier fit stays as it is.

    `transform` gives new data the names that a reference has then. A model does not know of them: what it is exported
    to has ``topic_1`` to ``topic_K`` or names of a guide (`export_params`), and so has `transform` by a model. Tables
    that you took out of the data, and results of other packages, keep the names they were made with.

    Raises
    ------
    KeyError
        If there are no such topics; the nearest names are offered.
    TypeError
        If ``names`` is no mapping, a name is no text, or topics are in an array, which has no names.
    ValueError
        If two topics would have one name, or a name is empty or cannot be a key in a file: ``"."``, ``".."`` and
        ``"_index"``, or with ``"/"`` or a backslash.

    Warns
    -----
    UserWarning
        If there is no record of what follows from these topics. Then only proportions, signatures and their
        uncertainties are renamed.

    {Examples:fit}
    >>> mt.tl.dominant_topics(mdata)
    >>> mt.tl.rename_topics(mdata, {"topic_3": "adipose"})
    >>> list(mdata.obsm["topics"].columns), list(mdata.obs["topic"].cat.categories)
    (['topic_1', 'topic_2', 'adipose'], ['topic_1', 'topic_2', 'adipose'])
    """
    head = record.head(prefix)
    key = topic_names.table_of(data, head)
    topics = table(data, key).columns
    _check(names)
    for old in names:
        if old not in topics:
            raise KeyError(absent(old, topics, "topic", f"obsm[{key!r}]"))
    topic_names.require_free(data, head, names)
    target = writable(data, copy=copy)
    topic_names.rename(target, head, names)
    if "id" not in record.read(data, head):
        warn(
            f"uns['{head}mtopic'] does not say what follows from these topics: results such as obs['topic'] keep the "
            "names they have; make them anew"
        )
    return target if copy else None


def _check(names: Mapping[str, str]) -> None:
    """New names are keys that files can hold, each of one topic."""
    if not isinstance(names, Mapping):
        raise TypeError(f"names={names!r}: give a mapping of topics to names, such as {{'topic_3': 'adipose'}}")
    topic_of: dict[str, str] = {}
    for old, new in names.items():
        require_key(new, f"names[{old!r}]={new!r}")
        if new in topic_of:
            raise ValueError(
                f"names calls both {topic_of[new]!r} and {old!r} {new!r}: each topic has a name of its own"
            )
        topic_of[new] = old
