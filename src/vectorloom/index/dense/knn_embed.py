# SPDX-License-Identifier: Apache-2.0
"""kNN-Embed: what a user is interested in, as a mixture, smoothed over similar users.

Users u and the users v nearest to it have chosen items i, which get the weights

    a_i = (1 - s) [i in h_u] / |h_u| + s mean_{v in N(u)} [i in h_v] / |h_v|.

With items in clusters c the mixture is w_c = sum of a_i over i in c, and z_c = the mean of the
items in c, weighted by a_i.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import NotFittedError, ParameterError, ShapeError
from vectorloom.estimator import Estimator, check_count, check_jobs
from vectorloom.index.dense.exact import Exact
from vectorloom.vectors import as_dense

_ITERATIONS = 20
_POINTS = 256  # training items a cluster


class KNNEmbed(Estimator):
    """Mixtures of interests from what users chose, smoothed over similar users.

    Use it to draw candidates for a recommender from vectors of items: `transform` makes the queries
    and weights that `search_mixture` takes.

    Parameters
    ----------
    n_clusters : int or None, default=None
        Clusters of items; None takes 4 sqrt(n_items), at most a quarter of the items.
    n_components : int, default=8
        Vectors a mixture; the heaviest clusters are kept.
    n_neighbors : int, default=20
        Users, nearest by the mean of their items, that smooth a mixture.
    smoothing : float, default=0.5
        Weight of the neighbours, from 0 (the user alone) to 1.
    n_jobs : int or None, default=None
    random_state : int, default=0
        Of the clusters; the same bits at any `n_jobs`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_items,), int32
        Cluster of each item.
    users_ : ndarray of shape (n_users, dim), float32
        Mean of each user's items, of unit length.
    n_components_ : int
        Vectors a mixture: `n_components`, or the number of clusters where that is less.

    Raises
    ------
    ParameterError, ShapeError
        Items that are not finite or zero, histories that are empty or name no item, numbers out of
        range.

    Notes
    -----
    Items count by direction, so use it with ``metric="cosine"``. A user who was among those fitted
    is its own first neighbour. The paper smooths weights and vectors alike, as here.

    Cost: to fit, k-means of the items; to transform, an exact search among users, and
    (n_neighbors + 1) * length of a history * dim for the mixture of each.

    References
    ----------
    .. [1] A. El-Kishky et al., "kNN-Embed: locally smoothed embedding mixtures for multi-interest
       candidate retrieval", PAKDD 2023, arXiv:2205.06205.

    Examples
    --------
    >>> items = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
    >>> embed = KNNEmbed(n_clusters=2, n_neighbors=1).fit(items, [[0, 1, 2], [2, 3]])
    >>> vectors, weights = embed.transform([[0, 1, 2]])
    >>> vectors.shape, weights.round(2)
    ((1, 2, 2), array([[0.67, 0.33]]))
    """

    def __init__(
        self,
        n_clusters: int | None = None,
        n_components: int = 8,
        n_neighbors: int = 20,
        smoothing: float = 0.5,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.smoothing = smoothing
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, items: Any, histories: Any) -> KNNEmbed:
        """Cluster the items and hold the users to smooth with.

        Parameters
        ----------
        items : array-like of shape (n_items, dim)
        histories : list of sequences of int, or sparse matrix of shape (n_users, n_items)
            The positions of the items that each user chose, at least one; of a matrix, the places
            that are not 0.

        Returns
        -------
        self
        """
        n_jobs = check_jobs(self.n_jobs)
        seed = check_count("random_state", self.random_state, at_least=0)
        for name in ("n_components", "n_neighbors"):
            check_count(name, getattr(self, name))
        smoothing: Any = self.smoothing
        number = isinstance(smoothing, int | float) and not isinstance(smoothing, bool)
        if not number or not 0.0 <= smoothing <= 1.0:
            raise ParameterError(f"smoothing must be from 0 to 1; got {smoothing!r}.")
        rows = _directions(as_dense(items, name="items"))
        starts, chosen = _histories(histories, len(rows))
        n_clusters = max(1, min(round(4 * len(rows) ** 0.5), len(rows) // 4))
        if self.n_clusters is not None:
            n_clusters = min(check_count("n_clusters", self.n_clusters), len(rows))
        _, labels, *_ = _core.kmeans(
            rows,
            n_clusters,
            "k-means++",
            _ITERATIONS,
            1e-4,
            seed,
            spherical=True,
            max_points_per_centroid=_POINTS,
            n_jobs=n_jobs,
        )
        self.labels_: NDArray[np.int32] = labels.astype(np.int32)
        self.n_components_ = min(check_count("n_components", self.n_components), n_clusters)
        self.users_ = _user_vectors(rows, starts, chosen)
        self._items, self._starts, self._chosen = rows, starts, chosen
        self._index = Exact(metric="cosine", n_jobs=self.n_jobs).fit(self.users_)
        return self

    def transform(self, histories: Any) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return mixtures for users, whether they were fitted or not.

        Parameters
        ----------
        histories : list of sequences of int, or sparse matrix of shape (n, n_items)
            As for `fit`.

        Returns
        -------
        vectors : ndarray of shape (n, n_components_, dim), float32
            Heaviest first; zeros where a user has fewer interests.
        weights : ndarray of shape (n, n_components_), float64
            Each row sums to 1.
        """
        if not hasattr(self, "_index"):
            raise NotFittedError(
                "this KNNEmbed holds no users yet; call fit(items, histories) first."
            )
        starts, chosen = _histories(histories, len(self._items))
        near = self._index.search(_user_vectors(self._items, starts, chosen), self.n_neighbors)
        vectors = np.zeros((len(near), self.n_components_, self._items.shape[1]), np.float32)
        weights = np.zeros((len(near), self.n_components_))
        s = float(self.smoothing)
        for user in range(len(near)):
            own = chosen[starts[user] : starts[user + 1]]
            bags, shares = [own], [np.full(len(own), (1.0 - s) / len(own))]
            for other in near[user].ids.tolist():
                bag = self._chosen[self._starts[other] : self._starts[other + 1]]
                bags.append(bag)
                shares.append(np.full(len(bag), s / near.counts[user] / len(bag)))
            self._mix(np.concatenate(bags), np.concatenate(shares), vectors[user], weights[user])
        return vectors, weights

    def _mix(
        self,
        bag: NDArray[np.int64],
        shares: NDArray[np.float64],
        vectors: NDArray[np.float32],
        weights: NDArray[np.float64],
    ) -> None:
        """Write the mixture of weighted items."""
        used = shares > 0
        bag, shares = bag[used], shares[used]
        clusters, at = np.unique(self.labels_[bag], return_inverse=True)
        sums = np.bincount(at, shares)
        kept = np.lexsort((clusters, -sums))[: len(weights)]
        for place, c in enumerate(kept):
            mine = at == c
            mean = shares[mine] @ self._items[bag[mine]].astype(np.float64)
            length = float(np.linalg.norm(mean))
            if length > 0:  # items of one direction and its opposite share no interest
                vectors[place], weights[place] = mean / length, sums[c]
        weights /= weights.sum()


