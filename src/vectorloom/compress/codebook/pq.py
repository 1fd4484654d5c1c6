# SPDX-License-Identifier: Apache-2.0
"""Product quantization: one codebook for each part of the dimensions.

code_p(x) = argmin_k |x_p - C[p, k]|^2      for the sub-vectors x_1, ..., x_P of x
<q, x'>   = sum_p <q_p, C[p, code_p]>       a table of <q_p, C[p, k]> makes it P additions
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.compressor import Compressor
from vectorloom.compress.products import matmul
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count, check_jobs

_TABLE_BYTES = 1 << 26  # tables of so many queries at a time
_DEFAULT_WIDTH = 8  # dimensions a part where n_parts is not given


class PartCodes(Compressor):
    """Base of what stores one code a part: bytes, table scores and norms of decoded rows."""

    codebooks_: NDArray[np.float32]  # (n_parts, n_codewords, width)
    n_jobs: int | None

    def _words(self) -> NDArray[np.float32]:
        """Return what codes stand for."""
        return self.codebooks_

    def _asked(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return queries with their dimensions in the order of the parts."""
        return queries

    def _bytes(self) -> int:
        return code_bytes(self.codebooks_)

    def _scores(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8], metric: str
    ) -> NDArray[np.float32] | None:
        if metric == "cosine":
            return None
        return table_scores(self._asked(queries), codes, self._words(), metric, self.n_jobs)

    def _norms(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        return decoded_norms(codes, self._words(), self.n_jobs)


class PQ(PartCodes):
    """Product quantization: split each vector into parts, store one code a part.

    The workhorse below 2 bits a dimension: 8-bit codes of 8 dimensions are 32 times smaller than
    float32. `OPQ` first turns the space so that parts are alike, which nearly always helps at the
    same bytes; `ResidualQuantizer` is better still at few bytes and slower to encode. From 4 bits
    a dimension on, `LVQ`, `Scalar` and `RaBitQ` are as good and much faster to encode.

    Parameters
    ----------
    n_parts : int or None, default=None
        Number of parts, a divisor of dim; ``n_parts * bits / 8`` bytes a vector. None takes the
        divisor that comes nearest to eight dimensions a part.
    bits : int, default=8
        Bits of a code, 1 to 8: codebooks of ``2**bits`` codewords. 4 gives the fastest scans
        (tables fit in registers), 8 the best quality at equal bytes.
    max_iter : int, default=25
        Iterations of Lloyd's algorithm for each codebook.
    rows_per_codeword : int or None, default=256
        Rows that training uses for each codeword, chosen at random; None uses all.
    n_jobs : int or None, default=None
    random_state : int, default=0

    Attributes
    ----------
    codebooks_ : ndarray of shape (n_parts, 2**bits, dim / n_parts), float32
    n_features_in_ : int
    bytes_per_vector_ : int
        ``ceil(n_parts * bits / 8)``.

    Raises
    ------
    ShapeError
        `n_parts` does not divide dim; the message lists the divisors.

    Warns
    -----
    UserWarning
        Fewer rows than codewords: each row then becomes a codeword, and the rest repeat.

    Notes
    -----
    Fit: ``dim * 2**bits`` products a training row and iteration, of at most
    ``rows_per_codeword * 2**bits`` rows; where the CPU multiplies bfloat16 pairs, labels during
    training come from those, which changes the error by less than a part in a thousand. The first
    iterations use a part of the sample. Encoding finds the exact nearest codeword of each part up
    to float32 rounding, the lowest number among equals. Scores add float32 table entries in the
    order of the parts: the scores of decoded rows up to rounding.

    The same bits at any `n_jobs`. Other CPU levels round products differently, which may move a
    point that lies between two codewords.

    References
    ----------
    .. [1] Jegou, Douze, Schmid. Product Quantization for Nearest Neighbor Search. TPAMI 2011.
       doi:10.1109/TPAMI.2010.57

    Examples
    --------
    >>> X = np.repeat(np.eye(4, dtype=np.float32), 8, axis=0)
    >>> quantizer = PQ(n_parts=2, bits=2).fit(X)
    >>> codes = quantizer.transform(X)
    >>> codes.shape
    (32, 1)
    >>> bool(np.array_equal(quantizer.inverse_transform(codes), X))
    True
    """

    def __init__(
        self,
        n_parts: int | None = None,
        bits: int = 8,
        *,
        max_iter: int = 25,
        rows_per_codeword: int | None = 256,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_parts = n_parts
        self.bits = bits
        self.max_iter = max_iter
        self.rows_per_codeword = rows_per_codeword
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        n_parts = check_parts(self.n_parts, X.shape[1])
        check_bits(self.bits)
        check_jobs(self.n_jobs)
        self.codebooks_ = train_parts(
            X,
            n_parts,
            self.bits,
            max_iter=self.max_iter,
            rows_per_codeword=self.rows_per_codeword,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.asarray(_core.pq_encode(X, self.codebooks_, self.n_jobs))

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(_core.pq_decode(codes, self.codebooks_, self.n_jobs))


def check_parts(n_parts: int | None, dim: int) -> int:
    """Return the number of parts, or say which numbers divide `dim`.

    Parameters
    ----------
    n_parts : int or None
        None takes the divisor of `dim` that comes nearest to eight dimensions a part.
    dim : int

    Returns
    -------
    int
    """
    divisors = [p for p in range(1, dim + 1) if dim % p == 0]
    if n_parts is None:
        return min(divisors, key=lambda p: (abs(np.log(dim / p / _DEFAULT_WIDTH)), p))
    n_parts = check_count("n_parts", n_parts)
    if dim % n_parts:
        raise ShapeError(
            f"n_parts must divide the dimension {dim}; got {n_parts}. Divisors are "
            f"{', '.join(map(str, divisors))}. Reduce to a multiple first otherwise: "
            f"PCA(n_components={max(1, dim // n_parts) * n_parts}) | PQ(n_parts={n_parts})."
        )
    return n_parts


def check_bits(bits: int) -> int:
    """Return the bits of a code, 1 to 8.

    Parameters
    ----------
    bits : int

    Returns
    -------
    int
    """
    if check_count("bits", bits) > 8:
        raise ParameterError(
            f"bits must be an integer from 1 to 8; got {bits!r}. For more bits a dimension take "
            "more parts."
        )
    return int(bits)


def train_parts(
    X: NDArray[np.float32],
    n_parts: int,
    bits: int,
    *,
    max_iter: int = 25,
    rows_per_codeword: int | None = 256,
    n_jobs: int | None = None,
    random_state: int = 0,
) -> NDArray[np.float32]:
    """Train one codebook for each part of the dimensions.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    n_parts : int
    bits : int
    max_iter : int, default=25
    rows_per_codeword : int or None, default=256
    n_jobs : int or None, default=None
    random_state : int, default=0

    Returns
    -------
    ndarray of shape (n_parts, 2**bits, dim / n_parts), float32
    """
    check_count("max_iter", max_iter)
    if rows_per_codeword is not None:
        check_count("rows_per_codeword", rows_per_codeword)
    n_codewords = 1 << bits
    if X.shape[0] < n_codewords:
        warnings.warn(
            f"{X.shape[0]} rows cannot fill {n_codewords} codewords: each row becomes a codeword. "
            "Fit on more rows or take fewer bits.",
            UserWarning,
            stacklevel=4,
        )
    max_rows = 0 if rows_per_codeword is None else rows_per_codeword * n_codewords
    return np.asarray(
        _core.pq_train(X, n_parts, n_codewords, max_iter, seed_of(random_state), max_rows, n_jobs)
    )


def seed_of(random_state: int) -> int:
    """Return the 64-bit seed of the core's random numbers.

    Parameters
    ----------
    random_state : int

    Returns
    -------
    int
    """
    if isinstance(random_state, bool) or not isinstance(random_state, (int, np.integer)):
        raise ParameterError(f"random_state must be an integer; got {random_state!r}.")
    return int(random_state) % (1 << 64)


def code_bytes(codebooks: NDArray[np.float32]) -> int:
    """Return the bytes of a row of packed codes.

    Parameters
    ----------
    codebooks : ndarray of shape (n_parts, n_codewords, width)

    Returns
    -------
    int
    """
    bits = (codebooks.shape[1] - 1).bit_length()
    return int(codebooks.shape[0] * bits + 7) // 8


def table_scores(
    queries: NDArray[np.float32],
    codes: NDArray[np.uint8],
    codebooks: NDArray[np.float32],
    metric: str,
    n_jobs: int | None = None,
) -> NDArray[np.float32]:
    """Score product codes by tables of a query's products with all codewords.

    Parameters
    ----------
    queries : ndarray of shape (m, dim), float32
    codes : ndarray of shape (n, bytes), uint8
    codebooks : ndarray of shape (n_parts, n_codewords, width), float32
    metric : {"ip", "l2"}
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (m, n), float32
        Larger is closer.
    """
    n_parts, n_codewords, _ = codebooks.shape
    bits = (n_codewords - 1).bit_length()
    out = np.empty((len(queries), len(codes)), np.float32)
    step = max(16, _TABLE_BYTES // (4 * n_parts * n_codewords))
    for start in range(0, len(queries), step):
        tables = part_tables(queries[start : start + step], codebooks, metric)
        out[start : start + step] = _core.pq_scores(tables, codes, bits, n_jobs)
    return out


def part_tables(
    queries: NDArray[np.float32], codebooks: NDArray[np.float32], metric: str
) -> NDArray[np.float32]:
    """Return each part's product, or minus its squared distance, with every codeword.

    Parameters
    ----------
    queries : ndarray of shape (m, dim), float32
    codebooks : ndarray of shape (n_parts, n_codewords, width), float32
    metric : {"ip", "l2"}

    Returns
    -------
    ndarray of shape (m, n_parts, n_codewords), float32
    """
    n_parts, n_codewords, width = codebooks.shape
    tables = np.empty((len(queries), n_parts, n_codewords), np.float32)
    for part in range(n_parts):
        rows = queries[:, part * width : (part + 1) * width]
        book = codebooks[part]
        if metric == "l2":  # differences from the centre, so that far-off data keep their digits
            centre = book.mean(axis=0)
            rows, book = rows - centre, book - centre
        tables[:, part] = matmul(rows, book, 1)
        if metric == "l2":
            tables[:, part] *= 2
            tables[:, part] -= np.einsum("kd,kd->k", book, book)
            tables[:, part] -= np.einsum("id,id->i", rows, rows)[:, None]
    return tables


def decoded_norms(
    codes: NDArray[np.uint8], codebooks: NDArray[np.float32], n_jobs: int | None = None
) -> NDArray[np.float32]:
    """Return the lengths of decoded rows, 1 where a row is zero.

    Parameters
    ----------
    codes : ndarray of shape (n, bytes), uint8
    codebooks : ndarray of shape (n_parts, n_codewords, width), float32
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (n,), float32
    """
    bits = (codebooks.shape[1] - 1).bit_length()
    squares = np.einsum("pkd,pkd->pk", codebooks, codebooks)[None]
    norms: NDArray[np.float32] = np.sqrt(_core.pq_scores(squares, codes, bits, n_jobs)[0])
    norms[norms == 0] = 1
    return norms
