# SPDX-License-Identifier: Apache-2.0
"""What sparse codes with a linear decoder share: few active units out, sparse products in.

    activation a = E (x - b) + e        code z: few entries of it, the rest zero
    decoded    x̂ = a₀ + D z             score of a float query  q · x̂ = q · a₀ + (D q) · z

The query becomes one number a unit; a row then costs as many additions as it has active units.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import Compressor
from vectorloom.compress.products import matmul
from vectorloom.compress.sparse.topk import stack_rows
from vectorloom.errors import ShapeError

# Of one stored entry: an int32 column and a float32 value, as scipy keeps them. Row ends, 4 bytes a
# row, are left out, as padding is elsewhere.
BYTES_AN_ENTRY = 8
_BLOCK_ROWS = 4096


class LinearSparse(Compressor):
    """Base of the sparse codes: a subclass sets the maps below and picks entries in `_sparsify`.

    Attributes
    ----------
    encoder_ : ndarray of shape (n_hidden, dim), float32
    offset_ : ndarray of shape (n_hidden,), float32
    decoder_ : ndarray of shape (n_hidden, dim), float32
    center_ : ndarray of shape (dim,), float32
    """

    output: ClassVar[str] = "sparse"
    n_jobs: int | None

    encoder_: NDArray[np.float32]
    offset_: NDArray[np.float32]
    decoder_: NDArray[np.float32]
    center_: NDArray[np.float32]

    def symmetric_scores(self, a: Any, b: Any) -> NDArray[np.float32]:
        """Return the cosine between codes: one sparse product, as an inverted index forms it.

        Parameters
        ----------
        a : csr_array of shape (n_a, n_hidden)
            As `transform` returns them.
        b : csr_array of shape (n_b, n_hidden)

        Returns
        -------
        ndarray of shape (n_a, n_b), float32
            Zero where a row has no active unit.
        """
        self._check_fitted("bytes_per_vector_")
        left, right = self._check(a), self._check(b)
        lengths = []
        for codes in (left, right):
            length = np.sqrt(np.asarray(codes.multiply(codes).sum(axis=1)).ravel())
            lengths.append(np.where(length > 0, length, 1))
        products = np.asarray((left @ right.T).todense())
        return np.asarray(products / (lengths[0][:, None] * lengths[1]), dtype=np.float32)

    def _sparsify(self, activations: NDArray[np.float32]) -> Any:
        """Return the codes of rows of activations as a csr_array."""
        raise NotImplementedError

    def _activations(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        return matmul(X, self.encoder_, self.n_jobs) + self.offset_

    def _transform(self, X: NDArray[np.float32]) -> Any:
        starts = range(0, len(X), _BLOCK_ROWS)
        return stack_rows(
            [self._sparsify(self._activations(X[s : s + _BLOCK_ROWS])) for s in starts]
        )

    def _inverse(self, codes: Any) -> NDArray[np.float32]:
        return np.asarray(codes @ self.decoder_ + self.center_, dtype=np.float32)

    def _scores(
        self, queries: NDArray[np.float32], codes: Any, metric: str
    ) -> NDArray[np.float32] | None:
        if metric != "ip":
            return None  # needs the decoded lengths: the base finds them
        turned = matmul(self.decoder_, queries, self.n_jobs)
        scores = np.asarray(codes @ turned, dtype=np.float32).T
        return np.ascontiguousarray(scores + matmul(queries, self.center_[None, :], self.n_jobs))

    def _check(self, codes: Any) -> Any:
        if not hasattr(codes, "tocsr"):
            raise ShapeError(
                f"codes of {type(self).__name__} are a sparse matrix; got "
                f"{type(codes).__name__}. Pass what transform returned."
            )
        if codes.shape[1] != len(self.encoder_):
            raise ShapeError(
                f"codes of this {type(self).__name__} have {len(self.encoder_)} columns; got "
                f"shape {codes.shape}. Pass what transform of this fit returned."
            )
        return codes.tocsr()
