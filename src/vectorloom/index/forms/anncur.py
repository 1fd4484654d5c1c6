# SPDX-License-Identifier: Apache-2.0
"""ANNCUR: the best items by a scorer that is expensive and a black box, with few calls of it.

Anchor queries are scored against all n items once: R (n_q, n). Anchor items I are columns of it,
A = R[:, I], and the scores c of a new query against them give an estimate of those against all:

    c U R,        U = (A'A + lambda s_1^2 1)^-1 A'            s_1: largest singular value of A

For lambda = 0 this is the CUR decomposition of R, exact where all scores have the rank of A. The
rest of the budget scores the items of best estimate; the answer is the best of all scored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import NotFittedError, ParameterError, ShapeError
from vectorloom.estimator import Estimator, check_choice, check_count
from vectorloom.index.hits import Hits, narrow_scores
from vectorloom.progress import progress
from vectorloom.vectors import PAD_ID, as_ids

#: Columns that the ridge is chosen on, and what it is chosen from: shares of s_1^2.
_PRESS_COLUMNS = 2048
_RIDGES = tuple(10.0**power for power in range(-12, 1))
#: Calls of a search, for each anchor item, where no budget is given.
_BUDGET = 4


class ANNCUR(Estimator):
    """Best items under an expensive pairwise scorer, from a fixed number of its calls.

    Use it where scores come from a function of query and item that has no vectors: a cross-encoder,
    an alignment, MaxSim over tokens. Where items have vectors whose product is the score, an index
    is faster by far.

    Parameters
    ----------
    scorer : callable
        ``scorer(query, items) -> scores of shape (len(items),)``, larger is better. Items come as a
        list, or as rows where they were given as an array.
    n_anchor_items : int, default=50
        Items that each query is scored against first; a tenth to a half of the budget, and not more
        than there are anchor queries.
    n_anchor_queries : int or None, default=None
        How many of the given queries are drawn as anchors; None takes all.
    anchors : {"pivoted", "random"}, default="pivoted"
        How anchor items are chosen: by QR with pivoting of R, each where the ones before predict
        worst, or at random, as in the paper.
    ridge : float or None, default=None
        lambda, a share of the largest squared singular value. None chooses what leaves the least
        error on anchor queries when each is left out (PRESS); 0 is the paper's pseudo-inverse.
    random_state : int, default=0
        Of what is drawn.

    Attributes
    ----------
    anchor_items_ : ndarray of shape (n_anchor_items_,), int64
        Their positions.
    ridge_ : float
        lambda.
    error_ : float
        Share of the squared scores of anchor queries that is not predicted when each is left out.
    fit_calls_ : int
        Pairs of query and item that `fit` scored: anchor queries times items.

    Raises
    ------
    ParameterError, ShapeError
        Parameters out of range, a scorer that returns something else than one finite number an
        item.

    Notes
    -----
    The verb is `top` and not `search`, since queries and items are whatever the scorer takes.

    Cost: `fit` scores n_q * n pairs, which is most of it, and takes 3 * n_i * n_q * n products;
    `top` scores `budget` pairs a query and takes n_i * n products. Memory: 8 * n_i * n bytes, and
    24 * n_q * n for a moment.
    Deterministic if the scorer is. Scores that no few anchors predict (noise, exact matches) are
    found by the estimate's part that is predictable alone: look at `error_`.

    Unlike the paper, anchor items are pivots and the pseudo-inverse has a ridge: without one the
    estimate falls apart as n_i comes near n_q.

    References
    ----------
    .. [1] N. Yadav et al., "Efficient nearest neighbor search for cross-encoder models using matrix
       factorization", EMNLP 2022, doi:10.18653/v1/2022.emnlp-main.140.

    Examples
    --------
    >>> def scorer(query, items):
    ...     return [-abs(query - item) for item in items]
    >>> items, anchor_queries = list(range(0, 2000, 2)), list(range(5, 2000, 25))
    >>> index = ANNCUR(scorer, n_anchor_items=40).fit(items, anchor_queries)
    >>> index.top([1001], k=2, budget=80).ids
    array([[500, 501]])
    """

    def __init__(
        self,
        scorer: Callable[[Any, Any], Any],
        n_anchor_items: int = 50,
        n_anchor_queries: int | None = None,
        anchors: str = "pivoted",
        ridge: float | None = None,
        random_state: int = 0,
    ) -> None:
        self.scorer = scorer
        self.n_anchor_items = n_anchor_items
        self.n_anchor_queries = n_anchor_queries
        self.anchors = anchors
        self.ridge = ridge
        self.random_state = random_state

    def fit(self, items: Any, anchor_queries: Any, ids: Any = None) -> ANNCUR:
        """Score anchor queries against all items, and learn to predict scores from a few.

        Parameters
        ----------
        items : sequence of n objects, or ndarray whose first axis is items
        anchor_queries : sequence of queries
            Like those to come.
        ids : array-like of shape (n,), int64 or str, default=None
            None gives 0, 1, …, n - 1.

        Returns
        -------
        self
        """
        n_items = check_count("n_anchor_items", self.n_anchor_items)
        check_choice("anchors", self.anchors, ("pivoted", "random"))
        rng = np.random.default_rng(check_count("random_state", self.random_state, at_least=0))
        ridge = _checked_ridge(self.ridge)
        held, queries = _sequence(items, "items"), _sequence(anchor_queries, "anchor_queries")
        n = len(held)
        names = as_ids(ids, n)
        drawn = np.arange(len(queries))
        if self.n_anchor_queries is not None:
            wanted = check_count("n_anchor_queries", self.n_anchor_queries)
            if wanted > len(queries):
                raise ParameterError(
                    f"n_anchor_queries={wanted} were asked for and {len(queries)} given."
                )
            drawn = np.sort(rng.choice(len(queries), wanted, replace=False))
        n_items = min(n_items, n)
        if n_items > len(drawn):
            raise ParameterError(
                f"{n_items} anchor items cannot be told apart by {len(drawn)} anchor queries. Pass "
                f"more anchor_queries, or n_anchor_items={len(drawn)}."
            )
        scores = np.empty((len(drawn), n))
        with progress("scoring anchors", total=len(drawn), unit="queries") as bar:
            for row, at in enumerate(drawn):
                scores[row] = self._scored(queries[int(at)], held, np.arange(n))
                bar.advance()
        chosen = rng.choice(n, n_items, replace=False)
        if self.anchors == "pivoted":
            chosen = _pivots(scores, n_items)
        self.anchor_items_: NDArray[np.int64] = chosen.astype(np.int64)
        self.fit_calls_ = int(scores.size)
        self._predictor, self.ridge_, self.error_ = _learned(scores, chosen, ridge)
        self._items, self._ids = held, names
        return self

    def top(self, queries: Any, k: int = 10, budget: int | None = None) -> Hits:
        """Return the best k of the items that a budget of calls can score.

        Parameters
        ----------
        queries : sequence of n_queries objects
            What the scorer takes.
        k : int, default=10
            At most the budget.
        budget : int or None, default=None
            Pairs to score a query, anchor items included: more than there are anchor items. From
            the number of items on all are scored and the answer is exact. None is 4 *
            n_anchor_items.

        Returns
        -------
        Hits
            The scorer's own scores, best first, ties by id; ``distances`` is minus them and
            ``metric`` is ``"scorer"``. Each query took min(budget, n) calls.
        """
        if not hasattr(self, "_items"):
            raise NotFittedError(
                "this ANNCUR holds no items yet; call fit(items, anchor_queries) first."
            )
        k = check_count("k", k)
        asked = _sequence(queries, "queries", empty=True)
        n, n_anchors = len(self._ids), len(self.anchor_items_)
        spent = min(n, self._budget(budget, k))
        width = min(k, spent)
        text = self._ids.dtype == object
        ids = np.full((len(asked), k), None if text else PAD_ID, self._ids.dtype)
        scores = np.full((len(asked), k), -np.inf)
        for row in range(len(asked)):
            places = np.arange(n)
            if spent < n:
                known = self._scored(asked[row], self._items, self.anchor_items_)
                estimate = known @ self._predictor
                estimate[self.anchor_items_] = -np.inf
                best = np.argsort(-estimate, kind="stable")[: spent - n_anchors]
                places = np.concatenate([self.anchor_items_, best])
                found = np.concatenate([known, self._scored(asked[row], self._items, best)])
            else:
                found = self._scored(asked[row], self._items, places)
            order = sorted(range(spent), key=lambda i: (-found[i], self._ids[places[i]]))[:width]
            ids[row, :width], scores[row, :width] = self._ids[places[order]], found[order]
        counts = np.full(len(asked), width, np.int64)
        return Hits(ids, narrow_scores(scores), narrow_scores(-scores), counts, "scorer")

    def _budget(self, budget: int | None, k: int) -> int:
        n_anchors = len(self.anchor_items_)
        if budget is None:
            return max(k + n_anchors, _BUDGET * n_anchors)
        wanted = check_count("budget", budget)
        if wanted <= n_anchors and wanted < len(self._ids):
            raise ParameterError(
                f"budget={wanted} is spent on the {n_anchors} anchor items before any other is "
                "scored. Pass a larger one, or fit with fewer n_anchor_items."
            )
        if k > wanted and wanted < len(self._ids):
            raise ParameterError(f"k={k} hits need a budget of as many calls; got {wanted}.")
        return wanted

    def _scored(self, query: Any, items: Any, places: NDArray[np.int64]) -> NDArray[np.float64]:
        if len(places) == 0:
            return np.empty(0)
        asked = items[places] if isinstance(items, np.ndarray) else [items[int(i)] for i in places]
        given = np.asarray(self.scorer(query, asked))
        if given.shape != (len(places),):
            raise ShapeError(
                f"scorer(query, items) must return one score an item, shape ({len(places)},); got "
                f"{given.shape}."
            )
        if given.dtype.kind not in "iuf" or not np.isfinite(given).all():
            raise ParameterError(
                f"scorer(query, items) must return finite numbers; got {given.dtype} with "
                f"{given[:3].tolist()}."
            )
        return given.astype(np.float64)


def _pivots(scores: NDArray[np.float64], n_items: int) -> NDArray[np.int64]:
    """Return the columns that QR with pivoting takes first; each is the worst explained so far."""
    rest = scores.copy()
    left = np.einsum("ij,ij->j", rest, rest)
    chosen = np.empty(n_items, np.int64)
    for place in range(n_items):
        at = int(np.argmax(left))
        chosen[place] = at
        left[at] = -np.inf
        direction = rest[:, at]
        length = float(np.linalg.norm(direction))
        if length > 0.0:
            direction = direction / length
            rest -= np.outer(direction, direction @ rest)
            left = np.where(np.isneginf(left), left, np.einsum("ij,ij->j", rest, rest))
    return chosen


def _learned(
    scores: NDArray[np.float64], chosen: NDArray[np.int64], ridge: float | None
) -> tuple[NDArray[np.float64], float, float]:
    """Return the map from scores of anchor items to all, its ridge, and its error left one out."""
    u, s, vt = np.linalg.svd(scores[:, chosen], full_matrices=False)
    top = float(s[0]) ** 2
    if top == 0.0:
        return np.zeros((len(chosen), scores.shape[1])), ridge or 0.0, 1.0
    n = scores.shape[1]
    some = np.unique(np.linspace(0, n - 1, min(n, _PRESS_COLUMNS)).astype(np.int64))
    errors = {}
    for share in _RIDGES if ridge is None else (ridge,):
        kept = _kept(s, share * top)
        leverage = (u**2) @ kept
        missed = scores[:, some] - u @ (kept[:, None] * (u.T @ scores[:, some]))
        # A query that explains itself alone (leverage 1) tells nothing of others.
        alone = leverage > 1.0 - 1e-9
        missed[alone] = scores[alone][:, some]
        missed[~alone] /= (1.0 - leverage[~alone])[:, None]
        errors[share] = float((missed**2).sum())
    best = min(errors, key=lambda share: (errors[share], share))
    total = float((scores[:, some] ** 2).sum())
    inverse = np.where(s > 0, _kept(s, best * top) / np.where(s > 0, s, 1.0), 0.0)
    predictor = (vt.T * inverse) @ (u.T @ scores)
    return predictor, best, errors[best] / total


def _kept(s: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """Return the share of each singular direction that a ridge keeps; none of rounding."""
    kept: NDArray[np.float64] = s**2 / (s**2 + ridge + (s == 0))
    return np.where(s > s[0] * 1e-12, kept, 0.0)


def _sequence(values: Any, name: str, *, empty: bool = False) -> Any:
    usable = hasattr(values, "__len__") and hasattr(values, "__getitem__")
    if isinstance(values, str | bytes | dict) or not usable:
        raise ParameterError(
            f"{name} must be a sequence, such as a list or an array; got {type(values).__name__}. "
            f"For one of them pass a list of one."
        )
    if len(values) == 0 and not empty:
        raise ShapeError(f"{name} must hold at least one; got none.")
    return values


def _checked_ridge(ridge: Any) -> float | None:
    if ridge is None:
        return None
    number = isinstance(ridge, int | float | np.number) and not isinstance(ridge, bool)
    if not number or not 0.0 <= float(ridge) < float("inf"):
        raise ParameterError(f"ridge must be None or a number, 0 or more; got {ridge!r}.")
    return float(ridge)
