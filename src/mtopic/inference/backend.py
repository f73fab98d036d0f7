"""All that is computed by compiled loops, as calls on arrays."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from scipy.special import digamma

from .blocks import InBlocks, Tables, added, rows_of, sum_in_pairs
from .execution import Threads, Work
from .kernels import e_step, expectations, information, merging, mixtures, neighbours, statistics, sums

Array: TypeAlias = NDArray[np.floating]
Double: TypeAlias = NDArray[np.float64]
Logarithm: TypeAlias = Callable[[Array], Array]
Sparse: TypeAlias = csr_array | csc_array
AnySparse = TypeVar("AnySparse", csr_array, csc_array)

SUMS = {"log_gamma": sums.sum_log_gamma, "digamma": sums.sum_digamma, "v_log_v": sums.sum_v_log_v}


class Backend(Threads):
    """The calls that inference makes; threads share the rows, and their number changes no bit of any result.

    What has these calls and can be entered by ``with`` may stand in its place. Arrays that come in are left as they
    are.
    """

    watch: Callable[[int], object] | None = None
    """Told of rows of matrices as they are done."""

    def of_blocks(
        self, corpus: InBlocks, load: Callable[[Any], Any], of: Callable[..., Any], by_row: Tables, *common: Any
    ) -> Iterator[Any]:
        """``of(backend, counts, *rows of tables, *common)`` for each block of observations, in order.

        ``load`` takes a block to its counts. It and ``of`` are functions of a module, so that another process finds
        them.
        """
        for rows, counts in corpus.in_blocks(load):
            yield of(self, counts, *(rows_of(table, rows) for table in by_row), *common)

    def sum_of_blocks(
        self, corpus: InBlocks, load: Callable[[Any], Any], of: Callable[..., Tables], by_row: Tables, *common: Any
    ) -> Tables:
        """The sums over all blocks of what `of_blocks` finds in each, in an order that their number alone decides."""
        return sum_in_pairs(self.of_blocks(corpus, load, of, by_row, *common), added)

    def e_step(
        self, counts: csr_array, signatures: Array, prior: Array, start: Array, rounds: int, atol: float, rtol: float
    ) -> tuple[Array, Double]:
        """γ of each row at its fixed point, from ``start``, and the rounds that it took, × share of topics alive.

        ``prior`` has one row for all or a row each. A row stops when Σ_k|Δγ| < K·atol + rtol·(its counts).
        """
        gamma, taken = np.array(start, counts.dtype, order="C"), np.empty(len(start))
        self._over(e_step.e_step, counts, signatures, prior, gamma, taken, int(rounds), float(atol), float(rtol))
        return gamma, taken

    def topics(self, gamma: Array, prior: Array, totals: Double) -> tuple[Array, Double]:
        """exp(E log θ), each row scaled, and what each row of γ adds to the bound besides constants of the prior."""
        t, bound = np.empty((len(gamma), expectations.padded(gamma.shape[1])), gamma.dtype), np.empty(len(gamma))
        self._run(expectations.expected_topics, len(gamma), totals, prior, gamma, t, bound)
        return t, bound

    def signatures(self, lam: Array, blocks: Sequence[slice], read: Array | None = None, *, of_means: bool) -> Array:
        """The mean of β, or exp(E log β), of modalities with the rows ``blocks`` of λ, each row scaled.

        Shares are those of ``read``: λ, or λ times how much is read of each row, which its scale takes away.
        """
        read = lam if read is None else read
        b = np.empty((len(lam), expectations.padded(lam.shape[1])), lam.dtype)
        for block in blocks:
            one, total = lam[block], self.column_sums(read[block])
            kernel = expectations.mean_signatures if of_means else expectations.expected_signatures
            self._run(kernel, len(one), one, total if of_means else digamma(total), b[block])
        return b

    def statistics(self, counts: csc_array, topics: Array, signatures: Array, n_topics: int) -> tuple[Array, Double]:
        """The expected counts of topics in each column, columns × K, and what each column adds to the bound."""
        t, b = map(_whole_vectors, (topics, signatures))
        expected, bound = np.empty((len(b), n_topics), b.dtype), np.empty(len(b))
        self._over(statistics.sufficient_statistics, counts, t, b, expected, bound)
        return expected, bound

    def gradient_step(
        self,
        counts: csc_array,
        topics: Array,
        signatures: Array,
        lam: Array,
        keep: float,
        scale: float,
        shift: float | Array,
        out: Array | None = None,
    ) -> Array:
        """λ · keep + expected counts · scale + shift, one for all rows or one each, in ``out`` if given (may be λ)."""
        moved, real = np.empty(lam.shape, lam.dtype) if out is None else out, lam.dtype.type
        amounts = real(keep), real(scale), np.atleast_1d(np.asarray(shift, real))
        self._over(statistics.gradient_step, counts, topics, signatures, *amounts, lam, moved)
        return moved

    def log_likelihood(self, counts: csr_array, theta: Array, beta: Array) -> Double:
        """Σ_v x_dv ln(θ_d · β_v) of each row."""
        out = np.empty(len(theta))
        self._over(statistics.log_likelihood, counts, _whole_vectors(theta), _whole_vectors(beta), out)
        return out

    def explained(self, counts: csr_array, theta: Double, beta: Double, mean: Double) -> Double:
        """Σ_v x_dv r_dvk ln(θ_d · β_v / mean_v) of each row and topic, with r the responsibilities."""
        out = np.empty(theta.shape, theta.dtype)
        self._over(statistics.explained, counts, theta, beta, mean, out)
        return out

    def corrected(self, graph: csr_array, gamma: Array, previous: Array, *, isolated: bool) -> Array:
        """γ ⊙ (1 + mean direction of neighbours' ``previous`` γ), rescaled; with ``isolated`` also lone rows."""
        units, out = np.empty(gamma.shape, gamma.dtype), np.empty(gamma.shape, gamma.dtype)
        self._run(neighbours.unit_rows, len(gamma), previous, units)
        self._over(neighbours.correct_by_neighbours, graph, gamma, units, isolated, out)
        return out

    def sum(self, of: Literal["log_gamma", "digamma", "v_log_v"], values: Array) -> float:
        """Σ ln Γ(v), Σ ψ(v) or Σ v ln v over all entries, in double precision."""
        return self._sum(SUMS[of], values)

    def sum_increments(self, values: Array, prior: float) -> float:
        """Σ E[ψ(n + prior) − ψ(prior)] over counts n of which the means, v − prior, are known."""
        return self._sum(sums.sum_increments, values, prior)

    def total_variation(self, values: Array, others: Array) -> float:
        """Mean over the rows of half the sum of the differences between shares."""
        return self._sum(sums.total_variation, values, others) / len(values)

    def column_sums(self, values: Array) -> Double:
        """Sums over the rows of a table, in double precision; the order of summation does not depend on the threads."""
        out = np.empty((-(-len(values) // sums.CHUNK), values.shape[1]))
        self._run(sums.column_sums, len(out), values, out)
        return np.asarray(out.sum(axis=0))

    def merged(self, pairs: NDArray[np.int64], topics: Array) -> Double:
        """Σ_v w_v ln w_v with w = topics_i + topics_j, for each pair (i, j) of rows."""
        out = np.empty(len(pairs))
        self._run(merging.merged_v_log_v, len(pairs), pairs, topics, out)
        return out

    def merged_in_sets(
        self, pairs: NDArray[np.int64], by_feature: Double, by_set: Double, measured: csr_array
    ) -> Double:
        """The likelihood of the counts of topics i and j together; ``measured``, sets × V, has features of each set."""
        out, of_sets = np.empty(len(pairs)), (measured.indices.astype(np.int64), measured.indptr.astype(np.int64))
        self._run(merging.merged_in_sets, len(pairs), pairs, by_feature, by_set, *of_sets, out)
        return out

    def moments(
        self,
        counts: csr_array,
        weights: Double,
        modality: NDArray[np.int64],
        lam: Double,
        totals: Double,
        eta: Double,
        prior: Double,
        theta: Double,
    ) -> tuple[Double, Double]:
        """Mean and variance of θ of each row by its observed information; weight, modality and η are by feature."""
        mean, variance = np.empty(theta.shape, theta.dtype), np.empty(theta.shape, theta.dtype)
        args = weights, modality, lam, totals, eta, prior, theta, mean, variance
        self._over(information.laplace, counts, *args)
        return mean, variance

    def inverse_information(
        self, counts: csc_array, weights: Double, theta: Double, beta: Double, eta: Double
    ) -> Double:
        """The diagonal of (η I + Σ_d x_dv r_dv r_dvᵀ)⁻¹ of each column, with r the responsibilities."""
        out = np.empty(beta.shape, beta.dtype)
        self._over(information.louis, counts, weights, theta, beta, eta, out)
        return out

    def mixtures(
        self,
        targets: Double,
        columns: Double,
        allowed: csc_array,
        sparsity: float,
        spread: float,
        max_steps: int,
        tolerance: float,
    ) -> csc_array:
        """Weights on the simplex of the ``allowed`` columns that mix each target, columns × targets."""
        weights, objective, allowed = np.empty(allowed.nnz), np.empty(len(targets)), in_one_form(allowed)
        args = allowed.indptr, allowed.indices, sparsity, spread, max_steps, tolerance, weights, objective
        self._run(mixtures.mixtures, allowed.indptr, targets, columns, *args)
        return csc_array((weights, allowed.indices, allowed.indptr), shape=allowed.shape)

    def _over(self, kernel: Callable[..., None], counts: Sparse, *args: Any) -> None:
        """Run a kernel over the rows of a CSR matrix, or over the columns of a CSC one."""
        matrix = in_one_form(counts)
        self._run(kernel, matrix.indptr, matrix.indptr, matrix.indices, matrix.data, *args, tell=self.watch)

    def _run(
        self, kernel: Callable[..., None], work: int | Work, *args: Any, tell: Callable[[int], object] | None = None
    ) -> None:
        self.run(kernel, work, *map(_in_one_order, args), tell=tell)

    def _sum(self, kernel: Callable[..., None], values: Array, *args: Any) -> float:
        """Sum, in double precision, of what a kernel writes for each row."""
        out = np.empty(len(values))
        self._run(kernel, len(values), values, *args, out)
        return float(out.sum())


def _whole_vectors(table: Array) -> Array:
    """The table with zeros at the end of each row up to whole vectors."""
    missing = expectations.padded(table.shape[1]) - table.shape[1]
    return np.pad(table, ((0, 0), (0, missing))) if missing else table


def in_one_form(matrix: AnySparse) -> AnySparse:
    """The matrix with writable arrays and indices of the smallest type, as kernels are compiled for each form."""
    index = np.dtype(np.int32 if max(*matrix.shape, matrix.nnz) <= np.iinfo(np.int32).max else np.int64)
    indices, indptr, data = matrix.indices, matrix.indptr, matrix.data
    if indices.dtype == index == indptr.dtype and all(map(_is_in_one_order, (indices, indptr, data))):
        return matrix
    parts = _in_one_order(data), _in_one_order(indices.astype(index)), _in_one_order(indptr.astype(index))
    return type(matrix)(parts, shape=matrix.shape)


def _is_in_one_order(array: NDArray[Any]) -> bool:
    return array.flags.c_contiguous and array.flags.writeable


def _in_one_order(value: Any) -> Any:
    """The value; of an array that is not writable and in C order, a copy that is."""
    return value.copy("C") if isinstance(value, np.ndarray) and not _is_in_one_order(value) else value
