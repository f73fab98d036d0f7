"""Data of raw counts with fewer observations or features."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from mtopic._data.count_matrix import CSR
from mtopic._data.preparation import RECORD
from mtopic._data.quiet import quiet_mudata
from mtopic._data.slots import ANNDATA_MODALITY, Data, by_position, modalities

Keep = NDArray[np.bool_]


def with_counts(data: Data, counts: Mapping[str, CSR], features: Mapping[str, Keep], names: pd.Index) -> Data:
    """New data whose ``X`` are ``counts`` of the observations ``names`` and the kept features.

    Tables of observations and features come along; layers and the record of what mtopic had done do not.
    """
    parts = {}
    for mod, adata in modalities(data).items():
        rows = adata.obs_names.get_indexer(names[names.isin(adata.obs_names)])
        part = AnnData(
            counts[mod][rows][:, features[mod]],
            obs=adata.obs.iloc[rows].copy(),
            var=adata.var.loc[features[mod]].drop(columns="mtopic_idf", errors="ignore"),
            **_tables(adata, "obs", rows),
            **_tables(adata, "var", np.flatnonzero(features[mod])),
        )
        part.uns.update(_without_record(adata))
        parts[mod] = part
    if isinstance(data, AnnData):
        return parts[ANNDATA_MODALITY]
    with quiet_mudata():
        new = MuData(parts, uns=_without_record(data))
    at = data.obs_names.get_indexer(new.obs_names)  # modalities that lack observations have mudata order them anew
    new.obs = data.obs.iloc[at].copy()
    for slot, tables in _tables(data, "obs", at).items():
        getattr(new, slot).update(tables)
    return new


def become(target: Data, new: Data) -> None:
    """Make ``target`` what ``new`` is."""
    slots = {slot: dict(getattr(new, slot)) for slot in ("obsm", "obsp", "uns")}
    if isinstance(target, AnnData):
        slots |= {slot: dict(getattr(new, slot)) for slot in ("varm", "varp")}
        AnnData.__init__(target, new.X, obs=new.obs, var=new.var, **slots)
        return
    slots["obsm"] = {key: value for key, value in slots["obsm"].items() if key not in new.mod}
    with quiet_mudata():
        MuData.__init__(target, dict(new.mod), obs=new.obs, **slots)


def _tables(holder: Data, axis: str, rows: NDArray[np.intp]) -> dict[str, dict[str, Any]]:
    """Tables ``obsm`` and ``obsp``, or ``varm`` and ``varp``, of some rows."""

    def taken(value: Any, *index: Any) -> Any:
        return value.iloc[rows] if hasattr(value, "iloc") else value[index]

    names = getattr(holder, f"{axis}_names")

    masks = holder.mod if isinstance(holder, MuData) else ()
    tables = {
        key: taken(by_position(value, names), rows)
        for key, value in getattr(holder, f"{axis}m").items()
        if key not in masks
    }
    graphs = {key: value[rows][:, rows] for key, value in getattr(holder, f"{axis}p").items()}
    return {f"{axis}m": tables, f"{axis}p": graphs}


def _without_record(holder: Data) -> dict[str, Any]:
    return {key: deepcopy(value) for key, value in holder.uns.items() if key != RECORD}
