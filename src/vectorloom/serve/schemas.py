# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of what bodies hold, by route, and the limits that they state."""

from __future__ import annotations

from typing import Any

MAX_K, MAX_QUERIES, MAX_POINTS = 10_000, 1_000, 10_000
# What a request asks for is bounded by what it makes, not by each number alone.
MAX_HITS = 100_000
MAX_INPUTS, MAX_DIM = 2048, 65_536

Schema = dict[str, Any]

_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
NAME: Schema = {"type": "string", "pattern": _NAME, "maxLength": 100}
_TEXT: Schema = {"type": "string"}
_ID: Schema = {"oneOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]}
_IDS: Schema = {"type": "array", "items": _ID, "maxItems": MAX_POINTS}
_ROW: Schema = {"type": "array", "items": {"type": "number"}, "maxItems": MAX_DIM}
_PACKED: Schema = {
    "type": "object",
    "properties": {
        "base64": {"type": "string", "contentEncoding": "base64", "description": "float32 rows"}
    },
    "required": ["base64"],
    "additionalProperties": False,
}


_MATRIX: Schema = {"type": "array", "items": _ROW, "maxItems": MAX_POINTS}
_SPARSE: Schema = {
    "type": "object",
    "properties": {
        "indices": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "values": {"type": "array", "items": {"type": "number"}},
    },
    "required": ["indices", "values"],
    "additionalProperties": False,
}
_QUERY: Schema = {
    "description": "of a dense field a vector, of a sparse one its entries, of several a matrix",
    "anyOf": [_ROW, _SPARSE, _MATRIX],
}


def _rows(most: int) -> Schema:
    return {"anyOf": [{"type": "array", "items": _QUERY, "maxItems": most}, _PACKED]}


_VECTORS: Schema = {
    "anyOf": [_rows(MAX_POINTS), {"type": "object", "additionalProperties": _rows(MAX_POINTS)}]
}
_WHERE: Schema = {"type": "object", "description": "a filter, as in the library"}
_FLAG: Schema = {"type": "boolean"}
_PAYLOADS: Schema = {
    "type": "array",
    "items": {"type": ["object", "null"]},
    "maxItems": MAX_POINTS,
}
_TEXTS: Schema = {"type": "array", "items": {"type": ["string", "null"]}, "maxItems": MAX_POINTS}
_METRIC: Schema = {"enum": ["cosine", "ip", "l2"]}
_DTYPE: Schema = {"enum": ["float32", "float16", "int8"]}
_DIM: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_DIM}

CREATE: Schema = {
    "dim": _DIM,
    "metric": _METRIC,
    "dtype": _DTYPE,
    "fields": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {
                "dim": {"type": "integer", "minimum": 1},
                "kind": {"enum": ["dense", "sparse", "multi"]},
                "metric": _METRIC,
                "dtype": _DTYPE,
            },
            "required": ["dim"],
        },
    },
    "index": {"type": "array", "items": _TEXT, "maxItems": 64},
    "encoder": {
        "description": "a mounted model, or one for each field",
        "oneOf": [_TEXT, {"type": "object", "additionalProperties": _TEXT}],
    },
}
UPSERT: Schema = {
    "ids": _IDS,
    "vectors": _VECTORS,
    "payloads": _PAYLOADS,
    "texts": _TEXTS,
    "first_id": {
        "type": "integer",
        "description": "of an npy body: id of its first row, the others follow",
    },
}
SET_PAYLOADS: Schema = {"ids": _IDS, "payloads": _PAYLOADS}
DELETE: Schema = {"ids": _IDS, "where": _WHERE}
GET: Schema = {"ids": _IDS, "vectors": _FLAG}
SCROLL: Schema = {
    "where": _WHERE,
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_POINTS, "default": 100},
    "vectors": _FLAG,
    "after": _ID,
}
COUNT: Schema = {"where": _WHERE}
SEARCH: Schema = {
    "vector": _QUERY,
    "vectors": _rows(MAX_QUERIES),
    "text": _TEXT,
    "texts": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_QUERIES},
    "model": _TEXT,
    "by": {"enum": ["vectors", "words"]},
    "k": {"type": "integer", "minimum": 1, "maximum": MAX_K, "default": 10},
    "where": _WHERE,
    "field": _TEXT,
    "recall": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.95},
    "exact": _FLAG,
    "payloads": _FLAG,
    "explain": _FLAG,
}
TOGETHER: Schema = {
    "queries": {
        "type": "object",
        "description": "by field, or $text for the words of the stored texts",
        "additionalProperties": {"anyOf": [_QUERY, _PACKED, _TEXT]},
    },
    "k": SEARCH["k"],
    "where": _WHERE,
    "fusion": {"enum": ["rrf", "weighted"], "default": "rrf"},
    "weights": {"type": "object", "additionalProperties": {"type": "number"}},
    "normalise": {"enum": ["min-max", "z-score", "theoretical"], "default": "min-max"},
    "constant": {"type": "number", "default": 60},
    "depth": {"type": "integer", "minimum": 1, "maximum": MAX_K, "default": 100},
    "recall": SEARCH["recall"],
    "exact": _FLAG,
    "payloads": _FLAG,
}
ALIAS: Schema = {"collection": NAME}
SNAPSHOT: Schema = {"snapshot": NAME}
RESTORE: Schema = {"from": NAME, "snapshot": NAME}
IMPORT: Schema = {
    "file": {"type": "string", "description": "below the folder of --import-folder"},
    "ids": _TEXT,
    "vectors": _TEXT,
    "text": _TEXT,
    "batch": {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 16_384},
}
EMBEDDINGS: Schema = {
    "model": _TEXT,
    "input": {
        "oneOf": [
            _TEXT,
            {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_INPUTS},
        ]
    },
    "encoding_format": {"enum": ["float", "base64"], "default": "float"},
    "dimensions": _DIM,
    "user": _TEXT,
}
