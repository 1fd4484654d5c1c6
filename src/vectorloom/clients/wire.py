# SPDX-License-Identifier: Apache-2.0
"""How things travel: requests as bytes, answers as what they mean, refusals as errors.

Points travel as Arrow in both directions, so that vectors arrive bit by bit and no number passes
through text; queries as base64 of little-endian float32, or as JSON where they are sparse or
several vectors; hits as JSON, whose decimals give float32 back as well.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import (
    CapacityError,
    FormatError,
    ParameterError,
    ShapeError,
    VectorloomError,
)
from vectorloom.index.multivector.token_vectors import TokenVectors
from vectorloom.index.sparse.sparse_rows import SparseRows
from vectorloom.store import PointHits, Points
from vectorloom.store.filter_grammar import plain_value
from vectorloom.store.moving import vector_column
from vectorloom.store.points import (
    FusedHits,
    checked_ids,
    checked_texts,
    packed_payloads,
    plain_rows,
)
from vectorloom.store.reading import packed_queries
from vectorloom.store.schema import FieldSchema, Schema
from vectorloom.store.stored import Stored, decoded, encoded
from vectorloom.vectors import as_dense

if TYPE_CHECKING:
    import httpx

_T = TypeVar("_T")
_S = TypeVar("_S")

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"


class ServerError(VectorloomError):
    """A server refused, or could not do, what was asked.

    Attributes
    ----------
    status : int
        Of HTTP; of an operation, the one that its error would have.
    kind : str
        In one word, as the server has it: ``"NotFound"``, ``"Forbidden"``, ….
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(f"{message} (HTTP {status}, {kind})")
        self.status, self.kind = status, kind


@dataclass(frozen=True)
class Call(Generic[_T]):
    """One request and what its answer is read as.

    Attributes
    ----------
    method, path : str
    read : callable
        Of plain data, or of an Arrow table where that is `accept`.
    body : mapping or bytes, or None
        A mapping goes as JSON, bytes are an Arrow stream.
    accept : str
    key : str or None
        Makes a write that is sent again be done once.
    """

    method: str
    path: str
    read: Callable[[Any], _T]
    body: Mapping[str, Any] | bytes | None = None
    accept: str = JSON
    key: str | None = None

    def then(self, more: Callable[[_T], _S]) -> Call[_S]:
        """Return the same request, of whose answer `more` is made."""
        read = self.read
        return Call(
            self.method, self.path, lambda data: more(read(data)), self.body, self.accept, self.key
        )

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent again when no one knows whether it was done."""
        return self.method == "GET" or self.key is not None

    def content(self) -> bytes | None:
        """Return the body as it is sent; None where there is none."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        try:
            text = json.dumps(self.body, allow_nan=False, separators=(",", ":"), default=_plain)
        except (TypeError, ValueError, RecursionError) as error:
            raise ParameterError(
                f"what is asked cannot be said in JSON ({error}). Filters hold text, finite "
                "numbers, true, false, None, dates, lists and mappings."
            ) from None
        return text.encode()

    def headers(self) -> dict[str, str]:
        """Return what is said beside the body."""
        kind = ARROW if isinstance(self.body, bytes) else JSON
        found = {"Accept": self.accept}
        if self.body is not None:
            found["Content-Type"] = kind
        if self.key is not None:
            found["Idempotency-Key"] = self.key
        return found


def _plain(value: Any) -> Any:
    plain = plain_value(value)
    if plain is value and hasattr(value, "tolist"):
        return value.tolist()
    if plain is value:
        raise TypeError(f"{type(value).__name__} is not JSON")
    return plain


