# SPDX-License-Identifier: Apache-2.0
"""Fewer hubs by changing distances: what is near is near from both sides.

Let d(x, y) be the distance (cosine: of unit rows), r_k(x) that to the k-th nearest other row,
m_k(x) the mean of those to the k nearest, and F_x the distribution of squared distances from x,
taken as normal with their mean and variance over all rows, which are known in closed form.

    mutual proximity   1 - (1 - F_x(d^2)) (1 - F_y(d^2))
    local scaling      1 - exp(-d^2 / (r_k(x) r_k(y)))
    NICDM              d / sqrt(m_k(x) m_k(y))
    CSLS               mean_k s(x) + mean_k s(y) - 2 s(x, y),  s = -d^2 / 2: the cosine, but for 1
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import Estimator, check_choice, check_count, check_jobs
from vectorloom.measure.rows import as_lengths, unit_rows
from vectorloom.select.neighbours import nearest_rows, nearest_to
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Positions = NDArray[np.int64]

_BLOCK = 1024  # rows rescaled at once


class HubReduction(Estimator):
    """Base of reductions that rescale distances: neighbours are proposed, rescaled and re-ranked.

    A subclass gives `_profile` (what it needs to know of a point: one or two numbers) and
    `_rescale` (from squared distances and the profiles of both sides to new distances).
    """

    metric: str
    candidates: int | None
    n_jobs: int | None
    n_features_in_: int

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn what the rescaling needs of each row.

        Parameters
        ----------
        X : array-like of shape (n, dim), n >= 2
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ShapeError, ParameterError
            Not a finite matrix, one row, zero rows under cosine, or a parameter is not allowed.
        """
        check_choice("metric", self.metric, ("cosine", "l2"))
        check_jobs(self.n_jobs)
        if self.candidates is not None:
            check_count("candidates", self.candidates)
        self.rows_ = self._as_rows(X, "X", None)
        if len(self.rows_) < 2:
            raise ParameterError("X must have at least two rows to have neighbours; got one.")
        self.n_features_in_ = self.rows_.shape[1]
        self._learn()
        self.profile_ = self._profile(self.rows_, own=True)
        return self

    def kneighbors(self, queries: Any = None, k: int = 10) -> tuple[Positions, Floats]:
        """Return the nearest rows by the rescaled distance.

        Parameters
        ----------
        queries : array-like of shape (m, dim) or None, default=None
            None: the rows themselves, each without itself.
        k : int, default=10
            At most the candidates, and the rows there are.

        Returns
        -------
        positions : ndarray of shape (m, k), int64
            Nearest first; equal ones by plain distance.
        distances : ndarray of shape (m, k), float32
            Rescaled; smaller is nearer. Comparable within one fit only.

        Raises
        ------
        NotFittedError, ShapeError, ParameterError
            Before `fit`; queries of another dimension.
        """
        self._check_fitted("rows_")
        k = check_count("k", k)
        n = len(self.rows_)
        asked = (
            self.rows_
            if queries is None
            else self._as_rows(queries, "queries", self.n_features_in_)
        )
        most = n - 1 if queries is None else n
        width = most if self.candidates is None else min(most, max(self.candidates, k))
        k = min(k, width)
        profile = self.profile_ if queries is None else self._profile(asked, own=False)
        positions = np.empty((len(asked), k), np.int64)
        distances = np.empty((len(asked), k), np.float32)
        for start, found, squared in self._proposed(asked, queries is None, width):
            part = slice(start, start + len(found))
            new = self._rescale(squared, profile[part, None], self.profile_[found])
            order = np.argsort(new, axis=1, kind="stable")[:, :k]
            positions[part] = np.take_along_axis(found, order, 1)
            distances[part] = np.take_along_axis(new, order, 1)
        return positions, distances

    def _proposed(self, asked: Floats, own: bool, width: int) -> Any:
        """Yield (start, positions, squared distances) of the candidates, block by block."""
        if own and self.candidates is not None:
            found, scores = nearest_rows(self.rows_, width, n_jobs=self.n_jobs)
            for start in range(0, len(found), _BLOCK):
                yield start, found[start : start + _BLOCK], -scores[start : start + _BLOCK]
            return
        for start in range(0, len(asked), _BLOCK):
            block = asked[start : start + _BLOCK]
            found, scores = nearest_to(block, self.rows_, width + own, n_jobs=self.n_jobs)
            if own:
                same = found == np.arange(start, start + len(block))[:, None]
                same[~same.any(axis=1), -1] = True  # more copies than places come before it
                found = found[~same].reshape(len(block), width)
                scores = scores[~same].reshape(len(block), width)
            yield start, found, -scores

    def _as_rows(self, X: Any, name: str, dim: int | None) -> Floats:
        rows = as_dense(X, name=name, dim=dim)
        return unit_rows(rows, name) if self.metric == "cosine" else rows

    def _nearest(self, rows: Floats, k: int, own: bool) -> Doubles:
        """Return squared distances to the k nearest rows of the fit."""
        k = min(k, len(self.rows_) - 1)
        if own:
            return -nearest_rows(rows, k, n_jobs=self.n_jobs)[1]
        return -nearest_to(rows, self.rows_, k, n_jobs=self.n_jobs)[1]

    def _learn(self) -> None:
        """Learn what is needed of all rows together."""

    def _profile(self, rows: Floats, own: bool) -> Doubles:
        raise NotImplementedError

    def _rescale(self, squared: Doubles, of_x: Doubles, of_y: Doubles) -> Doubles:
        raise NotImplementedError


