# SPDX-License-Identifier: Apache-2.0
"""What can be asked about points: store, remove, look up, page through, search."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.serve import answers
from vectorloom.serve.bodies import rows_of
from vectorloom.serve.calls import ARROW, NPY, Call
from vectorloom.serve.schemas import MAX_HITS, MAX_K, MAX_POINTS, MAX_QUERIES
from vectorloom.serve.taking import listed, share, texts, truth, where, whole, word
from vectorloom.store import Collection, PointHits, Points
from vectorloom.store.points import plain_rows
from vectorloom.vectors import as_ids

_QUERIES = ("vector", "vectors", "text", "texts")


def upsert(call: Call) -> Any:
    """Store points; answered when they are on the disk."""
    found, body = call.collection(), call.body
    ids = _ids(body)
    vectors = None
    if body.get("vectors") is not None:
        vectors = _vectors(found, body["vectors"])
    elif body.get("texts") is None:
        raise ParameterError("give vectors, or texts for the model of this collection to encode.")
    else:
        _require_encoder(call, found)
    stored = found.upsert(ids, vectors, body.get("payloads"), body.get("texts"))
    return {"stored": stored}


def set_payloads(call: Call) -> Any:
    """Replace payloads and leave vectors and texts."""
    ids = listed(call.body, "ids", MAX_POINTS)
    call.collection().set_payloads(ids, listed(call.body, "payloads", MAX_POINTS))
    return {"changed": len(ids)}


def delete(call: Call) -> Any:
    """Remove points by ids or by a filter that is not empty."""
    wanted = where(call.body)
    if wanted is not None and not wanted:
        raise ParameterError("an empty filter would remove all points.")
    ids = listed(call.body, "ids", MAX_POINTS) if call.body.get("ids") is not None else None
    return {"removed": call.collection().delete(ids, where=wanted)}


def get(call: Call) -> Any:
    """Return points by id; ids that are not there are left out."""
    ids = listed(call.body, "ids", MAX_POINTS)
    vectors = truth(call.body, "vectors", False)
    fields = call.collection().schema.fields
    found = call.collection().get(ids, missing="ignore", vectors=vectors)
    return answers.points(found, fields) if call.accept == ARROW else {"points": _rows(found)}


def count(call: Call) -> Any:
    """Return how many points there are, or how many a filter leaves."""
    return {"points": call.collection().count(where(call.body))}


def scroll(call: Call) -> Any:
    """Return a page of points in the order of their ids, and the id that the next one is behind."""
    body = call.body
    limit = whole(body, "limit", 100, MAX_POINTS)
    after = body.get("after")
    if after is not None:
        after = as_ids([after]).tolist()[0]
    vectors = truth(body, "vectors", False)
    pages = call.collection().scroll(where(body), batch=limit, vectors=vectors, after=after)
    page = next(itertools.islice(pages, 1), None)
    if page is None:
        page = call.collection().get([], vectors=vectors)
    next_ = page.ids.tolist()[-1] if len(page) == limit else None
    if call.accept == ARROW:
        return answers.points(page, call.collection().schema.fields, next_)
    return {"points": _rows(page), "next": next_}


def search(call: Call) -> Any:
    """Return the nearest points of one query, or of several."""
    body, found = call.body, call.collection()
    given = [name for name in _QUERIES if body.get(name) is not None]
    if len(given) != 1:
        raise ParameterError("give one of vector, vectors, text and texts.")
    place = found.schema.place(word(body, "field"))
    field = found.schema.fields[place]
    queries, by = _queries(call, found, given[0], place)
    n = len(queries)
    k = whole(body, "k", 10, MAX_K)
    if n > MAX_QUERIES or n * k > MAX_HITS:
        raise ParameterError(
            f"{n:,} queries with k = {k:,} were asked; {MAX_QUERIES:,} queries and "
            f"{MAX_HITS:,} hits at most are given in one answer."
        )
    recall, exact = share(body, "recall"), truth(body, "exact", False)
    payloads, explain = truth(body, "payloads", True), truth(body, "explain", False)
    call.notes.update(collection=call.name, field=field.name, queries=n, k=k)
    approximate = by != "words" and not exact and field.kind == "dense"
    asked = call.service.recall.begin(found, place) if approximate else None
    hits = found.search(
        queries, k, where(body), field.name if by != "words" else None, by=by,
        recall=recall, exact=exact, payloads=payloads, explain=True,
    )  # fmt: skip
    assert hits.plan is not None  # asked for
    call.notes.update(plan=hits.plan[0], where=where(body))
    if asked is not None:
        asked.answered(call.name, queries, k, where(body), hits, recall)
    return _hits(call, hits, given[0] in ("vector", "text"), explain)


def together(call: Call) -> Any:
    """Return one ranking of what several fields find."""
    body, found = call.body, call.collection()
    asked = body["queries"]
    if not isinstance(asked, Mapping) or not asked:
        raise ParameterError("queries must map fields, or '$text', to what each is asked.")
    queries = {name: _one_query(call, found, name, value) for name, value in asked.items()}
    weights = body.get("weights")
    if weights is not None and not (
        isinstance(weights, Mapping) and all(share(weights, name) is not None for name in weights)
    ):
        raise ParameterError(f"weights must map fields to numbers; got {weights!r:.40}.")
    k = whole(body, "k", 10, MAX_K)
    constant, fusion = share(body, "constant"), word(body, "fusion") or "rrf"
    call.notes.update(collection=call.name, fields=sorted(asked), queries=1, k=k)
    hits = found.together(
        queries, k, where(body), fusion=fusion, weights=weights,
        normalise=word(body, "normalise") or "min-max",
        constant=60.0 if constant is None else constant, depth=whole(body, "depth", 100, MAX_K),
        recall=share(body, "recall"), exact=truth(body, "exact", False),
        payloads=truth(body, "payloads", True),
    )  # fmt: skip
    rows = hits[0].to_dict()
    for i, row in enumerate(rows):
        ranks = {name: int(leg[0, i]) for name, leg in hits.leg_ranks.items()}
        row["legs"] = {
            name: {"rank": rank, "score": float(hits.leg_scores[name][0, i])}
            for name, rank in ranks.items()
            if rank
        }
    return {"hits": rows, "metric": hits.metric}


def _one_query(call: Call, found: Collection, name: str, value: Any) -> Any:
    if name == "$text":
        if not isinstance(value, str):
            raise ParameterError(f"$text takes a text; got {value!r:.40}.")
        return [value]
    place = found.schema.place(name)
    if isinstance(value, str):
        return _encoded(call, found, place, None, [value])
    field = found.schema.fields[place]
    packed = field.kind == "dense" and isinstance(value, Mapping)
    rows = rows_of(field, value if packed else [value], 1)
    if len(rows) != 1:
        raise ParameterError(f"one query is taken for each field; {name!r} has {len(rows)}.")
    return rows


def _hits(call: Call, hits: PointHits, single: bool, explain: bool) -> Any:
    if call.accept == ARROW:
        return answers.hits_arrow(hits)
    if call.accept == NPY:
        return answers.hits_npy(hits)
    rows = [hits[i].to_dict() for i in range(len(hits))]
    answer: dict[str, Any] = {"hits": rows[0]} if single else {"queries": rows}
    if explain and hits.plan is not None:
        answer["plan"] = hits.plan[0]
    return answer | {"metric": hits.metric}


def _queries(call: Call, found: Collection, name: str, place: int) -> tuple[Any, str | None]:
    """Return the queries as rows of vectors or as texts, and what they are to be looked for by."""
    body = call.body
    field = found.schema.fields[place]
    by = word(body, "by")
    if by not in (None, "vectors", "words"):
        raise ParameterError(f"by must be 'vectors' or 'words'; got {by!r:.40}.")
    model = word(body, "model")
    if name in ("vector", "vectors"):
        if by == "words" or model is not None:
            raise ParameterError("by='words' and model take text or texts, and vectors came.")
        value = [body["vector"]] if name == "vector" else body["vectors"]
        if isinstance(value, Mapping) and set(value) != {"base64"}:  # of an Arrow stream
            value = _only(value, field.name)
        return rows_of(field, value, MAX_QUERIES), "vectors"
    words = [word(body, "text") or ""] if name == "text" else texts(body, "texts", MAX_QUERIES)
    if not words:
        raise ParameterError("texts is empty; give one text at least.")
    if by == "words" or (by is None and model is None and field.encoder is None):
        if model is not None:
            raise ParameterError("by='words' asks no model; leave model out.")
        return words, "words"
    return _encoded(call, found, place, model, words), "vectors"


def _encoded(
    call: Call, found: Collection, place: int, model: str | None, words: list[str]
) -> NDArray[np.float32]:
    """Return the vectors of texts by the model that made a field, or by the one that is named."""
    known = found.schema.fields[place].encoder
    if known is None and model is not None:
        return call.service.models.get(model).vectors(words)
    if known is not None and model not in (None, known.name):
        raise ParameterError(
            f"the field {found.schema.fields[place].name!r} holds vectors of {known} and the model "
            f"{model!r} was named; vectors of two models cannot be compared."
        )
    _require_encoder(call, found, place)
    assert known is not None
    return call.service.models.get(known.name).vectors(words)


def _require_encoder(call: Call, found: Collection, place: int | None = None) -> None:
    """Say which model is to be mounted where text cannot be turned into vectors."""
    refused = call.service.home.why_no_encoder(call.name)
    if refused is not None:
        raise ParameterError(refused)
    fields = found.schema.fields if place is None else (found.schema.fields[place],)
    for field in fields:
        if field.encoder is None:
            raise ParameterError(
                f"the field {field.name!r} has no model that turns text into its vectors; pass "
                "vectors, or make the collection with encoder."
            )
        if field.encoder.name not in call.service.models:
            raise ParameterError(
                f"the field {field.name!r} holds vectors of {field.encoder}, which is not mounted "
                "here; pass vectors, or start the server with --model."
            )


def _ids(body: Mapping[str, Any]) -> Any:
    first, ids = body.get("first_id"), body.get("ids")
    if first is None:
        if ids is None:
            raise ParameterError("the body lacks ids.")
        return listed(body, "ids", MAX_POINTS) if isinstance(ids, list) else ids
    vectors = body.get("vectors")
    if ids is not None or not hasattr(vectors, "shape"):
        raise ParameterError("first_id numbers the rows of an npy body; elsewhere give ids.")
    if not isinstance(first, int) or isinstance(first, bool) or abs(first) > 1 << 62:
        raise ParameterError(f"first_id must be a whole number; got {first!r:.40}.")
    return list(range(first, first + len(vectors)))  # type: ignore[arg-type]


def _vectors(found: Collection, value: Any) -> Any:
    fields = found.schema.fields
    if isinstance(value, Mapping) and set(value) != {"base64"}:
        named = {field.name: field for field in fields}
        if set(value) == {"vector"} and len(fields) == 1:
            return rows_of(fields[0], value["vector"], MAX_POINTS)
        if set(value) != set(named):
            raise ParameterError(f"vectors must have the fields {', '.join(named)}.")
        return {name: rows_of(named[name], own, MAX_POINTS) for name, own in value.items()}
    return rows_of(fields[0], value, MAX_POINTS)


def _only(value: Mapping[str, Any], field: str) -> Any:
    for name in (field, "vector"):
        if set(value) == {name}:
            return value[name]
    raise ParameterError(f"one column of vectors is taken, {field!r}; got {', '.join(value):.100}.")


def _rows(points: Points) -> list[dict[str, Any]]:
    rows = [{"id": id_, "payload": payload, "text": text} for id_, payload, text in points]
    if isinstance(points.vectors, dict):
        for name, values in points.vectors.items():
            for row, vector in zip(rows, plain_rows(values), strict=True):
                row.setdefault("vectors", {})[name] = vector
    elif points.vectors is not None:
        for row, vector in zip(rows, plain_rows(points.vectors), strict=True):
            row["vector"] = vector
    return rows
