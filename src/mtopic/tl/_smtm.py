from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mtopic._data import graph
from mtopic._data.graph import Graph, Method
from mtopic._data.slots import Data, takes_spatialdata
from mtopic._data.spatial_graph import SpatialGraph
from mtopic.inference.learn.strength import learned_prior
from mtopic.inference.random_streams import Stream, generator
from mtopic.inference.spatial import Correction, NeighbourPrior, SpatialTerm
from mtopic.model.file import State
from mtopic.model.model import Options
from mtopic.model.priors import Alpha, Eta
from mtopic.model.stochastic import Stochastic


class sMTM(Stochastic):
    """Spatial multimodal topic model: `MTM` in which an observation expects the topics of its neighbours.

    With ``smoothing="prior"``, θ_d ~ Dirichlet(α + strength · n_d · Σ_j w_dj ℓ_dj θ_j / Σ_j w_dj) over the neighbours j: n_d are the
    counts of the observation, w_dj = exp(−(distance / bandwidth)² / 2), and ℓ_dj = (Σ_k √(θ_dk θ_jk))^8 is the likeness of the two,
    so that little is lent across a sharp border or to a cell of another kind. Neighbours' θ are those of the iteration before. ``elbo``
    is then a surrogate: the bound under the prior of its iteration, which changes with the next; a fit ends when θ has settled.

    The prior weighs against counts, so prepared counts that were scaled up would pass for more evidence than there is: where
    ``layers["counts"]`` holds the raw counts, the data are scaled to their total, all modalities by the same factor.

    With ``smoothing="original"``, γ of an observation is multiplied after each E-step by 1 + s, where s is the mean direction of its
    neighbours' γ, weighed by cosine similarity and by exp(−π·distance²), and scaled back to its sum; distances are in units of the
    tissue's longer side. This is not part of the evidence lower bound, so the trace may fall now and then.

    Parameters
    ----------
    mdata
        MuData or AnnData as for `MTM`, with coordinates (two or three dimensions).
    n_topics
        Number of topics K, 2 or more.
    radius
        Neighbours are the observations within this distance, in units of the longer side of the tissue, or of each section.
    n_neighbors
        If given, the number of nearest observations that are neighbours; ``radius`` is then without effect.
    seed
        Of all that is random: an integer or a generator, as for `MTM`.
    spatial_key
        Coordinates in ``obsm`` of the data or of its modalities, array or DataFrame. The default also finds ``spatial``.
    verbose
        Show progress.
    n_jobs
        Threads; -1 for all cores. It changes no bit of the result.
    neighbors_key
        Use the graph stored under this key by squidpy (``obsp["{key}_connectivities"]``, of the data or of a modality);
        what else says who is a neighbour is then without effect. Data without coordinates may be fitted this way: stored distances, else
        connectivities, then say how much a neighbour weighs.
    neighbors_method
        ``"delaunay"``: neighbours are corners of the same triangles; ``"grid"``: adjacent places of a grid, 6 or ``n_neighbors``.
        ``radius`` is then without effect.
    library_key
        Section of each observation, a column of ``obs`` of the data or of its modalities. No neighbour is of another section,
        and distances are in each section's own units; topics are shared.
    bandwidth
        Distance scale of the neighbours' weights, in units of the coordinates; infinite for equal weights. ``"auto"``: the median
        distance to the nearest neighbour, for each section.
    smoothing
        ``"prior"`` or ``"original"``. None, the default, is settled when `VI` or `SVI` is called: the original's for
        ``schedule="original"``, else the prior; a given ``strength`` means the prior.
    strength
        Weight of the prior: with 1, neighbours that are alike weigh together as much as the observation's own counts. ``"auto"``:
        the weakest that predicts counts hidden from short fits to the raw counts as well as any, up to a standard error, learned when
        `VI` or `SVI` is first called; 0 if none predicts better than no neighbours. With 0 it is `MTM`, on counts scaled as above.
    dtype
        Precision of the fit, ``"float32"`` or ``"float64"``.
    raw
        Fit ``layers["counts"]`` of the modalities that have it, and ``X`` of the others.
    inference
        How signatures are inferred: ``"variational"``, each with a Dirichlet posterior of its own, or ``"collapsed"``, integrated
        out, with their expected counts in their place.
    alpha
        Prior of the proportions: a number, None for 1/K, ``"auto"`` to learn it with the fit, from 1/K, where neighbours are not
        the prior, or an array of K positive numbers, as for `MTM`.
    eta
        Prior of the signatures: a number, ``"auto"`` to learn it, from 0.01, or by modality and feature, as for `MTM`.
    modality_weights
        What a count of each modality is worth as evidence on topics: ``"equal"`` for 1 each, numbers by modality (1 where not
        given), or ``"auto"`` to learn them from the raw counts when the model is first fitted. Signatures are of all counts at any weight.
    n_init
        Number of starts, each from a seed of its own, of which `VI` keeps the one with the highest bound; the first is that of a model with one start. Weights and a strength that are
        to be learned are learned once.
    batch_key
        Column of ``obs`` with the batch of each observation, where batches have not measured the same features: what is not measured according to
        ``varm["measured"]`` of a modality, features × batches as :func:`mtopic.pp.concat` writes it, counts as missing and not as zero.

    Attributes
    ----------
    graph
        The neighbour graph: connectivities, distances in coordinate units, parameters.
    strength
        As given, or as learned; None before the first `VI` or `SVI`.
    alpha, eta, gamma, lambda_, elbo, passes, converged, interrupted, stability, modalities, features, barcodes, preparation
        As for `MTM`.

    Raises
    ------
    KeyError
        If there are no such coordinates, no such graph or no such column of sections or batches.
    ValueError
        If coordinates are not finite or missing for some observations, ``radius`` or ``bandwidth`` is not positive, ``strength`` negative,
        ``n_neighbors`` is not less than the number of observations (of each section); and as for `MTM`.

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
    >>> "spatial_connectivities" in mdata.obsp, model.strength >= 0
    (True, True)
    """

    graph: Graph

    @takes_spatialdata
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
        neighbors_method: Method | None = None,
        library_key: str | None = None,
        bandwidth: float | Literal["auto"] = "auto",
        smoothing: Literal["prior", "original"] | None = None,
        strength: float | Literal["auto"] = "auto",
        dtype: Literal["float32", "float64"] = "float32",
        raw: bool = False,
        inference: Literal["variational", "collapsed"] = "variational",
        alpha: Alpha = None,
        eta: Eta = 0.01,
        modality_weights: Mapping[str, float] | Literal["auto", "equal"] = "equal",
        n_init: int = 1,
        batch_key: str | None = None,
    ) -> None:
        options = Options(dtype, raw, inference, alpha, eta, modality_weights, n_init, batch_key)
        super().__init__(mdata, n_topics, seed, n_jobs, verbose, options)
        self._smoothing, self.strength = _checked(smoothing, strength)
        around = SpatialGraph.of(
            mdata,
            spatial_key=spatial_key,
            radius=radius,
            n_neighbors=n_neighbors,
            neighbors_key=neighbors_key,
            neighbors_method=neighbors_method,
            library_key=library_key,
            bandwidth=bandwidth,
        )
        self.graph, self._weights, self._where = around.graph, around.weights, around.params
        neighbours = around.graph.neighbours()
        graph.warn_isolated(neighbours if smoothing == "original" else around.weights)
        self._correction = Correction.from_points(
            neighbours, None if around.points is None else graph.scaled(around.points, around.sections)
        )
        self._prior: NeighbourPrior | None = None
        if smoothing != "original":
            self._read_raw(mdata)
        self._raw_share = self._counts.total / self._posterior.corpus.total

    def params(self) -> dict[str, Any]:
        """What the fit was made with, in types that HDF5 can hold."""
        how: dict[str, Any] = {"smoothing": self._smoothing_of(self._schedule)}
        if self.strength is not None and how["smoothing"] == "prior":
            how["strength"] = self.strength
        return {**super().params(), **self._where, **how}

    def _learns_from_raw(self) -> bool:
        return super()._learns_from_raw() or (self.strength is None and self._smoothing != "original")

    def _state(self) -> State:
        state = super()._state()
        graph = self.graph
        state.settings["smtm"] = {
            "smoothing": self._smoothing,
            "strength": self.strength,
            "where": self._where,
            "raw_share": self._raw_share,
            "graph": graph.params,
        }
        state.arrays.update(_parts("graph/connectivities", graph.connectivities))
        if graph.distances is not None:
            state.arrays.update(_parts("graph/distances", graph.distances))
        state.arrays.update(_parts("graph/weights", self._weights))
        state.arrays.update(_parts("graph/correction", self._correction.neighbours))
        return state

    def _restore(self, state: State) -> None:
        super()._restore(state)
        own, arrays, n_obs = state.settings["smtm"], state.arrays, len(self.barcodes)
        self._smoothing, self.strength, self._raw_share = own["smoothing"], own["strength"], own["raw_share"]
        self._where = own["where"]
        params = {key: np.array(value) if isinstance(value, list) else value for key, value in own["graph"].items()}
        distances = _matrix("graph/distances", arrays, n_obs) if "graph/distances/data" in arrays else None
        self.graph = Graph(_matrix("graph/connectivities", arrays, n_obs), distances, params)
        self._weights = _matrix("graph/weights", arrays, n_obs)
        self._correction = Correction(_matrix("graph/correction", arrays, n_obs))
        self._prior = None

    def _smoothing_of(self, schedule: str) -> str:
        if self._smoothing is not None:
            return self._smoothing
        return "original" if schedule == "original" else "prior"

    def _spatial_term(self, schedule: str) -> SpatialTerm | None:
        if self._smoothing_of(schedule) == "original":
            return self._correction
        if self.strength is None:
            rng = generator(self._fit.start_seed, Stream.STRENGTH)
            learned = learned_prior(self._fit, self._counts, self._weights, rng)
            same_counts = self._raw_share == 1
            self._fit.set_start(learned.lam if same_counts else None, learned.passes)
            self._counts = self._posterior.corpus  # the raw counts are not needed any more
            self._prior = learned.prior
            self.strength = 0.0 if learned.prior is None else learned.prior.strength
        elif self._prior is None and self.strength > 0:
            self._prior = NeighbourPrior(self._weights, self.strength)
        return self._prior

    def _evidence(self, schedule: str) -> float:
        if self._smoothing_of(schedule) == "original":
            return 1.0
        if schedule == "original":
            raise ValueError(
                "schedule='original' has the original's smoothing: make the model with smoothing=None or 'original', "
                "or fit with schedule='fast'"
            )
        return self._raw_share


def _parts(name: str, matrix: csr_array) -> dict[str, NDArray[Any]]:
    return {f"{name}/{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}


def _matrix(name: str, arrays: Mapping[str, Any], n_obs: int) -> csr_array:
    return csr_array(tuple(arrays[f"{name}/{part}"] for part in ("data", "indices", "indptr")), shape=(n_obs, n_obs))


def _checked(smoothing: str | None, strength: float | str) -> tuple[str | None, float | None]:
    """The smoothing asked for, and the strength; None where it is to be learned."""
    if smoothing not in (None, "prior", "original"):
        raise ValueError(f"smoothing={smoothing!r}: it is 'prior', 'original', or None to go by the schedule")
    if strength == "auto":
        return smoothing, None
    if not isinstance(strength, int | float | np.number) or not 0 <= strength < np.inf:
        raise ValueError(f"strength={strength!r}: give a number from 0 on, or 'auto' to learn it")
    if smoothing == "original":
        raise ValueError(
            f"strength={strength}: the original's smoothing has none, leave it out or choose smoothing='prior'"
        )
    return "prior", float(strength)
