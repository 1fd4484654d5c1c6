# SPDX-License-Identifier: Apache-2.0
"""What every index that keeps its rows does alike: ids, rows by id, answers, changes, files."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import Estimator, check_choice, check_count, check_jobs
from vectorloom.index.answer import (
    FindWithin,
    Found,
    Ranged,
    all_within,
    checked_queries,
    within,
)
from vectorloom.index.dense.encoding import encode
from vectorloom.index.dense.store import RowStore
from vectorloom.index.dense.stored import write_store
from vectorloom.index.effort import DEFAULT_RECALL, checked_recall
from vectorloom.index.filters import Mask, QueryMasks, position_masks
from vectorloom.index.hits import Hits, RangeHits, distances_from_scores, narrow_scores, pad_hits
from vectorloom.index.id_rules import name_absent, new_ids, refuse_held, refuse_read_only
from vectorloom.index.memory import require_memory
from vectorloom.vectors import as_ids

if TYPE_CHECKING:
    from vectorloom.index.audit import Audit

# Asking the system for room reads a dozen files, 0.35 ms: more than a small search takes.
_WORTH_ASKING = 8 << 20

_Self = TypeVar("_Self", bound="RowIndex")


class RowIndex(Estimator):
    """Base of the indexes that keep every row in a `RowStore`.

    A subclass names its file kind and storage, and says how rows are found.
    """

    metric: str
    n_jobs: int | None
    _kind: str  # of its files
    _store: RowStore
    _most_dead = 1 / 3  # share of places whose rows may be removed before all are rewritten

    @abstractmethod
    def _new_store(self, dim: int, ids: NDArray[Any]) -> RowStore:
        """Return the store of no rows that the parameters ask for; check them first."""

    @abstractmethod
    def _stored_kind(self) -> str:
        """Return the dtype of rows that the parameters ask for."""

    # ---- building ------------------------------------------------------------------------------

    def fit(self: _Self, X: Any, ids: Any = None) -> _Self:
        """Hold `X`, forgetting what was held before.

        Parameters
        ----------
        X : array-like of shape (n, dim)
            Copied. bool (n, dim) or packed uint8 (n, dim / 8) under hamming. Zero rows are fine.
        ids : array-like of shape (n,), int64 or str, default=None
            None gives 0, 1, …, n - 1.

        Returns
        -------
        self
        """
        kind = self._stored_kind()
        n_jobs = check_jobs(self.n_jobs)
        rows = encode(X, kind, n_jobs=n_jobs)
        wanted = as_ids(ids, len(rows.values))
        store = self._new_store(rows.dim, wanted)
        store.extend(rows, wanted, np.empty(0, np.int64), "X", n_jobs)
        self._adopt(store, n_jobs)
        return self

    def _adopt(self, store: RowStore, n_jobs: int | None) -> None:
        self._store = store

    def add(self: _Self, X: Any, ids: Any = None) -> _Self:
        """Add rows; on an index that holds nothing yet, the same as `fit`.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        ids : array-like of shape (n,), int64 or str, default=None
            None continues after the largest int64 id ever used, so that an id never comes back as
            another row. An id that is there already is refused; `upsert` replaces it.

        Returns
        -------
        self

        Notes
        -----
        Memory grows by 15 % at a time, and the screen is extended, not rebuilt.
        """
        if not hasattr(self, "_store"):
            return self.fit(X, ids)
        store, n_jobs = self._writable(), check_jobs(self.n_jobs)
        rows = encode(X, store.kind, dim=store.dim, n_jobs=n_jobs)
        wanted = new_ids(store, ids, len(rows.values))
        refuse_held(wanted, store.find(wanted) >= 0, "rows")
        store.extend(rows, wanted, np.empty(0, np.int64), "X", n_jobs)
        self._extended(n_jobs)
        return self

    def upsert(self: _Self, X: Any, ids: Any) -> _Self:
        """Add rows, replacing those whose ids are there already.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        ids : array-like of shape (n,), int64 or str

        Returns
        -------
        self

        Notes
        -----
        A replaced row moves to the end of ``ids_``. When too many places are dead (a third, for
        most indexes) all rows are rewritten, which takes a copy's memory for a moment.
        """
        if ids is None:
            raise ParameterError(
                "upsert needs ids: it replaces rows by id. To append rows use add(X)."
            )
        if not hasattr(self, "_store"):
            return self.fit(X, ids)
        store, n_jobs = self._writable(), check_jobs(self.n_jobs)
        rows = encode(X, store.kind, dim=store.dim, n_jobs=n_jobs)
        wanted = new_ids(store, ids, len(rows.values))
        old = store.find(wanted)
        store.extend(rows, wanted, old[old >= 0], "X", n_jobs)
        self._extended(n_jobs)
        self._tidy(n_jobs)
        return self

    def remove(self, ids: Any, missing: str = "raise") -> int:
        """Remove rows by id.

        Parameters
        ----------
        ids : array-like of int64 or str
        missing : {"raise", "ignore"}, default="raise"
            What to do about ids that are not there. ``"raise"`` removes nothing then.

        Returns
        -------
        int
            The number of rows removed.

        Notes
        -----
        Marks the rows, and rewrites all when too many are marked; `save` always does.
        """
        check_choice("missing", missing, ("raise", "ignore"))
        store, n_jobs = self._writable(), check_jobs(self.n_jobs)
        wanted = as_ids(ids)
        positions = store.find(wanted)
        absent = positions < 0
        if missing == "raise" and absent.any():
            raise ParameterError(
                name_absent(wanted[absent], "Nothing was removed; ")
                + " Pass missing='ignore' to remove the others."
            )
        found = positions[~absent]
        store.kill(found)
        self._tidy(n_jobs)
        return len(found)

    # ---- reading -------------------------------------------------------------------------------

    def get(self, ids: Any) -> NDArray[Any]:
        """Return vectors by id.

        Parameters
        ----------
        ids : array-like of shape (m,), int64 or str

        Returns
        -------
        ndarray of shape (m, dim)
            In the order asked. float32: the vectors as they came. float16, bfloat16, int8: decoded
            to float32, with the rounding of the storage. uint8: uint8. bits: bool.

        Raises
        ------
        ParameterError
            An id that is not there.
        """
        store = self._fitted()
        wanted = as_ids(ids, unique=False)
        positions = store.find(wanted)
        if (positions < 0).any():
            raise ParameterError(name_absent(wanted[positions < 0]))
        return store.decoded(positions)

    @property
    def ids_(self) -> NDArray[Any]:
        """Ids in the order of rows, shape (n,), int64 or object; a copy."""
        store = self._fitted()
        return store.ids.take(store.live_positions)

    @property
    def dim_(self) -> int:
        """Dimensions of a vector."""
        return self._fitted().dim

    @property
    def ntotal(self) -> int:
        """Rows held."""
        return len(self)

    @property
    def nbytes_(self) -> int:
        """Bytes held in memory or mapped from a file."""
        return self._fitted().nbytes

    def __len__(self) -> int:
        return self._store.n_live if hasattr(self, "_store") else 0

    def __contains__(self, id_: object) -> bool:
        if not hasattr(self, "_store") or isinstance(id_, bool | float):
            return False
        try:
            return bool((self._store.find(as_ids([id_])) >= 0).all())
        except ParameterError:
            return False

    # ---- searching -----------------------------------------------------------------------------

    def _answer(
        self,
        queries: Any,
        k: int,
        where: Any,
        find: Callable[[RowStore, NDArray[Any], int, Mask | QueryMasks, int | None], Found],
    ) -> Hits:
        """Return the hits that `find` has for checked queries, counts and filters."""
        store = self._fitted()
        k = check_count("k", k)
        n_jobs = check_jobs(self.n_jobs)
        packed = checked_queries(queries, store)
        masks = position_masks(where, store.ids, store.live, len(packed))
        width = min(k, store.n_live)
        need = len(packed) * (k * 24 + width * 16)
        if need > _WORTH_ASKING:
            require_memory(
                need,
                f"{len(packed):,} answers of k={k:,}",
                "Ask for fewer hits or fewer queries at once.",
            )
        positions, scores, counts = find(store, packed, width, masks, n_jobs)
        full = min(counts.tolist(), default=0) == k
        ids = store.ids.take(positions.ravel() if full else positions[positions >= 0])
        return pad_hits(ids, positions, scores, counts, k, store.metric)

    def range_search(
        self,
        queries: Any,
        radius: Any,
        where: Any = None,
        recall: float | None = None,
        exact: bool = False,
        explain: bool = False,
    ) -> RangeHits:
        """Return the rows within a distance of each query.

        Parameters
        ----------
        queries : array-like of shape (n_queries, dim)
        radius : float, or array-like of shape (n_queries,)
            The largest distance of a hit, for every metric: cosine 1 - cosine, ip minus the inner
            product (so inner product >= 5 is radius -5), l2 the squared distance, hamming bits.
        where : mask, ids, or a list of one filter a query, default=None
            As for `search`.
        recall : float, default=None
            Of an approximate index: the share of the rows within the distance to find, above 0 and
            up to 1, as measured at `fit` on ranges of up to 1,000 rows (`Graph`: 100). None is
            0.95. `Exact` finds all.
        exact : bool, default=False
            Find all.
        explain : bool, default=False
            Say in ``hits.plan`` how each query was answered.

        Returns
        -------
        RangeHits
            ``lims, distances, ids = …`` with ``distances <= radius`` (as float32), best first, ties
            by id. Every hit is one: only that all are found is approximate.
        """
        store = self._fitted()
        wanted = DEFAULT_RECALL if recall is None else checked_recall(recall)
        n_jobs = check_jobs(self.n_jobs)
        packed = checked_queries(queries, store)
        limits = _radii(radius, len(packed))
        masks = position_masks(where, store.ids, store.live, len(packed))
        plan: list[str] = []
        find = self._finder(None if exact or wanted == 1.0 else wanted, plan, n_jobs)
        lims, positions, scores = within(store, packed, limits, masks, find)
        return RangeHits(
            lims,
            distances_from_scores(scores, store.metric),
            store.ids.take(positions),
            narrow_scores(scores),
            store.metric,
            tuple(plan) if explain else None,
        )

    def _finder(self, recall: float | None, plan: list[str], n_jobs: int | None) -> FindWithin:
        """Return what finds the rows within a range; a `recall` of None asks for all of them.

        It tells the plan how it answers each query.
        """
        store = self._store

        def find(queries: NDArray[Any], least: NDArray[np.float64], mask: Mask) -> Ranged:
            plan.extend(["exact"] * len(queries))
            return all_within(store, queries, least, mask, n_jobs)

        return find

    def audit(
        self,
        queries: Any = None,
        k: int = 10,
        sample: int = 1000,
        n_jobs: int | None = None,
        random_state: int = 0,
        **search: Any,
    ) -> Audit:
        """Return the health of the index: recall against exact search, what it holds, and advice.

        Parameters
        ----------
        queries : array-like of shape (n_queries, dim), default=None
            Queries as they will come. None takes rows, each moved among its neighbours and
            itself left out of the answers; queries unlike the rows may do worse.
        k : int, default=10
            Hits that recall is measured on.
        sample : int, default=1000
            Rows that are drawn.
        n_jobs : int or None, default=None
            Threads; None takes those of the index.
        random_state : int, default=0
            Of the rows drawn and how they are moved.
        **search
            How to search, such as ``nprobe=8`` or ``recall=0.9``; passed to `search`.

        Returns
        -------
        Audit
            ``print`` it. See `vectorloom.index.audit.audit` for what is measured, and how.

        Raises
        ------
        NotFittedError, ParameterError, ShapeError
            Nothing is held; queries that `search` refuses; a number that is not allowed.

        Notes
        -----
        Cost: an exact search of 2 * sample queries, a search of `sample`, 4,096**2 * dim.
        """
        from vectorloom.index.audit import audit  # which needs the classes that derive from this

        return audit(self, queries, k, sample, n_jobs, random_state, **search)

    # ---- saving --------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to one file, which `vl.open` maps again.

        Parameters
        ----------
        path : path-like
            Its folder must exist. An older file there is replaced in one step, at the very end.

        Raises
        ------
        OSError
            No such folder, no permission, disk full: an older file is as it was.

        Notes
        -----
        Removed rows are never written: all rows are rewritten first where some are marked. Takes no
        memory otherwise.
        """
        store, n_jobs = self._fitted(), check_jobs(self.n_jobs)
        if not store.read_only:
            self._tidy(n_jobs, fully=True)
        params = self.get_params(deep=False) | self._fitted_params()
        write_store(path, self._kind, params, store, n_jobs, *self._more())

    def _fitted_params(self) -> dict[str, Any]:
        """Return parameters as fitted: those that were set since then count from the next fit."""
        return {"metric": self._store.metric}

    def _more(self) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        """Return what else a file holds: header entries and arrays."""
        return {}, {}

    def copy(self: _Self) -> _Self:
        """Return a writable copy in memory; the way to change an index that `vl.open` opened.

        Returns
        -------
        The same class
        """
        twin = type(self)(**self.get_params(deep=False))
        twin._store = self._fitted().copy()
        return twin

    # ---- inside --------------------------------------------------------------------------------

    def _fitted(self) -> RowStore:
        self._check_fitted("_store")
        return self._store

    def _tidy(self, n_jobs: int | None, fully: bool = False) -> None:
        kept = self._store.tidy(n_jobs, most_dead=0.0 if fully else self._most_dead)
        if kept is not None:
            self._compacted(kept)

    def _extended(self, n_jobs: int | None) -> None:
        """Follow rows that came behind the others."""

    def _compacted(self, keep: NDArray[np.int64]) -> None:
        """Follow rows that moved: position keep[i] is now i."""

    def _writable(self) -> RowStore:
        store = self._fitted()
        refuse_read_only(store.read_only)
        return store


def _radii(radius: Any, n_queries: int) -> NDArray[np.float64]:
    try:
        radii = np.asarray(radius, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(
            f"radius must be a number or one number a query; got {radius!r}."
        ) from None
    if radii.ndim > 1 or (radii.ndim == 1 and len(radii) != n_queries):
        raise ShapeError(
            f"radius must be a number or one number a query: {n_queries} queries came with shape "
            f"{radii.shape}."
        )
    if np.isnan(radii).any():
        raise ParameterError("radius is NaN; a distance is expected (inf for all rows).")
    return np.broadcast_to(radii, (n_queries,))
