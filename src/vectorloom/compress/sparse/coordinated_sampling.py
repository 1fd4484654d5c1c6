# SPDX-License-Identifier: Apache-2.0
"""Sketches of sparse data by coordinated priority sampling: unbiased inner products.

    h_j uniform on (0, 1), one for each column j, drawn from the seed alone
    rank r_j = h_j / a_j²        the sketch of a: the `size` entries of smallest rank, and
                                 τ = the next smallest rank (infinite where none is left)
    a · b ≈ Σ_{j in both} a_j b_j / p_j        p_j = min(1, a_j² τ_a, b_j² τ_b)

Because h is shared, two vectors tend to keep the same columns: that is the coordination. Given the
other ranks, j is in both sketches with probability p_j, so the sum is unbiased. With a_j² = the
squared length of a whole column the same formula estimates a product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import Compressor
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count

_BYTES_AN_ENTRY = 8  # an int32 column and a float32 value


@dataclass(frozen=True, eq=False)
class Sketch:
    """What is kept of a matrix: some entries as they were, and how they were chosen.

    Attributes
    ----------
    entries : csr_array of shape (n, dim), float32
        The kept entries, unscaled.
    weights : ndarray, float64
        What ranks were divided by: of each stored entry, or, in a shared sketch, of each column.
    thresholds : ndarray of shape (n,) or (1,), float64
        τ of each row; one for all in a shared sketch.
    is_shared : bool
        Whether all rows keep the same columns.
    """

    entries: Any
    weights: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    is_shared: bool

    @property
    def nbytes(self) -> int:
        """Bytes of the kept entries, 8 each, and of the thresholds."""
        return int(_BYTES_AN_ENTRY * self.entries.nnz + self.thresholds.nbytes)


class CoordinatedSampling(Compressor):
    """Sample few entries of sparse rows so that inner products can be estimated without bias.

    Use it for sparse rows whose non-zeros overlap little, and for two matrices that are sketched
    apart with nothing shared but the seed. For dense rows use `RandomProjection`, which is as
    accurate and gives vectors that any index takes; to search, any other compressor.

    Parameters
    ----------
    size : int, default=64
        Entries that are kept of a row, or columns in a shared sketch. Bytes of a row are
        ``8 * size`` at most.
    weights : {"squares", "uniform"}, default="squares"
        What makes an entry likely to be kept: its square, or nothing (then τ is that of a plain
        sample). Squares are better unless all values are alike.
    seed : int, default=0
        Sketches can be compared only if their seed and number of columns are the same.

    Attributes
    ----------
    uniforms_ : ndarray of shape (dim,), float64
        h.

    Raises
    ------
    ParameterError
        A parameter out of range, or NaN or infinity in sparse input.
    ShapeError
        Sparse input of another number of columns.

    Notes
    -----
    `fit` learns nothing but the number of columns. `transform` stores each kept entry over its
    probability, a_j / min(1, a_j² τ_a): the decoded row, and so its product with a float query, is
    unbiased too. `sketch` and `product` are for two sides that are both sketched.

    `transform` and `sketch` take O(nnz log nnz) time, `product` O(pairs that share a column).

    References
    ----------
    .. [1] Daliri, Freire, Li, Musco. Matrix product sketching via coordinated sampling. ICLR 2025.
           arXiv:2501.17836
    .. [2] Daliri, Freire, Musco, Santos, Zhang. Sampling methods for inner product sketching.
           VLDB 2024. arXiv:2309.16157

    Examples
    --------
    >>> from scipy.sparse import random_array
    >>> A = random_array((50, 1000), density=0.05, rng=np.random.default_rng(0), format="csr")
    >>> sampler = CoordinatedSampling(size=20).fit(A)
    >>> sketch = sampler.sketch(A)
    >>> int(np.diff(sketch.entries.indptr).max())
    20
    >>> sampler.product(sketch, sketch).shape
    (50, 50)
    """

    output: ClassVar[str] = "sparse"
    accepts_sparse: ClassVar[bool] = True

    def __init__(self, size: int = 64, *, weights: str = "squares", seed: int = 0) -> None:
        self.size = size
        self.weights = weights
        self.seed = seed

    uniforms_: NDArray[np.float64]

    def sketch(self, X: Any, shared: bool = False) -> Sketch:
        """Keep `size` entries of each row, or, shared, `size` columns of the whole matrix.

        Parameters
        ----------
        X : csr_array or array-like of shape (n, dim)
        shared : bool, default=False
            One sample of columns for all rows: what the product of two whole matrices needs, and
            cheaper to multiply.

        Returns
        -------
        Sketch

        Raises
        ------
        NotFittedError, ShapeError, ParameterError
        """
        self._check_fitted("bytes_per_vector_")
        rows = self._as_csr(self._dense(X, self.n_features_in_, "X"))
        if shared:
            return self._shared_sketch(rows)
        weights = self._weigh(rows.data)
        kept, thresholds = priority_sample(
            self.uniforms_[rows.indices] / weights, rows.indptr, self.size
        )
        return Sketch(select(rows, kept), weights[kept], thresholds, False)

    def product(self, a: Sketch, b: Sketch) -> NDArray[np.float32]:
        """Estimate the inner product of each row sketched in `a` with each sketched in `b`.

        Parameters
        ----------
        a : Sketch of n_a rows
        b : Sketch of n_b rows
            Of the same kind, by a sampler of the same seed and number of columns.

        Returns
        -------
        ndarray of shape (n_a, n_b), float32

        Raises
        ------
        ParameterError
            One sketch is shared and the other is not.
        ShapeError
            Another number of columns.
        """
        self._check_fitted("bytes_per_vector_")
        for sketch in (a, b):
            if sketch.entries.shape[1] != self.n_features_in_:
                raise ShapeError(
                    f"this sampler has {self.n_features_in_} columns; got a sketch of "
                    f"{sketch.entries.shape[1]}."
                )
        if a.is_shared != b.is_shared:
            raise ParameterError(
                "one sketch is shared and the other is not; sketch both with the same `shared`."
            )
        return _shared_product(a, b) if a.is_shared else _row_products(a, b)

    def _fit(self, X: Any, y: Any, queries: NDArray[np.float32] | None) -> None:
        check_count("size", self.size)
        check_choice("weights", self.weights, ("squares", "uniform"))
        seed = check_count("seed", self.seed, at_least=0)
        self._as_csr(X)
        # 1 - u is above zero, so that no rank is: ties at zero would not be uniform.
        self.uniforms_ = 1 - np.random.default_rng(seed).random(self.n_features_in_)

    def _transform(self, X: Any) -> Any:
        sketch = self.sketch(X)
        counts = np.diff(sketch.entries.indptr)
        chances = sketch.weights * np.repeat(sketch.thresholds, counts)
        scaled = sketch.entries.copy()
        scaled.data = (scaled.data / np.minimum(1, chances)).astype(np.float32)
        return scaled

    def _inverse(self, codes: Any) -> NDArray[np.float32]:
        return np.asarray(codes.toarray(), dtype=np.float32)

    def _scores(
        self, queries: NDArray[np.float32], codes: Any, metric: str
    ) -> NDArray[np.float32] | None:
        if metric != "ip":
            return None
        return np.ascontiguousarray(np.asarray(codes @ queries.T, dtype=np.float32).T)

    def _bytes(self) -> int:
        return _BYTES_AN_ENTRY * min(self.size, self.n_features_in_)

    def _check(self, codes: Any) -> Any:
        if not hasattr(codes, "tocsr") or codes.shape[1] != self.n_features_in_:
            raise ShapeError(
                f"codes of this CoordinatedSampling are sparse, of {self.n_features_in_} columns; "
                f"got {type(codes).__name__}. Pass what transform returned."
            )
        return codes.tocsr()

    def _weigh(self, values: NDArray[Any]) -> NDArray[np.float64]:
        if self.weights == "uniform":
            return np.ones(len(values))
        # Squares of subnormal values would be zero, and their rank infinite.
        squares = np.square(values.astype(np.float64))
        return np.maximum(squares, 1e-300)

    def _as_csr(self, X: Any) -> Any:
        """Return input, dense or sparse, as clean float32 rows."""
        from scipy.sparse import csr_array

        if hasattr(X, "tocsr") and X.shape[1] != self.n_features_in_:
            raise ShapeError(
                f"X has {X.shape[1]} features, but CoordinatedSampling is expecting "
                f"{self.n_features_in_} features as input; sketches of other columns cannot be "
                "compared."
            )
        rows = csr_array(X, dtype=np.float32, copy=True)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        if not np.isfinite(rows.data).all():
            raise ParameterError("X has NaN or infinity among its stored values. Drop those rows.")
        return rows

    def _shared_sketch(self, rows: Any) -> Sketch:
        lengths = np.zeros(rows.shape[1])
        np.add.at(lengths, rows.indices, self._weigh(rows.data))
        columns = np.flatnonzero(lengths)
        kept, thresholds = priority_sample(
            self.uniforms_[columns] / lengths[columns], np.array([0, len(columns)]), self.size
        )
        chosen = np.zeros(rows.shape[1], dtype=bool)
        chosen[columns[kept]] = True
        return Sketch(select(rows, chosen[rows.indices]), lengths, thresholds, True)


def priority_sample(
    ranks: NDArray[np.float64], ends: NDArray[Any], size: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Choose the entries of smallest rank of each row.

    Parameters
    ----------
    ranks : ndarray of shape (nnz,), float64
    ends : ndarray of shape (n + 1,), int
        Row i has the entries from ``ends[i]`` to ``ends[i + 1]``.
    size : int

    Returns
    -------
    kept : ndarray of shape (nnz,), bool
        At most `size` a row.
    thresholds : ndarray of shape (n,), float64
        The smallest rank that was not kept; infinite where all were.

    Examples
    --------
    >>> kept, thresholds = priority_sample(np.array([3.0, 1.0, 2.0, 5.0]), np.array([0, 3, 4]), 1)
    >>> kept.tolist(), thresholds.tolist()
    ([False, True, False, True], [2.0, inf])
    """
    counts = np.diff(ends)
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((ranks, rows))
    place = np.arange(len(ranks)) - np.repeat(ends[:-1], counts)
    kept = np.zeros(len(ranks), dtype=bool)
    kept[order[place < size]] = True
    thresholds = np.full(len(counts), np.inf)
    next_ones = order[place == size]
    thresholds[rows[next_ones]] = ranks[next_ones]
    return kept, thresholds


