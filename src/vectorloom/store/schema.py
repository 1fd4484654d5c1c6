# SPDX-License-Identifier: Apache-2.0
"""What a collection is made of: its vector fields, its declared payload fields, its encoders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count
from vectorloom.index.dense.encoding import STORED, resolve_kind
from vectorloom.store.encoder import EncoderRecord
from vectorloom.store.filter_grammar import check_path

#: What is read; the second came with fields of other kinds than dense, and is written for them.
FORMAT_VERSIONS = (1, 2)
#: A vector a point; weights of terms; several vectors a point.
KINDS = ("dense", "sparse", "multi")
METRICS = {"dense": ("cosine", "ip", "l2"), "sparse": ("ip",), "multi": ("cosine", "ip")}
#: How vectors are stored; see `vectorloom.index.dense.encoding`.
DTYPES = ("float32", "float16", "int8")
DEFAULT_FIELD = "vector"
MAX_DIM = 65_536
MAX_TERMS = 2**31 - 1
_KEYS = ("dim", "kind", "metric", "dtype")
_MAX_INDEXES = _MAX_FIELDS = 64


@dataclass(frozen=True)
class FieldSchema:
    """One field of vectors.

    Attributes
    ----------
    name : str
    dim : int
        Of a vector; of a sparse field the number of terms.
    metric : {"cosine", "ip", "l2"}
        Of a field of several vectors: that of two vectors; MaxSim adds them up.
    dtype : {"float32", "float16", "int8"}
    encoder : EncoderRecord or None
        What made the vectors, where that is known.
    kind : {"dense", "sparse", "multi"}
    """

    name: str
    dim: int
    metric: str = "cosine"
    dtype: str = "float32"
    encoder: EncoderRecord | None = None
    kind: str = "dense"

    @property
    def vector_bytes(self) -> int:
        """Bytes of one stored vector, its scale not counted; of a sparse field those of a value."""
        return 8 if self.kind == "sparse" else self.dim * int(STORED[self.dtype].itemsize)

    @property
    def answers(self) -> str:
        """The metric of hits."""
        return "maxsim" if self.kind == "multi" else self.metric

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        known = None if self.encoder is None else self.encoder.to_dict()
        plain = {
            "name": self.name,
            "dim": self.dim,
            "metric": self.metric,
            "dtype": self.dtype,
            "encoder": known,
        }
        return plain if self.kind == "dense" else plain | {"kind": self.kind}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FieldSchema:
        """Return the field that `to_dict` described."""
        known = data.get("encoder")
        return cls(
            name=data["name"],
            dim=data["dim"],
            metric=data["metric"],
            dtype=data["dtype"],
            encoder=None if known is None else EncoderRecord.from_dict(known),
            kind=data.get("kind", "dense"),
        )


@dataclass(frozen=True)
class Schema:
    """All fields of a collection.

    Attributes
    ----------
    fields : tuple of FieldSchema
    index : tuple of str
        Payload fields that have an index.
    """

    fields: tuple[FieldSchema, ...]
    index: tuple[str, ...] = field(default=())

    @property
    def columns(self) -> dict[str, str]:
        """The column of each declared payload field."""
        return {path: f"c{i}" for i, path in enumerate(self.index)}

    @property
    def format_version(self) -> int:
        """The first version of the format that knows all of it."""
        return 1 if all(each.kind == "dense" for each in self.fields) else 2

    def place(self, name: str | None) -> int:
        """Return the number of a field; None is the first.

        Raises
        ------
        ParameterError
            No such field.
        """
        if name is None:
            return 0
        names = [each.name for each in self.fields]
        if name not in names:
            raise ParameterError(
                f"there is no vector field {name!r}; this collection has {', '.join(names)}."
            )
        return names.index(name)

    def to_json(self) -> str:
        """Return the text that is stored."""
        fields = [each.to_dict() for each in self.fields]
        return json.dumps({"fields": fields, "index": list(self.index)})

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Return the schema of a stored text."""
        data = json.loads(text)
        fields = tuple(FieldSchema.from_dict(each) for each in data["fields"])
        return cls(fields, tuple(data["index"]))

    def with_encoder(self, place: int, encoder: EncoderRecord) -> Schema:
        """Return the schema with this encoder recorded for a field."""
        fields = list(self.fields)
        fields[place] = replace(fields[place], encoder=encoder)
        return replace(self, fields=tuple(fields))


