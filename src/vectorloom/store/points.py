# SPDX-License-Identifier: Apache-2.0
"""Points as they come in and go out: ids, payloads, texts, vectors; hits with their payloads."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.index.hits import Hits, QueryHits
from vectorloom.store.filter_grammar import plain_value
from vectorloom.vectors import as_ids

Payload = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Points:
    """Stored points, column by column.

    Attributes
    ----------
    ids : ndarray of shape (n,), int64 or object (str)
    payloads : list of dict or None
    texts : list of str or None
    vectors : ndarray of shape (n, dim), float32, or dict of field to such, or None
        A dict where the collection has several fields; None where they were not asked for. Decoded
        where the field is stored as float16 or int8. Of a sparse field a csr matrix, of one of
        several vectors a point a list of matrices.

    Examples
    --------
    >>> points = Points(np.array([7]), [{"year": 1990}], [None], None)
    >>> len(points), points.payloads[0]["year"]
    (1, 1990)
    """

    ids: NDArray[Any]
    payloads: list[Payload | None]
    texts: list[str | None]
    vectors: Any

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[Any, Payload | None, str | None]]:
        """Yield (id, payload, text) of each point."""
        yield from zip(self.ids.tolist(), self.payloads, self.texts, strict=True)


def plain_rows(vectors: Any) -> list[Any]:
    """Return the vectors of one field of `Points` as JSON has them, one entry a point.

    A vector is a list of numbers, a sparse one ``{"indices": …, "values": …}``, several are a list
    of lists.
    """
    if isinstance(vectors, list):
        return [matrix.tolist() for matrix in vectors]
    if isinstance(vectors, np.ndarray):
        return list(vectors.tolist())
    starts = vectors.indptr.tolist()
    return [
        {"indices": vectors.indices[a:b].tolist(), "values": vectors.data[a:b].tolist()}
        for a, b in itertools.pairwise(starts)
    ]


@dataclass(frozen=True, eq=False)
class PointQueryHits(QueryHits):
    """The hits of one query with their payloads and texts; unpacks as ``ids, scores``."""

    payloads: list[Payload | None]
    texts: list[str | None]

    def to_dict(self) -> list[dict[str, Any]]:
        """Return one ``{"id", "score", "distance", "payload", "text"}`` a hit."""
        rows = super().to_dict()
        for row, payload, text in zip(rows, self.payloads, self.texts, strict=True):
            row["payload"] = payload
            row["text"] = text
        return rows


@dataclass(frozen=True, eq=False, repr=False)
class PointHits(Hits):
    """`Hits` of a collection: with the payload and text of each hit.

    Attributes
    ----------
    ids : ndarray of shape (n_queries, k), int64 or object
    scores : ndarray of shape (n_queries, k), float32
        Larger is closer.
    distances : ndarray of shape (n_queries, k), float32
        Smaller is closer.
    counts : ndarray of shape (n_queries,), int64
        Hits of each query; the rest of its row is padding.
    metric : {"cosine", "ip", "l2"}
        ``"ip"`` where words were searched.
    plan : tuple of str, or None
        How each query was answered, where the search was asked to ``explain``.
    payloads : list of list of dict or None
        Of each query those of its hits, best first and without padding; [] where the search was
        told to leave them out.
    texts : list of list of str or None
        The same.
    """

    payloads: Any = ()
    texts: Any = ()

    def __getitem__(self, query: int) -> PointQueryHits:
        query = range(len(self))[query]
        own = super().__getitem__(query)
        nothing: list[Any] = [None] * len(own)
        return PointQueryHits(
            own.ids,
            own.scores,
            own.distances,
            own.metric,
            self.payloads[query] if self.payloads else nothing,
            self.texts[query] if self.texts else nothing,
        )


@dataclass(frozen=True, eq=False, repr=False)
class FusedHits(PointHits):
    """Hits of several fields in one ranking, with what each leg said.

    Attributes
    ----------
    ids, scores, distances, counts, metric, plan, payloads, texts
        As in `PointHits`; ``metric`` is the fusion.
    leg_scores : dict of str to ndarray of shape (n_queries, k), float32
        The leg's own score of each hit; NaN where it did not return it.
    leg_ranks : dict of str to ndarray of shape (n_queries, k), int64
        Its place among the leg's hits, from 1; 0 where it did not return it.
    """

    leg_scores: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    leg_ranks: dict[str, NDArray[np.int64]] = field(default_factory=dict)


def checked_ids(ids: Any, n: int | None, id_type: str | None) -> NDArray[Any]:
    """Return ids as int64 or str, of the type that the collection has.

    Raises
    ------
    ParameterError, ShapeError
    """
    found = as_ids(ids, n)
    own = "int64" if found.dtype == np.int64 else "str"
    if len(found) and id_type is not None and own != id_type:
        raise ParameterError(
            f"ids are {own} and this collection has {id_type} ids; ids must be of one type."
        )
    if own == "str":
        for id_ in found.tolist():
            if not id_ or "\0" in id_ or not _encodes(id_):
                raise ParameterError(
                    f"ids has {id_!r}; text ids must not be empty, and hold no NUL and no lone "
                    "surrogates."
                )
    return found


def _encodes(text: str) -> bool:
    return text.isascii() or text.encode("utf-8", "replace").decode() == text


def packed_payloads(payloads: Any, n: int) -> list[str | None]:
    """Return payloads as JSON text, refusing what JSON cannot hold.

    Raises
    ------
    ParameterError, ShapeError
    """
    if payloads is None:
        return [None] * n
    if hasattr(payloads, "to_pylist"):  # a pyarrow table
        payloads = payloads.to_pylist()
    _check_length("payloads", payloads, n)
    encode = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
    ).encode
    packed: list[str | None] = []
    for i, payload in enumerate(payloads):
        if payload is None:
            packed.append(None)
            continue
        if not isinstance(payload, Mapping):
            raise ParameterError(
                f"payloads has {type(payload).__name__} at {i}; a mapping or None is expected."
            )
        packed.append(_packed(payload, i, encode))
    return packed


def _packed(payload: Mapping[str, Any], i: int, encode: Any) -> str:
    try:
        text: str = encode(payload if isinstance(payload, dict) else dict(payload))
        if not text.isascii():
            text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError(
            f"the payload at {i} cannot be stored as JSON ({error}). Payloads hold text, finite "
            "numbers, true, false, None, dates, lists and mappings."
        ) from None
    if "\\u0000" in text:
        raise ParameterError(f"the payload at {i} has text with a NUL character; take it out.")
    return text


def _plain(value: Any) -> Any:
    plain = plain_value(value)
    if plain is value and hasattr(value, "tolist"):
        return value.tolist()
    if plain is value:
        raise TypeError(f"{type(value).__name__} is not JSON")
    return plain


def checked_texts(texts: Any, n: int) -> list[str | None]:
    """Return one str or None a point.

    Raises
    ------
    ParameterError, ShapeError
    """
    if texts is None:
        return [None] * n
    if hasattr(texts, "tolist"):
        texts = texts.tolist()
    elif hasattr(texts, "to_pylist"):
        texts = texts.to_pylist()
    _check_length("texts", texts, n)
    for i, text in enumerate(texts):
        if text is not None and (not isinstance(text, str) or "\0" in text or not _encodes(text)):
            raise ParameterError(
                f"texts has {text!r:.60} at {i}; text without NUL and lone surrogates, or None, is "
                "expected."
            )
    return list(texts)


def _check_length(name: str, values: Any, n: int) -> None:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        raise ShapeError(f"{name} must be a list with one entry a point; got {values!r:.60}.")
    if len(values) != n:
        raise ShapeError(f"{name} must have one entry a point: {n} ids came with {len(values)}.")
