from mtopic._api import public
from mtopic._data import DataLike, record
from mtopic._data.category import write_category
from mtopic._data.dominance import By, dominant
from mtopic._data.slots import table


@public
def dominant_topics(data: DataLike, topics: str = "topics", *, key_added: str = "topic", by: By = "deviation") -> None:
    """Write the topic that dominates in each observation as a category, with colours for scanpy, squidpy and muon.

    {Parameters data:topics topics}
    key_added
        Key of the category in ``obs``.
    {by:dominant}

    Returns
    -------
    None. Sets

    ``obs[key_added]`` : categorical
        The first one of equal topics. The categories are the topics that are dominant somewhere, in the order
        of the table; an observation with a missing proportion, or without counts in the fit, has none.
    ``uns[f"{key_added}_colors"]`` : list of str
        A colour for each category: scanpy's default for the topic's place in the table, the same as in
        `mtopic.pl.dominant_topics`. Topics keep the colours that they have; if there are as many colours as topics,
        they are those of the topics.

    Raises
    ------
    KeyError
        If there is no such table or ``by``.
    ValueError
        If the table has no columns, or two of the same name, or deviations are asked of values that are no proportions.

    References
    ----------
    :cite:t:`rao1995`: Euclidean distances of square roots of proportions are Hellinger distances, in which a
    difference between large proportions weighs no more than one between small ones.

    {Examples:data}
    >>> mt.tl.dominant_topics(mdata, "true_topics")
    >>> list(mdata.obs["topic"].cat.categories), mdata.uns["topic_colors"]
    (['topic_1', 'topic_2', 'topic_3'], ['#1f77b4', '#ff7f0e', '#279e68'])
    """
    proportions = table(data, topics)
    names = proportions.columns.astype(str)
    if not len(names):
        raise ValueError(f"obsm[{topics!r}] has no columns: name a table with a column for each topic")
    if not names.is_unique:
        raise ValueError(f"obsm[{topics!r}] has two columns {names[names.duplicated()][0]!r}: name each topic once")
    write_category(data, key_added, dominant(data, topics, proportions, by), names)
    record.note(data, record.head_of(topics), f"obs:{key_added}", names_topics=True)
