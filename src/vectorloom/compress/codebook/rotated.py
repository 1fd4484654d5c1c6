# SPDX-License-Identifier: Apache-2.0
"""What codes of a turned, weighted space share: axes, lengths and scores.

x ~ length(x) * u / |u|,   u = inverse decode(code(rotation x))
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import Compressor
from vectorloom.compress.products import gram, matmul, row_norms
from vectorloom.errors import ParameterError

_SAME_LENGTH = 1e-3  # rows whose lengths differ by less count as normalized
_OTHER_LENGTH = 1e-2  # beyond this a row is refused where lengths are not stored
_FLOAT16_MAX = 65504.0
_RIDGE = 1e-6  # of the largest eigenvalue: weights of directions without variance stay finite


class RotatedCodes(Compressor):
    """Codes of ``rotation_ @ x``; a method says how rows of that space are coded and scored."""

    keep_norms: bool
    n_jobs: int | None
    rotation_: NDArray[np.float32]
    inverse_: NDArray[np.float32]
    length_: float | None
    length_unit_: float
    output: ClassVar[str] = "codes"

    def _encode(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the codes of the turned rows."""
        raise NotImplementedError

    def _decode_rows(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the rows of the turned space."""
        raise NotImplementedError

    def _products(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """Return products of queries with decoded rows, both of the turned space."""
        raise NotImplementedError

    def _row_bytes(self) -> int:
        """Return the bytes of the codes alone."""
        raise NotImplementedError

    def _learn_axes(self, X: NDArray[np.float32], n_parts: int, emphasis: float) -> None:
        weighted, unweighted = weighted_axes(X, n_parts, emphasis, self.n_jobs)
        self.rotation_ = np.ascontiguousarray(weighted, np.float32)
        self.inverse_ = np.ascontiguousarray(unweighted, np.float32)
        self.length_, self.length_unit_ = common_length(X)

    def _coded(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        return matmul(X, self.rotation_, self.n_jobs)

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        codes = self._encode(X)
        if not self.keep_norms:
            return codes
        if self.length_ is not None:
            check_lengths(X, self.length_, self.n_jobs)
            return codes
        return append_lengths(codes, X, self.length_unit_, self.n_jobs)

    def _split(
        self, codes: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32] | float | None]:
        """Return the product codes and the lengths that decoded rows get."""
        if not self.keep_norms:
            return codes, None
        if self.length_ is not None:
            return codes, self.length_
        return np.ascontiguousarray(codes[:, :-2]), stored_lengths(codes, self.length_unit_)

    def _short(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Decode without regard to lengths."""
        return matmul(self._decode_rows(codes), self.inverse_, self.n_jobs)

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        product, lengths = self._split(codes)
        rows = self._short(product)
        if lengths is not None:
            norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
            norms[norms == 0] = 1
            rows *= (lengths / norms)[:, None]
        return rows

    def _bytes(self) -> int:
        return self._row_bytes() + (2 if self.keep_norms and self.length_ is None else 0)

    def _short_norms(self, product: NDArray[np.uint8]) -> NDArray[np.float32]:
        norms = np.empty(len(product), np.float32)
        step = self._blocks(len(product)).step
        for start in self._blocks(len(product)):
            rows = self._short(product[start : start + step])
            norms[start : start + step] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        norms[norms == 0] = 1
        return norms

    def _scores(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8], metric: str
    ) -> NDArray[np.float32] | None:
        product, lengths = self._split(codes)
        turned = matmul(queries, np.ascontiguousarray(self.inverse_.T), self.n_jobs)
        result = self._products(turned, product)
        if metric == "ip" and lengths is None:
            return result
        norms = self._short_norms(product)
        if metric == "cosine":
            result /= norms
            return result
        kept = norms if lengths is None else np.broadcast_to(np.float32(lengths), norms.shape)
        result *= kept / norms
        if metric == "l2":
            result *= 2
            result -= kept * kept
            result -= np.einsum("ij,ij->i", queries, queries)[:, None]
        return result


