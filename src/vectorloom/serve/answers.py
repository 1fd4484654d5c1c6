# SPDX-License-Identifier: Apache-2.0
"""Answers in the form that was asked for: JSON, an Arrow IPC stream, or one npy array."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.serve.calls import ARROW, JSON, NPY, Answer
from vectorloom.serve.refusals import packed
from vectorloom.store import PointHits, Points
from vectorloom.store.moving import vector_column
from vectorloom.store.schema import FieldSchema


def chosen(accept: bytes, offered: tuple[str, ...]) -> str:
    """Return the media type of an answer: the first of those asked for that is offered, else JSON.

    Weights (``q=``) are not looked at, but for ``q=0``.
    """
    for part in accept.decode("latin-1").split(","):
        kind, _, parameters = part.partition(";")
        if kind.strip().lower() in offered and parameters.replace(" ", "") not in ("q=0", "q=0.0"):
            return kind.strip().lower()
    return JSON


def points(found: Points, fields: Sequence[FieldSchema], next_: Any = None) -> Answer:
    """Return points as an Arrow stream that an upsert takes back.

    Columns ``id``, one of vectors a field where they were asked for, ``payload`` (JSON), ``text``;
    in the schema's metadata ``next``, the id (JSON) that the next page is behind.
    """
    import pyarrow as pa

    ids = pa.array(found.ids, pa.int64() if found.ids.dtype == np.int64 else pa.large_string())
    columns: dict[str, Any] = {"id": ids}
    if found.vectors is not None:
        named = (
            found.vectors if isinstance(found.vectors, dict) else {fields[0].name: found.vectors}
        )
        columns |= {field.name: vector_column(field, named[field.name]) for field in fields}
    columns["payload"] = _json_column(found.payloads)
    columns["text"] = pa.array(found.texts, pa.large_string())
    return _stream(pa.table(columns), {"next": json.dumps(next_)})


def hits_arrow(hits: PointHits) -> Answer:
    """Return hits as an Arrow stream, one row a hit.

    Columns ``query``, ``id``, ``score``, ``distance``, and ``payload`` (JSON) and ``text`` where
    they were asked for; in the schema's metadata ``metric``, ``queries`` and ``plan``.
    """
    import pyarrow as pa

    held = np.arange(hits.ids.shape[1])[None, :] < hits.counts[:, None]
    kind = pa.int64() if hits.ids.dtype == np.int64 else pa.large_string()
    columns: dict[str, Any] = {
        "query": pa.array(np.nonzero(held)[0].astype(np.int32)),
        "id": pa.array(hits.ids[held], kind),
        "score": pa.array(hits.scores[held].astype(np.float32)),
        "distance": pa.array(hits.distances[held].astype(np.float32)),
    }
    if hits.payloads:
        columns["payload"] = _json_column([each for row in hits.payloads for each in row])
        texts = [each for row in hits.texts for each in row]
        columns["text"] = pa.array(texts, pa.large_string())
    told = {"metric": hits.metric, "queries": str(len(hits))}
    if hits.plan is not None:
        told["plan"] = hits.plan[0]
    return _stream(pa.table(columns), told)


def hits_npy(hits: PointHits) -> Answer:
    """Return hits as a structured array (queries, k) of ``id``, ``score``, ``distance``.

    Places without a hit have id -1 and score minus infinity.

    Raises
    ------
    ParameterError
        Ids are text, which has no fixed width.
    """
    if hits.ids.dtype != np.int64:
        raise ParameterError(f"npy answers hold int64 ids and these are text; accept {ARROW}.")
    dtype = np.dtype([("id", "<i8"), ("score", "<f4"), ("distance", "<f4")])
    out = np.empty(hits.ids.shape, dtype)
    out["id"], out["score"], out["distance"] = hits.ids, hits.scores, hits.distances
    return npy(out)


def npy(values: NDArray[Any]) -> Answer:
    """Return one array."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return Answer(200, file.getvalue(), NPY)


def finished(given: Any, status: int) -> Answer:
    """Return what a handler gave as an answer."""
    return given if isinstance(given, Answer) else Answer(status, packed(given))


def _json_column(payloads: list[Any]) -> Any:
    import pyarrow as pa

    texts = [None if each is None else json.dumps(each, ensure_ascii=False) for each in payloads]
    return pa.array(texts, pa.large_string())


def _stream(table: Any, told: dict[str, str]) -> Answer:
    import pyarrow as pa

    table = table.replace_schema_metadata(told)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Answer(200, sink.getvalue().to_pybytes(), ARROW)