def select(rows: Any, kept: NDArray[np.bool_]) -> Any:
    """Return a csr_array with the chosen stored entries only.

    Parameters
    ----------
    rows : csr_array of shape (n, dim)
    kept : ndarray of shape (nnz,), bool

    Returns
    -------
    csr_array of shape (n, dim)
    """
    from scipy.sparse import csr_array

    before = np.concatenate([[0], np.cumsum(kept)])
    ends = before[rows.indptr].astype(rows.indptr.dtype)
    return csr_array((rows.data[kept], rows.indices[kept], ends), shape=rows.shape)


def _shared_product(a: Sketch, b: Sketch) -> NDArray[np.float32]:
    factors = np.zeros(len(a.weights))
    both = (a.weights > 0) & (b.weights > 0)  # other columns add nothing, and have no chance
    chances = np.minimum(a.weights[both] * a.thresholds[0], b.weights[both] * b.thresholds[0])
    factors[both] = 1 / np.minimum(chances, 1)
    products = (a.entries.multiply(factors[None, :]).tocsr() @ b.entries.T).todense()
    return np.asarray(products, dtype=np.float32)


def _row_products(a: Sketch, b: Sketch) -> NDArray[np.float32]:
    """Add up column by column: the probability of a pair of entries does not factor."""
    products = np.zeros((a.entries.shape[0], b.entries.shape[0]))
    left, right = _by_column(a), _by_column(b)
    for column in np.flatnonzero(np.diff(left[0]) * np.diff(right[0])):
        i, j = slice(*left[0][column : column + 2]), slice(*right[0][column : column + 2])
        factors = np.maximum(np.maximum.outer(left[3][i], right[3][j]), 1)
        values = np.multiply.outer(left[2][i], right[2][j])
        products[np.ix_(left[1][i], right[1][j])] += values * factors
    return products.astype(np.float32)


def _by_column(sketch: Sketch) -> tuple[NDArray[Any], ...]:
    """Return (ends, rows, values, 1 / chances) of the kept entries, column after column."""
    entries = sketch.entries
    counts = np.diff(entries.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.argsort(entries.indices, kind="stable")
    ends = np.searchsorted(entries.indices[order], np.arange(entries.shape[1] + 1))
    inverse = 1 / (sketch.weights * np.repeat(sketch.thresholds, counts))
    return ends, rows[order], entries.data[order].astype(np.float64), inverse[order]
