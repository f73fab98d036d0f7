from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from mtopic._data import record
from mtopic._data.slots import Data, modalities, takes_spatialdata
from mtopic.model.expected import expected


@takes_spatialdata
def denoise(
    data: Data,
    mod: str | None,
    features: str | Sequence[str],
    *,
    prefix: str | None = None,
    layer: str = "denoised",
    rates: bool = False,
    copy: bool = False,
) -> Data | None:
    r"""Write the counts that a fit expects of some features as a layer, for plots of what single counts hide.

    The expectation is :math:`n_d \sum_k \theta_{dk} \beta_{kv}`, of the counts :math:`n_d` of the observation in the modality, the topics' proportions and their mean
    signatures. Observations lend each other what their topics have in common, and what topics do not tell is gone: differences between
    observations of the same topics, and the noise that tests count on. So this is for looking at, and not for tests or correlations
    of features, which it would make too good.

    The expectation is of the counts that the fit was made of: raw ones after `topic_model`, those in ``X`` after a fit to prepared counts.

    Parameters
    ----------
    data
        MuData or AnnData with topics and signatures, as `topic_model` and `export_params` write them.
    mod
        Modality; None where there is only one.
    features
        Name or names of features of the modality. Each takes 8 to 12 bytes an observation, so choose some.
    prefix
        As given to `export_params`, or as ``key_added`` to `topic_model`.
    layer
        Name of the layer; one of that name is replaced.
    rates
        Write the expected shares of the modality's counts, which do not depend on depth, in place of counts.
    copy
        Return a copy with the results and leave ``data`` as it is.

    Returns
    -------
    None, or the copy. Sets

    ``mdata[mod].layers[layer]`` : CSR matrix, the modality's observations × features, float32
        Values of the chosen features; nothing is stored of the others, which read as 0. NaN where an observation's topics are missing.

    Observations that lack the modality have no row there; :func:`mtopic.get.expected_counts` gives their rates.

    Raises
    ------
    KeyError
        If there is no such modality or feature, or there are no topics, signatures or parameters of a fit of that prefix.
    ValueError
        If no feature is named or one twice, ``layer`` is the layer of the raw counts, signatures are of other topics than the proportions, or
        proportions or counts are not valid.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200, n_topics=5)
    >>> mt.tl.topic_model(mdata, n_topics=5, verbose=False)
    >>> mt.tl.denoise(mdata, "rna", ["rna_3", "rna_7"])
    >>> mdata["rna"].layers["denoised"].nnz
    400
    """
    if layer == "counts" or "/" in layer:
        raise ValueError(f"layer={layer!r}: it is not 'counts', where the raw counts are, and holds no '/'")
    name, values = expected(data, mod, features, prefix, rates)
    target = data.copy() if copy else data
    adata = modalities(target)[name]
    columns = adata.var_names.get_indexer(values.columns)
    order = np.argsort(columns)
    chosen = values.reindex(adata.obs_names).to_numpy(dtype=np.float32)[:, order]
    n_obs, n_chosen = chosen.shape
    indices = np.tile(columns[order].astype(np.int32), n_obs)
    indptr = np.arange(n_obs + 1) * n_chosen
    adata.layers[layer] = csr_matrix((chosen.ravel(), indices, indptr), shape=adata.shape)
    record.note(target, record.head(prefix), f"{name}:layers:{layer}")
    return target if copy else None
