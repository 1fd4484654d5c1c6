# SPDX-License-Identifier: Apache-2.0
"""Search of stored texts by their words: BM25 over the texts of a commit.

The index is made in memory at the first such search and follows the commits after it: texts that
came are added and those that went are removed, found by comparing row numbers.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.index.hits import Hits
from vectorloom.index.sparse.bm25 import BM25
from vectorloom.store.engine import Engine
from vectorloom.store.points import PointHits
from vectorloom.store.reading import Leg, Where, compiled, contents_by_id
from vectorloom.store.view import View

_PIECE = 10_000


class Words:
    """The word index of one collection.

    Parameters
    ----------
    engine : Engine
    n_jobs : int or None
    """

    def __init__(self, engine: Engine, n_jobs: int | None) -> None:
        self._engine = engine
        self._n_jobs = n_jobs
        self._lock = threading.Lock()  # a change needs the index to itself
        self._forget()

    def _forget(self) -> None:
        self._version = -1
        self._index: BM25 | None = None
        self._rows = np.empty(0, np.int64)
        self._ids: NDArray[Any] = np.empty(0, np.int64)

    def asker(self, texts: Sequence[str], k: int, where: Where, with_payloads: bool) -> Leg:
        """Return what finds the best texts of each query at a commit."""
        wanted = compiled(self._engine, where)

        def ask(view: View, db: sqlite3.Connection) -> tuple[PointHits, str]:
            among = None if wanted is None else self._engine.rows_where(wanted, view, db)
            with self._lock:
                self._follow(view, db)
                inside = self._rows if among is None else np.intersect1d(self._rows, among)
                hits = self._found(texts, k, None if among is None else inside, view)
            payloads: list[Any] = []
            stored: list[Any] = []
            if with_payloads:
                payloads, stored = contents_by_id(hits, db)
            plan = f"words: {len(inside):,} of {view.n_points:,} points have text and match"
            point_hits = PointHits(
                hits.ids, hits.scores, hits.distances, hits.counts, hits.metric, None,
                payloads, stored,
            )  # fmt: skip
            return point_hits, plan

        return Leg(ask)

    def _found(
        self, texts: Sequence[str], k: int, rows: NDArray[np.int64] | None, view: View
    ) -> Hits:
        if self._index is None or (rows is not None and len(rows) == 0):
            text = view.id_type == "str"
            shape = (len(texts), k)
            ids = np.full(shape, None if text else -1, object if text else np.int64)
            return Hits(
                ids, np.full(shape, -np.inf, np.float32), np.full(shape, np.inf, np.float32),
                np.zeros(len(texts), np.int64), "ip",
            )  # fmt: skip
        only = None if rows is None else self._ids[np.searchsorted(self._rows, rows)]
        return self._index.search(list(texts), k, only)

    def _follow(self, view: View, db: sqlite3.Connection) -> None:
        """Bring the index to the commit of a view, which `db` shows."""
        if self._version == view.version:
            return
        try:
            (listed,) = db.execute(
                "SELECT group_concat(row) FROM points WHERE text IS NOT NULL"
            ).fetchone()
            now = np.fromstring(listed, np.int64, sep=",") if listed else self._rows[:0]
            self._change(np.sort(now), db)
        except BaseException:
            self._forget()  # half changed, it must not be asked
            raise
        self._version = view.version

    def _change(self, now: NDArray[np.int64], db: sqlite3.Connection) -> None:
        stays = np.isin(self._rows, now)
        gone = self._ids[~stays]
        if len(gone) and self._index is not None:
            if stays.any():
                self._index.remove(gone)
            else:
                self._index = None
        self._rows, self._ids = self._rows[stays], self._ids[stays]
        new = np.setdiff1d(now, self._rows)
        for start in range(0, len(new), _PIECE):
            part = json.dumps(new[start : start + _PIECE].tolist())
            found = db.execute(
                "SELECT p.row, p.id, p.text FROM json_each(?) AS j CROSS JOIN points AS p ON "
                "p.row = j.value ORDER BY p.row",
                (part,),
            ).fetchall()
            rows, ids, texts = (list(column) for column in zip(*found, strict=True))
            kind = object if isinstance(ids[0], str) else np.int64
            own = np.array(ids, kind)
            if self._index is None:
                self._index = BM25(n_jobs=self._n_jobs).fit(texts, own)
                self._ids = own[:0]
            else:
                self._index.add(texts, own)
            self._rows = np.concatenate([self._rows, np.array(rows, np.int64)])
            self._ids = np.concatenate([self._ids, own])
        order = np.argsort(self._rows)
        self._rows, self._ids = self._rows[order], self._ids[order]
