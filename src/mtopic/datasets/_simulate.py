"""Simulated data with known topics."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from mtopic._api import public
from mtopic._data.names import topic_name
from mtopic._data.quiet import quiet_mudata

from . import _options as options
from ._tissue import TISSUES, Double, hexagonal_spots, tissue_places

DEFAULT_MODALITIES = {"rna": 300, "atac": 600}
LIBRARY_SIZE_SD = 0.3
MARKER_CONCENTRATION, OTHER_CONCENTRATION = 1.0, 0.05
COUNTS_AT_ONCE = 4_000_000


@public
def simulate(
    n_obs: int = 1000,
    n_topics: int = 8,
    *,
    modalities: Mapping[str, int] | None = None,
    depth: float | Mapping[str, float] | None = None,
    spatial: bool = True,
    tissue: Literal["smooth", "sharp", "gradient", "scattered", "noise"] = "smooth",
    n_sections: int = 1,
    missing: Mapping[str, float] | None = None,
    concentration: float | None = None,
    resolved: Mapping[str, Sequence[int]] | None = None,
    overdispersion: float | Mapping[str, float] | None = None,
    n_batches: int = 1,
    batch_effects: float | Mapping[str, float] | None = None,
    rng: int | np.random.Generator = 0,
) -> MuData:
    """Draw multimodal counts from the topic model itself, on a tissue or as dissociated cells.

    Each count in a modality of an observation draws a topic from the observation's proportions and then a feature from
    the topic's signature (latent Dirichlet allocation, Blei et al. 2003, with proportions shared by the modalities).
    The proportions have a Dirichlet distribution; on a tissue they are arranged in one of several ways. Each topic has
    marker features in each modality. The total of an observation's counts is log-normal.

    Parameters
    ----------
    n_obs
        Number of observations in all sections together.
    n_topics
        Number of topics, at least 2.
    modalities
        Number of features by modality; 300 in "rna" and 600 in "atac" if None. Features of a modality named "atac" have
        names of peaks (``chr1:1000-1500``), those of others ``rna_0``, ``rna_1``, …
    depth
        Mean total count of an observation, for all modalities or by modality; 500 where not given.
    spatial
        Whether the observations are spots of a tissue, on a hexagonal grid with 100 µm between neighbours.
    tissue
        How topics are arranged on the tissue:

        - "smooth": domains that pass into each other over a few spots,
        - "sharp": regions with sharp, irregular borders, two for each topic and at least 12, each in one piece except
          for single spots. The spots of a region share one draw of proportions and vary a little about it. The draws
          are assigned so that neighbouring regions differ as far as they can,
        - "gradient": mixtures that change slowly over the whole tissue, without borders,
        - "scattered": as "smooth", but a quarter of the spots, drawn at random, consist of one topic that is not the
          dominant one there, each of the others being as likely,
        - "noise": proportions drawn for each spot independently, so that space says nothing.
    n_sections
        Number of sections. They share topics and differ in outline; each has its own coordinates, starting at 0.
    missing
        Share of the observations, in [0, 1), that lack a modality, by modality. The observations of each modality are
        then in an order of their own. Every observation has at least one modality.
    concentration
        Parameter of the Dirichlet distribution of the proportions: the smaller, the purer the observations. If None,
        the model's own prior, 1 / n_topics; 2 for the tissue "gradient", whose spots are mixtures.
    resolved
        Numbers, from 0, of the topics that a modality tells apart, by modality; its other topics share one signature.
        An empty list makes the modality pure noise. A modality that is not named tells all topics apart.
    overdispersion
        How many times the variance of a count exceeds the multinomial one with the same total, for all modalities or by
        modality; 1 where not given. The counts are then Dirichlet-multinomial. A count varies most if all counts of the
        observation are of one feature. So it is where their total is not larger than this number.
    n_batches
        Number of batches; each observation is in one of them, at random.
    batch_effects
        Standard deviation of the logarithms of the factors by which a batch reads more of a feature than another, for
        all modalities or by modality; 0.5 where not given. Factors are log-normal.
    {rng}

    Returns
    -------
    MuData
        With a modality of counts each (``X`` a CSR matrix of whole numbers in float32) and

        - ``obsm["spatial"]``: n_obs × 2 array of float64, in µm (only if ``spatial``),
        - ``obsm["true_topics"]``: n_obs × n_topics table of float64, rows sum to 1,
        - ``mdata[mod].varm["true_signatures"]``: features × n_topics table of float64, columns sum to 1,
        - ``obs["section"]``: categorical (only if ``n_sections > 1``),
        - ``obs["batch"]`` and, for each modality, ``varm["true_batch_effects"]``: categorical, and a table of float64,
          features × batches (only if ``n_batches > 1``),
        - ``obs["region"]``: categorical (only on a "sharp" tissue); a region may run through several sections,
        - ``obs["scattered"]``: bool, whether the spot differs from its surroundings (only on a "scattered" tissue).

    Raises
    ------
    ValueError
        If a number is out of its range, ``tissue`` is none of the above or is given with ``spatial=False``, the missing
        shares would leave observations with no modality, or ``resolved`` names a topic twice.
    KeyError
        If ``depth``, ``missing``, ``resolved``, ``overdispersion`` or ``batch_effects`` names a modality that is not
        simulated.

    Examples
    --------
    >>> import mtopic
    >>> mdata = mtopic.datasets.simulate(200, 4, modalities={"rna": 50, "prot": 10}, depth={"prot": 100})
    >>> mdata["prot"].shape
    (200, 10)
    >>> list(mdata.obsm["true_topics"].columns)
    ['topic_1', 'topic_2', 'topic_3', 'topic_4']
    """
    modalities = dict(DEFAULT_MODALITIES if modalities is None else modalities)
    options.check_sizes(n_obs, n_topics, modalities, n_sections, n_batches)
    options.check_tissue(tissue, spatial)
    concentration = options.concentration_of(concentration, n_topics, tissue)
    depths = options.depths_of(depth, modalities)
    n_missing = options.numbers_missing_of(missing or {}, modalities, n_obs)
    unresolved = options.unresolved_of(resolved or {}, modalities, n_topics)
    overdispersions = options.overdispersions_of(overdispersion, modalities)
    spreads = options.batch_effects_of(batch_effects, modalities, n_batches)
    rng = np.random.default_rng(rng)

    names = pd.Index([f"{'spot' if spatial else 'cell'}_{d}" for d in range(n_obs)])
    sections = np.arange(n_obs) * n_sections // n_obs
    spots = [hexagonal_spots(int(size), rng) for size in np.bincount(sections)] if spatial else []
    places = tissue_places(spots) if spatial else np.empty((n_obs, 0))
    proportions, labels = TISSUES[tissue if spatial else "noise"](places, n_topics, concentration, rng)
    present = _present(n_missing, n_obs, rng) if missing else dict.fromkeys(modalities, np.arange(n_obs))
    batch = rng.integers(n_batches, size=n_obs) if n_batches > 1 else np.zeros(n_obs, np.int64)
    batches, parts = [f"batch_{b + 1}" for b in range(n_batches)], {}
    for mod, n_features in modalities.items():
        signatures = _signatures(n_features, n_topics, rng)
        signatures[unresolved[mod]] = signatures[unresolved[mod][:1]]
        factors = rng.lognormal(0, spreads[mod], (n_batches, n_features)) if n_batches > 1 else np.ones((1, n_features))
        how, own = (depths[mod], overdispersions[mod], rng), batch[present[mod]]
        blocks = [
            _counts(proportions[present[mod]][own == b], _read(signatures, factors[b]), *how) for b in range(n_batches)
        ]
        x = vstack(blocks, format="csr")[np.argsort(np.argsort(own, kind="stable"))]
        parts[mod] = _modality(x, names[present[mod]], _feature_names(mod, n_features), signatures)
        if n_batches > 1:
            parts[mod].varm["true_batch_effects"] = pd.DataFrame(factors.T, parts[mod].var_names, batches)
    with quiet_mudata():
        mdata = MuData(parts)
    order = names.get_indexer(mdata.obs_names)  # mudata has an order of its own
    mdata.obsm["true_topics"] = _by_topic(proportions[order], mdata.obs_names)
    if spatial:
        mdata.obsm["spatial"] = np.vstack(spots)[order]
    if n_sections > 1:
        categories = [f"section_{i + 1}" for i in range(n_sections)]
        mdata.obs["section"] = pd.Categorical.from_codes(sections[order], categories)
    if n_batches > 1:
        mdata.obs["batch"] = pd.Categorical.from_codes(batch[order], batches)
    for name, values in labels.items():
        mdata.obs[name] = values[order]
    return mdata


def _present(n_missing: dict[str, int], n_obs: int, rng: np.random.Generator) -> dict[str, NDArray[np.intp]]:
    """The observations that each modality has.

    The gaps of the modalities follow each other round a circle of all observations, which therefore share them evenly.
    """
    circle = rng.permutation(n_obs)
    present, start = {}, 0
    for mod, size in n_missing.items():
        lacking = circle[np.arange(start, start + size) % n_obs]
        present[mod] = rng.permutation(np.setdiff1d(circle, lacking))
        start += size
    return present


def _signatures(n_features: int, n_topics: int, rng: np.random.Generator) -> Double:
    """Signatures (topics × features): sparse Dirichlet draws; half of the features are markers of one topic each."""
    shape = np.full((n_topics, n_features), OTHER_CONCENTRATION)
    n_markers = max(1, n_features // (2 * n_topics))
    markers = rng.permutation(n_features)[np.arange(n_topics * n_markers) % n_features]
    shape[np.repeat(np.arange(n_topics), n_markers), markers] = MARKER_CONCENTRATION
    weights = rng.standard_gamma(shape)
    return weights / weights.sum(axis=1, keepdims=True)


def _read(signatures: Double, factors: Double) -> Double:
    """Signatures as a batch reads them."""
    read = signatures * factors
    return np.asarray(read / read.sum(axis=1, keepdims=True))


def _counts(
    proportions: Double, signatures: Double, depth: float, overdispersion: float, rng: np.random.Generator
) -> csr_matrix:
    library_size = depth * rng.lognormal(-(LIBRARY_SIZE_SD**2) / 2, LIBRARY_SIZE_SD, proportions.shape[0])
    n_units = np.maximum(1, np.rint(library_size)).astype(np.int64)
    cumulative = signatures.cumsum(axis=1)
    cumulative /= cumulative[:, -1:]
    blocks = [_draw(proportions[rows], cumulative, n_units[rows], overdispersion, rng) for rows in _blocks(n_units)]
    return vstack(blocks, format="csr")


def _blocks(n_units: NDArray[np.int64]) -> list[slice]:
    """Consecutive rows, of about ``COUNTS_AT_ONCE`` count units together."""
    cuts = np.flatnonzero(np.diff(n_units.cumsum() // COUNTS_AT_ONCE)) + 1
    return [slice(start, stop) for start, stop in pairwise([0, *cuts.tolist(), n_units.size])]


def _draw(
    proportions: Double, cumulative: Double, n_units: NDArray[np.int64], overdispersion: float, rng: np.random.Generator
) -> csr_matrix:
    """Counts of a block of observations: a topic for each unit, then a feature by inverting the distribution."""
    by_topic = rng.multinomial(n_units, proportions)
    n_obs, n_features = len(n_units), cumulative.shape[1]
    rows = np.concatenate([np.repeat(np.arange(n_obs, dtype=np.int32), n) for n in by_topic.T])
    drawn = zip(cumulative, by_topic.sum(axis=0), strict=True)
    features = np.concatenate([np.searchsorted(one, rng.random(n), side="right").astype(np.int32) for one, n in drawn])
    if overdispersion > 1:
        features = features[_copied(rows, n_units, overdispersion, rng)]
    return csr_matrix((np.ones(rows.size, np.float32), (rows, features)), shape=(n_obs, n_features))


def _copied(
    rows: NDArray[np.int32], n_units: NDArray[np.int64], overdispersion: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """For each unit the unit whose feature it takes, so that the counts become Dirichlet-multinomial.

    By Pólya's urn (Blackwell & MacQueen 1973): the i-th unit of an observation, in random order from 0, copies one of
    those before it with probability i / (s + i). With N units, it raises the variance (N + s) / (1 + s) times.
    """
    concentration = np.maximum(0, (n_units - overdispersion) / (overdispersion - 1))
    order = np.lexsort((rng.random(rows.size), rows))
    first = np.repeat(n_units.cumsum() - n_units, n_units)
    place = np.arange(rows.size) - first
    copies = rng.random(rows.size) * (concentration[rows[order]] + place) < place
    source = first + np.where(copies, (rng.random(rows.size) * place).astype(np.intp), place)
    while (source[source] != source).any():
        source = source[source]
    copied = np.empty_like(order)
    copied[order] = order[source]
    return copied


def _feature_names(mod: str, n_features: int) -> pd.Index:
    if mod != "atac":
        return pd.Index([f"{mod}_{v}" for v in range(n_features)])
    chromosome = np.arange(n_features) * 19 // n_features + 1
    starts = 1000 + 5000 * (np.arange(n_features) - np.searchsorted(chromosome, chromosome))
    return pd.Index([f"chr{c}:{start}-{start + 500}" for c, start in zip(chromosome, starts, strict=True)])


def _modality(x: csr_matrix, obs_names: pd.Index, var_names: pd.Index, signatures: Double) -> AnnData:
    adata = AnnData(x, obs=pd.DataFrame(index=obs_names), var=pd.DataFrame(index=var_names))
    adata.varm["true_signatures"] = _by_topic(signatures.T, var_names)
    return adata


def _by_topic(values: Double, index: pd.Index) -> pd.DataFrame:
    return pd.DataFrame(values, index=index, columns=[topic_name(k) for k in range(values.shape[1])])
