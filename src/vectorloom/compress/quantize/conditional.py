# SPDX-License-Identifier: Apache-2.0
"""Store only what a related vector does not tell: a linear prediction, and a code of the rest.

    W = argmin Σ |(y - ȳ) - W (g - ḡ)|² + α |W|²,   r = y - ȳ - W (g - ḡ),   y' = ȳ + W (g - ḡ) + r'

g is a vector known wherever y is decoded: of the older model version, another field, the parent
chunk, or a coarser code of the same item. At equal bits the error falls by the share of the
variance of y that g predicts.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.compressor import Compressor, dense_scores, unit
from vectorloom.compress.products import gram, matmul
from vectorloom.compress.quantize.nonuniform import NonUniform
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.vectors import as_dense

_Self = TypeVar("_Self", bound="Conditional")


class Conditional(Compressor):
    """Compress vectors given related ones that are at hand when they are decoded.

    Worth it when a ridge regression explains a good part of the vectors (see `explained_`): with a
    share R² explained, the residual needs about -log2(1 - R²) / 2 fewer bits a value for the same
    error. Below some 30 % take the code alone.

    Parameters
    ----------
    code : Compressor or None, default=None
        For the residual; its `output` is ``"codes"``. None takes ``NonUniform(bits=4)``.
    alpha : float, default=1e-3
        Ridge, in units of the mean variance of the related dimensions times the number of rows.

    Attributes
    ----------
    code_ : Compressor
        The fitted copy of `code`.
    weights_ : ndarray of shape (dim, dim_given), float32, or None
        None, like the means, when fitted without related vectors.
    mean_ : ndarray of shape (dim,), float32, or None
    given_mean_ : ndarray of shape (dim_given,), float32, or None
    explained_ : float
        Share of the sample's variance that the prediction explains.

    Raises
    ------
    ParameterError
        Related vectors missing where the fit had some, or given where it had none.
    ShapeError
        Not one related vector a row.

    Notes
    -----
    This class widens the contract of compressors: `fit`, `transform`, `inverse_transform` and
    `scores` take the related vectors as ``given=``, one a row. Without them everywhere it is the
    plain code. The related vectors must be the same bits at encoding and decoding: where they are
    stored compressed, pass their decoded form both times.

    Fit: n dim_given (dim_given + dim) multiply-adds and dim_given³; transform adds one matrix
    product to that of the code. Deterministic.

    Differs from the paper: a cache's layers are predicted from the layer before, here any related
    set serves; the predictor is fitted to the vectors as given.

    References
    ----------
    .. [1] Shutova et al. Cache me if you must: adaptive key-value quantization for large language
       models. ICML 2025. arXiv:2501.19392

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> old = rng.standard_normal((500, 8)).astype(np.float32)
    >>> new = old[:, ::-1] + 0.1 * rng.standard_normal((500, 8)).astype(np.float32)
    >>> compressor = Conditional(NonUniform(bits=2)).fit(new, given=old)
    >>> compressor.bytes_per_vector_, bool(compressor.explained_ > 0.98)
    (2, True)
    >>> codes = compressor.transform(new, given=old)
    >>> compressor.inverse_transform(codes, given=old).shape
    (500, 8)
    """

    _uses_queries = True

    mean_: NDArray[np.float32] | None
    given_mean_: NDArray[np.float32] | None
    weights_: NDArray[np.float32] | None

    def __init__(self, code: Compressor | None = None, *, alpha: float = 1e-3) -> None:
        self.code = code
        self.alpha = alpha

    # ------------------------------------------------------------------ public, with `given`

    def fit(self: _Self, X: Any, y: Any = None, queries: Any = None, given: Any = None) -> _Self:
        """Learn the prediction and the code of what it leaves; see `Compressor.fit`.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        y : ignored
        queries : array-like of shape (m, dim) or None, default=None
            For codes that learn from queries.
        given : array-like of shape (n, dim_given) or None, default=None
            The related vector of each row.

        Returns
        -------
        self
        """
        self._given: Any = given
        try:
            return super().fit(X, y, queries)
        finally:
            vars(self).pop("_given", None)

    def transform(self, X: Any, given: Any = None) -> Any:
        """Encode vectors, given the related ones; see `Compressor.transform`."""
        self._check_fitted("bytes_per_vector_")
        X = self._dense(X, self.n_features_in_, "X")
        return self._wrap(self.code_._transform(X - self._predicted(given, len(X))))

    def inverse_transform(self, codes: Any, given: Any = None) -> NDArray[np.float32]:
        """Decode, given the related vectors; see `Compressor.inverse_transform`."""
        self._check_fitted("bytes_per_vector_")
        codes = self._check(codes)
        rest = np.asarray(self.code_._inverse(codes), np.float32)
        return np.ascontiguousarray(rest + self._predicted(given, len(codes)))

    def scores(
        self, queries: Any, codes: Any, metric: str = "ip", given: Any = None
    ) -> NDArray[np.float32]:
        """Score queries against codes, given the related vectors; see `Compressor.scores`."""
        if given is None:
            return super().scores(queries, codes, metric)
        queries = self.transform_queries(queries, metric)
        decoded = self.inverse_transform(codes, given=given)
        return dense_scores(unit(queries) if metric == "cosine" else queries, decoded, metric)

    # ------------------------------------------------------------------ the contract's hooks

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        code: Any = NonUniform() if self.code is None else self.code
        if not isinstance(code, Compressor) or code.output != "codes":
            raise ParameterError(
                f"code must be a compressor that returns codes; got {code!r}. Put reducers before "
                "this one in a chain."
            )
        alpha: Any = self.alpha
        if not (isinstance(alpha, int | float | np.number) and alpha >= 0):
            raise ParameterError(f"alpha must be a number of at least 0; got {alpha!r}.")
        self._fit_prediction(X, getattr(self, "_given", None))
        rest = X - self._predicted(getattr(self, "_given", None), len(X))
        total = float(np.square(X - X.mean(axis=0), dtype=np.float64).sum())
        left = float(np.square(rest - rest.mean(axis=0), dtype=np.float64).sum())
        self.explained_ = 1 - left / total if total > 0 and self.weights_ is not None else 0.0
        self.code_ = copy.deepcopy(code).fit(rest, None, queries)

    def _fit_prediction(self, X: NDArray[np.float32], given: Any) -> None:
        self.mean_, self.given_mean_, self.weights_ = None, None, None
        if given is None:
            return
        related = as_dense(given, name="given")
        if len(related) != len(X):
            raise ShapeError(
                f"given must have one row for each of the {len(X)} vectors; got {len(related)}."
            )
        self.mean_ = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.given_mean_ = related.mean(axis=0, dtype=np.float64).astype(np.float32)
        width = related.shape[1]
        # One Gram matrix of both sets side by side holds GᵀG and GᵀX.
        both = np.concatenate([related, X], axis=1)
        squares = gram(both, np.concatenate([self.given_mean_, self.mean_]))
        inner = squares[:width, :width]
        ridge = self.alpha * max(np.trace(inner) / width, np.finfo(np.float32).tiny)
        inner = inner + ridge * np.eye(width)
        self.weights_ = np.ascontiguousarray(
            np.linalg.lstsq(inner, squares[:width, width:], rcond=None)[0].T, np.float32
        )

    def _predicted(self, given: Any, n: int) -> Any:
        """Return ȳ + W (g - ḡ), or 0 where no related vectors are part of the fit."""
        if self.weights_ is None or self.mean_ is None or self.given_mean_ is None:
            if given is None:
                return np.float32(0)
            raise ParameterError(
                "given was passed, but this Conditional was fitted without; fit(X, given=…) first."
            )
        if given is None:
            raise ParameterError(
                "this Conditional was fitted with related vectors; pass given=, one vector for "
                "each row."
            )
        related = as_dense(given, name="given", dim=len(self.given_mean_))
        if len(related) != n:
            raise ShapeError(
                f"given must have one row for each of the {n} rows; got {len(related)}."
            )
        return matmul(related - self.given_mean_, self.weights_) + self.mean_

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.asarray(self.code_._transform(X - self._predicted(None, len(X))))

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        rest = np.asarray(self.code_._inverse(codes), np.float32)
        return np.asarray(rest + self._predicted(None, len(codes)))

    def _bytes(self) -> int:
        return int(self.code_.bytes_per_vector_)
