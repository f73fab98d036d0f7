"""The counts of all modalities side by side."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from .backend import Double, in_one_form
from .measured_sets import EVERYTHING, EverythingMeasured, MeasuredSets, slices
from .stored import StoredCounts, ahead

T = TypeVar("T")


@dataclass(frozen=True)
class Corpus:
    """Counts of D observations over the features of all modalities."""

    counts: csr_array | StoredCounts
    """D × columns, non-negative, of the precision that the inference is to have; in memory or in files."""
    offsets: NDArray[np.int64]
    """Modality m has the features ``offsets[m]`` to ``offsets[m + 1]``."""
    weights: Double | None = None
    """How many counts a count of each modality stands for in the posterior of an observation's topics; 1 if None."""
    measured_sets: EverythingMeasured = EVERYTHING
    """Which feature each column of ``counts`` is, where not all observations have measured the same."""
    n_blocks: int = 1
    """Of observations, over which statistics are summed in order, each with its own copy by feature.

    Counts in files have their own.
    """

    def __post_init__(self) -> None:
        if not isinstance(self.counts, StoredCounts):
            object.__setattr__(self, "counts", in_one_form(self.counts))

    @property
    def rows(self) -> csr_array:
        """All counts by observation, in memory."""
        return self.counts.by_row() if isinstance(self.counts, StoredCounts) else self.counts

    @cached_property
    def columns(self) -> csc_array:
        """The same counts by feature."""
        return self.counts.by_column() if isinstance(self.counts, StoredCounts) else self.counts.tocsc()

    @cached_property
    def weighted_counts(self) -> csr_array:
        """The counts times the weights of their modalities; the index arrays are shared."""
        rows = self.rows
        if self.weights is None:
            return rows
        by_column = self.measured_sets.of_features(self.by_feature())
        return _with(rows, rows.data * by_column[rows.indices])

    @cached_property
    def totals(self) -> Double:
        """The sum of each observation's weighted counts."""
        if self._is_divided:
            return np.concatenate([block.totals for _, block in self.in_blocks(_itself)])
        return np.asarray(self.weighted_counts.sum(axis=1, dtype=np.float64)).ravel()

    @cached_property
    def by_modality(self) -> Double:
        """The counts of each observation in each modality, D × M, whatever their weight."""
        if self._is_divided:
            return np.concatenate([block.by_modality for _, block in self.in_blocks(_itself)])
        rows = self.rows
        sums = [np.asarray(rows[:, block].sum(axis=1, dtype=np.float64)).ravel() for block in self.column_blocks]
        return self.summed(np.stack(sums, axis=1))

    @cached_property
    def by_column(self) -> Double:
        """The sum of each column."""
        if self._is_divided:
            return np.asarray(sum(block.by_column for _, block in self.in_blocks(_itself)))
        return np.asarray(self.rows.sum(axis=0, dtype=np.float64)).ravel()

    @property
    def total(self) -> float:
        """All counts, whatever their weight."""
        if self._is_divided:
            return sum(found for _, found in self.in_blocks(lambda block: block.total))
        return float(self.rows.sum(dtype=np.float64))

    @property
    def nnz(self) -> int:
        return int(self.counts.nnz)

    @property
    def one_modality_per_set(self) -> "Corpus":
        """The same counts with every measured set as a modality of its own, without common features."""
        sets = self.measured_sets
        if not isinstance(sets, MeasuredSets):
            return self
        weights = None if self.weights is None else sets.of_modalities(self.weights)
        return replace(self, offsets=sets.offsets, weights=weights, measured_sets=EVERYTHING)

    def summed(self, by_set: Double) -> Double:
        """Sums over the measured sets of each modality, which are the last axis."""
        return self.measured_sets.summed(by_set, len(self.blocks))

    @property
    def n_features(self) -> int:
        return int(self.offsets[-1])

    @property
    def n_obs(self) -> int:
        return int(self.counts.shape[0])

    @property
    def dtype(self) -> np.dtype:
        return self.counts.dtype

    @property
    def blocks(self) -> list[slice]:
        """The features of each modality."""
        return slices(self.offsets)

    @property
    def column_blocks(self) -> list[slice]:
        """The columns of each measured set."""
        return slices(self.measured_sets.column_offsets(self.offsets))

    @property
    def modality_weights(self) -> Double:
        """The weight of each modality."""
        return np.ones(len(self.blocks)) if self.weights is None else self.weights

    def by_feature(self) -> NDArray[np.floating]:
        """The weight of each feature, that of its modality."""
        return np.repeat(self.modality_weights, np.diff(self.offsets)).astype(self.dtype)

    @classmethod
    def without_counts(
        cls,
        dtype: np.dtype,
        offsets: NDArray[np.int64],
        weights: Double | None,
        totals: Double,
        by_modality: Double,
        measured_sets: EverythingMeasured = EVERYTHING,
    ) -> Self:
        """A corpus of which the totals are known, and no count."""
        n_columns = int(measured_sets.column_offsets(offsets)[-1])
        corpus = cls(csr_array((len(totals), n_columns), dtype=dtype), offsets, weights, measured_sets)
        corpus.__dict__.update(totals=totals, by_modality=by_modality)
        return corpus

    def part(self, observations: NDArray[np.integer] | slice) -> "Corpus":
        """The counts of some observations, in one block in memory."""
        known = self.counts
        rows = known.of(observations) if isinstance(known, StoredCounts) else known[observations]
        return replace(self, counts=rows, n_blocks=1)

    def sample(self, observations: NDArray[np.integer]) -> "Corpus":
        """The counts of some observations, in rising order, in files if these are."""
        known = self.counts
        if not isinstance(known, StoredCounts):
            return self.part(observations)
        return replace(self, counts=known.sample(observations))

    def astype(self, dtype: np.dtype) -> "Corpus":
        """The same counts in another precision; the index arrays are shared."""
        if self.dtype == dtype:
            return self
        known = self.counts
        other = known.astype(dtype) if isinstance(known, StoredCounts) else _with(known, known.data.astype(dtype))
        return replace(self, counts=other)

    def scaled(self, factor: float) -> "Corpus":
        """The counts times ``factor``; the index arrays are shared."""
        if factor == 1:
            return self
        known = self.counts
        if isinstance(known, StoredCounts):
            return replace(self, counts=known.times(factor))
        return replace(self, counts=_with(known, known.data * self.dtype.type(factor)))

    def remove_files(self) -> None:
        """Remove the folder of counts that are in files; what has been summed before is known on."""
        if isinstance(self.counts, StoredCounts):
            self.counts.folder.remove()

    def with_weights(self, weights: Double) -> "Corpus":
        """The same counts with other weights."""
        corpus = replace(self, weights=weights)
        if "columns" in self.__dict__:
            corpus.__dict__["columns"] = self.columns
        return corpus

    def in_blocks(self, of: Callable[["Corpus"], T]) -> Iterator[tuple[slice, T]]:
        """What is asked of each block of observations, in order.

        Of counts in files, each block is read while the one before is worked on.
        """
        known = self.counts
        if isinstance(known, StoredCounts) and self._is_divided:
            found = ahead(of(replace(self, counts=known.block(i))) for i in range(known.n_blocks))
            yield from zip(slices(known.edges), found, strict=True)
        elif self._is_divided:
            yield from ((rows, of(block)) for rows, block in self._blocks)
        else:
            yield slice(0, self.n_obs), of(self)

    def in_columns(self) -> Iterator[tuple[slice, csc_array]]:
        """All columns at once; of counts in files some at a time, each while those before are worked on."""
        known = self.counts
        if isinstance(known, StoredCounts) and self._is_divided:
            parts = known.column_parts()
            yield from zip(parts, ahead(map(known.columns, parts)), strict=True)
        else:
            yield slice(0, self.counts.shape[1]), self.columns

    @property
    def _is_divided(self) -> bool:
        return (self.counts.n_blocks if isinstance(self.counts, StoredCounts) else self.n_blocks) > 1

    @cached_property
    def _blocks(self) -> list[tuple[slice, "Corpus"]]:
        edges = np.linspace(0, self.n_obs, self.n_blocks + 1).astype(np.int64)
        return [(rows, self.part(rows)) for rows in slices(edges)]


def _itself(block: Corpus) -> Corpus:
    """For a cached property: in Python 3.11 it holds a lock, for which another thread would wait for ever."""
    return block


def _with(matrix: csr_array, data: NDArray[np.floating]) -> csr_array:
    return csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
