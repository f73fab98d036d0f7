from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mtopic import _graph
from mtopic._slots import Data, coordinates
from mtopic.inference.spatial import Correction

from ._model import Model, Options


class sMTM(Model):
    """Spatial multimodal topic model: `MTM` whose observations lend each other their topics.

    After each E-step, γ of an observation is multiplied by 1 + s, where s is the mean direction of its neighbours' γ, weighed by
    cosine similarity and by exp(−π·distance²), and scaled back to its sum. Distances are in units of the tissue's longer side.
    The correction is not part of the evidence lower bound, so the trace may fall now and then.

    Parameters
    ----------
    mdata
        MuData or AnnData as for `MTM`, with coordinates.
    n_topics
        Number of topics K, 2 or more.
    radius
        Neighbours are the observations within this distance, in units of the tissue's longer side.
    n_neighbors
        If given, the number of nearest observations that are neighbours; ``radius`` is then without effect.
    seed
        Seed, or generator, of the signatures' initial values.
    spatial_key
        Coordinates in ``obsm`` of the data or of its modalities, array or DataFrame. The default also finds ``spatial``.
    verbose
        Show progress.
    n_jobs
        Threads; -1 for all cores. It changes no bit of the result.
    neighbors_key
        Use the graph stored under this key by squidpy (``obsp["{key}_connectivities"]``, of the data or of a modality);
        ``radius`` and ``n_neighbors`` are then without effect. Data without coordinates may be fitted this way: neighbours then
        weigh alike at any distance.
    dtype
        Precision of the fit, ``"float32"`` or ``"float64"``.
    raw
        Fit ``layers["counts"]`` of the modalities that have it, and ``X`` of the others.
    inference
        How signatures are inferred: ``"variational"``, each with a Dirichlet posterior of its own, or ``"collapsed"``, integrated
        out, with their expected counts in their place. The latter predicts held-out counts better, the more so the fewer there are.
    alpha
        Prior of the proportions: a number, None for 1/K, or ``"auto"`` to learn it with the fit, from 1/K.
    eta
        Prior of the signatures, of all features and modalities alike: a number, or ``"auto"`` to learn it, from 0.01.

    Attributes
    ----------
    graph
        The neighbour graph: connectivities, distances in coordinate units, parameters.
    alpha, eta, gamma, lambda_, elbo, passes, converged, modalities, features, barcodes
        As for `MTM`.

    Raises
    ------
    KeyError
        If there are no such coordinates or no such graph.
    ValueError
        If coordinates are not finite or missing for some observations, ``radius`` is not positive, ``n_neighbors`` is not
        less than the number of observations; and as for `MTM`.

    Warns
    -----
    UserWarning
        If observations have no neighbour; they keep their own topics.

    Examples
    --------
    >>> import mtopic as mt
    >>> mdata = mt.datasets.simulate(n_obs=200)
    >>> model = mt.tl.sMTM(mdata, n_topics=5, n_neighbors=6, spatial_key="spatial", verbose=False)
    >>> model.VI(n_iter=10)
    >>> mt.tl.export_params(model, mdata)
    >>> "spatial_connectivities" in mdata.obsp
    True
    """

    def __init__(
        self,
        mdata: Data,
        n_topics: int = 20,
        radius: float = 0.05,
        n_neighbors: int | None = None,
        seed: int | np.random.Generator = 2291,
        spatial_key: str = "coords",
        verbose: bool = True,
        n_jobs: int = 10,
        *,
        neighbors_key: str | None = None,
        dtype: Literal["float32", "float64"] = "float32",
        raw: bool = False,
        inference: Literal["variational", "collapsed"] = "variational",
        alpha: float | Literal["auto"] | None = None,
        eta: float | Literal["auto"] = 0.01,
    ) -> None:
        super().__init__(mdata, n_topics, seed, n_jobs, verbose, Options(dtype, raw, inference, alpha, eta))
        points: NDArray[np.float64] | None
        if neighbors_key is None:
            points = coordinates(mdata, spatial_key)
            self.graph = _graph.build(points, radius, n_neighbors)
            self._where: dict[str, Any] = {"spatial_key": spatial_key}
            self._where |= {"radius": radius} if n_neighbors is None else {"n_neighbors": n_neighbors}
        else:
            points = _points_if_any(mdata, spatial_key)
            self.graph = _graph.find(mdata, neighbors_key)
            self._where = {"neighbors_key": neighbors_key}
        neighbours = self.graph.neighbours()
        _graph.warn_isolated(neighbours)
        scaled = None if points is None else _graph.normalised(points)[0]
        self._correction = Correction.from_points(neighbours, scaled)

    def params(self) -> dict[str, Any]:
        """What the fit was made with, in types that HDF5 can hold."""
        return {**super().params(), **self._where}


def _points_if_any(data: Data, key: str) -> NDArray[np.float64] | None:
    try:
        return coordinates(data, key)
    except KeyError:
        if key != "coords":
            raise
        return None
