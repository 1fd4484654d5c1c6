# SPDX-License-Identifier: Apache-2.0
"""The contract of everything that makes vectors smaller; a method fills in four hooks."""

from __future__ import annotations

import os
import warnings
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.codes import Codes, check_codes
from vectorloom.compress.products import matmul
from vectorloom.compress.storage import fingerprint, flatten
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import Estimator, check_choice
from vectorloom.vectors import as_dense

_Self = TypeVar("_Self", bound="Compressor")
_METRICS = ("ip", "l2", "cosine")
_DECODED_BYTES = 1 << 25  # decode so much at a time when a method has no scan of its own
KIND = "compress.compressor"


class Compressor(Estimator):
    """Base class of reducers (dense output), quantizers (packed codes) and sparse codes.

    Public methods check their input and keep the books; a method implements `_fit`, `_transform`,
    `_inverse`, `_bytes`, and `_scores` where it can do better than decoding.
    """

    output: ClassVar[str] = "codes"  # "codes", "dense" or "sparse"
    accepts_sparse: ClassVar[bool] = False
    _uses_queries: ClassVar[bool] = False
    _needs_queries: ClassVar[bool] = False
    _needs_y: ClassVar[bool] = False

    n_features_in_: int
    bytes_per_vector_: int

    # ------------------------------------------------------------------ what a method implements

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        """Check the parameters and learn the calibration: attributes that end in ``_``."""
        raise NotImplementedError

    def _transform(self, X: NDArray[np.float32]) -> Any:
        """Return uint8 (n, bytes), float32 (n, k) or a csr_array, as `output` says."""
        raise NotImplementedError

    def _inverse(self, codes: Any) -> NDArray[np.float32]:
        """Return the float32 (n, dim) vectors that the codes stand for."""
        raise NotImplementedError

    def _bytes(self) -> int:
        """Return the bytes of one transformed row."""
        raise NotImplementedError

    def _scores(
        self, queries: NDArray[np.float32], codes: Any, metric: str
    ) -> NDArray[np.float32] | None:
        """Return scores (n_queries, n), or None where decoding is the best way."""
        return None

    def _map_queries(
        self, queries: NDArray[np.float32], metric: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Return (q', c) with metric(q, decode(z)) = metric(q', z) + c, or None if there is none.

        What lets a reducer stand before a quantizer in a chain without decoding.
        """
        return None

    # ------------------------------------------------------------------ fit and transform

    def fit(self: _Self, X: Any, y: Any = None, queries: Any = None) -> _Self:
        """Learn the calibration from sample vectors.

        Parameters
        ----------
        X : array-like of shape (n, dim)
            Finite; narrowed to float32, with one notice when it came as float64.
        y : array-like of shape (n,) or None, default=None
            Labels, for the methods that learn from them.
        queries : array-like of shape (m, dim) or None, default=None
            Sample queries, for the methods that learn from them; others ignore them.

        Returns
        -------
        self

        Raises
        ------
        ShapeError, ParameterError
            Bad input, or too few rows for the parameters; nothing is changed then.
        """
        X = self._dense(X, None, "X", notice=True)
        if self._needs_y and y is None:
            raise ParameterError(
                f"{type(self).__name__} learns from labels; call fit(X, y) with one label a row."
            )
        if self._needs_queries and queries is None:
            raise ParameterError(
                f"{type(self).__name__} learns from queries; call fit(X, queries=Q) with some "
                "hundred sample queries."
            )
        if queries is not None:
            queries = as_dense(queries, name="queries", dim=X.shape[1])
        if y is not None and self._needs_y and len(y) != X.shape[0]:
            raise ShapeError(f"y must have one label a row; got {len(y)} for {X.shape[0]} rows.")
        before = dict(vars(self))
        try:
            self.n_features_in_ = int(X.shape[1])
            self._fit(X, y, queries)
            self.bytes_per_vector_ = int(self._bytes())
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        self._fingerprint = fingerprint(self)  # here, because transform changes nothing
        return self

    def fit_transform(self, X: Any, y: Any = None, queries: Any = None) -> Any:
        """Fit to `X` and return its codes; see `fit` and `transform`."""
        return self.fit(X, y, queries).transform(X)

    def transform(self, X: Any) -> Any:
        """Encode vectors.

        Parameters
        ----------
        X : array-like of shape (n, dim)

        Returns
        -------
        Codes of shape (n, bytes_per_vector_), ndarray of shape (n, k), or csr_array
            As the class says.

        Raises
        ------
        NotFittedError, ShapeError, ParameterError
        """
        self._check_fitted("bytes_per_vector_")
        return self._wrap(self._transform(self._dense(X, self.n_features_in_, "X")))

    def transform_queries(self, queries: Any, metric: str = "ip") -> NDArray[np.float32]:
        """Return queries in the space where transformed rows are compared.

        Parameters
        ----------
        queries : array-like of shape (m, dim)
        metric : {"ip", "l2"}, default="ip"
            Centring matters for distances and must not be done for inner products.

        Returns
        -------
        ndarray of shape (m, k), float32
            Codes are compared with float queries, so quantizers return the queries unchanged.
        """
        self._check_fitted("bytes_per_vector_")
        check_choice("metric", metric, _METRICS)
        queries = as_dense(queries, name="queries", dim=self.n_features_in_)
        mapped = self._map_queries(queries, metric)
        if mapped is not None:
            return mapped[0]
        return np.asarray(self._transform(queries)) if self.output == "dense" else queries

    def inverse_transform(self, codes: Any) -> NDArray[np.float32]:
        """Decode.

        Parameters
        ----------
        codes : what `transform` returned, or rows of it

        Returns
        -------
        ndarray of shape (n, dim), float32

        Raises
        ------
        ParameterError
            Codes of another calibration or type.
        ShapeError
            Codes of another width.
        """
        self._check_fitted("bytes_per_vector_")
        return np.ascontiguousarray(self._inverse(self._check(codes)), np.float32)

    def scores(self, queries: Any, codes: Any, metric: str = "ip") -> NDArray[np.float32]:
        """Score float queries against encoded rows, larger is closer.

        Parameters
        ----------
        queries : array-like of shape (m, dim)
        codes : what `transform` returned, or rows of it
        metric : {"ip", "l2", "cosine"}, default="ip"
            ``"l2"`` gives minus the squared distance. ``"cosine"`` divides by the length of the
            decoded row.

        Returns
        -------
        ndarray of shape (m, n), float32
        """
        self._check_fitted("bytes_per_vector_")
        check_choice("metric", metric, _METRICS)
        queries = as_dense(queries, name="queries", dim=self.n_features_in_)
        codes = self._check(codes)
        if metric == "cosine":
            queries = unit(queries)
        result = self._scores(queries, codes, metric)
        if result is None and metric == "cosine":
            result = self._scores(queries, codes, "ip")
            if result is not None:
                result = result / self._norms(codes)
        return self._decoded_scores(queries, codes, metric) if result is None else result

    # ------------------------------------------------------------------ files and chains

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the calibration to a file that `vectorloom.open` reads.

        Parameters
        ----------
        path : path-like
        """
        from vectorloom.io.container import write_container

        self._check_fitted("bytes_per_vector_")
        meta, arrays = flatten(self)
        write_container(path, KIND, {"compressor": meta}, arrays)

    @property
    def fingerprint_(self) -> str:
        """Hash of the calibration: equal for compressors whose codes mean the same."""
        self._check_fitted("bytes_per_vector_")
        if not getattr(self, "_fingerprint", ""):
            self._fingerprint = fingerprint(self)
        return self._fingerprint

    def __or__(self, other: Any) -> Any:
        """Compose: the output of this one is the input of `other`."""
        from vectorloom.compress.chain import Chain

        if not isinstance(other, Compressor):
            return NotImplemented
        return Chain([self, other])

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn."""
        return hasattr(self, "bytes_per_vector_")

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what this transformer takes."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=self._needs_y),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            input_tags=InputTags(sparse=self.accepts_sparse),
        )

    # ------------------------------------------------------------------ inside

    def _dense(self, X: Any, dim: int | None, name: str, notice: bool = False) -> Any:
        if self.accepts_sparse and hasattr(X, "tocsr"):
            return X.tocsr()
        if notice and getattr(X, "dtype", None) == np.float64:
            warnings.warn(
                f"{name} is float64; it is narrowed to float32 here and in transform. Pass "
                "X.astype(numpy.float32) to save the copy.",
                UserWarning,
                stacklevel=3,
            )
        shape: tuple[int, ...] = getattr(X, "shape", ())
        if dim is not None and len(shape) == 2 and shape[1] != dim:
            raise ShapeError(  # in scikit-learn's wording, which its checks look for
                f"{name} has {shape[1]} features, but {type(self).__name__} is expecting {dim} "
                "features as input; pass vectors of the space it was fitted on."
            )
        return as_dense(X, name=name, dim=dim)

    def _wrap(self, coded: Any) -> Any:
        return Codes(coded, self.fingerprint_) if self.output == "codes" else coded

    def _check(self, codes: Any) -> Any:
        name = type(self).__name__
        if self.output == "codes":
            return check_codes(codes, self.bytes_per_vector_, self.fingerprint_, name)
        if self.output == "sparse":
            return codes.tocsr()
        return as_dense(codes, name="codes", dim=self.bytes_per_vector_ // 4)

    def _blocks(self, n: int) -> range:
        return range(0, n, max(1, _DECODED_BYTES // (4 * self.n_features_in_)))

    def _norms(self, codes: Any) -> NDArray[np.float32]:
        """Return the lengths of the decoded rows, 1 where a row is zero."""
        n = codes.shape[0]
        step = self._blocks(n).step
        norms = np.empty(n, np.float32)
        for start in self._blocks(n):
            decoded = self._inverse(codes[start : start + step])
            norms[start : start + step] = np.sqrt(np.einsum("ij,ij->i", decoded, decoded))
        norms[norms == 0] = 1
        return norms

    def _decoded_scores(
        self, queries: NDArray[np.float32], codes: Any, metric: str
    ) -> NDArray[np.float32]:
        n = codes.shape[0]
        out = np.empty((len(queries), n), np.float32)
        step = self._blocks(n).step
        jobs = getattr(self, "n_jobs", None)
        for start in self._blocks(n):
            decoded = np.ascontiguousarray(self._inverse(codes[start : start + step]), np.float32)
            out[:, start : start + step] = dense_scores(queries, decoded, metric, jobs)
        return out


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows scaled to length 1; zero rows stay zero.

    Parameters
    ----------
    rows : ndarray of shape (n, dim), float32

    Returns
    -------
    ndarray of shape (n, dim), float32
    """
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    norms[norms == 0] = 1
    scaled: NDArray[np.float32] = (rows / norms[:, None]).astype(np.float32)
    return scaled


def dense_scores(
    queries: NDArray[np.float32], rows: NDArray[np.float32], metric: str, n_jobs: int | None = None
) -> NDArray[np.float32]:
    """Score queries against float rows, larger is closer.

    Parameters
    ----------
    queries : ndarray of shape (m, dim), float32
    rows : ndarray of shape (n, dim), float32
    metric : {"ip", "l2", "cosine"}
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (m, n), float32
    """
    if metric == "cosine":
        return matmul(unit(queries), unit(rows), n_jobs)
    products = matmul(queries, rows, n_jobs)
    if metric == "l2":
        squares = np.einsum("ij,ij->i", rows, rows)
        products *= 2
        products -= squares
        products -= np.einsum("ij,ij->i", queries, queries)[:, None]
    return products
