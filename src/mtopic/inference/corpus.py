"""The counts of all modalities side by side."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array


@dataclass(frozen=True)
class Corpus:
    """Counts of D observations over the features of all modalities.

    Parameters
    ----------
    rows
        CSR matrix (D × V), non-negative, of the precision that the inference is to have.
    offsets
        Modality m has the columns ``offsets[m]`` to ``offsets[m + 1]``.
    weights
        What a count of each modality is worth as evidence on an observation's topics; 1 if None.
    """

    rows: csr_array
    offsets: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None

    @cached_property
    def columns(self) -> csc_array:
        """The same counts by feature."""
        return self.rows.tocsc()

    @cached_property
    def evidence(self) -> csr_array:
        """The counts times the weights of their modalities; the index arrays are shared."""
        return self.rows if self.weights is None else self._with(self.rows.data * self.by_feature()[self.rows.indices])

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """The evidence on each observation's topics: its counts, of all modalities, times their weights."""
        return np.asarray(self.evidence.sum(axis=1, dtype=np.float64)).ravel()

    @cached_property
    def by_modality(self) -> NDArray[np.float64]:
        """The counts of each observation in each modality, D × M, whatever their weight."""
        return np.stack(
            [np.asarray(self.rows[:, b].sum(axis=1, dtype=np.float64)).ravel() for b in self.blocks], axis=1
        )

    @property
    def total(self) -> float:
        """All counts, whatever their weight."""
        return float(self.rows.sum(dtype=np.float64))

    @property
    def n_obs(self) -> int:
        return int(self.rows.shape[0])

    @property
    def dtype(self) -> np.dtype:
        return self.rows.dtype

    @property
    def blocks(self) -> list[slice]:
        """The columns of each modality."""
        return [slice(int(a), int(b)) for a, b in zip(self.offsets[:-1], self.offsets[1:], strict=True)]

    @property
    def worth(self) -> NDArray[np.float64]:
        """The weight of each modality."""
        return np.ones(len(self.blocks)) if self.weights is None else self.weights

    def by_feature(self) -> NDArray[np.floating]:
        """The weight of each feature, that of its modality."""
        return np.repeat(self.worth, np.diff(self.offsets)).astype(self.dtype)

    @classmethod
    def without_counts(
        cls,
        dtype: np.dtype,
        offsets: NDArray[np.int64],
        weights: NDArray[np.float64] | None,
        totals: NDArray[np.float64],
        by_modality: NDArray[np.float64],
    ) -> Self:
        """A corpus of which the totals are known, and no count."""
        corpus = cls(csr_array((len(totals), int(offsets[-1])), dtype=dtype), offsets, weights)
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
