# SPDX-License-Identifier: Apache-2.0
"""RaBitQ: rotate, keep the code of largest cosine, and know how wrong a score can be.

    o = R (x - c),   y = argmax over the grid {±1/2, ±3/2, …}^dim of <y, o> / |y|
    <q, x> ≈ <q, c> + |o|² / <y, o> · <R q, y>
    |error| ≤ z |q| |o| sqrt((1 - cos²) / cos²) / sqrt(dim - 1),   cos = <y, o> / (|y| |o|)

with R a random rotation, c the row's centroid; z standard deviations of confidence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.compressor import Compressor
from vectorloom.compress.products import matmul
from vectorloom.compress.quantize.lvq import power_of_two
from vectorloom.compress.quantize.scalar import check_bits
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.vectors import as_dense

_ROUNDS = 3  # of signs and transforms: each dimension meets each other even where blocks overlap
_HALF_ROUNDING = 2.0**-11 / 3**0.5  # of a float16 factor, relative, root mean square at most
# 1 - cos² of the best uniform quantizer of a normal distribution. Above 5 bits the difference of
# two float16 cannot tell it for a single row.
_NORMAL_LOSS = (0.3634, 0.1188, 0.0374, 0.01154, 0.00349, 0.00104, 0.000304, 0.000087)
_MAX_CENTROIDS = 65_536
_KMEANS_ROWS = 100_000
_KMEANS_ITERATIONS = 10


class RaBitQ(Compressor):
    """Rotate at random and keep 1 to 8 bits a dimension: unbiased scores with an error bound.

    The choice for 1 to 4 bits a dimension when nothing may be assumed of the data: after the random
    rotation the quality does not depend on how the dimensions are scaled, every score is right on
    average, and `bounds` says how far off it can be, which tells a re-check what it may skip. `PQ`
    and `OPQ` rank better below one bit a dimension; `Scalar` needs no rotation of the query and
    loses little at 6 bits and more.

    Parameters
    ----------
    bits : int, default=1
        Bits a dimension, 1 to 8.
    rotation : {"hadamard", "dense", None}, default="hadamard"
        ``"hadamard"``: random signs and Walsh-Hadamard transforms of two overlapping blocks of a
        power of two, three rounds, dim log(dim) steps a row. ``"dense"``: a random orthogonal
        matrix, dim² steps. None: for vectors that are rotated already; no guarantee otherwise.
    n_centroids : int, default=1
        Rows are coded as their difference from the nearest of so many k-means centroids. 1 is the
        mean. 256 cost one byte a row and a product with the centroids when encoding, and on
        clustered vectors buy far more than that byte would buy as bits.
    random_state : int, default=0
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.

    Attributes
    ----------
    centroids_ : ndarray of shape (n_centroids, dim), float32
    signs_ : ndarray of shape (3, dim), int8, or None
        Of the Hadamard rotation.
    matrix_ : ndarray of shape (dim, dim), float32, or None
        The dense rotation.
    unit_ : ndarray of shape (2,), float32
        Powers of two; the float16 factors of a row count in them.
    n_features_in_ : int
    bytes_per_vector_ : int
        ``dim * bits / 8 + 4``, and 1 or 2 more with several centroids.

    Raises
    ------
    ParameterError
        Bits outside 1 to 8, an unknown rotation, more than 65,536 centroids.
    ShapeError
        Fewer rows than centroids.
    CapacityError
        More than 65,536 dimensions.

    Notes
    -----
    The code of largest cosine is the rounding of t o for the best t. In place of the full sweep of
    [2]_ one to eight t are tried, and the best improved by ``t <- |y|² / <y, o>``, which can
    only raise the cosine: the squared error is within 0.2, 0.5, 1 and 2 to 6 % of the sweep's at 2,
    3, 4 and more bits. The papers keep two or three float32 a row; here two float16, the factor and
    the row's length, which change a score by at most 2^-11 of its centred part.

    ``"ip"`` scores are unbiased over random rotations. ``"l2"`` and ``"cosine"`` use the stored
    length. `inverse_transform` returns the nearest point on the code's ray, which is shorter than
    what the unbiased scores amount to: decoded rows underestimate inner products by cos², scores do
    not. Queries are rounded to 8 bits a dimension (15 above 4 bits), see `Scalar`.

    With several centroids fit and encoding find the nearest one of each row, exactly; that is then
    most of the cost. The same bits at any `n_jobs` and at every CPU level.

    References
    ----------
    .. [1] Gao, Long. RaBitQ: Quantizing high-dimensional vectors with a theoretical error bound for
       approximate nearest neighbor search. SIGMOD 2024. doi:10.1145/3654970
    .. [2] Gao, Gou, Xu, Yang, Long, Wong. Practical and asymptotically optimal quantization of
       high-dimensional vectors in Euclidean space for approximate nearest neighbor search. SIGMOD
       2025. doi:10.1145/3725413

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((100, 64)).astype(np.float32)
    >>> coder = RaBitQ(bits=4).fit(X)
    >>> coder.bytes_per_vector_
    36
    >>> codes = coder.transform(X)
    >>> error = np.abs(coder.scores(X[:5], codes) - X[:5] @ X.T)
    >>> bool((error <= coder.bounds(X[:5], codes, z=5.0)).all())
    True
    """

    def __init__(
        self,
        bits: int = 1,
        *,
        rotation: str | None = "hadamard",
        n_centroids: int = 1,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.bits = bits
        self.rotation = rotation
        self.n_centroids = n_centroids
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        bits = check_bits("bits", self.bits)
        if self.rotation is not None:
            check_choice("rotation", self.rotation, ["hadamard", "dense"])
        n_centroids = check_count("n_centroids", self.n_centroids)
        check_jobs(self.n_jobs)
        if n_centroids > _MAX_CENTROIDS:
            raise ParameterError(
                f"n_centroids={n_centroids} is more than {_MAX_CENTROIDS}, which two bytes a row "
                "can name; pass fewer."
            )
        if n_centroids > len(X):
            raise ShapeError(
                f"{len(X)} rows cannot have {n_centroids} centroids; fit more rows or lower "
                "n_centroids."
            )
        dim = X.shape[1]
        rng = np.random.default_rng(self.random_state)
        self.signs_ = self.matrix_ = None
        if self.rotation == "hadamard":
            self.signs_ = (2 * rng.integers(0, 2, (_ROUNDS, dim)) - 1).astype(np.int8)
        elif self.rotation == "dense":
            q, r = np.linalg.qr(rng.standard_normal((dim, dim)))
            self.matrix_ = np.ascontiguousarray(q * np.sign(np.diag(r)), np.float32)
        self.centroids_ = X.mean(axis=0, dtype=np.float64).astype(np.float32)[None, :]
        if n_centroids > 1:
            stride = max(1, min(len(X) // _KMEANS_ROWS, len(X) // n_centroids))
            self.centroids_ = _core.kmeans(
                np.ascontiguousarray(X[::stride]),
                n_centroids,
                max_iter=_KMEANS_ITERATIONS,
                seed=int(rng.integers(2**31)),
                n_jobs=self.n_jobs,
            )[0]
        labels = self._labels(X)
        rest = X - (self.centroids_ if labels is None else self.centroids_[labels])
        longest = float(np.sqrt(np.einsum("ij,ij->i", rest, rest).max()))
        # |y| is at least sqrt(dim) / 2 and the cosine at least about 0.8 after a rotation.
        factor = longest / (np.sqrt(dim) * 2 ** (bits - 1)) * 2
        self.unit_ = np.array([power_of_two(factor), power_of_two(longest)], np.float32)

    def _labels(self, X: NDArray[np.float32]) -> NDArray[np.int32] | None:
        if len(self.centroids_) == 1:
            return None
        return np.asarray(_core.assign(X, self.centroids_, n_jobs=self.n_jobs)[0], np.int32)

    def _rotate(self, X: NDArray[np.float32], inverse: bool = False) -> NDArray[np.float32]:
        """Apply a dense rotation; that of signs and transforms is done by the codec itself."""
        if self.matrix_ is None:
            return X
        matrix = self.matrix_.T if inverse else self.matrix_
        return matmul(X, np.ascontiguousarray(matrix), self.n_jobs)

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        codec, labels = self._codec(), self._labels(X)
        return np.asarray(codec.encode(self._rotate(X), labels, n_jobs=self.n_jobs))

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        decoded = np.asarray(self._codec().decode(codes, n_jobs=self.n_jobs))
        return self._rotate(decoded, inverse=True)

    def _bytes(self) -> int:
        return int(self._codec().row_bytes)

    def _scores(
        self, queries: NDArray[np.float32], codes: NDArray[np.uint8], metric: str
    ) -> NDArray[np.float32] | None:
        rotated = self._rotate(queries)
        return np.asarray(self._codec().scores(rotated, codes, metric, n_jobs=self.n_jobs))

    def bounds(self, queries: Any, codes: Any, z: float = 1.9) -> NDArray[np.float32]:
        """Return how far an inner product may be from its score.

        Parameters
        ----------
        queries : array-like of shape (m, dim)
        codes : Codes of shape (n, bytes_per_vector_)
        z : float, default=1.9
            Half-width in standard deviations: 1.9 covers 94 % of random pairs, 3 covers 99.7 %. The
            paper's epsilon_0.

        Returns
        -------
        ndarray of shape (m, n), float32
            Half-widths: with the probability of `z`, ``abs(scores - queries @ X.T)`` is at most
            this, the rounding of query and factors included.

        Raises
        ------
        NotFittedError, ShapeError, ParameterError
        """
        self._check_fitted("bytes_per_vector_")
        queries = as_dense(queries, name="queries", dim=self.n_features_in_)
        factor, length, size = np.asarray(self._codec().row_factors(self._check(codes))).T
        # |y| a = |o| / cos, so the part of a y at a right angle to o has this length.
        usual = _NORMAL_LOSS[self.bits - 1] * length**2 if self.bits > 5 else 0
        across = np.sqrt(np.maximum((factor * size) ** 2 - length**2, usual))
        spread = across / np.sqrt(max(self.n_features_in_ - 1, 1))
        rotated = self._rotate(queries)
        if self.signs_ is not None:
            rotated = _core.hadamard(rotated, self.signs_, n_jobs=self.n_jobs)
        step = np.abs(rotated).max(axis=1) / (127 if self.bits <= 4 else 16_319)
        rounding = np.outer(step / np.sqrt(12), factor * size)
        lengths = np.linalg.norm(queries, axis=1)
        sampling = np.outer(lengths, spread)
        storing = np.outer(lengths, _HALF_ROUNDING * length)
        return np.asarray(
            np.float32(z) * np.sqrt(sampling**2 + rounding**2 + storing**2), np.float32
        )

    def _codec(self) -> Any:
        return _core.LevelCodec(
            self._rotate(self.centroids_),
            None,
            self.bits,
            0,
            "rescaled",
            float(self.unit_[0]),
            float(self.unit_[1]),
            self.signs_,
        )