def answer(call: Call[_T], response: httpx.Response) -> _T:
    """Return what an answer says, or raise what it tells.

    Raises
    ------
    ParameterError, ShapeError, CapacityError, ServerError
    """
    status, body = response.status_code, response.content
    is_table = status < 400 and response.headers.get("content-type", "").startswith(ARROW)
    try:
        data: Any = _table(body) if is_table else json.loads(body)
    except ValueError:
        data = None
    if status >= 400:
        raise refusal(status, data.get("error") if isinstance(data, dict) else None)
    try:
        return call.read(data)
    except VectorloomError:
        raise
    except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
        raise FormatError(
            f"{call.method} {call.path}: the answer is not one of a vectorloom server ({error!r}). "
            "Is this its address?"
        ) from error


def _table(body: bytes) -> Any:
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(body) as reader:
            return reader.read_all()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error


def refusal(status: int, told: Any) -> VectorloomError:
    """Return the error that a server tells of, as the library would raise it."""
    if not isinstance(told, dict):
        return ServerError(status, "Unknown", "the server did not say why it refused.")
    kind, message = str(told.get("kind")), str(told.get("message"))
    if status == 422:
        return ShapeError(message) if kind == "ShapeError" else ParameterError(message)
    if status == 507:
        return CapacityError(message)
    return ServerError(status, kind, message)


# ---- what goes out ------------------------------------------------------------------------------


def packed_points(schema: Schema, ids: Any, vectors: Any, payloads: Any, texts: Any) -> bytes:
    """Return points as an Arrow stream.

    Raises
    ------
    ParameterError, ShapeError
    """
    import pyarrow as pa

    known = checked_ids(ids, None, None)
    n = len(known)
    kind = pa.int64() if known.dtype == np.int64 else pa.large_string()
    columns: dict[str, Any] = {"id": pa.array(known, kind)}
    if vectors is None and texts is not None:
        named: Mapping[str, Any] = {}  # the server encodes
    elif isinstance(vectors, Mapping):
        named = vectors
    else:
        named = {schema.fields[0].name: vectors}
    for name, rows in named.items():
        said = f"vectors[{name!r}]" if isinstance(vectors, Mapping) else "vectors"
        columns[name] = _packed_rows(schema.fields[schema.place(name)], rows, said, n)
    if payloads is not None:
        columns["payload"] = pa.array(packed_payloads(payloads, n), pa.large_string())
    if texts is not None:
        columns["text"] = pa.array(checked_texts(texts, n), pa.large_string())
    sink = pa.BufferOutputStream()
    table = pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def plain_payloads(payloads: Any, n: int) -> list[Any]:
    """Return payloads as plain JSON, times as text."""
    return [None if text is None else json.loads(text) for text in packed_payloads(payloads, n)]


def _packed_rows(field: FieldSchema, rows: Any, name: str, n: int) -> Any:
    if rows is None:
        raise ParameterError(f"{name} must be given, or texts that the server can encode.")
    if field.kind == "dense":
        values = as_dense(rows, name=name, dim=field.dim, allow_empty=True)
    else:
        plain = replace(field, dtype="float32")  # the server rounds
        held = encoded(plain, rows, name)
        values = decoded(plain, held)
    found = values.shape[0] if hasattr(values, "shape") else len(values)
    if found != n:
        raise ShapeError(f"{n} ids came with {found} {name}; give one of each a point.")
    return vector_column(field, values)


def packed_query(field: FieldSchema, query: Any) -> Any:
    """Return queries, in the forms that a collection takes, as JSON has them."""
    queries = packed_queries(field, query)
    if isinstance(queries, SparseRows):
        held = Stored((queries.terms, queries.weights), None, queries.starts)
        return plain_rows(decoded(field, held))
    if isinstance(queries, TokenVectors):
        return plain_rows(list(queries.items()))
    return _base64(queries)


def _base64(values: NDArray[Any]) -> dict[str, str]:
    return {"base64": base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()}


# ---- what is answered --------------------------------------------------------------------------


def read_schema(data: Any) -> Schema:
    """Return what a collection is made of."""
    fields = tuple(FieldSchema.from_dict(each) for each in data["fields"])
    return Schema(fields, tuple(data["index"]))


