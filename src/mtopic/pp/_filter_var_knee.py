from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING

from mtopic._api import public
from mtopic._data import Data, DataLike
from mtopic._data.names import look_up
from mtopic._knee import importance, knee
from mtopic._warn import warn

from ._filter_var_list import keep_features, opened

if TYPE_CHECKING:
    from mtopic.model.model import Model


@public
def filter_var_knee(
    path: str | PathLike[str] | DataLike,
    model: "Model",
    knee_sensitivity: float | Mapping[str, float] = 5,
    *,
    verbose: bool = True,
) -> Data:
    """Drop features that dominate all topics of a fit: those before the knee of the curve of their importance.

    A feature's importance is its probability summed over the topics. Sorted, it falls steeply at first in data that a
    few features dominate, such as mitochondrial genes. Features from the knee of that curve on are kept.

    {Parameters path:raw}
    model
        A model that was fitted to these modalities.
    knee_sensitivity
        Kneedle's S, one number or a number by modality. The larger it is, the more pronounced a bend must be, and the
        further on it is found. Modalities that a mapping leaves out keep all features.
    {verbose:dropped}

    Returns
    -------
    New data of raw counts, with the tables of observations and features; see `mtopic.pp.filter_var_list`.

    Warns
    -----
    UserWarning
        If the curve of a modality has no knee: all its features are kept.

    Raises
    ------
    KeyError
        If the model lacks a modality of the data, or the data one of ``knee_sensitivity``.
    ValueError
        If the model is not fitted, features differ, or a sensitivity is not positive.

    References
    ----------
    Satopää, Albrecht, Irwin and Raghavan (2011): Finding a "kneedle" in a haystack.

    {Examples:data}
    >>> model = mt.tl.MTM(mdata, n_topics=3, verbose=False)
    >>> model.VI(n_iter=20)
    >>> less = mt.pp.filter_var_knee(mdata, model, knee_sensitivity={"rna": 1}, verbose=False)
    >>> less["rna"].n_vars < mdata["rna"].n_vars
    True
    """
    data, parts = opened(path)
    given = knee_sensitivity if isinstance(knee_sensitivity, Mapping) else dict.fromkeys(parts, knee_sensitivity)
    features = {mod: adata.var_names for mod, adata in parts.items()}
    for mod, sensitivity in given.items():
        names = look_up(parts, mod, "modality", "the data").var_names
        curve = importance(model, mod)
        strangers = names.difference(curve.index)
        if len(strangers):
            raise ValueError(
                f"the model has not seen {len(strangers)} features of modality {mod!r}, the first is {strangers[0]!r}: "
                "it was fitted to other data"
            )
        before = knee(curve, sensitivity)
        if before is None:
            warn(f"the importance of features of modality {mod!r} has no knee at S={sensitivity}: all are kept")
        features[mod] = names[~names.isin(curve.index[: before or 0])]
    return keep_features(data, features, verbose=verbose)
