# SPDX-License-Identifier: Apache-2.0
"""k-means: k centroids, and for each row the nearest of them.

    minimise  sum_i w_i |x_i - c_l(i)|^2        l(i) = argmin_j |x_i - c_j|^2   (ties: lowest j)
              by turns: labels from centroids, then c_j += r (mean_j - c_j), 1 <= r < 2

Assignments are exact: which centroid is nearest is decided in float64, and int8 block products
with a bound on their error only say which centroids need not be looked at.
"""

from __future__ import annotations

import math
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.validation import validate_data

from vectorloom import _core
from vectorloom.errors import NotFittedError, ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.io.container import Container, register_loader, write_container
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

_KIND = "select.kmeans"
_MOST_CLUSTERS = 65536
_DEFAULT_RATIO = 1.1
_BLOCK_ROWS = 4096


class _NotFittedError(NotFittedError, SklearnNotFittedError):
    """Both libraries' kind, so that either's handlers see it."""


class KMeans(ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, BaseEstimator):
    """Cluster rows around k centroids, exactly and fast, for k up to 65,536.

    Use it for codebooks, inverted lists, summaries of large sets. Where clusters are not round, or
    their number is unknown, a density-based method fits better; where the mean of rows means
    nothing (ids, mixed columns), none of this applies.

    Parameters
    ----------
    n_clusters : int, default=8
        k, from 1 to 65,536.
    init : {"k-means++", "random"} or array-like of shape (n_clusters, dim), default="k-means++"
        How the first centroids are found: drawn far apart [2]_, drawn at random, or given.
    n_init : int, default=1
        Runs with different draws; the one with the lowest inertia is kept.
    max_iter : int, default=25
        Most iterations of a run.
    tol : float, default=1e-4
        A run ends when the squared moves of all centroids sum to `tol` times the mean variance of
        a dimension, or when no label changes. 0 leaves the second only.
    balanced : bool or float, default=False
        Bound the sizes of clusters: none has more than ceil(ratio * n / k) rows, where the ratio is
        1.1 for True, or the number given (at least 1). Then `labels_` are not always nearest;
        `predict` gives the nearest all the same.
    metric : {"l2", "cosine"}, default="l2"
        "cosine" scales rows and centroids to unit length (spherical k-means); zero rows stay zero.
    relaxation : float, default=1.9
        How far centroids move, in [1, 2): 1 is to the mean of their rows (Lloyd's iteration [1]_),
        more is past it, which lowers inertia at every step just as well and reaches the same
        inertia in about half as many [4]_. The first steps and the last are shorter.
    max_points_per_centroid : int or None, default=None
        Learn centroids from a sample of k times so many rows; labels are those of all rows. 256
        loses little and bounds the time on large sets.
    random_state : int, RandomState or None, default=0
        An int gives the same bits at any `n_jobs` and on any CPU.
    n_jobs : int or None, default=None
        Threads; None: all this process may use.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, dim), float32
    labels_ : ndarray of shape (n,), int32
        Nearest centroid of each training row, in 0 .. n_clusters - 1.
    inertia_ : float
        Sum of the rows' weighted squared distances to their centroids.
    n_iter_ : int
        Iterations of the kept run.
    n_features_in_ : int
        dim.
    feature_names_in_ : ndarray of str
        Only when `X` had names.

    Raises
    ------
    ParameterError
        `fit`: a parameter outside its range, fewer rows than clusters, NaN, weights below 0.
    ShapeError
        `fit`: `X` is not a matrix, or `init` or weights do not fit it.

    Warns
    -----
    ConvergenceWarning
        Fewer distinct rows than clusters: some clusters are empty.

    See Also
    --------
    vectorloom.index.Exact : Nearest rows, not nearest means.

    Notes
    -----
    An iteration costs at most n * k * dim int8 multiply-adds, and far less once centroids settle:
    each row keeps lower bounds on its distance to groups of centroids, and groups that cannot hold
    the nearest are passed over [3]_. Memory: n * (dim + n_clusters / 8) bytes beside `X`, which is
    narrowed to float32 (copied only if it is not float32 already).

    A cluster that loses all rows takes over the row farthest from its centroid, lowest row number
    first among equals. Inertia never rises from one iteration to the next, except when `balanced`.

    References
    ----------
    .. [1] S. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory
       28 (1982), doi:10.1109/TIT.1982.1056489.
    .. [2] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA
       2007.
    .. [3] Y. Ding, Y. Zhao, X. Shen, M. Musuvathi and T. Mytkowicz, "Yinyang k-means: a drop-in
       replacement of the classic k-means with consistent speedup", ICML 2015.
    .. [4] R. Salakhutdinov and S. Roweis, "Adaptive overrelaxed bound optimization methods", ICML
       2003.

    Examples
    --------
    >>> from vectorloom.select import KMeans
    >>> km = KMeans(n_clusters=2).fit([[0.0], [1.0], [9.0], [11.0]])
    >>> sorted(km.cluster_centers_.ravel().tolist())
    [0.5, 10.0]
    >>> km.inertia_
    2.5
    >>> km.labels_[0] in km.predict([[2.0]])
    True
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: int = 1,
        max_iter: int = 25,
        tol: float = 1e-4,
        balanced: bool | float = False,
        metric: str = "l2",
        relaxation: float = 1.9,
        max_points_per_centroid: int | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.balanced = balanced
        self.metric = metric
        self.relaxation = relaxation
        self.max_points_per_centroid = max_points_per_centroid
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> KMeans:
        """Find centroids.

        Parameters
        ----------
        X : array-like of shape (n, dim)
            At least `n_clusters` rows.
        y : ignored
        sample_weight : array-like of shape (n,) or None, default=None
            How much each row counts, at least 0; None: all the same.

        Returns
        -------
        self
        """
        max_ratio = self._check_parameters()
        rows = self._rows(X, reset=True)
        k = int(self.n_clusters)
        if len(rows) < k:
            raise ParameterError(
                f"n_samples={len(rows)} should be >= n_clusters={k}: each cluster needs a row. "
                "Lower n_clusters or pass more rows."
            )
        init = self._initial(rows.shape[1])
        weights = _weights(sample_weight, len(rows))
        seeds = self._seeds()
        best: tuple[Any, ...] | None = None
        with progress("k-means", total=self.max_iter * len(seeds), unit="iterations") as bar:

            def advance(iteration: int, inertia: float) -> None:
                bar.advance(inertia=inertia)

            for seed in seeds:
                run = _core.kmeans(
                    rows,
                    k,
                    init,
                    int(self.max_iter),
                    float(self.tol),
                    seed,
                    max_ratio=max_ratio,
                    relaxation=float(self.relaxation),
                    spherical=self.metric == "cosine",
                    weights=weights,
                    max_points_per_centroid=int(self.max_points_per_centroid or 0),
                    progress=advance,
                    n_jobs=check_jobs(self.n_jobs),
                )
                if best is None or run[2] < best[2]:
                    best = run
        assert best is not None  # n_init is at least 1
        self.cluster_centers_, self.labels_, self.inertia_, self.n_iter_, n_used, _ = best
        if n_used < k:
            warnings.warn(
                f"only {n_used} of {k} clusters have rows: X may hold fewer distinct rows than "
                "n_clusters. Lower n_clusters.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Return the nearest centroid of each row.

        Parameters
        ----------
        X : array-like of shape (n, dim)

        Returns
        -------
        ndarray of shape (n,), int32
            Equal distances go to the lowest number.
        """
        labels, _ = self._assign(X)
        return labels

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.int32]:
        """Find centroids and return `labels_`.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        y : ignored
        sample_weight : array-like of shape (n,) or None, default=None

        Returns
        -------
        ndarray of shape (n,), int32
        """
        labels: NDArray[np.int32] = self.fit(X, sample_weight=sample_weight).labels_
        return labels

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the Euclidean distance of each row to each centroid.

        Parameters
        ----------
        X : array-like of shape (n, dim)

        Returns
        -------
        ndarray of shape (n, n_clusters), float32
            Of rows scaled to unit length when the metric is "cosine".
        """
        self._check_fitted()
        rows = self._rows(X, reset=False)
        centers = np.asarray(self.cluster_centers_, np.float64)
        squares = np.einsum("ij,ij->i", centers, centers)
        out = np.empty((len(rows), len(centers)), np.float32)
        for first in range(0, len(rows), _BLOCK_ROWS):
            block = rows[first : first + _BLOCK_ROWS].astype(np.float64)
            squared = squares - 2 * (block @ centers.T)
            squared += np.einsum("ij,ij->i", block, block)[:, None]
            out[first : first + _BLOCK_ROWS] = np.sqrt(np.maximum(squared, 0))
        return out

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return minus the sum of squared distances to the nearest centroids.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        y : ignored
        sample_weight : array-like of shape (n,) or None, default=None

        Returns
        -------
        float
            Larger is better; comparable between models on the same rows only.
        """
        _, squared = self._assign(X)
        weights = _weights(sample_weight, len(squared))
        squares = squared.astype(np.float64)
        return -float(squares.sum() if weights is None else squares @ weights)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a file; `vectorloom.open` reads it.

        Parameters
        ----------
        path : path-like
            Replaced in one step if it exists.

        Raises
        ------
        NotFittedError
            Nothing to save yet.
        ParameterError
            `random_state` is an object that a file cannot hold.
        """
        self._check_fitted()
        params = self.get_params()
        if not (params["random_state"] is None or isinstance(params["random_state"], int)):
            raise ParameterError(
                f"random_state={params['random_state']!r} cannot be saved; use an int or None."
            )
        arrays = {"centers": self.cluster_centers_, "labels": self.labels_}
        if not isinstance(self.init, str):
            arrays["init"] = as_dense(self.init, name="init")
            params["init"] = "given"
        params = {key: v.item() if isinstance(v, np.generic) else v for key, v in params.items()}
        meta = {"params": params, "inertia": self.inertia_, "n_iter": self.n_iter_}
        if hasattr(self, "feature_names_in_"):
            meta["feature_names"] = [str(name) for name in self.feature_names_in_]
        write_container(path, _KIND, meta, arrays)

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _check_fitted(self) -> None:
        if not hasattr(self, "cluster_centers_"):
            raise _NotFittedError("this KMeans holds nothing yet; call fit(X) first.")

    def _check_parameters(self) -> float:
        """Check what does not depend on the data; return the bound of sizes, 0 without."""
        check_count("n_clusters", self.n_clusters)
        if self.n_clusters > _MOST_CLUSTERS:
            raise ParameterError(
                f"n_clusters must be at most {_MOST_CLUSTERS}; got {self.n_clusters}. For more, "
                "cluster first into parts and then each part."
            )
        check_count("n_init", self.n_init)
        check_count("max_iter", self.max_iter)
        check_choice("metric", self.metric, ("l2", "cosine"))
        check_jobs(self.n_jobs)
        if self.max_points_per_centroid is not None:
            check_count("max_points_per_centroid", self.max_points_per_centroid)
        if not _is_number(self.tol) or not 0 <= self.tol < math.inf:
            raise ParameterError(f"tol must be a number, at least 0; got {self.tol!r}.")
        if not _is_number(self.relaxation) or not 1 <= self.relaxation < 2:
            raise ParameterError(
                f"relaxation must be a number, at least 1 and below 2; got {self.relaxation!r}."
            )
        if isinstance(self.balanced, (bool, np.bool_)):
            return _DEFAULT_RATIO if self.balanced else 0.0
        if not _is_number(self.balanced) or not 1 <= self.balanced < math.inf:
            raise ParameterError(
                "balanced must be True, False or the largest ratio of a cluster's size to the "
                f"mean, at least 1; got {self.balanced!r}."
            )
        return float(self.balanced)

    def _rows(self, X: Any, *, reset: bool) -> NDArray[np.float32]:
        rows = _dense(X)
        # Names and the number of features as scikit-learn keeps them.
        validate_data(self, X, reset=reset, skip_check_array=True)
        if reset:
            self.n_features_in_ = rows.shape[1]
        rows = as_dense(rows, dim=self.n_features_in_)
        return _unit(rows) if self.metric == "cosine" else rows

    def _initial(self, dim: int) -> str | NDArray[np.float32]:
        if isinstance(self.init, str):
            check_choice("init", self.init, ("k-means++", "random"))
            return self.init
        init = as_dense(self.init, name="init", dim=dim)
        if len(init) != self.n_clusters:
            raise ShapeError(
                f"init has {len(init)} rows; n_clusters={self.n_clusters} first centroids are "
                "expected."
            )
        return _unit(init) if self.metric == "cosine" else init

    def _seeds(self) -> list[int]:
        """One seed a run; with given centroids all runs are the same, so one is enough."""
        state = self.random_state
        if isinstance(state, np.random.RandomState):
            entropy: Any = state.randint(2**31, size=4).tolist()
        elif state is None:
            entropy = None
        else:
            check_random_state(state)  # raises for what is no seed
            entropy = int(state)
        runs = 1 if not isinstance(self.init, str) else int(self.n_init)
        words = np.random.SeedSequence(entropy).generate_state(runs, np.uint64)
        return [int(word) for word in words]

    def _assign(self, X: Any) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        self._check_fitted()
        rows = self._rows(X, reset=False)
        centers = np.ascontiguousarray(self.cluster_centers_, dtype=np.float32)
        labels, squared = _core.assign(rows, centers, check_jobs(self.n_jobs))
        return labels, squared


def _dense(X: Any) -> NDArray[np.float32]:
    """Return rows as `as_dense` does; messages also say what scikit-learn's callers look for."""
    if isinstance(X, np.ndarray) and X.dtype == object:
        X = check_array(X, dtype=np.float64, ensure_all_finite=False)
    try:
        return as_dense(X)
    except ShapeError as error:
        shape = np.shape(X)
        if len(shape) == 1:
            raise ShapeError(f"{error} Reshape your data.") from error
        if len(shape) == 2 and shape[1] == 0:
            raise ShapeError(
                f"{error} Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is "
                "required."
            ) from error
        raise


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows scaled to unit length; zero rows stay zero."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    lengths[lengths == 0] = 1
    unit: NDArray[np.float32] = (rows / lengths).astype(np.float32)
    return unit