def read_points(table: Any, schema: Schema, vectors: bool) -> Points:
    """Return the points of an Arrow table."""
    column = table.column("id").combine_chunks()
    text = str(column.type) != "int64"
    ids = np.array(column.to_pylist(), object) if text else column.to_numpy(zero_copy_only=False)
    found: Any = None
    if vectors:
        named = {each.name: _read_rows(each, table.column(each.name)) for each in schema.fields}
        found = next(iter(named.values())) if len(named) == 1 else named
    payloads = [
        None if each is None else json.loads(each) for each in table.column("payload").to_pylist()
    ]
    return Points(ids, payloads, table.column("text").to_pylist(), found)


def read_next(table: Any) -> Any:
    """Return the id that the next page is behind."""
    return json.loads(table.schema.metadata[b"next"])


def read_embeddings(data: Any) -> NDArray[np.float32]:
    """Return one vector a text."""
    rows = sorted(data["data"], key=lambda each: int(each["index"]))
    return np.stack([np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in rows])


def _read_rows(field: FieldSchema, column: Any) -> Any:
    column = column.combine_chunks()
    if field.kind == "dense":
        return _numbers(column.flatten(), np.float32).reshape(len(column), field.dim)
    starts, inside = np.asarray(column.offsets, np.int64), column.values
    inside = inside.slice(starts[0], starts[-1] - starts[0])
    starts = starts - starts[0]
    if field.kind == "sparse":
        from scipy import sparse

        terms, weights = (_numbers(inside.field(i), kind) for i, kind in enumerate(_PAIR))
        return sparse.csr_matrix((weights, terms, starts), (len(column), field.dim))
    values = _numbers(inside.flatten(), np.float32).reshape(-1, field.dim)
    return [values[a:b] for a, b in itertools.pairwise(starts.tolist())]


_PAIR = (np.int32, np.float32)


def _numbers(column: Any, kind: type[Any]) -> NDArray[Any]:
    # A copy: what comes out may be written to, and does not hold the whole answer.
    return np.array(column.to_numpy(zero_copy_only=False), kind)


def _ids(rows: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    ids = [row["id"] for row in rows]
    return np.array(ids, object if ids and isinstance(ids[0], str) else np.int64)


def read_hits(
    lists: Sequence[Any], k: int, metric: str, plan: str | None, payloads: bool
) -> PointHits:
    """Return hits, one list a query."""
    n = len(lists)
    counts = np.array([len(rows) for rows in lists], np.int64)
    held = np.arange(k) < counts[:, None]
    flat = [row for rows in lists for row in rows]
    some = _ids(flat)
    ids = np.full((n, k), None if some.dtype == object else -1, some.dtype)
    ids[held] = some
    scores = np.full((n, k), -np.inf, np.float32)
    distances = np.full((n, k), np.inf, np.float32)
    # What is beyond float32 comes as null.
    scores[held] = [-np.inf if row["score"] is None else row["score"] for row in flat]
    distances[held] = [np.inf if row["distance"] is None else row["distance"] for row in flat]
    contents = [
        [[row[name] for row in rows] for rows in lists] if payloads else []
        for name in ("payload", "text")
    ]
    plans = None if plan is None else (plan,) * n
    return PointHits(ids, scores, distances, counts, metric, plans, *contents)


def read_together(data: Any, names: Sequence[str], k: int, payloads: bool) -> FusedHits:
    """Return the one ranking of several fields, with the score and rank of each leg."""
    own = read_hits([data["hits"]], k, str(data["metric"]), None, payloads)
    scores = {name: np.full((1, k), np.nan, np.float32) for name in names}
    ranks = {name: np.zeros((1, k), np.int64) for name in names}
    for i, row in enumerate(data["hits"]):
        for name, leg in row["legs"].items():
            scores[name][0, i], ranks[name][0, i] = leg["score"], leg["rank"]
    return FusedHits(
        own.ids, own.scores, own.distances, own.counts, own.metric, None, own.payloads, own.texts,
        scores, ranks,
    )  # fmt: skip