class LocalScaling(HubReduction):
    """Local scaling: distances in units of both rows' distance to their k-th neighbour.

    Parameters
    ----------
    k : int, default=10
        Neighbours that the scale of a row is taken from.
    kind : {"ls", "nicdm"}, default="ls"
        1 - exp(-d^2 / (r_k(x) r_k(y))), or d / sqrt(m_k(x) m_k(y)).
    metric : {"cosine", "l2"}, default="cosine"
    candidates : int or None, default=100
        Nearest rows by plain distance that are rescaled and re-ranked; None takes all rows.
    n_jobs : int or None, default=None

    Attributes
    ----------
    profile_ : ndarray of shape (n,), float64
        Scale of each row.

    Notes
    -----
    Cost: the neighbour graph of the rows to fit; candidates a query. Deterministic. Where the k
    nearest of a row are its copies its scale is 0, and it is taken for infinitely far from all but
    copies: drop copies first.

    References
    ----------
    .. [1] L. Zelnik-Manor and P. Perona, "Self-tuning spectral clustering", NIPS 2004.
    .. [2] H. Jegou, H. Harzallah and C. Schmid, "A contextual dissimilarity measure for accurate
       and efficient image search", CVPR 2007 (NICDM, in the non-iterative form of [3]_).
    .. [3] D. Schnitzer et al., "Local and global scaling reduce hubs in space", JMLR 13 (2012).

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((500, 100))
    >>> near, _ = LocalScaling(metric="l2").fit(X).kneighbors(k=5)
    >>> near.shape
    (500, 5)
    """

    def __init__(
        self,
        k: int = 10,
        *,
        kind: str = "ls",
        metric: str = "cosine",
        candidates: int | None = 100,
        n_jobs: int | None = None,
    ) -> None:
        self.k = k
        self.kind = kind
        self.metric = metric
        self.candidates = candidates
        self.n_jobs = n_jobs

    def _learn(self) -> None:
        check_choice("kind", self.kind, ("ls", "nicdm"))
        check_count("k", self.k)

    def _profile(self, rows: Floats, own: bool) -> Doubles:
        lengths = as_lengths(-self._nearest(rows, self.k, own))
        return np.asarray(lengths[:, -1] if self.kind == "ls" else lengths.mean(axis=1))

    def _rescale(self, squared: Doubles, of_x: Doubles, of_y: Doubles) -> Doubles:
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind == "ls":
                new = -np.expm1(-squared / (of_x * of_y))
            else:
                new = np.sqrt(np.maximum(squared, 0.0) / (of_x * of_y))
        return np.where(squared > 0, new, 0.0)


class CSLS(HubReduction):
    """Cross-domain similarity local scaling: similarity less both rows' mean to their neighbours.

    Parameters
    ----------
    k : int, default=10
        Neighbours whose mean similarity is taken off.
    metric : {"cosine", "l2"}, default="cosine"
        Under cosine the distances are those of 2 cos(x, y) - r(x) - r(y), with the sign turned.
    candidates : int or None, default=100
        Nearest rows by plain distance that are rescaled and re-ranked; None takes all rows.
    n_jobs : int or None, default=None

    Attributes
    ----------
    profile_ : ndarray of shape (n,), float64
        Mean of -d^2 / 2 to the k nearest of each row: the mean cosine less 1.

    Notes
    -----
    Cost: as `LocalScaling`. The term of the query does not change its order; it makes distances of
    different queries comparable.

    References
    ----------
    .. [1] A. Conneau et al., "Word translation without parallel data", ICLR 2018.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((500, 100))
    >>> CSLS().fit(X).kneighbors(X[:2], k=1)[0].ravel().tolist()
    [0, 1]
    """

    def __init__(
        self,
        k: int = 10,
        *,
        metric: str = "cosine",
        candidates: int | None = 100,
        n_jobs: int | None = None,
    ) -> None:
        self.k = k
        self.metric = metric
        self.candidates = candidates
        self.n_jobs = n_jobs

    def _learn(self) -> None:
        check_count("k", self.k)

    def _profile(self, rows: Floats, own: bool) -> Doubles:
        return np.asarray(-self._nearest(rows, self.k, own).mean(axis=1) / 2)

    def _rescale(self, squared: Doubles, of_x: Doubles, of_y: Doubles) -> Doubles:
        return of_x + of_y + squared