def weighted_axes(
    X: NDArray[np.float32], n_parts: int, emphasis: float, n_jobs: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvectors dealt to equal parts, weighted by a power of the covariance.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    n_parts : int
    emphasis : float
        Rows are multiplied by the eigenvalue to half this power.
    n_jobs : int or None

    Returns
    -------
    axes, inverse : ndarray of shape (dim, dim), float64
        ``coded = X @ axes.T`` and ``X = coded @ inverse.T``.
    """
    if not 0 <= emphasis <= 1:
        raise ParameterError(f"emphasis must be a number from 0 to 1; got {emphasis!r}.")
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    values, vectors = np.linalg.eigh(gram(X, mean, n_jobs) / max(1, len(X)))
    values, vectors = values[::-1], vectors[:, ::-1]
    values = np.maximum(values, _RIDGE * max(values[0], 1e-30))
    weights = (values / values[0]) ** (emphasis / 2)
    dealt = deal(values * weights**2, n_parts)
    axes = (vectors * weights)[:, dealt].T
    return axes, (vectors / weights)[:, dealt]


def deal(values: NDArray[np.float64], n_parts: int) -> NDArray[np.intp]:
    """Deal sorted variances to parts of equal size so that the products of the parts are alike.

    Parameters
    ----------
    values : ndarray of shape (dim,)
        Largest first, positive.
    n_parts : int

    Returns
    -------
    ndarray of shape (dim,)
        Positions, the first part's first.

    Examples
    --------
    >>> deal(np.array([8.0, 4.0, 2.0, 1.0]), 2).tolist()
    [0, 3, 1, 2]
    """
    width = len(values) // n_parts
    logs = np.log(values / values[-1])  # none negative, so a part's sum only grows
    held: list[list[int]] = [[] for _ in range(n_parts)]
    sums = np.zeros(n_parts)
    for position, value in enumerate(logs):
        open_parts = [p for p in range(n_parts) if len(held[p]) < width]
        part = min(open_parts, key=lambda p: (sums[p], len(held[p]), p))
        held[part].append(position)
        sums[part] += value
    return np.asarray([position for part in held for position in part], np.intp)


def common_length(X: NDArray[np.float32]) -> tuple[float | None, float]:
    """Return the one length of all rows, or None where they differ, and the mean length.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32

    Returns
    -------
    length : float or None
    mean : float
        1 where all rows are zero.
    """
    lengths = row_norms(X)
    mean = float(lengths.mean())
    if mean == 0:
        return None, 1.0
    return (mean if np.abs(lengths - mean).max() <= _SAME_LENGTH * mean else None), mean


def check_lengths(X: NDArray[np.float32], length: float, n_jobs: int | None) -> None:
    """Refuse rows that would decode to another length than theirs.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    length : float
        That of all training rows.
    n_jobs : int or None

    Raises
    ------
    ParameterError
    """
    lengths = row_norms(X, n_jobs)
    other = np.abs(lengths - length) > _OTHER_LENGTH * length
    if other.any():
        row = int(other.argmax())
        raise ParameterError(
            f"row {row} has length {lengths[row]:.6g}, but all training rows had length "
            f"{length:.6g}, so lengths are not stored and it would decode to that. Scale the rows "
            "alike, fit on rows like these, or fit with keep_norms=False."
        )


def append_lengths(
    codes: NDArray[np.uint8], X: NDArray[np.float32], unit: float, n_jobs: int | None
) -> NDArray[np.uint8]:
    """Return codes with the length of each row, a float16 in `unit`, as its last two bytes.

    Parameters
    ----------
    codes : ndarray of shape (n, bytes), uint8
    X : ndarray of shape (n, dim), float32
    unit : float
    n_jobs : int or None

    Returns
    -------
    ndarray of shape (n, bytes + 2), uint8
    """
    lengths = row_norms(X, n_jobs) / unit
    halves = np.minimum(lengths, _FLOAT16_MAX).astype("<f2")
    return np.concatenate([codes, halves[:, None].view(np.uint8)], axis=1)


def stored_lengths(codes: NDArray[np.uint8], unit: float) -> NDArray[np.float32]:
    """Return the lengths that `append_lengths` stored.

    Parameters
    ----------
    codes : ndarray of shape (n, bytes + 2), uint8
    unit : float

    Returns
    -------
    ndarray of shape (n,), float32
    """
    halves = np.ascontiguousarray(codes[:, -2:]).view("<f2")
    return (halves[:, 0] * np.float64(unit)).astype(np.float32)
