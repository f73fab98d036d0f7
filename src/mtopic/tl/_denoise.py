from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from mtopic._api import public
from mtopic._data import Data, DataLike, record
from mtopic._data.slots import modalities
from mtopic._data.writable import writable
from mtopic.model.expected import expected


@public
def denoise(
    data: DataLike,
    mod: str | None = None,
    features: str | Sequence[str] = (),
    *,
    prefix: str | None = None,
    layer: str = "denoised",
    rates: bool = False,
    copy: bool = False,
) -> Data | None:
    r"""Write the counts that a fit expects of some features as a layer, for plots of what single counts hide.

    The expectation is :math:`n_d \sum_k \theta_{dk} \beta_{kv}`, from the total :math:`n_d` of the observation's counts
    in the modality, its topic proportions and the topics' mean signatures. Observations share what their topics have in
    common. What topics do not explain is gone: differences between observations of the same topics, and the noise that
    tests rely on. So use it for plots, and not for tests or correlations of features, which it would inflate.

    The expectation is of the counts of the fit: raw ones after `topic_model`, those in ``X`` after a fit to prepared
    counts.

    {Parameters data:fit mod features}
        Each takes 8 to 12 bytes for an observation, so choose some.
    {prefix}
    layer
        Name of the layer. A layer of that name is replaced.
    rates
        Write the expected shares of the modality's counts, which do not depend on depth, in place of counts.
    {copy}

    Returns
    -------
    None, or the copy. Sets

    ``mdata[mod].layers[layer]`` : CSR matrix, the modality's observations × features, float32
        Values of the chosen features; nothing is stored of the others, which read as 0. NaN where an observation's
        topics are missing.

    Observations that lack the modality have no row there; `mtopic.get.expected_counts` gives their rates.

    {Raises KeyError:features ValueError:features}
        Also if ``layer`` is the layer of the raw counts.

    {Examples:fit}
    >>> mt.tl.denoise(mdata, "rna", ["rna_3", "rna_7"])
    >>> mdata["rna"].layers["denoised"].nnz
    400
    """
    if layer == "counts" or "/" in layer:
        raise ValueError(f"layer={layer!r}: it is not 'counts', where the raw counts are, and holds no '/'")
    name, values = expected(data, mod, features, prefix, rates)
    target = writable(data, copy=copy)
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
