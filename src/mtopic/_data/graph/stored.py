"""Graphs in the user's object: squidpy's names, rows in the order of the data."""

from collections.abc import Iterator
from itertools import count

import numpy as np
from mudata import MuData
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from mtopic._data import Data
from mtopic._data.names import absent, unique
from mtopic._data.slots import holders

from .neighbours import Graph


def find(data: Data, key: str) -> Graph:
    """The graph that ``obsp`` holds under squidpy's names for ``key``, rows and columns in the order of the data.

    It is looked up in the data, then in its modalities; ``"mod:key"`` is that of one modality.
    """
    unique(data.obs_names, "observation names of the data", "obs_names_make_unique()")
    parts: dict[str, Data] = dict(data.mod) if isinstance(data, MuData) else {}
    mod, _, rest = key.partition(":")
    places = [({"": data}, key), (parts, key), ({mod: parts[mod]} if mod in parts else {}, rest)]
    for named, name in places:
        slot = f"{name}_connectivities"
        found = {mod: holder for mod, holder in named.items() if slot in holder.obsp}
        orders = {mod: holder.obs_names.get_indexer(data.obs_names) for mod, holder in found.items()}
        graphs = {mod: _read(found[mod], name, order) for mod, order in orders.items() if (order >= 0).all()}
        if graphs:
            _require_one(graphs, name)
            return next(iter(graphs.values()))
        if found:
            lacking = min(int((order < 0).sum()) for order in orders.values())
            raise ValueError(f"obsp[{slot!r}] lacks {lacking} observations of the data: build it on all of them")
    known = {k.removesuffix("_connectivities") for h in holders(data) for k in h.obsp if k.endswith("_connectivities")}
    raise KeyError(absent(key, sorted(known), "neighbour graph", "obsp (neighbors_key=…)"))


def _read(holder: Data, key: str, order: NDArray[np.intp]) -> Graph:
    distances = holder.obsp.get(f"{key}_distances")
    params = dict(holder.uns.get(f"{key}_neighbors", {}).get("params", {}))
    connectivities = csr_array(holder.obsp[f"{key}_connectivities"])
    return Graph(connectivities, None if distances is None else csr_array(distances), params).reorder(order)


def _require_one(graphs: dict[str, Graph], key: str) -> None:
    """Several modalities may hold the same graph."""
    (mod, first), *others = graphs.items()
    for other_mod, other in others:
        if (first.connectivities != other.connectivities).nnz:
            raise ValueError(
                f"modalities {mod!r} and {other_mod!r} have different graphs obsp['{key}_connectivities']: say which "
                f"is meant, neighbors_key='{mod}:{key}' or '{other_mod}:{key}'"
            )


def store(graph: Graph, data: Data, owner: str, spare: str) -> str:
    """Write the graph under squidpy's names, or under ``spare`` where those are taken; return the key.

    What an earlier export by the same ``owner`` wrote is replaced; graphs of others are left alone.
    """
    key = next(key for key in _keys(spare) if _is_free(data, key) or _owner(data, key) == owner)
    slots = {"connectivities_key": f"{key}_connectivities", "distances_key": f"{key}_distances"}
    data.obsp[slots["connectivities_key"]] = csr_matrix(graph.connectivities)
    if graph.distances is not None:
        data.obsp[slots["distances_key"]] = csr_matrix(graph.distances)
    data.uns[f"{key}_neighbors"] = {**slots, "params": {**graph.params, "mtopic": owner}}
    return key


def _keys(spare: str) -> Iterator[str]:
    yield "spatial"
    yield spare
    yield from (f"{spare}_{number}" for number in count(2))


def _is_free(data: Data, key: str) -> bool:
    taken = f"{key}_connectivities" in data.obsp or f"{key}_distances" in data.obsp
    return not taken and f"{key}_neighbors" not in data.uns


def _owner(data: Data, key: str) -> str | None:
    """The export that wrote a graph; squidpy drops this mark when it writes another in its place."""
    record = data.uns.get(f"{key}_neighbors", {})
    return record.get("params", {}).get("mtopic")
