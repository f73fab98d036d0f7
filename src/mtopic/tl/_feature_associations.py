from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, hstack, issparse

from mtopic._api import public
from mtopic._data.names import alike_but_for, unique
from mtopic._progress import progress
from mtopic.inference.backend import Backend

TOLERANCE, AT_ONCE = 1e-10, 256


@public
def feature_associations(
    A: ArrayLike,
    A_var: pd.DataFrame | ArrayLike,
    B: ArrayLike,
    B_var: pd.DataFrame | ArrayLike,
    mask: Any = None,
    n_epochs: int = 10_000,
    lambda_reg: float = 1e-4,
    lambda_entropy: float = 1e-3,
    lambda_spread: float = 0.05,
    temperature: float = 0.2,
    normalize: bool | Literal["features"] = True,
    seed: int = 1898,
    n_threads: int = 10,
    *,
    verbose: bool = True,
) -> pd.DataFrame:
    r"""Explain the signature of each feature of one modality as a mixture of another's: genes by peaks, say.

    With a feature's weights over topics :math:`A_{kg}`, the weights :math:`w` over the features of B are the point of
    the simplex that minimises

    .. math:: \sum_k A_{kg} \ln\frac{A_{kg} + \epsilon}{(Bw)_k + \epsilon}
              + \lambda_\mathrm{reg} \sum_p [(w_p + \epsilon)^{0.1} + \ln(w_p + \epsilon)]
              + (\lambda_\mathrm{spread} - \lambda_\mathrm{entropy}) \sum_p w_p \ln w_p

    with :math:`\epsilon = 10^{-6}`: a Kullback-Leibler divergence, a penalty that leaves few features, and one that
    spreads the weight over these. Exponentiated gradient descent (Kivinen and Warmuth 1997) starts from equal weights
    and runs until it has settled.

    Parameters
    ----------
    A, B
        Topics × features; see `mtopic.pp.feature_associations_data`. Arrays, or tensors that NumPy can read.
    A_var, B_var
        Annotations of the features, whose index is read, or their names.
    mask
        Features of B × features of A, sparse or dense: which pairs are allowed; None allows all. See
        `mtopic.tl.distance_mask`. A DataFrame is matched by names. With a sparse one, memory is in proportion to the
        pairs that are allowed.
    n_epochs
        Largest number of steps for one feature; some hundreds are usual.
    lambda_reg, lambda_entropy, lambda_spread
        Strengths of the terms, see above.
    temperature, seed
        Have no effect: nothing is drawn at random, and the weights need no softmax.
    normalize
        Scale each topic to sum 1 over the features, as the original does; features of many counts are then preferred as
        partners. With ``"features"`` each feature is scaled to sum 1 over the topics, so that only its profile counts:
        together with ``lambda_reg=0, lambda_spread=1e-3`` this finds more of simulated links
        (``benchmarks/associations.py``).
    n_threads
        Number of threads, as joblib's ``n_jobs``; it changes no bit of the result.
    verbose
        Show progress of what takes more than some seconds.

    Returns
    -------
    DataFrame, features of B × features of A, float64. A column sums to 1, or is 0 where the mask allows nothing. Its
    columns are sparse if the mask was (``.sparse.to_dense()`` makes others of them).

    Raises
    ------
    ValueError
        If shapes or numbers of names do not fit, a mask has a name twice, values are negative or not finite, or a
        parameter is out of range.
    KeyError
        If a mask with names lacks a feature.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=100, n_topics=3, modalities={"rna": 20, "atac": 50})
    >>> parts = mt.pp.feature_associations_data(mdata, ["rna", "atac"], signatures="true_signatures")
    >>> weights = mt.tl.feature_associations(*parts["rna"], *parts["atac"])
    >>> weights.shape
    (50, 20)
    """
    a, b = _matrix("A", A, normalize), _matrix("B", B, normalize)
    names_a, names_b = _names("A", A_var, a), _names("B", B_var, b)
    if len(a) != len(b):
        raise ValueError(f"A has {len(a)} topics and B has {len(b)}: both come from one fit")
    for name, value in (
        ("lambda_reg", lambda_reg),
        ("lambda_entropy", lambda_entropy),
        ("lambda_spread", lambda_spread),
    ):
        if not 0 <= value < np.inf:
            raise ValueError(f"{name}={value}: it must be 0 or more")
    if n_epochs < 1:
        raise ValueError(f"n_epochs={n_epochs}: it must be at least 1")
    allowed = _allowed(mask, names_b, names_a)
    strengths = float(lambda_reg), float(lambda_spread - lambda_entropy)
    targets, parts = np.ascontiguousarray(a.T), []
    with Backend(n_threads) as backend, progress(len(targets), "associations", "feature", verbose=verbose) as bar:
        for start in range(0, len(targets), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            parts.append(backend.mixtures(targets[part], b, allowed[:, part], *strengths, n_epochs, TOLERANCE))
            bar.update(len(targets[part]))
    found = csc_array(hstack(parts, format="csc"))
    if _is_sparse(mask):
        return pd.DataFrame.sparse.from_spmatrix(found, index=names_b, columns=names_a)
    return pd.DataFrame(found.toarray(), index=names_b, columns=names_a)


def _matrix(name: str, values: ArrayLike, normalize: bool | Literal["features"]) -> NDArray[np.float64]:
    matrix = np.array(values, dtype=np.float64, order="C")
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError(f"{name} has shape {matrix.shape}: it is topics × features")
    bad = ~np.isfinite(matrix) | (matrix < 0)
    if bad.any():
        raise ValueError(f"{name} has {bad.sum()} values that are negative or not finite: signatures are weights")
    if not normalize:
        return matrix
    if isinstance(normalize, str) and normalize != "features":
        raise ValueError(f"normalize={normalize!r}: it is True (topics), 'features' or False")
    what, axis = ("feature", 0) if normalize == "features" else ("topic", 1)
    total = matrix.sum(axis=axis, keepdims=True)
    if not (total > 0).all():
        raise ValueError(f"{name}: {what} {int(np.argmin(total)) + 1} has no weight at all")
    return matrix / total


def _names(name: str, var: pd.DataFrame | ArrayLike, matrix: NDArray[np.float64]) -> pd.Index:
    index = var.index if isinstance(var, pd.DataFrame) else pd.Index(np.asarray(var))
    if len(index) != matrix.shape[1]:
        raise ValueError(
            f"{name}_var names {len(index)} features, {name} has {matrix.shape[1]}: it is topics × features"
        )
    return index


def _allowed(mask: Any, rows: pd.Index, columns: pd.Index) -> csc_array:
    """The pairs that are allowed, features of B × features of A."""
    shape = (len(rows), len(columns))
    if mask is None:
        indices = np.tile(np.arange(shape[0]), shape[1])
        return csc_array((np.ones(indices.size, bool), indices, np.arange(shape[1] + 1) * shape[0]), shape=shape)
    if isinstance(mask, pd.DataFrame):
        mask = _by_name(mask, rows, columns)
    allowed = csc_array(mask if issparse(mask) else np.asarray(mask))
    if allowed.shape != shape:
        raise ValueError(f"the mask has shape {allowed.shape}: it is features of B × features of A, {shape}")
    allowed = csc_array(allowed != 0)
    allowed.sum_duplicates()
    if not allowed.nnz:
        raise ValueError(
            "the mask allows no pair, so that there would be no link: check the names in it, or leave it out"
        )
    return allowed


def _by_name(mask: pd.DataFrame, rows: pd.Index, columns: pd.Index) -> csc_array:
    """The mask of these features; pandas would take a sparse one apart, column by column."""
    places = []
    for what, wanted, there in (("B", rows, mask.index), ("A", columns, mask.columns)):
        places.append(unique(there, f"features of {what} in the mask", "one line for each").get_indexer(wanted))
        missing = wanted[places[-1] < 0]
        if len(missing):
            likeness = alike_but_for(missing, there)
            raise KeyError(f"the mask lacks {len(missing)} features of {what}, the first is {missing[0]!r}{likeness}")
    whole = csc_array(mask.sparse.to_coo() if _is_sparse(mask) else mask.to_numpy())
    return csc_array(whole[:, places[1]][places[0]])


def _is_sparse(mask: Any) -> bool:
    if isinstance(mask, pd.DataFrame):
        return all(isinstance(kind, pd.SparseDtype) and not kind.fill_value for kind in mask.dtypes)
    return issparse(mask)
