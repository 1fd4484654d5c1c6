# SPDX-License-Identifier: Apache-2.0
"""Items of many vectors: what an index tells of them, and how well given ones answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import Estimator, check_count, check_jobs
from vectorloom.index.answer import Found
from vectorloom.index.hits import Hits, pad_hits
from vectorloom.index.id_rules import name_absent, refuse_read_only
from vectorloom.index.multivector.store import ItemStore
from vectorloom.index.multivector.token_vectors import as_float_tokens
from vectorloom.vectors import as_ids

METRIC = "maxsim"  # of the hits: a score is a sum, so that no distance of vectors belongs to it


class ItemIndex(Estimator):
    """Base of the indexes that keep their items in an `ItemStore`."""

    _store: ItemStore
    prefetch: bool
    n_jobs: int | None

    def rerank(self, queries: Any, hits: Hits, k: int = 10) -> Hits:
        """Return the best of another search's hits by MaxSim: the second stage of a pipeline.

        Parameters
        ----------
        queries : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
        hits : Hits
            Of as many queries, with ids of this index; others are passed over.
        k : int, default=10

        Returns
        -------
        Hits
        """
        store = self._fitted()
        k = check_count("k", k)
        tokens = as_float_tokens(queries, name="queries", dim=store.rows.dim)
        if len(hits) != len(tokens):
            raise ParameterError(
                f"hits answer {len(hits)} queries and there are {len(tokens)}; rerank the hits of "
                "the same queries."
            )
        places = np.arange(hits.ids.shape[1]) < hits.counts[:, None]
        at = np.full(hits.ids.shape, -1, np.int64)
        at[places] = store.find(as_ids(hits.ids[places], unique=False))
        limits = np.concatenate([[0], np.cumsum((at >= 0).sum(axis=1))]).astype(np.int64)
        candidates = at[at >= 0]
        if self.prefetch:
            store.will_need(candidates)
        return self._hits(store.rerank(tokens, candidates, limits, k, check_jobs(self.n_jobs)), k)

    def _hits(self, found: Found, k: int) -> Hits:
        positions, scores, counts = found
        ids = self._store.ids.take(positions[positions >= 0])
        return pad_hits(ids, positions, scores, counts, k, METRIC)

    def get(self, ids: Any) -> list[NDArray[np.float32]]:
        """Return items by id.

        Parameters
        ----------
        ids : array-like of shape (m,), int64 or str

        Returns
        -------
        list of ndarray of shape (n_vectors, dim), float32
            As stored, in the order asked.
        """
        store = self._fitted()
        wanted = as_ids(ids, unique=False)
        positions = store.find(wanted)
        if (positions < 0).any():
            raise ParameterError(name_absent(wanted[positions < 0]))
        return [np.array(item) for item in store.tokens(positions).items()]

    @property
    def ids_(self) -> NDArray[Any]:
        """Ids in the order of items, shape (n,), int64 or object; a copy."""
        store = self._fitted()
        return store.ids.take(store.live_positions)

    @property
    def dim_(self) -> int:
        """Dimensions of a vector."""
        return self._fitted().rows.dim

    @property
    def ntotal(self) -> int:
        """Items held."""
        return len(self)

    @property
    def n_vectors_(self) -> int:
        """Vectors of all items."""
        return self._fitted().rows.n_live

    def __len__(self) -> int:
        return self._store.n_live if hasattr(self, "_store") else 0

    def __contains__(self, id_: object) -> bool:
        if not hasattr(self, "_store") or isinstance(id_, bool | float):
            return False
        try:
            return bool((self._store.find(as_ids([id_])) >= 0).all())
        except ParameterError:
            return False

    def _fitted(self) -> ItemStore:
        self._check_fitted("_store")
        return self._store

    def _writable(self) -> ItemStore:
        store = self._fitted()
        refuse_read_only(store.rows.read_only)
        return store