def new_schema(dim: Any, metric: str, dtype: str, fields: Any, index: Sequence[str]) -> Schema:
    """Check what was asked for and return the schema of a new collection.

    Raises
    ------
    ParameterError
        No dimension, both `dim` and `fields`, or a word that is not known.
    """
    if fields is None:
        if dim is None:
            raise ParameterError(
                "there is no collection here yet; to create one give dim=, the number of "
                "dimensions of its vectors."
            )
        fields = {DEFAULT_FIELD: {"dim": dim, "metric": metric, "dtype": dtype}}
    elif dim is not None:
        raise ParameterError(
            "dim and fields were both given; give the dim of each field in fields."
        )
    if not fields:
        raise ParameterError(
            f"fields must map names to {{'dim', 'kind', 'metric', 'dtype'}}; got {fields!r:.80}."
        )
    if not isinstance(fields, Mapping) or len(fields) > _MAX_FIELDS:
        raise ParameterError(
            f"fields must map up to {_MAX_FIELDS} names to {{'dim', 'kind', 'metric', 'dtype'}}."
        )
    made = tuple(_field(name, spec, metric, dtype) for name, spec in fields.items())
    return Schema(made, check_index(index))


def _field(name: Any, spec: Any, metric: str, dtype: str) -> FieldSchema:
    check_path(name, "the name of a vector field")
    if isinstance(spec, int):
        spec = {"dim": spec}
    if not isinstance(spec, Mapping) or set(spec) - set(_KEYS) or "dim" not in spec:
        raise ParameterError(
            f"the field {name!r} takes {{{', '.join(map(repr, _KEYS))}}} (dim at least); got "
            f"{spec!r:.80}."
        )
    kind = spec.get("kind", "dense")
    check_choice("kind", kind, KINDS)
    size = check_count("dim", spec["dim"])
    most = MAX_TERMS if kind == "sparse" else MAX_DIM
    if size > most:
        raise ParameterError(f"dim must be at most {most:,}; got {size:,}.")
    if kind == "sparse":
        metric, dtype = "ip", "float32"
    elif kind == "multi" and metric == "l2":
        metric = "cosine"
    measured = spec.get("metric", metric)
    check_choice("metric", measured, METRICS[kind])
    stored = resolve_kind(measured, spec.get("dtype", dtype))
    check_choice("dtype", stored, DTYPES if kind != "sparse" else ("float32",))
    return FieldSchema(name, size, measured, stored, None, kind)


def check_index(index: Sequence[str]) -> tuple[str, ...]:
    """Return names of payload fields to be indexed, each once.

    Raises
    ------
    ParameterError
    """
    if isinstance(index, str):
        raise ParameterError(f"index must be a list of names; got {index!r}. Pass [{index!r}].")
    names = tuple(dict.fromkeys(check_path(name, "an entry of index") for name in index))
    if len(names) > _MAX_INDEXES:
        raise ParameterError(f"index has {len(names)} names; {_MAX_INDEXES} at most are indexed.")
    return names


def require_same(
    found: Schema, dim: Any, metric: str | None, dtype: str | None, fields: Mapping[str, Any] | None
) -> None:
    """Refuse to open a collection as something that it is not; what is None was not asked for.

    Raises
    ------
    ParameterError
    """
    if fields is not None:
        wanted = new_schema(None, metric or "cosine", dtype or "float32", fields, ())
        asked = [(f.name, f.kind, f.dim, f.metric, f.dtype) for f in wanted.fields]
        stored = [(f.name, f.kind, f.dim, f.metric, f.dtype) for f in found.fields]
        if asked != stored:
            raise ParameterError(
                f"the collection has the fields {stored}; {asked} were asked for. Leave fields out "
                "to open it as it is, or choose another folder."
            )
        return
    first = found.fields[0]
    for name, asked_for, stored_as in (
        ("dim", dim, first.dim),
        ("metric", metric, first.metric),
        ("dtype", dtype, first.dtype),
    ):
        if asked_for is not None and asked_for != stored_as:
            raise ParameterError(
                f"the collection was created with {name}={stored_as!r}; {name}={asked_for!r} was "
                f"asked for. Leave {name} out to open it as it is, or choose another folder."
            )
