"""The counts of all modalities side by side."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from .measured_sets import MeasuredSets


@dataclass(frozen=True)
class Corpus:
    """Counts of D observations over the features of all modalities.

    Parameters
    ----------
    rows
        CSR matrix (D × V), non-negative, of the precision that the inference is to have.
    offsets
        Modality m has the features ``offsets[m]`` to ``offsets[m + 1]``.
    weights
        What a count of each modality is worth as evidence on an observation's topics; 1 if None.
    panels
        Which feature each column of ``rows`` is, where not all observations have measured the same; if None, columns are the features.
    """

    rows: csr_array
    offsets: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None
    panels: MeasuredSets | None = None

    @cached_property
    def columns(self) -> csc_array:
        """The same counts by feature."""
        return self.rows.tocsc()

    @cached_property
    def evidence(self) -> csr_array:
        """The counts times the weights of their modalities; the index arrays are shared."""
        return (
            self.rows
            if self.weights is None
            else self._with(self.rows.data * self.one_modality_per_set.by_feature()[self.rows.indices])
        )

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """The evidence on each observation's topics: its counts, of all modalities, times their weights."""
        return np.asarray(self.evidence.sum(axis=1, dtype=np.float64)).ravel()

    @cached_property
    def by_modality(self) -> NDArray[np.float64]:
        """The counts of each observation in each modality, D × M, whatever their weight."""
        blocks = self.one_modality_per_set.blocks
        sums = [np.asarray(self.rows[:, block].sum(axis=1, dtype=np.float64)).ravel() for block in blocks]
        return self.summed(np.stack(sums, axis=1))

    @property
    def total(self) -> float:
        """All counts, whatever their weight."""
        return float(self.rows.sum(dtype=np.float64))

    @cached_property
    def one_modality_per_set(self) -> "Corpus":
        """The same counts with every panel as a modality of its own, which has no feature in common with another."""
        if self.panels is None:
            return self
        weights = None if self.weights is None else self.weights[self.panels.modality]
        return Corpus(self.rows, self.panels.offsets, weights)

    def summed(self, by_panel: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over the panels of each modality, which are the last axis."""
        return by_panel if self.panels is None else self.panels.summed(by_panel)

    @property
    def n_features(self) -> int:
        return int(self.offsets[-1])

    @property
    def n_obs(self) -> int:
        return int(self.rows.shape[0])

    @property
    def dtype(self) -> np.dtype:
        return self.rows.dtype

    @property
    def blocks(self) -> list[slice]:
        """The features of each modality."""
        return [slice(int(a), int(b)) for a, b in zip(self.offsets[:-1], self.offsets[1:], strict=True)]

    @property
    def modality_weights(self) -> NDArray[np.float64]:
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
        weights: NDArray[np.float64] | None,
        totals: NDArray[np.float64],
        by_modality: NDArray[np.float64],
        panels: MeasuredSets | None = None,
    ) -> Self:
        """A corpus of which the totals are known, and no count."""
        n_columns = int((offsets if panels is None else panels.offsets)[-1])
        corpus = cls(csr_array((len(totals), n_columns), dtype=dtype), offsets, weights, panels)
        corpus.__dict__.update(totals=totals, by_modality=by_modality)
        return corpus

    def part(self, observations: NDArray[np.integer]) -> "Corpus":
        """The counts of some observations."""
        return replace(self, rows=self.rows[observations])

    def astype(self, dtype: np.dtype) -> "Corpus":
        """The same counts in another precision; the index arrays are shared."""
        if self.dtype == dtype:
            return self
        return replace(self, rows=self._with(self.rows.data.astype(dtype)))

    def scaled(self, factor: float) -> "Corpus":
        """The counts times ``factor``; the index arrays are shared."""
        if factor == 1:
            return self
        return replace(self, rows=self._with(self.rows.data * self.dtype.type(factor)))

    def weighted(self, weights: NDArray[np.float64]) -> "Corpus":
        """The same counts with other weights."""
        corpus = replace(self, weights=weights)
        corpus.__dict__["columns"] = self.columns
        return corpus

    def _with(self, data: NDArray[np.floating]) -> csr_array:
        return csr_array((data, self.rows.indices, self.rows.indptr), shape=self.rows.shape)
