# SPDX-License-Identifier: Apache-2.0
"""Low-rank vector quantization: sub-vectors of m dimensions coded in d < m of them.

x_p ~ mean_p + B_p z,   z = codeword of B_p'(x_p - mean_p),   B_p (m, d) orthonormal
error = what B_p leaves out (low rank) + what the codebook leaves out (clustering)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.codebook.pq import (
    PartCodes,
    seed_of,
    train_parts,
)
from vectorloom.compress.products import matmul
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count, check_jobs

_AUTO_ROWS_A_CODEWORD = 64  # of the trials that pick d; a quarter of them judge
_AUTO_ITERATIONS = 6
_AUTO_SLACK = 1.02  # the smallest d whose error is within 2 % of the best


class LowRankVQ(PartCodes):
    """Project sub-vectors of `m` dimensions to `d`, then share the bits among few dimensions.

    Codewords of d instead of m dimensions make encoding ``m / d`` times cheaper and cannot fit
    the noise of a small sample. Bytes are set by `m`, quality by `d`. With ``d = m`` it is `PQ`;
    with plenty of rows `PQ` and `OPQ` are at least as good. Take it for small tables of vectors.

    Parameters
    ----------
    k : int, default=256
        Codewords of each codebook, a power of two from 2 to 256.
    m : int, default=8
        Dimensions of a sub-vector, a divisor of dim.
    d : int or None, default=None
        Dimensions in which sub-vectors are clustered. None picks the smallest whose error on rows
        kept out of a trial is within 2 % of the best.
    max_iter : int, default=25
    rows_per_codeword : int or None, default=256
    n_jobs : int or None, default=None
    random_state : int, default=0

    Attributes
    ----------
    d_ : int
    bases_ : ndarray of shape (dim / m, m, d), float32
        Principal directions of each part, in columns.
    means_ : ndarray of shape (dim,), float32
    codebooks_ : ndarray of shape (dim / m, k, d), float32
    words_ : ndarray of shape (dim / m, k, m), float32
        The codewords in all m dimensions: what decoding and scores use.
    n_features_in_ : int
    bytes_per_vector_ : int
        ``ceil(dim / m * log2(k) / 8)``.

    Raises
    ------
    ShapeError
        `m` does not divide dim.
    ParameterError
        `k` is no power of two up to 256, or `d` is larger than `m`.

    Notes
    -----
    Fit: one eigendecomposition of (m, m) a part, then k-means in d dimensions; d=None also trains
    small codebooks for d = 1, 2, 4, ... m. The paper projects the weights of a network and trains
    bases by gradients; for vector sets the principal directions are the best bases in closed form.

    The same bits at any `n_jobs`.

    References
    ----------
    .. [1] Zhu, Chen, Lin, et al. Learning Low-Rank Representations for Model Compression.
       2022. arXiv:2211.11397

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = (rng.standard_normal((600, 1)) @ np.ones((1, 8))).astype(np.float32)
    >>> quantizer = LowRankVQ(k=16, m=4).fit(X)
    >>> quantizer.d_  # each sub-vector lies on a line
    1
    >>> quantizer.transform(X).shape
    (600, 1)
    """

    def __init__(
        self,
        k: int = 256,
        m: int = 8,
        d: int | None = None,
        *,
        max_iter: int = 25,
        rows_per_codeword: int | None = 256,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.k = k
        self.m = m
        self.d = d
        self.max_iter = max_iter
        self.rows_per_codeword = rows_per_codeword
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        k, m = check_count("k", self.k, at_least=2), check_count("m", self.m)
        check_jobs(self.n_jobs)
        dim = X.shape[1]
        if k > 256 or k & (k - 1):
            raise ParameterError(f"k must be a power of two from 2 to 256; got {k}.")
        if dim % m:
            divisors = [p for p in range(1, dim + 1) if dim % p == 0]
            raise ShapeError(
                f"m must divide the dimension {dim}; got {m}. Divisors are "
                f"{', '.join(map(str, divisors))}."
            )
        if self.d is not None and check_count("d", self.d) > m:
            raise ParameterError(f"d must be at most m = {m}; got {self.d}.")
        self.means_ = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        whole = principal_bases(X, self.means_, m)
        self.d_ = self._best_rank(X, whole) if self.d is None else int(self.d)
        self.bases_ = np.ascontiguousarray(whole[:, :, : self.d_])
        self.codebooks_ = self._train(X, self.bases_, self.max_iter, self.rows_per_codeword)
        centre = self.means_.reshape(len(self.bases_), 1, m)
        self.words_ = np.einsum("pkd,pmd->pkm", self.codebooks_, self.bases_) + centre

    def _train(
        self,
        X: NDArray[np.float32],
        bases: NDArray[np.float32],
        max_iter: int,
        rows_per_codeword: int | None,
    ) -> NDArray[np.float32]:
        return train_parts(
            self._project(X, bases),
            len(bases),
            (self.k - 1).bit_length(),
            max_iter=max_iter,
            rows_per_codeword=rows_per_codeword,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )

    def _best_rank(self, X: NDArray[np.float32], whole: NDArray[np.float32]) -> int:
        """Return the smallest rank whose low-rank and clustering errors add up to almost least."""
        width = whole.shape[1]
        ranks = sorted({min(width, 1 << i) for i in range(width.bit_length() + 1)})
        order = np.random.default_rng(seed_of(self.random_state)).permutation(len(X))
        order = order[: _AUTO_ROWS_A_CODEWORD * self.k]
        # Rows that the codebooks were fitted to would always speak for the most dimensions.
        n_judges = len(order) // 4
        judges = X[order[:n_judges]] if n_judges else X
        learned = np.ascontiguousarray(X[order[n_judges:]])
        errors = []
        centred = judges - self.means_
        total = float((centred**2).sum(dtype=np.float64))
        for rank in ranks:
            bases = np.ascontiguousarray(whole[:, :, :rank])
            books = _core.pq_train(
                self._project(learned, bases),
                len(bases),
                self.k,
                _AUTO_ITERATIONS,
                seed_of(self.random_state),
                0,
                self.n_jobs,
            )
            rows = self._project(judges, bases)
            decoded = _core.pq_decode(_core.pq_encode(rows, books, self.n_jobs), books, self.n_jobs)
            kept = float((rows**2).sum(dtype=np.float64))
            clustering = float(((rows - decoded) ** 2).sum(dtype=np.float64))
            errors.append(total - kept + clustering)
        best = min(errors) * _AUTO_SLACK + 1e-6 * total  # rounding: all ranks as good
        return int(next(r for r, error in zip(ranks, errors, strict=True) if error <= best))

    def _project(self, X: NDArray[np.float32], bases: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the coordinates of all parts side by side."""
        n_parts, width, rank = bases.shape
        out = np.empty((len(X), n_parts * rank), np.float32)
        centred = X - self.means_
        for p in range(n_parts):
            part = centred[:, p * width : (p + 1) * width]
            out[:, p * rank : (p + 1) * rank] = matmul(part, bases[p].T, self.n_jobs)
        return out

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        rows = self._project(X, self.bases_)
        return np.asarray(_core.pq_encode(rows, self.codebooks_, self.n_jobs))

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(_core.pq_decode(codes, self.words_, self.n_jobs))

    def _words(self) -> NDArray[np.float32]:
        words: NDArray[np.float32] = self.words_
        return words


def principal_bases(
    X: NDArray[np.float32], means: NDArray[np.float32], width: int
) -> NDArray[np.float32]:
    """Return all principal directions of each part, strongest first, in columns.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    means : ndarray of shape (dim,), float32
    width : int

    Returns
    -------
    ndarray of shape (dim / width, width, width), float32
    """
    bases = []
    for first in range(0, X.shape[1], width):
        part = (X[:, first : first + width] - means[first : first + width]).astype(np.float64)
        bases.append(np.linalg.eigh(part.T @ part)[1][:, ::-1])
    return np.stack(bases).astype(np.float32)