def _directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    if (norms == 0).any():
        raise ParameterError(
            f"items has {int((norms == 0).sum())} zero vectors (row {int(np.argmin(norms))}), "
            "which have no direction. Drop them."
        )
    unit: NDArray[np.float32] = (rows / norms[:, None]).astype(np.float32)
    return unit


def _user_vectors(
    items: NDArray[np.float32], starts: NDArray[np.int64], chosen: NDArray[np.int64]
) -> NDArray[np.float32]:
    users = np.empty((len(starts) - 1, items.shape[1]))
    for user in range(len(users)):
        mine = items[chosen[starts[user] : starts[user + 1]]]
        mean = mine.mean(axis=0, dtype=np.float64)
        length = np.linalg.norm(mean)
        users[user] = mean / length if length > 0 else mine[0]
    return users.astype(np.float32)


def _histories(histories: Any, n_items: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return starts and positions of the items of all users, one after the other."""
    if hasattr(histories, "tocsr"):
        matrix = histories.tocsr()
        if matrix.shape[1] != n_items:
            raise ShapeError(
                f"histories must have one column an item: {n_items} items came with "
                f"{matrix.shape[1]} columns."
            )
        starts, chosen = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    else:
        bags = [np.asarray(history) for history in histories]
        if any(bag.ndim != 1 or (bag.size and bag.dtype.kind not in "iu") for bag in bags):
            raise ParameterError("histories must be lists of the positions of items.")
        starts = np.cumsum([0] + [len(bag) for bag in bags]).astype(np.int64)
        chosen = np.concatenate([*bags, np.empty(0)]).astype(np.int64)
    if len(chosen) and not 0 <= chosen.min() <= chosen.max() < n_items:
        raise ParameterError(
            f"histories name items from {chosen.min()} to {chosen.max()}; there are {n_items}, "
            "numbered from 0."
        )
    empty = np.flatnonzero(np.diff(starts) == 0)
    if len(empty):
        raise ParameterError(
            f"{len(empty)} histories are empty, first that of user {empty[0]}. Drop them."
        )
    return starts, chosen
