# SPDX-License-Identifier: Apache-2.0
"""Searches, look-ups and pages: each answered as of one commit."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.index.answer import checked_queries
from vectorloom.index.dense.store import RowStore
from vectorloom.index.hits import Hits, distances_from_scores, narrow_scores
from vectorloom.index.multivector.token_vectors import TokenVectors, as_float_tokens, unit_rows
from vectorloom.store.engine import Engine, MovedOnError
from vectorloom.store.filter_sql import CompiledFilter, compile_filter
from vectorloom.store.points import Payload, PointHits, Points, checked_ids
from vectorloom.store.rows import FreshRows, ids_holder
from vectorloom.store.schema import FieldSchema
from vectorloom.store.stored import Stored, decoded, gathered, sparse_rows
from vectorloom.store.view import Answer, Effort, Queries, View, search_parts

Where = Mapping[str, Any] | None


class Leg(NamedTuple):
    """A checked question: what finds its hits and says how, and whether that reads the database."""

    ask: Callable[[View, sqlite3.Connection], tuple[PointHits, str]]
    reads: bool = True


def compiled(engine: Engine, where: Where) -> CompiledFilter | None:
    """Return a filter as SQL; None for none."""
    return None if where is None else compile_filter(where, engine.schema.columns)


def packed_queries(field: FieldSchema, query: Any) -> Queries:
    """Return one query or several as the field is searched.

    Parameters
    ----------
    field : FieldSchema
    query : Any
        dense: shape (dim,), or (n, dim) for several. sparse: one row or several, as
        `vectorloom.store.stored.encoded` takes them. multi: one matrix (m, dim), or several in the
        forms that `vectorloom.index.multivector.token_vectors.as_token_vectors` takes.

    Raises
    ------
    ShapeError, ParameterError
    """
    if field.kind == "sparse":
        if getattr(query, "ndim", 2) == 1:
            query = query.reshape(1, -1)
        packed: Queries = sparse_rows(query, field.dim, "queries")
    elif field.kind == "multi":
        packed = _packed_tokens(field, query)
    else:
        packed = _packed_rows(field, query)
    if len(packed) == 0:
        raise ShapeError("queries has no rows; give one query at least.")
    return packed


def _packed_tokens(field: FieldSchema, query: Any) -> TokenVectors:
    if isinstance(query, list) and query and isinstance(query[0], list):
        try:
            query = np.asarray(query, np.float32)
        except (TypeError, ValueError):  # matrices of different lengths
            query = [np.asarray(matrix, np.float32) for matrix in query]
    if getattr(query, "ndim", None) == 2:
        query = [query]
    tokens = as_float_tokens(query, name="queries", dim=field.dim)
    if field.metric == "cosine":
        unit_rows(tokens.values, name="queries")  # says which has none
    return tokens


def _packed_rows(field: FieldSchema, query: Any) -> NDArray[np.float32]:
    if getattr(query, "ndim", None) is None and not hasattr(query, "__array__"):
        query = np.asarray(query) if isinstance(query, list | tuple) else query
    if getattr(query, "ndim", 2) == 1:
        query = query[None, :]
    empty = RowStore(field.dtype, field.metric, field.dim, ids_holder(np.empty(0, np.int64)), None)
    packed: NDArray[np.float32] = checked_queries(query, empty)
    return packed


def asker(
    engine: Engine,
    place: int,
    queries: Queries,
    k: int,
    where: Where,
    effort: Effort,
    with_payloads: bool,
) -> Leg:
    """Return what finds the hits of checked queries at a commit (`at_one_commit`)."""
    wanted = compiled(engine, where)
    engine.searched = time.monotonic()

    def ask(view: View, db: sqlite3.Connection) -> tuple[PointHits, str]:
        among = None if wanted is None else engine.rows_where(wanted, view, db)
        parts = view.fields[place]
        answer = search_parts(parts, queries, k, among, effort)
        if not answer.is_sound:  # some of it lay in a block that turned out to be damaged
            answer = search_parts(engine.remake().fields[place], queries, k, among, effort)
            if not answer.is_sound:
                raise MovedOnError
        payloads: list[list[Payload | None]] = []
        texts: list[list[str | None]] = []
        if with_payloads:
            payloads, texts = _contents(answer, db)
        hits = _hits(answer, k, engine.schema.fields[place].answers, payloads, texts, view)
        return hits, _told(wanted, among, view, answer.plan)

    return Leg(ask, with_payloads or wanted is not None)


def _told(
    wanted: CompiledFilter | None, among: NDArray[np.int64] | None, view: View, plan: str
) -> str:
    if wanted is None or among is None:
        return plan
    how = []
    if wanted.indexed:
        how.append("index on " + ", ".join(wanted.indexed))
    if wanted.scanned:
        how.append("scan of " + ", ".join(wanted.scanned))
    ways = "; ".join(how) or "no field"
    return f"filter: {len(among):,} of {view.n_points:,} points match ({ways}); {plan}"


def _hits(answer: Answer, k: int, metric: str, payloads: Any, texts: Any, view: View) -> PointHits:
    n, width = answer.ids.shape
    ids, scores = answer.ids, answer.scores
    if width < k:
        text = view.id_type == "str"
        ids = np.full((n, k), None if text else -1, object if text else np.int64)
        ids[:, :width] = answer.ids
        scores = np.full((n, k), -np.inf)
        scores[:, :width] = answer.scores
    distances = distances_from_scores(scores, metric)
    return PointHits(
        ids, narrow_scores(scores), distances, answer.counts, metric, None, payloads, texts
    )


def _contents(answer: Answer, db: sqlite3.Connection) -> tuple[Any, Any]:
    """Return payloads and texts of hits; two queries may share a row."""
    flat = answer.rows[answer.rows >= 0]
    wanted = np.unique(flat).tolist() if len(answer.rows) > 1 else flat.tolist()
    found = _by_row(wanted, db)
    payloads, texts = [], []
    for rows, count in zip(answer.rows.tolist(), answer.counts.tolist(), strict=True):
        own = [found[row] for row in rows[:count]]
        payloads.append([None if text is None else json.loads(text) for text, _ in own])
        texts.append([text for _, text in own])
    return payloads, texts


def _by_row(rows: list[int], db: sqlite3.Connection) -> dict[int, tuple[str | None, str | None]]:
    if len(rows) <= 100:
        marks = ",".join("?" * len(rows))
        listed: Any = rows
        source = f"points WHERE row IN ({marks})"
    else:
        listed = (json.dumps(rows),)
        source = "points WHERE row IN (SELECT value FROM json_each(?))"
    found = db.execute(f"SELECT row, payload, text FROM {source}", listed)
    return {row: (payload, text) for row, payload, text in found}


def contents_by_id(hits: Hits, db: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
    """Return payloads and texts of hits by their ids; `db` shows the commit of the hits."""
    wanted = {id_ for i in range(len(hits)) for id_ in hits[i].ids.tolist()}
    listed = json.dumps(list(wanted), ensure_ascii=False)
    found = db.execute(
        "SELECT p.id, p.payload, p.text FROM json_each(?) AS j CROSS JOIN points AS p ON "
        "p.id = j.value",
        (listed,),
    )
    by_id = {row[0]: (None if row[1] is None else json.loads(row[1]), row[2]) for row in found}
    own = [[by_id[id_] for id_ in hits[i].ids.tolist()] for i in range(len(hits))]
    return [[p for p, _ in row] for row in own], [[t for _, t in row] for row in own]


def count(engine: Engine, where: Where) -> int:
    """Return how many points a filter leaves."""
    wanted = compiled(engine, where)
    if wanted is None:
        return engine.current().n_points
    return engine.at_one_commit(lambda view, db: len(engine.rows_where(wanted, view, db)))


def get(engine: Engine, ids: Any, missing: str, with_vectors: bool) -> Points:
    """Return points by id, in the order asked."""
    view = engine.current()
    wanted = checked_ids(list(dict.fromkeys(_listed(ids))), None, view.id_type)
    listed = json.dumps(wanted.tolist(), ensure_ascii=False)

    def ask(view: View, db: sqlite3.Connection) -> Points:
        found = db.execute(
            "SELECT p.id, p.row, p.payload, p.text FROM json_each(?) AS j CROSS JOIN points AS p "
            "ON p.id = j.value ORDER BY j.key",
            (listed,),
        ).fetchall()
        if missing == "raise" and len(found) < len(wanted):
            there = {row[0] for row in found}
            absent = [id_ for id_ in wanted.tolist() if id_ not in there]
            raise ParameterError(
                f"{len(absent)} of {len(wanted)} ids are not in this collection, first "
                f"{absent[0]!r}. Pass missing='ignore' to get the others."
            )
        return points_of(engine, view, found, with_vectors)

    return engine.at_one_commit(ask)


def _listed(ids: Any) -> list[Any]:
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    if isinstance(ids, str | bytes | int) or not hasattr(ids, "__iter__"):
        raise ShapeError(f"ids must be a list; got {ids!r}. For one point pass [{ids!r}].")
    return list(ids)


def points_of(engine: Engine, view: View, found: list[Any], with_vectors: bool) -> Points:
    """Return the points of rows (id, row, payload, text), with the vectors of a view."""
    id_type = view.id_type or "int64"
    ids = np.array([row[0] for row in found], object if id_type == "str" else np.int64)
    rows = np.array([row[1] for row in found], np.int64)
    payloads = [None if row[2] is None else json.loads(row[2]) for row in found]
    vectors: Any = None
    if with_vectors:
        named = {
            field.name: vectors_of(engine, view, place, rows)
            for place, field in enumerate(engine.schema.fields)
        }
        vectors = next(iter(named.values())) if len(named) == 1 else named
    return Points(ids, payloads, [row[3] for row in found], vectors)


def vectors_of(engine: Engine, view: View, place: int, rows: NDArray[np.int64]) -> Any:
    """Return the vectors of rows, in their order, as users have them.

    Raises
    ------
    FormatError
        Some lie in a damaged block or a segment that is lost.
    """
    return decoded(engine.schema.fields[place], stored_of(engine, view, place, rows))


def stored_of(engine: Engine, view: View, place: int, rows: NDArray[np.int64]) -> Stored:
    """Return the stored vectors of rows, in their order.

    Raises
    ------
    FormatError
        Some lie in a damaged block or a segment that is lost.
    """
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    parts: list[Stored] = [FreshRows(engine.schema.fields[place]).held]
    source = np.zeros(len(rows), np.int64)
    at = np.zeros(len(rows), np.int64)
    done = 0
    for part in view.fields[place]:
        positions = part.positions_of(ascending)
        if len(positions) == 0:
            continue
        if part.segment is not None:
            part.segment.require_sound(positions)
        here = order[np.searchsorted(ascending, part.rows[positions])]
        source[here], at[here] = len(parts), positions
        parts.append(part.held)
        done += len(positions)
    if done < len(rows):
        why = "; ".join(engine.loader.lost.values()) or "a segment is missing"
        raise FormatError(
            f"{engine.folder}: the vectors of {len(rows) - done} points are lost ({why}). Restore "
            "them with `vectorloom repair`."
        )
    return gathered(parts, source, at)


def scroll(
    engine: Engine, where: Where, batch: int, with_vectors: bool, after: Any
) -> Iterator[Points]:
    """Yield points in the order of their ids, a page at a time; each page is of one commit."""
    wanted = compiled(engine, where)
    condition = "1" if wanted is None else wanted.sql
    parameters = () if wanted is None else wanted.parameters
    last = after

    def ask(view: View, db: sqlite3.Connection) -> Points:
        behind = "" if last is None else "AND id > ? "
        found = db.execute(
            f"SELECT id, row, payload, text FROM points WHERE {condition} {behind}"
            "ORDER BY id LIMIT ?",
            (*parameters, *(() if last is None else (last,)), batch),
        ).fetchall()
        return points_of(engine, view, found, with_vectors)

    while True:
        points = engine.at_one_commit(ask)
        if len(points) == 0:
            return
        last = points.ids.tolist()[-1]
        yield points
        if len(points) < batch:
            return