def _weights(sample_weight: Any, n: int) -> NDArray[np.float64] | None:
    if sample_weight is None:
        return None
    weights = np.ascontiguousarray(np.asarray(sample_weight, dtype=np.float64))
    if weights.ndim == 0:
        weights = np.full(n, float(weights))
    if weights.shape != (n,):
        raise ShapeError(
            f"sample_weight has shape {weights.shape}; one weight for each of the {n} rows is "
            "expected."
        )
    if not np.all(np.isfinite(weights)) or np.any(weights < 0) or not weights.any():
        raise ParameterError(
            "sample_weight must be finite and at least 0, and some weight must not be zero. Drop "
            "rows that are not to count."
        )
    return weights


def _load(container: Container) -> KMeans:
    params = dict(container.meta["params"])
    if params["init"] == "given":
        params["init"] = container.array("init", "<f4", (None, None))
    model = KMeans(**params)
    model._check_parameters()
    k = int(model.n_clusters)
    model.cluster_centers_ = container.array("centers", "<f4", (k, None))
    model.labels_ = container.array("labels", "<i4", (None,))
    model.inertia_ = float(container.meta["inertia"])
    model.n_iter_ = check_count("n_iter", container.meta["n_iter"], at_least=0)
    model.n_features_in_ = model.cluster_centers_.shape[1]
    if "feature_names" in container.meta:
        model.feature_names_in_ = np.array(container.meta["feature_names"], dtype=object)
    return model


register_loader(_KIND, _load)
