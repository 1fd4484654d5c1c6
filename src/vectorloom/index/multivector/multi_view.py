# SPDX-License-Identifier: Apache-2.0
"""A few views of a document, searched by one vector: the best view counts.

    score(q, d) = max over j <= K of <q, v_dj>

The vectors of a document fall into K groups (Ward), with means c_j and mean of all m:

    v_dj = W u_j / |W u_j|,    u_j = (1 - shrink) c_j / |c_j| + shrink m / |m|

W is learned by the annealed global-local loss, with f(q, d) the score above, τ as in
`late_contrast` and τ_e = max(0.3, exp(-0.1 e)) in epoch e:

    global = - log( exp(f(q, d_q) / τ) / sum over d of exp(f(q, d) / τ) )
    local  = - log( exp(f(q, d_q) / τ_e) / sum over j of exp(<q, v_j of d_q> / τ_e) )

global + weight * local: the second keeps the view that answers apart from the document's others,
softly at first.

Zhang, Liang, Gong, Jiang, Duan. "Multi-view document representation learning for open-domain dense
retrieval", ACL 2022, doi:10.18653/v1/2022.acl-long.414. There views are outputs of the model at
tokens of their own; here they are groups of its frozen vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.contrastive import cross_entropy
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.index.multivector.late_contrast import Local
from vectorloom.index.multivector.learned_pooling import LearnedPooling
from vectorloom.index.multivector.token_pooling import group_means, ward_groups
from vectorloom.io.container import register_loader
from vectorloom.vectors import as_dense

KIND = "index.multi_view"

_COOLEST, _RATE = 0.3, 0.1  # of the local temperature, the paper's

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class MultiView(LearnedPooling):
    """Few views of a document, of which a query of one vector takes the best.

    Use it where queries are single vectors and documents say several things. Where queries have
    vectors of their own tokens, MaxSim over a few of the document's (`NestedMultiVector`, `CRISP`)
    ranks better.

    Parameters
    ----------
    n_views : int, default=2
        Views of a document.
    shrink : float, default=0.5
        From 0, the means of groups alone, to below 1: how near views stay to the document's mean.
    local_weight : float, default=0.0
        Of the local loss; 0 leaves it out. With one map of all views it changed nothing that could
        be measured (see the docs).
    n_epochs : int, default=20
        Passes over the pairs.
    batch_size : int, default=48
        Pairs a step, each the others' negatives.
    temperature : float, default=0.03
    learning_rate : float, default=1e-4
    random_state : int, default=0

    Attributes
    ----------
    map_ : ndarray of shape (dim, dim), float32
        W.
    losses_ : ndarray of shape (n_epochs,), float64
    held_out_losses_ : ndarray of shape (n_epochs + 1,), float64
        Global loss of a fifth of the queries, before training first. The map of the least one is
        kept; empty below ten queries, and the last map is then.

    Raises
    ------
    ParameterError, ShapeError
        What `MultiVector` refuses; a `shrink` or weight out of range.

    Notes
    -----
    `view_collapse` says whether views still differ. Cost: Ward's clustering, 2 ms an item of 180
    vectors. Deterministic.

    References
    ----------
    .. [1] Zhang et al. ACL 2022, doi:10.18653/v1/2022.acl-long.414.

    Examples
    --------
    >>> import numpy as np
    >>> import vectorloom as vl
    >>> tokens = np.random.default_rng(0).standard_normal((40, 12, 16))
    >>> views = MultiView(n_views=3).fit(tokens)
    >>> index = vl.index.MultiVector(encoding=None).fit(views.encode_documents(tokens))
    >>> hits = index.search(views.encode_queries(tokens[:2].mean(axis=1)), k=1)
    >>> index.n_vectors_, hits.ids.shape
    (120, (2, 1))
    """

    _kind = KIND
    _maps_queries = False

    def __init__(
        self,
        n_views: int = 2,
        shrink: float = 0.5,
        local_weight: float = 0.0,
        n_epochs: int = 20,
        batch_size: int = 48,
        temperature: float = 0.03,
        learning_rate: float = 1e-4,
        random_state: int = 0,
    ) -> None:
        self.n_views = n_views
        self.shrink = shrink
        self.local_weight = local_weight
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: Any, queries: Any = None, pairs: Any = None) -> MultiView:
        """Learn the map from queries and the documents that answer them.

        Parameters
        ----------
        X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
            Documents.
        queries : array-like of shape (n_queries, dim), or None, default=None
            One vector each. None learns nothing.
        pairs : array-like of shape (n_pairs, 2), int, or None, default=None
            Query and document, by their places. None takes the i-th query to be answered by the
            i-th document.

        Returns
        -------
        self

        Raises
        ------
        ShapeError, ParameterError
            What `MultiVector` refuses; queries that are not one a document without `pairs`; pairs
            out of range, or of one document only.
        """
        rows = None if queries is None else _one_each(as_dense(queries, name="queries"))
        super().fit(X, rows, pairs)
        return self

    def encode_queries(self, queries: Any) -> tuple[Floats, Ints]:
        """Return vectors as queries of one vector each, as `MultiVector` takes them.

        Parameters
        ----------
        queries : array-like of shape (n_queries, dim)

        Returns
        -------
        values : ndarray of shape (n_queries, dim), float32
        offsets : ndarray of shape (n_queries + 1,), int64
        """
        dim = self._fitted().shape[1]
        rows = self._unit(_one_each(as_dense(queries, name="queries")), "queries", dim)
        return rows.values, rows.offsets

    def _check(self) -> None:
        super()._check()
        check_count("n_views", self.n_views)
        if not 0 <= self.shrink < 1:
            raise ParameterError(f"shrink must be from 0 to below 1; got {self.shrink!r}.")
        if not 0 <= self.local_weight < np.inf:
            raise ParameterError(f"local_weight must be at least 0; got {self.local_weight!r}.")

    def _budgets(self) -> tuple[int, ...]:
        return (self.n_views,)

    @property
    def _local(self) -> Local | None:
        weight = float(self.local_weight)
        if weight == 0:
            return None

        def weighted(epoch: int, values: Floats, views: Floats, counts: Ints) -> Any:
            cool = max(_COOLEST, float(np.exp(-_RATE * epoch)))
            loss, by_views = local_contrast(values, views, counts, cool)
            return weight * loss, np.float32(weight) * by_views

        return weighted

    def _means_of(self, item: Floats, weights: Floats) -> Floats:
        k, n = self.n_views, len(item)
        groups = ward_groups(item, k) if n > k else np.arange(n)
        views = group_means(item, groups, normalise=True)
        mean = group_means(item, np.zeros(n, np.int64), normalise=True)
        share = np.float32(self.shrink)
        return (1 - share) * views + share * mean


def local_contrast(
    values: Floats, views: Floats, counts: Ints, temperature: float
) -> tuple[float, Floats]:
    """Return the local loss of queries of one vector and their documents, and its gradient.

    Parameters
    ----------
    values : ndarray of shape (n, dim)
    views : ndarray of shape (n, k, dim)
    counts : ndarray of shape (n,), int64
        Views of each document.
    temperature : float

    Returns
    -------
    loss : float
    by_views : ndarray of shape (n, k, dim)
    """
    products = np.einsum("nd,nkd->nk", values, views)
    absent = np.arange(views.shape[1]) >= counts[:, None]
    best = np.where(absent, -np.inf, products).argmax(axis=1)
    targets = np.zeros_like(products)
    targets[np.arange(len(best)), best] = 1
    loss, by_product = cross_entropy(products, targets, temperature, absent)
    return loss, by_product[:, :, None] * values[:, None, :]


def _one_each(rows: Floats) -> tuple[Floats, Ints]:
    return rows, np.arange(len(rows) + 1, dtype=np.int64)


register_loader(KIND, MultiView._from_container)
