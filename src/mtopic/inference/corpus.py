"""The counts of all modalities side by side."""

from dataclasses import dataclass
from functools import cached_property

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
    """

    rows: csr_array
    offsets: NDArray[np.int64]

    @cached_property
    def columns(self) -> csc_array:
        """The same counts by feature."""
        return self.rows.tocsc()

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """The counts of each observation, all modalities together."""
        return np.asarray(self.rows.sum(axis=1, dtype=np.float64)).ravel()

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

    def astype(self, dtype: np.dtype) -> "Corpus":
        """The same counts in another precision; the index arrays are shared."""
        if self.dtype == dtype:
            return self
        data = self.rows.data.astype(dtype)
        rows = csr_array((data, self.rows.indices, self.rows.indptr), shape=self.rows.shape)
        return Corpus(rows, self.offsets)

    def scaled(self, factor: float) -> "Corpus":
        """The counts times ``factor``; the index arrays are shared."""
        if factor == 1:
            return self
        data = self.rows.data * self.dtype.type(factor)
        return Corpus(csr_array((data, self.rows.indices, self.rows.indptr), shape=self.rows.shape), self.offsets)