class MutualProximity(HubReduction):
    """Mutual proximity: the chance that a third row is nearer to neither of the two.

    Parameters
    ----------
    metric : {"cosine", "l2"}, default="cosine"
    candidates : int or None, default=100
        Nearest rows by plain distance that are rescaled and re-ranked; None takes all rows.
    n_jobs : int or None, default=None

    Attributes
    ----------
    profile_ : ndarray of shape (n, 2), float64
        Mean and standard deviation of the squared distances from each row to all others.

    Notes
    -----
    The form with independent normal distributions. Mean and variance of the squared distances from
    a row to all others are quadratic in the row once the first moments of the data are known: cost
    n * dim**2 to fit, no sample and no n**2, and the same for a query. Under cosine the squared
    distance of unit rows is twice the cosine distance, and units drop out.

    References
    ----------
    .. [1] D. Schnitzer, A. Flexer, M. Schedl and G. Widmer, "Local and global scaling reduce hubs
       in space", JMLR 13 (2012).

    Examples
    --------
    >>> from vectorloom.measure.hubs import hubness, hubness_of, k_occurrence
    >>> X = np.random.default_rng(0).standard_normal((1000, 100))
    >>> plain = hubness(X, metric="l2").skewness
    >>> near, _ = MutualProximity(metric="l2").fit(X).kneighbors(k=10)
    >>> hubness_of(k_occurrence(near, 1000), 10).skewness < plain / 2
    True
    """

    def __init__(
        self,
        *,
        metric: str = "cosine",
        candidates: int | None = 100,
        n_jobs: int | None = None,
    ) -> None:
        self.metric = metric
        self.candidates = candidates
        self.n_jobs = n_jobs

    def _learn(self) -> None:
        # ||x - y||^2 = <a(x), b(y)> with b(y) = (y, ||y||^2, 1) and a(x) = (-2 x, 1, ||x||^2),
        # about the mean of the rows so that large offsets do not cancel.
        self.centre_ = self.rows_.mean(axis=0, dtype=np.float64)
        b = np.zeros((self.rows_.shape[1] + 2,))
        second = np.zeros((len(b), len(b)))
        for start in range(0, len(self.rows_), _BLOCK):
            part = self._lifted(self.rows_[start : start + _BLOCK])
            b += part.sum(axis=0)
            second += part.T @ part
        self.sums_, self.products_ = b, second

    def _lifted(self, rows: Floats) -> Doubles:
        off = rows.astype(np.float64) - self.centre_
        squares = np.einsum("ij,ij->i", off, off)[:, None]
        return np.concatenate([off, squares, np.ones_like(squares)], axis=1)

    def _profile(self, rows: Floats, own: bool) -> Doubles:
        n = len(self.rows_) - (1 if own else 0)  # a row's distance to itself adds 0 to both sums
        profile = np.empty((len(rows), 2))
        for start in range(0, len(rows), _BLOCK):
            lifted = self._lifted(rows[start : start + _BLOCK])
            a = np.concatenate([-2 * lifted[:, :-2], lifted[:, -1:], lifted[:, -2:-1]], axis=1)
            mean = a @ self.sums_ / n
            square = np.einsum("ij,ij->i", a @ self.products_, a) / n
            profile[start : start + _BLOCK, 0] = mean
            profile[start : start + _BLOCK, 1] = np.sqrt(np.maximum(square - mean**2, 0.0))
        return profile

    def _rescale(self, squared: Doubles, of_x: Doubles, of_y: Doubles) -> Doubles:
        from scipy.special import log_ndtr

        def beyond(side: Doubles) -> Doubles:
            tiny = np.finfo(np.float64).tiny
            z = (squared - side[..., 0]) / np.maximum(side[..., 1], tiny)
            return np.asarray(log_ndtr(-z))  # log of the share of rows that are further away

        return np.asarray(-np.expm1(beyond(of_x) + beyond(of_y)))
