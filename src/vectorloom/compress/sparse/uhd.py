# SPDX-License-Identifier: Apache-2.0
"""Ultra-high-dimensional binary codes: lift, let the k strongest units win, keep which they were.

    a = W (x - m)            rows of W: n_hidden directions, far more than there are dimensions
    code = the k columns where a is largest                      each 1, all others 0
    overlap of two codes = number of common columns              what an inverted index counts
    decoded  x̂ = a₀ + c Σ_{j in code} w_j                        one scalar c, by least squares

With buckets, the columns of x are several vectors of one item (layers of a model, say); each has
its own share of units and winners, and codes are laid side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.sparse.linear_sparse import LinearSparse
from vectorloom.compress.sparse.topk import rows_as_csr, top_k
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs

_SCALE_ROWS = 5000
_INDEX_BYTES = 4  # an int32 column; the values are all one and need not be stored


class UHD(LinearSparse):
    """Sparse binary codes: which k of very many units a vector excites most.

    Use it to put dense vectors into an inverted index that knows words only, or where codes must
    be sets. At equal bytes `CSR` keeps more by also storing how strongly, and dense codes such as
    `PQ` and `RaBitQ` keep much more.

    Parameters
    ----------
    n_hidden : int, default=16384
        Units in all.
    k : int, default=64
        Active units of a code, exactly. Bytes of a code are ``4 * k``: one int32 column each (the
        ones are not counted, although scipy stores them as float32).
    lift : {"random", "data"}, default="random"
        Directions of the units: Gaussian, or those of training rows (with a little noise where
        there are fewer rows than units). Rows make `overlap` better and `scores` worse: units that
        resemble each other win together.
    buckets : sequence of int or None, default=None
        Widths of the vectors that are laid side by side in a row; they must sum to the number of
        dimensions. Units and winners are divided evenly. None is one bucket.
    random_state : int, default=0
        The same integer gives the same bits.
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.

    Attributes
    ----------
    encoder_ : ndarray of shape (n_hidden, dim), float32
        Rows of length one; zero outside the unit's bucket.
    offset_ : ndarray of shape (n_hidden,), float32
    decoder_ : ndarray of shape (n_hidden, dim), float32
    center_ : ndarray of shape (dim,), float32
    scale_ : float
        c.

    Raises
    ------
    ParameterError
        k above n_hidden, buckets that do not fit, or a parameter out of range.

    Notes
    -----
    `scores` takes the query as it is: the mean, over a row's winners, of how much the query excites
    them. `overlap` compares codes with codes. Fit O(n_hidden dim), transform O(n_hidden dim) a row.

    Adapted from the paper, which learns the lift inside a language model: here it is drawn, after
    [2]_, and nothing is trained.

    References
    ----------
    .. [1] Jang, Kang, Hong, Myaeng, Park, Yoon, Seo. Ultra-high dimensional sparse representations
           with binarization for efficient text retrieval. EMNLP 2021. arXiv:2104.07198
    .. [2] Dasgupta, Stevens, Navlakha. A neural algorithm for a fundamental computing problem.
           Science 2017. doi:10.1126/science.aam9868

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((300, 16), dtype=np.float32)
    >>> uhd = UHD(n_hidden=512, k=8).fit(X)
    >>> codes = uhd.transform(X)
    >>> codes.shape, set(np.diff(codes.indptr).tolist())
    ((300, 512), {8})
    >>> int(uhd.overlap(codes[:1], codes)[0, 0])
    8
    """

    def __init__(
        self,
        n_hidden: int = 16384,
        k: int = 64,
        *,
        lift: str = "random",
        buckets: Sequence[int] | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_hidden = n_hidden
        self.k = k
        self.lift = lift
        self.buckets = buckets
        self.random_state = random_state
        self.n_jobs = n_jobs

    scale_: float

    def overlap(self, a: Any, b: Any) -> NDArray[np.int32]:
        """Count the units that each code of `a` has in common with each code of `b`.

        Parameters
        ----------
        a : csr_array of shape (n_a, n_hidden)
            As `transform` returns them.
        b : csr_array of shape (n_b, n_hidden)

        Returns
        -------
        ndarray of shape (n_a, n_b), int32
        """
        self._check_fitted("bytes_per_vector_")
        products = (self._check(a) @ self._check(b).T).todense()
        return np.asarray(products, dtype=np.int32)

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        n_hidden, k = check_count("n_hidden", self.n_hidden), check_count("k", self.k)
        check_choice("lift", self.lift, ("data", "random"))
        check_jobs(self.n_jobs)
        widths = self._widths(X.shape[1])
        if k > n_hidden:
            raise ParameterError(f"k must be at most n_hidden={n_hidden}; got {k}.")
        if n_hidden % len(widths) or k % len(widths):
            raise ParameterError(
                f"n_hidden={n_hidden} and k={k} must be multiples of the {len(widths)} buckets."
            )
        rng = np.random.default_rng(self.random_state)
        mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.encoder_ = np.zeros((n_hidden, X.shape[1]), dtype=np.float32)
        share, start = n_hidden // len(widths), 0
        for bucket, width in enumerate(widths):
            columns, units = (
                slice(start, start + width),
                slice(bucket * share, (bucket + 1) * share),
            )
            centered = X[:, columns] - mean[columns]
            self.encoder_[units, columns] = draw_units(centered, share, self.lift, rng)
            start += width
        self.offset_ = -(self.encoder_ @ mean)
        self._fit_scale(X[:: -(-len(X) // _SCALE_ROWS)], mean)

    def _widths(self, dim: int) -> list[int]:
        widths = [dim] if self.buckets is None else list(self.buckets)
        for width in widths:
            check_count("each of buckets", width)
        if sum(widths) != dim:
            raise ParameterError(
                f"buckets must sum to the {dim} dimensions of X; got {widths}, {sum(widths)} in "
                "all."
            )
        return widths

    def _fit_scale(self, X: NDArray[np.float32], mean: NDArray[np.float32]) -> None:
        """Least squares of x - mean on the sum of the winners, less what that sum is on average."""
        sums = np.asarray(self._transform(np.ascontiguousarray(X)) @ self.encoder_)
        usual = sums.mean(axis=0, dtype=np.float64)
        sums = sums - usual
        squares = float(np.square(sums).sum())
        self.scale_ = float((sums * (X - mean)).sum()) / squares if squares else 0.0
        self.decoder_ = self.encoder_ * np.float32(self.scale_)
        self.center_ = (mean - self.scale_ * usual).astype(np.float32)

    def _sparsify(self, activations: NDArray[np.float32]) -> Any:
        n_buckets = len(self._widths(self.encoder_.shape[1]))
        share = activations.shape[1] // n_buckets
        parts = [
            b * share + top_k(activations[:, b * share : (b + 1) * share], self.k // n_buckets)
            for b in range(n_buckets)
        ]
        columns = np.concatenate(parts, axis=1)
        return rows_as_csr(columns, np.ones(columns.shape, dtype=np.float32), activations.shape[1])

    def _bytes(self) -> int:
        return _INDEX_BYTES * self.k


def draw_units(
    centered: NDArray[np.float32], n_units: int, lift: str, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return directions of length one: of training rows, or Gaussian.

    Parameters
    ----------
    centered : ndarray of shape (n, dim), float32
    n_units : int
    lift : {"data", "random"}
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_units, dim), float32
    """
    units = rng.standard_normal((n_units, centered.shape[1]))
    if lift == "data":
        size = float(np.sqrt(np.square(centered, dtype=np.float64).mean())) or 1.0
        chosen = rng.choice(len(centered), n_units, replace=n_units > len(centered))
        # Noise only where rows repeat, or where a row is the mean itself and has no direction.
        noise = 0.5 if n_units > len(centered) else 1e-3
        units = centered[chosen] + noise * size * units
    lengths = np.linalg.norm(units, axis=1, keepdims=True)
    return np.asarray(units / np.maximum(lengths, 1e-12), dtype=np.float32)
